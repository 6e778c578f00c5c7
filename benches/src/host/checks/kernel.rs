//! Checks of the kernel: release, io_uring, the system call tracepoint, mitigations, clock.

use super::super::check::{Check, Fix, Grade};
use super::super::machine::Machine;
use super::super::ring;

/// CAP_PERFMON and CAP_SYS_ADMIN as bits of `CapEff`; include/uapi/linux/capability.h.
const PERFMON_OR_ADMIN: u64 = 1 << 38 | 1 << 21;

pub(super) fn release(machine: &Machine) -> Check {
    const WANTED: &str = "Linux 6.1 or newer";
    let name = "kernel";
    let Some(version) = machine.files.kernel() else {
        return Check::unknown(name, "/proc/sys/kernel/osrelease", WANTED);
    };
    let seen = machine.files.sysctl("kernel/osrelease").unwrap_or_default();
    let (grade, why) = match version {
        (0..=4, _) | (5, 0..=5) => {
            (Grade::Fail, "io_uring's network operations came with 5.5 to 5.6; no ring engine runs")
        }
        (5, _) | (6, 0) => (Grade::Warn, "without DEFER_TASKRUN (6.1) the rings are not at their best"),
        _ => return Check::new(name, Grade::Ok, seen, WANTED),
    };
    Check::new(name, grade, seen, WANTED).because(why).fixed_by(Fix::new("boot Linux 6.1 or newer", None))
}

pub(super) fn io_uring(machine: &Machine) -> Check {
    let name = "io_uring";
    let wanted = "a ring can be made";
    match &machine.live.ring {
        Ok(ring) if ring.missing.is_empty() => {
            Check::new(name, Grade::Ok, format!("works, {} features", ring.features.len()), wanted)
        }
        Ok(ring) => Check::new(name, Grade::Warn, format!("works, without {}", ring.missing.join(", ")), wanted)
            .because("engines that use these operations will not run")
            .fixed_by(Fix::new("boot Linux 6.1 or newer", None)),
        Err(errno) => {
            let (sentence, fix) = ring::explain(&machine.files, *errno);
            Check::new(name, Grade::Fail, "blocked", wanted).because(sentence).fixed_by(fix)
        }
    }
}

pub(super) fn tracepoint(machine: &Machine) -> Check {
    let name = "syscall tracepoint";
    let wanted = "raw_syscalls:sys_enter can be counted";
    match &machine.live.syscalls {
        Ok(()) => Check::new(name, Grade::Ok, "counts", wanted),
        Err(reason) => Check::new(name, Grade::Warn, "not available", wanted)
            .because(format!("rows will have no system calls per request: {reason}"))
            .fixed_by(Fix::new("run the lab as root, or give its binary CAP_PERFMON and CAP_SYS_ADMIN", None)),
    }
}

pub(super) fn perf_event_paranoid(machine: &Machine) -> Check {
    let name = "perf_event_paranoid";
    let wanted = "1 or less, or CAP_PERFMON";
    let Some(level) = machine.files.sysctl("kernel/perf_event_paranoid") else {
        return Check::unknown(name, "/proc/sys/kernel/perf_event_paranoid", wanted);
    };
    let capabilities = machine.files.field("self/status", "CapEff");
    let capable = capabilities
        .and_then(|bits| u64::from_str_radix(&bits, 16).ok())
        .is_some_and(|bits| bits & PERFMON_OR_ADMIN != 0);
    if capable {
        return Check::new(name, Grade::Ok, format!("{level}, with the capability"), wanted);
    }
    if level.parse::<i64>().is_ok_and(|level| level <= 1) {
        return Check::new(name, Grade::Ok, level, wanted);
    }
    Check::new(name, Grade::Warn, level.clone(), wanted)
        .because("kernel events are refused, so system calls cannot be counted")
        .fixed_by(Fix::sysctl("kernel.perf_event_paranoid", "1", &level))
}

pub(super) fn mitigations(machine: &Machine) -> Check {
    let name = "mitigations";
    let wanted = "the kernel's default";
    let Some(command_line) = machine.files.proc("cmdline") else {
        return Check::unknown(name, "/proc/cmdline", wanted);
    };
    let option = command_line.split_whitespace().rfind(|word| word.starts_with("mitigations="));
    if option.is_some_and(|option| option.trim_start_matches("mitigations=").split(',').any(|part| part == "off")) {
        return Check::new(name, Grade::Warn, "mitigations=off", wanted)
            .because("system calls are cheaper than on other machines, which flatters epoll")
            .fixed_by(Fix::new("boot without mitigations=off", None));
    }
    Check::new(name, Grade::Ok, option.unwrap_or("default"), wanted)
}

pub(super) fn clocksource(machine: &Machine) -> Check {
    let name = "clock source";
    let wanted = "tsc, kvm-clock, hyperv or arch_sys_counter";
    let place = "devices/system/clocksource/clocksource0";
    let Some(current) = machine.files.sys(&format!("{place}/current_clocksource")) else {
        return Check::unknown(name, "/sys/devices/system/clocksource", wanted);
    };
    if ["tsc", "kvm-clock", "arch_sys_counter"].contains(&current.as_str()) || current.starts_with("hyperv_") {
        return Check::new(name, Grade::Ok, current, wanted);
    }
    let available = machine.files.sys(&format!("{place}/available_clocksource")).unwrap_or_default();
    let better = available.split_whitespace().find(|name| ["tsc", "kvm-clock"].contains(name)).unwrap_or("tsc");
    let write = |value: &str| format!("echo {value} > /sys/{place}/current_clocksource");
    Check::new(name, Grade::Warn, current.clone(), wanted)
        .because("reading the time is a system call here, and the generator reads it twice a request")
        .fixed_by(Fix::new(write(better), Some(write(&current))))
}
