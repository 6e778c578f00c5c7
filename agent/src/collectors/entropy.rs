//! `entropy`: the kernel's random number generator.

use hostfs::Source;

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    AVAILABLE = gauge("node_entropy_available_bits").help("Bits of entropy in the pool.")
        .source("/proc/sys/kernel/random/entropy_avail").answers("Can programs block for want of random numbers?");
    POOL_SIZE = gauge("node_entropy_pool_size_bits").help("Size of the entropy pool, in bits.")
        .source("/proc/sys/kernel/random/poolsize").answers("How much entropy can there be?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Entropy {
    available: Source,
    pool_size: Source,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let source = |name: &str| Source::new(setup.roots.proc("sys/kernel/random").join(name), 64);
    Ok(Box::new(Entropy { available: source("entropy_avail"), pool_size: source("poolsize") }))
}

impl Collector for Entropy {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let missing = || Failure::NoData("/proc/sys/kernel/random is not there".into());
        page.single(&AVAILABLE, self.available.number_if_present()?.ok_or_else(missing)?);
        page.single(&POOL_SIZE, self.pool_size.number_if_present()?.ok_or_else(missing)?);
        Ok(())
    }
}
