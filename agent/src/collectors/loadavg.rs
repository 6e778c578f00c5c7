//! `loadavg`: the three load averages.

use hostfs::loadavg;

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    LOAD1 = gauge("node_load1").help("Load average over one minute.").source("/proc/loadavg")
        .answers("How many tasks ran, or waited for a CPU or the disk, in the last minute?");
    LOAD5 = gauge("node_load5").help("Load average over five minutes.").source("/proc/loadavg")
        .answers("How many tasks ran, or waited for a CPU or the disk, in the last five minutes?");
    LOAD15 = gauge("node_load15").help("Load average over fifteen minutes.").source("/proc/loadavg")
        .answers("Is the load of the last minute unusual for this quarter of an hour?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Loadavg {
    reader: loadavg::Reader,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Loadavg { reader: loadavg::Reader::new(&setup.roots) }))
}

impl Collector for Loadavg {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let load = self.reader.read()?;
        page.single(&LOAD1, load.one);
        page.single(&LOAD5, load.five);
        page.single(&LOAD15, load.fifteen);
        Ok(())
    }
}
