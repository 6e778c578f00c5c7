//! `ksmd`: merging of equal memory pages.

use hostfs::{Roots, ksm};

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    FULL_SCANS = counter("node_ksmd_full_scans_total").help("Times that all mergeable memory was scanned.")
        .source("/sys/kernel/mm/ksm/full_scans").answers("How often is memory searched for equal pages?");
    MERGE_ACROSS_NODES = gauge("node_ksmd_merge_across_nodes").help("Whether pages of different NUMA nodes are merged.")
        .source("/sys/kernel/mm/ksm/merge_across_nodes").answers("May merging cost remote memory access?");
    PAGES_SHARED = gauge("node_ksmd_pages_shared").help("Pages that stand for several equal ones.")
        .source("/sys/kernel/mm/ksm/pages_shared").answers("How many merged pages are there?");
    PAGES_SHARING = gauge("node_ksmd_pages_sharing").help("Pages that were saved by merging.")
        .source("/sys/kernel/mm/ksm/pages_sharing").answers("How much memory does merging save?");
    PAGES_TO_SCAN = gauge("node_ksmd_pages_to_scan").help("Pages scanned before each sleep.")
        .source("/sys/kernel/mm/ksm/pages_to_scan").answers("How hard does it search?");
    PAGES_UNSHARED = gauge("node_ksmd_pages_unshared").help("Pages that were compared and had no equal.")
        .source("/sys/kernel/mm/ksm/pages_unshared").answers("How much of the search is in vain?");
    PAGES_VOLATILE = gauge("node_ksmd_pages_volatile").help("Pages that change too fast to be merged.")
        .source("/sys/kernel/mm/ksm/pages_volatile").answers("How much memory changes too fast?");
    RUN = gauge("node_ksmd_run").help("0 stopped, 1 running, 2 stopped and everything split again.")
        .source("/sys/kernel/mm/ksm/run").answers("Is merging switched on?");
    SLEEP = gauge("node_ksmd_sleep_seconds").unit("seconds").help("Sleep between scans.")
        .source("/sys/kernel/mm/ksm/sleep_millisecs").answers("How long does it rest?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Ksmd {
    roots: Roots,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Ksmd { roots: setup.roots.clone() }))
}

impl Collector for Ksmd {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let metrics: [&'static Metric; ksm::FILES.len()] = [
            &FULL_SCANS,
            &MERGE_ACROSS_NODES,
            &PAGES_SHARED,
            &PAGES_SHARING,
            &PAGES_TO_SCAN,
            &PAGES_UNSHARED,
            &PAGES_VOLATILE,
            &RUN,
            &SLEEP,
        ];
        for (metric, number) in metrics.into_iter().zip(ksm::read(&self.roots)?) {
            let number = number as f64;
            page.single(metric, if std::ptr::eq(metric, &raw const SLEEP) { number / 1000.0 } else { number });
        }
        Ok(())
    }
}
