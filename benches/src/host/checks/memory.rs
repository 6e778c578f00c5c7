//! Checks of memory and disk: room for connections and results, and nothing that moves pages meanwhile.

use super::super::cgroup;
use super::super::check::{Check, Fix, Grade};
use super::super::machine::Machine;
use super::{CONNECTION_BYTES, LADDER, bytes, grouped};

/// Below this the demo's processes and page cache do not fit.
const DEMO_BYTES: u64 = 512 << 20;

/// Below this the demo's histograms and rows do not fit.
const RESULT_BYTES: u64 = 16 << 20;

/// A long run with histograms of every trial.
const RESULT_COMFORT_BYTES: u64 = 256 << 20;

pub(super) fn available(machine: &Machine) -> Check {
    let name = "memory";
    let wanted = format!("{} free; 10k connections take {}", bytes(DEMO_BYTES), bytes(10_000 * CONNECTION_BYTES));
    let Some(free) = machine.files.memory("MemAvailable") else {
        return Check::unknown(name, "/proc/meminfo", wanted);
    };
    let fits = (free / CONNECTION_BYTES) / 1000 * 1000;
    let seen = format!("{} available, about {} connections", bytes(free), grouped(fits));
    if free < DEMO_BYTES {
        return Check::new(name, Grade::Fail, seen, wanted)
            .because("servers would swap or be killed while they are measured")
            .fixed_by(Fix::new("stop other programs, or use a larger machine", None));
    }
    let needed = LADDER[2] * CONNECTION_BYTES;
    if free < needed {
        return Check::new(name, Grade::Warn, seen, wanted)
            .because(format!("500k connections need about {} of kernel memory", bytes(needed)))
            .fixed_by(Fix::new("hold fewer connections, or use a larger machine", None));
    }
    Check::new(name, Grade::Ok, seen, wanted)
}

pub(super) fn disk(machine: &Machine) -> Check {
    let name = "disk for results";
    let wanted = format!("{} free", bytes(RESULT_COMFORT_BYTES));
    let Some(free) = machine.live.results_free_bytes else {
        return Check::unknown(name, "the result directory's file system", wanted);
    };
    let grade = match free {
        free if free < RESULT_BYTES => Grade::Fail,
        free if free < RESULT_COMFORT_BYTES => Grade::Warn,
        _ => return Check::new(name, Grade::Ok, format!("{} free", bytes(free)), wanted),
    };
    Check::new(name, grade, format!("{} free", bytes(free)), wanted)
        .because("rows and histograms are written as trials end; a full disk stops the run")
        .fixed_by(Fix::new("lab demo --out DIR on another file system", None))
}

pub(super) fn cgroup_memory(machine: &Machine) -> Check {
    let name = "cgroup memory limit";
    let wanted = "none, or room for the run";
    let limits = cgroup::limits(&machine.files);
    let Some(limit) = limits.memory_bytes else {
        return Check::new(name, Grade::Ok, format!("none ({})", limits.version), wanted);
    };
    let seen = format!("{} ({})", bytes(limit), limits.version);
    let fits = limit / CONNECTION_BYTES;
    let grade = match limit {
        limit if limit < DEMO_BYTES => Grade::Fail,
        limit if limit < LADDER[2] * CONNECTION_BYTES => Grade::Warn,
        _ => return Check::new(name, Grade::Ok, seen, wanted),
    };
    Check::new(name, grade, seen, wanted)
        .because(format!("socket memory is charged to the group: about {} connections fit", grouped(fits)))
        .fixed_by(Fix::new("start the container without --memory, or raise the group's memory.max", None))
}

pub(super) fn huge_pages(machine: &Machine) -> Check {
    let name = "transparent huge pages";
    let wanted = "madvise or never";
    let place = "kernel/mm/transparent_hugepage/enabled";
    let Some(text) = machine.files.sys(place) else {
        return Check::new(name, Grade::Ok, "not built in", wanted);
    };
    let chosen =
        text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']')).unwrap_or("unknown");
    if chosen != "always" {
        return Check::new(name, Grade::Ok, chosen, wanted);
    }
    let write = |value: &str| format!("echo {value} > /sys/{place}");
    Check::new(name, Grade::Warn, chosen, wanted)
        .because("resident memory grows in steps of 2 MiB, which hides the bytes of a connection")
        .fixed_by(Fix::new(write("madvise"), Some(write("always"))))
}

pub(super) fn swap(machine: &Machine) -> Check {
    let name = "swap";
    let wanted = "none in use";
    let total = machine.files.memory("SwapTotal");
    let Some((total, free)) = total.zip(machine.files.memory("SwapFree")) else {
        return Check::unknown(name, "/proc/meminfo", wanted);
    };
    let used = total.saturating_sub(free);
    if used == 0 {
        return Check::new(
            name,
            Grade::Ok,
            if total == 0 { "no swap".into() } else { format!("{} unused", bytes(total)) },
            wanted,
        );
    }
    Check::new(name, Grade::Warn, format!("{} in use", bytes(used)), wanted)
        .because("a page that comes back from disk is a latency of milliseconds")
        .fixed_by(Fix::new("swapoff -a (needs as much free memory)", Some("swapon -a".into())))
}

pub(super) fn tcp_memory(machine: &Machine) -> Check {
    let name = "tcp_mem";
    let needed = LADDER[1] * 4096;
    let wanted = format!("pressure above {} (100k connections with 4 KiB queued)", bytes(needed));
    let Some(pages) = machine.files.sysctl_numbers("net/ipv4/tcp_mem").filter(|pages| pages.len() == 3) else {
        return Check::unknown(
            name,
            "/proc/sys/net/ipv4/tcp_mem (it exists in the initial network namespace only)",
            wanted,
        );
    };
    let pressure = pages[1].saturating_mul(machine.live.page_bytes);
    let seen = format!("pressure at {}", bytes(pressure));
    if pressure >= needed {
        return Check::new(name, Grade::Ok, seen, wanted);
    }
    let wanted_pages = needed / machine.live.page_bytes.max(1);
    let value = |pages: [u64; 3]| format!("{} {} {}", pages[0], pages[1], pages[2]);
    Check::new(name, Grade::Warn, seen, wanted)
        .because("above it the kernel shrinks windows and drops: slow readers throttle everybody")
        .fixed_by(Fix::sysctl(
            "net.ipv4.tcp_mem",
            &value([wanted_pages * 3 / 4, wanted_pages, wanted_pages * 3 / 2]),
            &value([pages[0], pages[1], pages[2]]),
        ))
}
