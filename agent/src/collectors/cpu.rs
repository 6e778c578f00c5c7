//! `cpu`: time by mode, guest time, and per core what `/proc/cpuinfo` and sysfs say.

mod info;
mod topology;

use std::sync::Arc;

use hostfs::stat::{self, CpuTimes};

use super::twice::Twice;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::{Setup, switch, text};
use info::Info;
use topology::Topology;

crate::metrics! {
    SECONDS = counter("node_cpu_seconds_total").labels(&["cpu", "mode"]).unit("seconds")
        .help("Time that each CPU spent in each mode.").source("/proc/stat")
        .answers("How busy is each CPU, and with what?");
    GUEST = counter("node_cpu_guest_seconds_total").labels(&["cpu", "mode"]).unit("seconds")
        .help("Time that each CPU spent running virtual CPUs, which its user and nice time include.")
        .source("/proc/stat").answers("How much of the user time belongs to virtual machines?");
    INFO = gauge("node_cpu_info")
        .labels(&["package", "core", "cpu", "vendor", "family", "model", "model_name", "microcode", "stepping", "cachesize"])
        .help("1 for each CPU, with what /proc/cpuinfo says about it.").source("/proc/cpuinfo")
        .answers("Which CPUs with which microcode are in this host?");
    FLAG_INFO = gauge("node_cpu_flag_info").labels(&["flag"])
        .help("1 for each selected flag of the first CPU.").source("/proc/cpuinfo")
        .answers("Do this host's CPUs have a certain instruction set?");
    BUG_INFO = gauge("node_cpu_bug_info").labels(&["bug"])
        .help("1 for each selected hardware bug of the first CPU.").source("/proc/cpuinfo")
        .answers("Is this host's CPU affected by a certain hardware bug?");
    pub(super) FREQUENCY = gauge("node_cpu_frequency_hertz").labels(&["package", "core", "cpu"]).unit("hertz")
        .help("Clock rate of each CPU as /proc/cpuinfo gives it, on hosts without cpufreq.").source("/proc/cpuinfo")
        .answers("At which clock rate does each CPU run?");
    PACKAGE_THROTTLES = counter("node_cpu_package_throttles_total").labels(&["package"])
        .help("Times that a CPU package slowed down because of its temperature.")
        .source("/sys/devices/system/cpu/cpu*/thermal_throttle/package_throttle_count")
        .answers("Does heat slow this host down?");
    CORE_THROTTLES = counter("node_cpu_core_throttles_total").labels(&["package", "core"])
        .help("Times that a core slowed down because of its temperature.")
        .source("/sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count")
        .answers("Which core does heat slow down?");
    ISOLATED = gauge("node_cpu_isolated").labels(&["cpu"])
        .help("1 for each CPU that the scheduler leaves alone (isolcpus).").source("/sys/devices/system/cpu/isolated")
        .answers("Which CPUs are kept free of ordinary tasks?");
    ONLINE = gauge("node_cpu_online").labels(&["cpu"])
        .help("1 for each CPU that can be switched off and is on, 0 for those that are off.")
        .source("/sys/devices/system/cpu/cpu*/online")
        .answers("Has a CPU been taken offline?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[
        switch("collector.cpu.guest", true, "Export node_cpu_guest_seconds_total"),
        switch("collector.cpu.info", false, "Export node_cpu_info and, without cpufreq, node_cpu_frequency_hertz"),
        text(
            "collector.cpu.info.flags-include",
            "",
            "CPU flags to export as node_cpu_flag_info; implies --collector.cpu.info",
        ),
        text(
            "collector.cpu.info.bugs-include",
            "",
            "CPU bugs to export as node_cpu_bug_info; implies --collector.cpu.info",
        ),
    ],
    build,
};

/// A fall of the idle time by this much (in ticks, 3 seconds) is a CPU that was taken out and put back, whose
/// counters start anew. Smaller falls are the kernel's known imprecision.
const RESTART_TICKS: u64 = 300;

