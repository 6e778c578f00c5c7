//! `buddyinfo`: free blocks of the page allocator by size.

use hostfs::{Source, tables};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    BLOCKS = gauge("node_buddyinfo_blocks").labels(&["node", "zone", "size"])
        .help("Free blocks of 2 to the power of size pages.").source("/proc/buddyinfo")
        .answers("Is the memory too fragmented for large allocations?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Buddyinfo {
    source: Source,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Buddyinfo { source: Source::new(setup.roots.proc("buddyinfo"), 1 << 20) }))
}

impl Collector for Buddyinfo {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let (path, text) = self.source.read()?;
        let mut family = page.family(&BLOCKS);
        tables::buddyinfo(path, text, |node, zone, counts| {
            for (size, count) in counts.iter().enumerate() {
                let mut digits = itoa::Buffer::new();
                family.sample(&[("node", node), ("zone", zone), ("size", digits.format(size).as_bytes())], *count);
            }
        })?;
        Ok(())
    }
}
