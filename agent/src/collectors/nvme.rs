//! `nvme`: NVMe controllers.

use hostfs::{Roots, nvme};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    INFO = gauge("node_nvme_info").labels(&["cntlid", "device", "firmware_revision", "model", "serial", "state"])
        .help("Always 1; the labels name a controller, its firmware and its state.").source("/sys/class/nvme/*")
        .answers("Which drives are there, with which firmware, and are they live?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Nvme {
    roots: Roots,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Nvme { roots: setup.roots.clone() }))
}

impl Collector for Nvme {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let mut info = page.family(&INFO);
        for controller in nvme::controllers(&self.roots).map_err(Failure::missing_is_no_data)? {
            let labels: [(&str, &[u8]); 6] = [
                ("cntlid", &controller.id),
                ("device", &controller.name),
                ("firmware_revision", &controller.firmware),
                ("model", &controller.model),
                ("serial", &controller.serial),
                ("state", &controller.state),
            ];
            info.sample(&labels, 1u64);
        }
        Ok(())
    }
}
