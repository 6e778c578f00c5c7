//! `schedstat`: what the scheduler did on each CPU.

use hostfs::{Source, tables};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::Setup;

crate::metrics! {
    RUNNING = counter("node_schedstat_running_seconds_total").labels(&["cpu"]).unit("seconds")
        .help("Time in which tasks ran on the CPU.").source("/proc/schedstat")
        .answers("How much do tasks run on each CPU?");
    WAITING = counter("node_schedstat_waiting_seconds_total").labels(&["cpu"]).unit("seconds")
        .help("Time that tasks waited to run on the CPU, added up.").source("/proc/schedstat")
        .answers("How long do tasks wait for each CPU?");
    TIMESLICES = counter("node_schedstat_timeslices_total").labels(&["cpu"])
        .help("Times that a task got the CPU.").source("/proc/schedstat")
        .answers("How long does a task run before it is put aside?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Schedstat {
    source: Source,
    grouping: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let source = Source::new(setup.roots.proc("schedstat"), 16 << 20);
    Ok(Box::new(Schedstat { source, grouping: Grouping::default() }))
}

impl Collector for Schedstat {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let (path, text) = self.source.read().map_err(Failure::missing_is_no_data)?;
        let grouping = &mut self.grouping;
        let result = tables::schedstat(path, text, |cpu| {
            let labels = [("cpu", cpu.cpu)];
            grouping.sample(&RUNNING, &labels, cpu.running_ns as f64 / 1e9);
            grouping.sample(&WAITING, &labels, cpu.waiting_ns as f64 / 1e9);
            grouping.sample(&TIMESLICES, &labels, cpu.timeslices);
        });
        grouping.write_to(page);
        Ok(result?)
    }
}
