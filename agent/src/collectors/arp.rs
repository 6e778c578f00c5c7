//! `arp`: entries of the neighbour table per interface.

use hostfs::{Source, tables};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::filter::Filter;
use crate::flags::{Setup, switch, text};

crate::metrics! {
    ENTRIES = gauge("node_arp_entries").labels(&["device"]).help("IPv4 neighbours known through the interface.")
        .source("/proc/net/arp").answers("How near is the neighbour table to its limit (gc_thresh3)?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[
        text("collector.arp.device-include", "", "Interfaces to export"),
        text("collector.arp.device-exclude", "", "Interfaces not to export"),
        switch(
            "collector.arp.netlink",
            true,
            "Taken for compatibility: both forms read /proc/net/arp, whose count is the same",
        ),
    ],
    build,
};

/// About 80 bytes an entry.
const LIMIT: usize = 16 << 20;

struct Arp {
    source: Source,
    filter: Filter,
    /// Kept for its memory; entries with a count of 0 are not of this scrape.
    counts: Vec<(Vec<u8>, u64)>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Arp {
        source: Source::table(setup.roots.proc("net/arp"), LIMIT, 512),
        filter: setup.filter("collector.arp.device-include", "collector.arp.device-exclude")?,
        counts: Vec::new(),
    }))
}

impl Collector for Arp {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let (path, text) = self.source.read()?;
        self.counts.iter_mut().for_each(|(_, count)| *count = 0);
        tables::arp(path, text, |device| {
            if let Some((_, count)) = self.counts.iter_mut().find(|(known, _)| known == device) {
                *count += 1;
            } else {
                self.counts.push((device.to_vec(), 1));
            }
        })?;
        self.counts.retain(|(_, count)| *count > 0);
        let mut family = page.family(&ENTRIES);
        for (device, count) in &self.counts {
            if self.filter.wants(device) {
                family.sample(&[("device", device)], *count);
            }
        }
        Ok(())
    }
}
