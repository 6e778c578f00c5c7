//! `softnet`: packets on their way from the device into the stack, per CPU.

use hostfs::Source;
use hostfs::tables::{self, SoftNet};

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    PROCESSED = counter("node_softnet_processed_total").labels(&["cpu"]).help("Packets processed.").source("/proc/net/softnet_stat")
        .answers("Is the network's work spread over the CPUs?");
    DROPPED = counter("node_softnet_dropped_total").labels(&["cpu"]).help("Packets dropped because the CPU's backlog was full.")
        .source("/proc/net/softnet_stat").answers("Is net.core.netdev_max_backlog too small?");
    SQUEEZED = counter("node_softnet_times_squeezed_total").labels(&["cpu"]).help("Times that the softirq ended with packets left.")
        .source("/proc/net/softnet_stat").answers("Is net.core.netdev_budget too small?");
    COLLISIONS = counter("node_softnet_cpu_collision_total").labels(&["cpu"]).help("Collisions on a device's lock while sending.")
        .source("/proc/net/softnet_stat").answers("Do CPUs contend for a device's send queue?");
    RPS = counter("node_softnet_received_rps_total").labels(&["cpu"]).help("Times that another CPU handed packets over.")
        .source("/proc/net/softnet_stat").answers("Does packet steering work?");
    FLOW_LIMIT = counter("node_softnet_flow_limit_count_total").labels(&["cpu"]).help("Packets dropped by the limit per flow.")
        .source("/proc/net/softnet_stat").answers("Does one flow crowd out the others?");
    BACKLOG = gauge("node_softnet_backlog_len").labels(&["cpu"]).help("Packets in the CPU's backlog.")
        .source("/proc/net/softnet_stat").answers("How long is each CPU's queue of packets?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

/// Family and column.
type Column = (&'static Metric, fn(&SoftNet) -> Option<u64>);

static COLUMNS: [Column; 7] = [
    (&PROCESSED, |cpu| Some(cpu.processed)),
    (&DROPPED, |cpu| Some(cpu.dropped)),
    (&SQUEEZED, |cpu| Some(cpu.times_squeezed)),
    (&COLLISIONS, |cpu| cpu.cpu_collision),
    (&RPS, |cpu| cpu.received_rps),
    (&FLOW_LIMIT, |cpu| cpu.flow_limit_count),
    (&BACKLOG, |cpu| cpu.backlog_length),
];

struct Softnet {
    source: Source,
    cpus: Vec<SoftNet>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Softnet { source: Source::new(setup.roots.proc("net/softnet_stat"), 4 << 20), cpus: Vec::new() }))
}

impl Collector for Softnet {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let (path, text) = self.source.read()?;
        self.cpus.clear();
        tables::softnet(path, text, |cpu| self.cpus.push(cpu))?;
        for (metric, column) in COLUMNS {
            let mut family = page.family(metric);
            for cpu in &self.cpus {
                if let Some(value) = column(cpu) {
                    family.sample(&[("cpu", itoa::Buffer::new().format(cpu.cpu).as_bytes())], value);
                }
            }
        }
        Ok(())
    }
}
