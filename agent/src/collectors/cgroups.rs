//! `cgroups`: how many control groups each controller has.

use hostfs::cgroup_summary;

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    CGROUPS = gauge("node_cgroups_cgroups").labels(&["subsys_name"]).help("Control groups that use a controller.")
        .source("/proc/cgroups").answers("Are control groups leaking?");
    ENABLED = gauge("node_cgroups_enabled").labels(&["subsys_name"])
        .help("Whether a controller is enabled (1) or switched off at boot (0).").source("/proc/cgroups")
        .answers("Can this controller be used?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Cgroups {
    reader: cgroup_summary::Reader,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Cgroups { reader: cgroup_summary::Reader::new(&setup.roots) }))
}

impl Collector for Cgroups {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let controllers = self.reader.read()?;
        let mut cgroups = page.family(&CGROUPS);
        for controller in &controllers {
            cgroups.sample(&[("subsys_name", controller.name)], controller.cgroups);
        }
        let mut enabled = page.family(&ENABLED);
        for controller in &controllers {
            enabled.sample(&[("subsys_name", controller.name)], controller.enabled);
        }
        Ok(())
    }
}
