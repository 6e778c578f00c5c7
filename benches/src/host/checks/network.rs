//! Checks of the network stack on loopback: descriptors, ports, conntrack, congestion control, backlog.

use super::super::check::{Check, Fix, Grade};
use super::super::machine::Machine;
use super::{DEMO_CONNECTIONS, LADDER, RESERVED_FILES, grouped};

/// Fewer ephemeral ports than this and a run of 10k connections already needs more source addresses.
const PORTS_WANTED: u64 = 10_000;

/// Servers listen with this backlog; somaxconn cuts it without a word.
const BACKLOG: u64 = 1024;

/// Listening ports that are fixed: the agent's default address.
const FIXED_PORTS: [u64; 1] = [10_700];

pub(super) fn open_files(machine: &Machine) -> Check {
    let name = "open files";
    let demo = DEMO_CONNECTIONS + RESERVED_FILES;
    let wanted = format!("{demo} for the demo");
    let Some((soft, hard)) = machine.files.limit("Max open files") else {
        return Check::unknown(name, "/proc/self/limits", wanted);
    };
    let limit = |value: u64| if value == u64::MAX { "unlimited".into() } else { grouped(value) };
    let needs: Vec<String> =
        LADDER.iter().map(|size| format!("{}k in {}", size / 1000, processes(*size, hard))).collect();
    let seen = format!("soft {}, hard {}: {} processes a side", limit(soft), limit(hard), needs.join(", "));
    if hard < demo {
        return Check::new(name, Grade::Fail, format!("soft {}, hard {}", limit(soft), limit(hard)), wanted)
            .because("a process cannot hold the demo's connections")
            .fixed_by(Fix::new("ulimit -Hn 1048576 as root, or LimitNOFILE= of the service", None));
    }
    if soft < demo {
        return Check::new(name, Grade::Warn, seen, wanted)
            .because("the lab raises its own soft limit to the hard one; other load generators do not")
            .fixed_by(Fix::new(format!("ulimit -Sn {hard}"), Some(format!("ulimit -Sn {soft}"))));
    }
    Check::new(name, Grade::Ok, seen, wanted)
}

/// Processes that together hold `connections` when each may have `limit` descriptors.
pub(in super::super) fn processes(connections: u64, limit: u64) -> u64 {
    connections.div_ceil(limit.saturating_sub(RESERVED_FILES).max(1))
}

pub(super) fn congestion_control(machine: &Machine) -> Check {
    let name = "congestion control";
    let wanted = "cubic or reno";
    let Some(current) = machine.files.sysctl("net/ipv4/tcp_congestion_control") else {
        return Check::unknown(name, "/proc/sys/net/ipv4/tcp_congestion_control", wanted);
    };
    if ["cubic", "reno"].contains(&current.as_str()) {
        return Check::new(name, Grade::Ok, current, wanted);
    }
    let available = machine.files.sysctl("net/ipv4/tcp_available_congestion_control").unwrap_or_default();
    let better = if available.split(' ').any(|name| name == "cubic") { "cubic" } else { "reno" };
    Check::new(name, Grade::Warn, current.clone(), wanted)
        .because(if current.starts_with("bbr") {
            "bbr paces by timer: a high-resolution timer per busy connection, whose CPU and delay no loopback link needs"
        } else {
            "figures elsewhere are with cubic or reno; on loopback others only add work"
        })
        .fixed_by(Fix::sysctl("net.ipv4.tcp_congestion_control", better, &current))
}

