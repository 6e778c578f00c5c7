//! `lnstat`: caches of the network stack.

use hostfs::{Roots, lnstat};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::Setup;

crate::metrics! {
    COUNTER = counter("node_lnstat_*_total").labels(&["cpu", "subsystem"]).help("Count * of a network cache.")
        .source("/proc/net/stat/*").answers("Do neighbour, route and connection caches work?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Lnstat {
    roots: Roots,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Lnstat { roots: setup.roots.clone(), samples: Grouping::default() }))
}

impl Collector for Lnstat {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        for cache in lnstat::read(&self.roots)? {
            for (column, counts) in &cache.columns {
                for (cpu, count) in counts.iter().enumerate() {
                    let cpu = cpu.to_string();
                    let labels = [("cpu", cpu.as_bytes()), ("subsystem", cache.name.as_slice())];
                    self.samples.sample_named(&COUNTER, column, &labels, *count);
                }
            }
        }
        self.samples.write_to(page);
        Ok(())
    }
}
