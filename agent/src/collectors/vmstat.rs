//! `vmstat`: paging, swapping and OOM kills.

use hostfs::vmstat;

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::filter::Filter;
use crate::flags::{Setup, text};

crate::metrics! {
    FIELD = untyped("node_vmstat_*").help("Field * of /proc/vmstat.").source("/proc/vmstat")
        .answers("Does the host page, swap or kill for want of memory?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[text("collector.vmstat.fields", "^(oom_kill|pgpg|pswp|pg.*fault).*", "Fields to export")],
    build,
};

struct Vmstat {
    reader: vmstat::Reader,
    filter: Filter,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let filter = Filter::new(setup.text("collector.vmstat.fields"), "")?;
    Ok(Box::new(Vmstat { reader: vmstat::Reader::new(&setup.roots), filter }))
}

impl Collector for Vmstat {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let Self { reader, filter } = self;
        reader.read()?.for_each(
            |name| filter.wants(name),
            |name, value| _ = page.family_named(&FIELD, name).sample(&[], value),
        )?;
        Ok(())
    }
}