pub(super) fn conntrack(machine: &Machine) -> Check {
    let name = "conntrack";
    let wanted = "not on loopback, or room for the run";
    let Some(max) = machine.files.sysctl_number("net/netfilter/nf_conntrack_max") else {
        return Check::new(name, Grade::Ok, "not loaded", wanted);
    };
    let entries = machine.files.sysctl_number("net/netfilter/nf_conntrack_count").unwrap_or(0);
    let seen = format!("{} of {} entries", grouped(entries), grouped(max));
    match machine.live.conntrack_on_loopback {
        Some(false) => return Check::new(name, Grade::Ok, format!("{seen}, not hooked on loopback"), wanted),
        None => return Check::new(name, Grade::Unknown, format!("{seen}, hook not tested"), wanted),
        Some(true) => {}
    }
    let seen = format!("{seen}, hooked on loopback");
    let free = max.saturating_sub(entries);
    let bypass = Fix::new(
        "iptables -t raw -I PREROUTING -i lo -j NOTRACK && iptables -t raw -I OUTPUT -o lo -j NOTRACK",
        Some("iptables -t raw -D PREROUTING -i lo -j NOTRACK && iptables -t raw -D OUTPUT -o lo -j NOTRACK".into()),
    );
    if free < 2 * DEMO_CONNECTIONS {
        return Check::new(name, Grade::Fail, seen, wanted)
            .because("the table is full: new connections are dropped without an error")
            .fixed_by(bypass);
    }
    Check::new(name, Grade::Warn, seen, wanted)
        .because(format!(
            "each connection takes an entry and each packet a lookup; at most {} more connections",
            grouped(free)
        ))
        .fixed_by(bypass)
}

pub(super) fn backlog(machine: &Machine) -> Check {
    let name = "somaxconn";
    let wanted = format!("{BACKLOG} or more");
    let Some(limit) = machine.files.sysctl_number("net/core/somaxconn") else {
        return Check::unknown(name, "/proc/sys/net/core/somaxconn", wanted);
    };
    if limit >= BACKLOG {
        return Check::new(name, Grade::Ok, grouped(limit), wanted);
    }
    Check::new(name, Grade::Warn, grouped(limit), wanted)
        .because("a burst of connects overflows the accept queue, and each loser waits 1 s for its retry")
        .fixed_by(Fix::sysctl("net.core.somaxconn", "4096", &limit.to_string()))
}

pub(super) fn port_range(machine: &Machine) -> Check {
    let name = "ephemeral ports";
    let wanted = format!("{} or more", grouped(PORTS_WANTED));
    let Some((first, last)) = range(machine) else {
        return Check::unknown(name, "/proc/sys/net/ipv4/ip_local_port_range", wanted);
    };
    let ports = (last + 1).saturating_sub(first);
    let seen = format!("{first}-{last}: {} a source address", grouped(ports));
    if ports >= PORTS_WANTED {
        return Check::new(name, Grade::Ok, format!("{seen}; 500k need {}", LADDER[2].div_ceil(ports)), wanted);
    }
    let grade = if ports < DEMO_CONNECTIONS { Grade::Fail } else { Grade::Warn };
    Check::new(name, grade, seen, wanted)
        .because("connections to one address and port are at most that many for each source address")
        .fixed_by(Fix::sysctl("net.ipv4.ip_local_port_range", "32768 60999", &format!("{first} {last}")))
}

pub(super) fn fixed_ports(machine: &Machine) -> Check {
    let name = "listening ports";
    let wanted = "outside of the ephemeral range, or reserved";
    let Some((first, last)) = range(machine) else {
        return Check::unknown(name, "/proc/sys/net/ipv4/ip_local_port_range", wanted);
    };
    let reserved = machine.files.sysctl("net/ipv4/ip_local_reserved_ports").unwrap_or_default();
    let safe = |port: &u64| *port < first || *port > last || is_reserved(&reserved, *port);
    let Some(port) = FIXED_PORTS.iter().find(|port| !safe(port)) else {
        return Check::new(name, Grade::Ok, format!("agent's {} is safe", FIXED_PORTS[0]), wanted);
    };
    let with = if reserved.is_empty() { port.to_string() } else { format!("{reserved},{port}") };
    Check::new(name, Grade::Warn, format!("agent's {port} lies in {first}-{last}"), wanted)
        .because("an outgoing connection can take it, and the listener then fails with EADDRINUSE")
        .fixed_by(Fix::sysctl("net.ipv4.ip_local_reserved_ports", &with, &reserved))
}

fn range(machine: &Machine) -> Option<(u64, u64)> {
    match machine.files.sysctl_numbers("net/ipv4/ip_local_port_range")?.as_slice() {
        [first, last] => Some((*first, *last)),
        _ => None,
    }
}

/// Whether `port` is in a list such as `8080,9000-9010`.
pub(in super::super) fn is_reserved(list: &str, port: u64) -> bool {
    list.split(',').filter(|part| !part.is_empty()).any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        first.parse::<u64>().is_ok_and(|first| first <= port) && last.parse::<u64>().is_ok_and(|last| port <= last)
    })
}
