//! `qdisc`: the outermost queueing discipline of each interface.

use std::path::{Path, PathBuf};

use hostfs::qdisc::{self, Root};
use serde::Deserialize;

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::filter::Filter;
use crate::flags::{self, Setup};

const LABELS: &[&str] = &["device", "kind"];

crate::metrics! {
    BYTES = counter("node_qdisc_bytes_total").labels(LABELS).help("Bytes that a queueing discipline sent.")
        .source("rtnetlink RTM_GETQDISC").answers("How much goes through a queue?");
    PACKETS = counter("node_qdisc_packets_total").labels(LABELS).help("Packets that a queueing discipline sent.")
        .source("rtnetlink RTM_GETQDISC").answers("How many packets go through a queue?");
    DROPS = counter("node_qdisc_drops_total").labels(LABELS).help("Packets that a queueing discipline dropped.")
        .source("rtnetlink RTM_GETQDISC").answers("Are packets lost before the wire?");
    REQUEUES = counter("node_qdisc_requeues_total").labels(LABELS)
        .help("Packets queued again because the device was busy.").source("rtnetlink RTM_GETQDISC")
        .answers("Is the device a bottleneck?");
    OVERLIMITS = counter("node_qdisc_overlimits_total").labels(LABELS)
        .help("Times that packets had to wait for a limit.").source("rtnetlink RTM_GETQDISC")
        .answers("Is traffic being shaped?");
    LENGTH = gauge("node_qdisc_current_queue_length").labels(LABELS).help("Packets waiting in a queueing discipline.")
        .source("rtnetlink RTM_GETQDISC").answers("Is there a queue?");
    BACKLOG = gauge("node_qdisc_backlog").labels(LABELS).help("Bytes waiting in a queueing discipline.")
        .source("rtnetlink RTM_GETQDISC").answers("How long is the queue in bytes?");
}

const INCLUDE: &str = "collector.qdisc.device-include";
const EXCLUDE: &str = "collector.qdisc.device-exclude";
const FIXTURES: &str = "collector.qdisc.fixtures";

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[
        flags::text(INCLUDE, "", "interfaces to export"),
        flags::text(EXCLUDE, "", "interfaces not to export"),
        flags::text(FIXTURES, "", "directory whose results.json is read in place of the kernel, for tests"),
    ],
    build,
};

struct Qdisc {
    filter: Filter,
    fixture: Option<PathBuf>,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let fixtures = setup.text(FIXTURES);
    Ok(Box::new(Qdisc {
        filter: setup.filter(INCLUDE, EXCLUDE)?,
        fixture: (!fixtures.is_empty()).then(|| PathBuf::from(fixtures).join("results.json")),
        samples: Grouping::default(),
    }))
}

impl Collector for Qdisc {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let roots = match &self.fixture {
            None => qdisc::read()?,
            Some(path) => recorded(path).map_err(|error| Failure::Broken(format!("{error:#}")))?,
        };
        for root in roots {
            if !self.filter.wants(&root.device) {
                continue;
            }
            let labels = [("device", root.device.as_slice()), ("kind", root.kind.as_slice())];
            self.samples.sample(&BYTES, &labels, root.bytes);
            self.samples.sample(&PACKETS, &labels, root.packets);
            self.samples.sample(&DROPS, &labels, u64::from(root.drops));
            self.samples.sample(&REQUEUES, &labels, u64::from(root.requeues));
            self.samples.sample(&OVERLIMITS, &labels, u64::from(root.overlimits));
            self.samples.sample(&LENGTH, &labels, u64::from(root.queued_packets));
            self.samples.sample(&BACKLOG, &labels, u64::from(root.queued_bytes));
        }
        self.samples.write_to(page);
        Ok(())
    }
}

/// An entry of `results.json`, with the names that node_exporter's tests give them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Recorded {
    ifacename: String,
    parent: u32,
    kind: String,
    bytes: u64,
    packets: u64,
    drops: u32,
    requeues: u32,
    overlimits: u32,
    qlen: u32,
    backlog: u32,
}

fn recorded(path: &Path) -> anyhow::Result<Vec<Root>> {
    let entries: Vec<Recorded> = super::recorded::read(path)?;
    let roots = entries.into_iter().filter(|entry| entry.parent == 0).map(|entry| Root {
        device: entry.ifacename.into_bytes(),
        kind: entry.kind.into_bytes(),
        bytes: entry.bytes,
        packets: entry.packets,
        drops: entry.drops,
        requeues: entry.requeues,
        overlimits: entry.overlimits,
        queued_packets: entry.qlen,
        queued_bytes: entry.backlog,
    });
    Ok(roots.collect())
}
