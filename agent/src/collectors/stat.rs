//! `stat`: boot time, forks, interrupts, context switches, runnable and blocked tasks.

use std::sync::Arc;

use hostfs::stat;

use super::twice::Twice;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::{Setup, switch};

crate::metrics! {
    INTERRUPTS = counter("node_intr_total").help("Interrupts served since boot.").source("/proc/stat")
        .answers("Does an interrupt storm keep the CPUs busy?");
    CONTEXT_SWITCHES = counter("node_context_switches_total").help("Context switches since boot.").source("/proc/stat")
        .answers("How often do the CPUs change between tasks?");
    FORKS = counter("node_forks_total").help("Processes and threads created since boot.").source("/proc/stat")
        .answers("Does something start processes at a high rate?");
    BOOT_TIME = gauge("node_boot_time_seconds").unit("seconds").help("When the host started, as a Unix time.")
        .source("/proc/stat").answers("When did this host restart?");
    RUNNING = gauge("node_procs_running").help("Tasks that run or could run.").source("/proc/stat")
        .answers("Do more tasks want to run than there are CPUs?");
    BLOCKED = gauge("node_procs_blocked").help("Tasks that wait for I/O to end.").source("/proc/stat")
        .answers("Are tasks stuck in I/O?");
    SOFTIRQS = counter("node_softirqs_total").labels(&["vector"]).help("Softirqs served since boot, by kind.")
        .source("/proc/stat").answers("Which part of the kernel makes the softirq time?");
}

/// See [`crate::collector`].
pub static SPEC: Spec =
    Spec { metrics: METRICS, flags: &[switch("collector.stat.softirq", false, "Export node_softirqs_total")], build };

struct Stat {
    stat: Arc<Twice<stat::Reader>>,
    softirq: bool,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Stat { stat: setup.stat.clone(), softirq: setup.is_on("collector.stat.softirq") }))
}

impl Collector for Stat {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let softirq = self.softirq;
        self.stat.second(|stat| write(page, stat.last(), softirq))?;
        Ok(())
    }
}

fn write(page: &mut Page, stat: &stat::Stat, softirq: bool) {
    for (metric, value) in [
        (&INTERRUPTS, stat.interrupts),
        (&CONTEXT_SWITCHES, stat.context_switches),
        (&FORKS, stat.forks),
        (&BOOT_TIME, stat.boot_time_seconds),
        (&RUNNING, stat.procs_running),
        (&BLOCKED, stat.procs_blocked),
    ] {
        if let Some(value) = value {
            page.single(metric, value);
        }
    }
    if softirq && stat.softirqs.is_some() {
        let mut family = page.family(&SOFTIRQS);
        for (vector, count) in stat::SOFTIRQS.iter().zip(stat.softirqs_by_kind) {
            family.sample(&[("vector", vector.as_bytes())], count);
        }
    }
}
