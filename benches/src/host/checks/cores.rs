//! Checks of the cores: enough of them, at a steady speed, and ours.

use super::super::cgroup;
use super::super::check::{Check, Fix, Grade};
use super::super::files::cpu_list;
use super::super::machine::Machine;

/// Exit latency from which an idle state shows in a latency figure, in microseconds.
const DEEP_IDLE_US: u64 = 100;

pub(super) fn distinct(machine: &Machine) -> Check {
    let name = "cores";
    let wanted = "2 or more: one for the server, one for the generator";
    let Some(allowed) = machine.files.allowed_cpus() else {
        return Check::unknown(name, "/proc/self/status", wanted);
    };
    let isolated =
        machine.files.sys("devices/system/cpu/isolated").and_then(|list| cpu_list(&list)).unwrap_or_default();
    let isolated = if isolated.is_empty() { "none isolated".into() } else { format!("{} isolated", isolated.len()) };
    let seen = format!("{} usable, {isolated}", allowed.len());
    if allowed.len() >= 2 {
        return Check::new(name, Grade::Ok, seen, wanted);
    }
    let online = machine.files.sys("devices/system/cpu/online").unwrap_or_else(|| "0-1".into());
    Check::new(name, Grade::Fail, seen, wanted)
        .because("server and generator would take turns on one core: every latency would be the scheduler's")
        .fixed_by(Fix::new(format!("taskset -c {online} lab demo (when the machine has more cores)"), None))
}

pub(super) fn governor(machine: &Machine) -> Check {
    let name = "frequency governor";
    let wanted = "performance";
    match machine.files.sys("devices/system/cpu/cpu0/cpufreq/scaling_governor") {
        None => Check::new(name, Grade::Unknown, "no cpufreq: the hypervisor or the firmware decides", wanted),
        Some(governor) if governor == wanted => Check::new(name, Grade::Ok, governor, wanted),
        Some(governor) => {
            let set = |value: &str| {
                format!("for f in /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor; do echo {value} > $f; done")
            };
            Check::new(name, Grade::Warn, governor.clone(), wanted)
                .because("an engine that waits more runs at a lower clock, and its CPU per request looks dearer")
                .fixed_by(Fix::new(set(wanted), Some(set(&governor))))
        }
    }
}

pub(super) fn idle_states(machine: &Machine) -> Check {
    let name = "idle states";
    let wanted = "no enabled state slower than 100 µs to leave";
    let driver = machine.files.sys("devices/system/cpu/cpuidle/current_driver");
    let Some(driver) = driver else {
        return Check::unknown(name, "/sys/devices/system/cpu/cpuidle", wanted);
    };
    let Some((deepest, latency_us)) = deepest_state(machine) else {
        return Check::new(name, Grade::Ok, format!("driver {driver}, no states"), wanted);
    };
    let seen = format!("driver {driver}, {deepest} leaves in {latency_us} µs");
    if latency_us <= DEEP_IDLE_US {
        return Check::new(name, Grade::Ok, seen, wanted);
    }
    Check::new(name, Grade::Warn, seen, wanted)
        .because("at low rates the latency of waking a core is in every figure, and falls as the rate rises")
        .fixed_by(Fix::new("cpupower idle-set --disable-by-latency 100", Some("cpupower idle-set --enable-all".into())))
}

/// Name and exit latency of the slowest enabled idle state of CPU 0.
fn deepest_state(machine: &Machine) -> Option<(String, u64)> {
    /// The kernel's CPUIDLE_STATE_MAX.
    const STATE_LIMIT: usize = 10;
    let file =
        |state: usize, name: &str| machine.files.sys(&format!("devices/system/cpu/cpu0/cpuidle/state{state}/{name}"));
    (0..STATE_LIMIT)
        .filter(|state| file(*state, "disable").is_none_or(|disabled| disabled == "0"))
        .filter_map(|state| Some((file(state, "name")?, file(state, "latency")?.parse().ok()?)))
        .max_by_key(|(_, latency)| *latency)
}

pub(super) fn cgroup_quota(machine: &Machine) -> Check {
    let name = "cgroup CPU limit";
    let wanted = "none";
    let limits = cgroup::limits(&machine.files);
    match limits.cpus {
        None => Check::new(name, Grade::Ok, format!("none ({})", limits.version), wanted),
        Some(cpus) => Check::new(
            name,
            if cpus < 1.0 { Grade::Fail } else { Grade::Warn },
            format!("{cpus:.2} CPUs ({})", limits.version),
            wanted,
        )
        .because("a quota stops server and generator for the rest of a 100 ms period: it shows as latency")
        .fixed_by(Fix::new("start the container without --cpus, or raise the group's cpu.max", None)),
    }
}
