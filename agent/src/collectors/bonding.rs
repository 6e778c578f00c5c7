//! `bonding`: links of bonded interfaces.

use hostfs::{Roots, bonding};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    SLAVES = gauge("node_bonding_slaves").labels(&["master"]).help("Links that belong to a bond.")
        .source("/sys/class/net/*/bonding/slaves").answers("How many links should this bond have?");
    ACTIVE = gauge("node_bonding_active").labels(&["master"]).help("Links of a bond that the link monitor finds up.")
        .source("/sys/class/net/*/lower_*/bonding_slave/mii_status").answers("Has this bond lost a link?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Bonding {
    roots: Roots,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Bonding { roots: setup.roots.clone() }))
}

impl Collector for Bonding {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let bonds = bonding::read(&self.roots).map_err(Failure::missing_is_no_data)?;
        let mut slaves = page.family(&SLAVES);
        for bond in &bonds {
            slaves.sample(&[("master", &bond.name)], bond.slaves);
        }
        let mut active = page.family(&ACTIVE);
        for bond in &bonds {
            active.sample(&[("master", &bond.name)], bond.active);
        }
        Ok(())
    }
}
