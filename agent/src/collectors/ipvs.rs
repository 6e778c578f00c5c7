//! `ipvs`: traffic and servers of the kernel's load balancer.

use std::collections::BTreeMap;

use anyhow::bail;
use hostfs::ipvs::{self, Backend};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::{self, Setup};

/// The labels that may be chosen, in the order in which they are written.
const LABELS: &[&str] = &["local_address", "local_mark", "local_port", "proto", "remote_address", "remote_port"];

crate::metrics! {
    CONNECTIONS = counter("node_ipvs_connections_total").help("Connections balanced.").source("/proc/net/ip_vs_stats")
        .answers("How many connections does the balancer take?");
    INCOMING_PACKETS = counter("node_ipvs_incoming_packets_total").help("Packets from clients.")
        .source("/proc/net/ip_vs_stats").answers("How many packets come in?");
    OUTGOING_PACKETS = counter("node_ipvs_outgoing_packets_total").help("Packets to clients.")
        .source("/proc/net/ip_vs_stats").answers("How many packets go out?");
    INCOMING_BYTES = counter("node_ipvs_incoming_bytes_total").unit("bytes").help("Bytes from clients.")
        .source("/proc/net/ip_vs_stats").answers("How much data comes in?");
    OUTGOING_BYTES = counter("node_ipvs_outgoing_bytes_total").unit("bytes").help("Bytes to clients.")
        .source("/proc/net/ip_vs_stats").answers("How much data goes out?");
    ACTIVE = gauge("node_ipvs_backend_connections_active").labels(LABELS)
        .help("Established connections of a server behind the balancer.").source("/proc/net/ip_vs")
        .answers("Is the load spread?");
    INACTIVE = gauge("node_ipvs_backend_connections_inactive").labels(LABELS)
        .help("Connections of a server behind the balancer that are in any other state.").source("/proc/net/ip_vs")
        .answers("Does a server leave connections half open?");
    WEIGHT = gauge("node_ipvs_backend_weight").labels(LABELS).help("Weight of a server behind the balancer.")
        .source("/proc/net/ip_vs").answers("Is a server drained?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[flags::text(
        "collector.ipvs.backend-labels",
        "local_address,local_port,remote_address,remote_port,proto,local_mark",
        "labels of servers, comma separated; servers that differ in others only are summed",
    )],
    build,
};

struct Ipvs {
    reader: ipvs::Reader,
    labels: Vec<&'static str>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let wanted = setup.text("collector.ipvs.backend-labels");
    for label in wanted.split(',').filter(|label| !label.is_empty()) {
        if !LABELS.contains(&label) {
            bail!("--collector.ipvs.backend-labels: unknown label {label:?}, known are {}", LABELS.join(", "));
        }
    }
    let labels = LABELS.iter().copied().filter(|label| wanted.split(',').any(|wanted| wanted == *label)).collect();
    Ok(Box::new(Ipvs { reader: ipvs::Reader::new(&setup.roots), labels }))
}

impl Collector for Ipvs {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let stats = self.reader.stats().map_err(Failure::missing_is_no_data)?;
        page.single(&CONNECTIONS, stats.connections);
        page.single(&INCOMING_PACKETS, stats.incoming_packets);
        page.single(&OUTGOING_PACKETS, stats.outgoing_packets);
        page.single(&INCOMING_BYTES, stats.incoming_bytes);
        page.single(&OUTGOING_BYTES, stats.outgoing_bytes);
        let mut sums: BTreeMap<Vec<String>, [u64; 3]> = BTreeMap::new();
        for backend in self.reader.backends()? {
            let values = self.labels.iter().map(|label| label_value(&backend, label)).collect();
            let sum = sums.entry(values).or_default();
            for (sum, count) in sum.iter_mut().zip([backend.active, backend.inactive, backend.weight]) {
                *sum = sum.saturating_add(count);
            }
        }
        for (index, metric) in [&ACTIVE, &INACTIVE, &WEIGHT].into_iter().enumerate() {
            let mut family = page.family(metric);
            for (values, sum) in &sums {
                let labels: Vec<(&str, &[u8])> =
                    self.labels.iter().copied().zip(values.iter().map(String::as_bytes)).collect();
                family.sample(&labels, sum[index]);
            }
        }
        Ok(())
    }
}

fn label_value(backend: &Backend, label: &str) -> String {
    match label {
        "local_address" => backend.local_address.map(|address| address.to_string()).unwrap_or_default(),
        "local_mark" => String::from_utf8_lossy(&backend.local_mark).into_owned(),
        "local_port" => backend.local_port.to_string(),
        "proto" => String::from_utf8_lossy(&backend.protocol).into_owned(),
        "remote_address" => backend.remote_address.to_string(),
        _ => backend.remote_port.to_string(),
    }
}
