//! `dmi`: what the firmware says about the machine. Read once: it only changes with a reboot.

use hostfs::{Roots, dmi};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    INFO = gauge("node_dmi_info")
        .labels(&["bios_date", "bios_release", "bios_vendor", "bios_version", "board_asset_tag", "board_name",
            "board_serial", "board_vendor", "board_version", "chassis_asset_tag", "chassis_serial", "chassis_vendor",
            "chassis_version", "product_family", "product_name", "product_serial", "product_sku", "product_uuid",
            "product_version", "system_vendor"])
        .help("Always 1; the labels are those of the DMI tables that this host has and lets the agent read.")
        .source("/sys/class/dmi/id").answers("What machine is this?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Dmi {
    roots: Roots,
    known: Option<Vec<(&'static str, Vec<u8>)>>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Dmi { roots: setup.roots.clone(), known: None }))
}

impl Collector for Dmi {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        if self.known.is_none() {
            self.known = Some(dmi::read(&self.roots).map_err(Failure::missing_is_no_data)?);
        }
        let known = self.known.as_deref().unwrap_or_default();
        if known.is_empty() {
            return Err(Failure::NoData("the firmware has no DMI tables".into()));
        }
        let labels: Vec<(&str, &[u8])> = known.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        page.family(&INFO).sample(&labels, 1u64);
        Ok(())
    }
}
