//! `conntrack`: the table of tracked connections.

use hostfs::{Source, tables};

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    ENTRIES = gauge("node_nf_conntrack_entries").help("Connections that are tracked.")
        .source("/proc/sys/net/netfilter/nf_conntrack_count").answers("How full is the connection tracking table?");
    LIMIT = gauge("node_nf_conntrack_entries_limit").help("Most connections that can be tracked; beyond it packets are dropped.")
        .source("/proc/sys/net/netfilter/nf_conntrack_max").answers("How full is the connection tracking table?");
    FOUND = gauge("node_nf_conntrack_stat_found").help("Lookups that found their connection.")
        .source("/proc/net/stat/nf_conntrack").answers("How many packets belong to known connections?");
    INVALID = gauge("node_nf_conntrack_stat_invalid").help("Packets that cannot be tracked.")
        .source("/proc/net/stat/nf_conntrack").answers("Do broken packets arrive?");
    IGNORE = gauge("node_nf_conntrack_stat_ignore").help("Packets that are not to be tracked.")
        .source("/proc/net/stat/nf_conntrack").answers("How much traffic bypasses the tracking?");
    INSERT = gauge("node_nf_conntrack_stat_insert").help("Entries inserted.")
        .source("/proc/net/stat/nf_conntrack").answers("How many connections are new?");
    INSERT_FAILED = gauge("node_nf_conntrack_stat_insert_failed").help("Entries that could not be inserted because they were there.")
        .source("/proc/net/stat/nf_conntrack").answers("Do connections race for the same tuple?");
    DROP = gauge("node_nf_conntrack_stat_drop").help("Packets dropped because their connection could not be tracked.")
        .source("/proc/net/stat/nf_conntrack").answers("Does the full table cost packets?");
    EARLY_DROP = gauge("node_nf_conntrack_stat_early_drop").help("Entries dropped to make room for new ones.")
        .source("/proc/net/stat/nf_conntrack").answers("Are live connections forgotten because the table is full?");
    SEARCH_RESTART = gauge("node_nf_conntrack_stat_search_restart").help("Lookups that began anew because the table was resized.")
        .source("/proc/net/stat/nf_conntrack").answers("Is the table being resized under load?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

/// Families of the statistics file, with their columns.
static COLUMNS: [(usize, &Metric); 8] = [
    (2, &FOUND),
    (4, &INVALID),
    (5, &IGNORE),
    (8, &INSERT),
    (9, &INSERT_FAILED),
    (10, &DROP),
    (11, &EARLY_DROP),
    (16, &SEARCH_RESTART),
];

struct Conntrack {
    count: Source,
    limit: Source,
    statistics: Source,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let source = |name: &str, limit| Source::new(setup.roots.proc(name), limit);
    Ok(Box::new(Conntrack {
        count: source("sys/net/netfilter/nf_conntrack_count", 64),
        limit: source("sys/net/netfilter/nf_conntrack_max", 64),
        statistics: source("net/stat/nf_conntrack", 4 << 20),
    }))
}

impl Collector for Conntrack {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let missing = || Failure::NoData("the nf_conntrack module is not loaded".into());
        page.single(&ENTRIES, self.count.number_if_present()?.ok_or_else(missing)?);
        page.single(&LIMIT, self.limit.number_if_present()?.ok_or_else(missing)?);
        if let Some((path, text)) = self.statistics.read_if_present()? {
            let sums = tables::conntrack(path, text)?;
            for (column, metric) in COLUMNS {
                page.single(metric, sums[column]);
            }
        }
        Ok(())
    }
}
