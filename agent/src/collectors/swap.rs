//! `swap`: swap areas one by one.

use hostfs::swaps;

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

const AREA: &[&str] = &["device", "swap_type"];

crate::metrics! {
    SIZE = gauge("node_swap_size_bytes").labels(AREA).unit("bytes").help("Size of a swap area.").source("/proc/swaps")
        .answers("How much swap is there, and where?");
    USED = gauge("node_swap_used_bytes").labels(AREA).unit("bytes").help("Part of a swap area that is in use.")
        .source("/proc/swaps").answers("Which swap area is in use?");
    PRIORITY = gauge("node_swap_priority").labels(AREA).help("Areas of higher priority are used first.")
        .source("/proc/swaps").answers("Which area is used first?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Swap {
    reader: swaps::Reader,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Swap { reader: swaps::Reader::new(&setup.roots) }))
}

impl Collector for Swap {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let areas = self.reader.read()?;
        let mut size = page.family(&SIZE);
        for area in &areas {
            size.sample(&[("device", area.device), ("swap_type", area.kind)], area.size_kib.saturating_mul(1024));
        }
        let mut used = page.family(&USED);
        for area in &areas {
            used.sample(&[("device", area.device), ("swap_type", area.kind)], area.used_kib.saturating_mul(1024));
        }
        let mut priority = page.family(&PRIORITY);
        for area in &areas {
            priority.sample(&[("device", area.device), ("swap_type", area.kind)], area.priority);
        }
        Ok(())
    }
}