/// Modes in the order in which they are exported.
const MODES: [(&[u8], fn(&CpuTimes) -> u64); 8] = [
    (b"idle", |times| times.idle),
    (b"iowait", |times| times.iowait),
    (b"irq", |times| times.irq),
    (b"nice", |times| times.nice),
    (b"softirq", |times| times.softirq),
    (b"steal", |times| times.steal),
    (b"system", |times| times.system),
    (b"user", |times| times.user),
];

struct Cpu {
    stat: Arc<Twice<stat::Reader>>,
    /// What was exported last, so that no counter falls.
    exported: Vec<stat::Cpu>,
    ticks_per_second: f64,
    guest: bool,
    info: Option<Info>,
    topology: Topology,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Cpu {
        stat: setup.stat.clone(),
        exported: Vec::new(),
        ticks_per_second: stat::clock_ticks() as f64,
        guest: setup.is_on("collector.cpu.guest"),
        info: Info::build(setup)?,
        topology: Topology::new(&setup.roots),
    }))
}

impl Collector for Cpu {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        if let Some(info) = &mut self.info {
            info.collect(page)?;
        }
        self.stat.first(|stat| keep_rising(&mut self.exported, &stat.last().cpus))?;
        let mut family = page.family(&SECONDS);
        for cpu in &self.exported {
            let mut digits = itoa::Buffer::new();
            let number = digits.format(cpu.number).as_bytes();
            for (mode, ticks) in MODES {
                family.sample(&[("cpu", number), ("mode", mode)], ticks(&cpu.times) as f64 / self.ticks_per_second);
            }
        }
        if self.guest {
            let mut family = page.family(&GUEST);
            for cpu in &self.exported {
                let mut digits = itoa::Buffer::new();
                let number = digits.format(cpu.number).as_bytes();
                for (mode, ticks) in [(&b"nice"[..], cpu.times.guest_nice), (b"user", cpu.times.guest)] {
                    family.sample(&[("cpu", number), ("mode", mode)], ticks as f64 / self.ticks_per_second);
                }
            }
        }
        self.topology.collect(page)
    }
}

/// Takes over `now` without letting any counter fall: the kernel's idle and iowait times of a CPU can step back
/// a little (Documentation/filesystems/proc.rst), which Prometheus would take for a restart of the host. A CPU that
/// is offline now keeps its last values.
fn keep_rising(exported: &mut Vec<stat::Cpu>, now: &[stat::Cpu]) {
    for (index, cpu) in now.iter().enumerate() {
        // CPUs come in the same order at each scrape, unless one was taken out.
        let known = match exported.get(index) {
            Some(old) if old.number == cpu.number => Some(index),
            _ => exported.iter().position(|old| old.number == cpu.number),
        };
        let Some(known) = known else {
            exported.push(*cpu);
            continue;
        };
        let old = &mut exported[known].times;
        if old.idle >= cpu.times.idle.saturating_add(RESTART_TICKS) {
            *old = cpu.times;
            continue;
        }
        let CpuTimes { user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice } = cpu.times;
        old.user = old.user.max(user);
        old.nice = old.nice.max(nice);
        old.system = old.system.max(system);
        old.idle = old.idle.max(idle);
        old.iowait = old.iowait.max(iowait);
        old.irq = old.irq.max(irq);
        old.softirq = old.softirq.max(softirq);
        old.steal = old.steal.max(steal);
        old.guest = old.guest.max(guest);
        old.guest_nice = old.guest_nice.max(guest_nice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(number: u32, idle: u64, user: u64) -> stat::Cpu {
        stat::Cpu { number, times: CpuTimes { idle, user, ..CpuTimes::default() } }
    }

    /// Small falls are held, large ones are a restart, a CPU that vanishes keeps its values.
    #[test]
    fn counters_rise() {
        let mut exported = Vec::new();
        keep_rising(&mut exported, &[cpu(0, 1000, 10), cpu(1, 1000, 10)]);
        keep_rising(&mut exported, &[cpu(1, 999, 11)]);
        assert_eq!(exported, [cpu(0, 1000, 10), cpu(1, 1000, 11)]);
        keep_rising(&mut exported, &[cpu(0, 1001, 9), cpu(1, 700, 1)]);
        assert_eq!(exported, [cpu(0, 1001, 10), cpu(1, 700, 1)]);
    }
}
