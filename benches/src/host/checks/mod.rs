//! The checks of `lab doctor`, one function each, and the table of all of them.
//!
//! To add one: a function `fn(&Machine) -> Check` in the file of its subject, one line in [`CHECKS`], and a
//! passing and a failing fixture in tests/doctor.rs, which counts them.

mod cores;
mod kernel;
mod memory;
mod network;
mod quiet;

use super::check::Check;
use super::machine::Machine;

pub(super) use network::{is_reserved, processes};

/// Connections that the demo holds; its scenario says the same, and a test compares them.
pub const DEMO_CONNECTIONS: u64 = 200;

/// Sizes that checks translate into what would be needed for them.
pub(super) const LADDER: [u64; 3] = [10_000, 100_000, 500_000];

/// Descriptors of a process that are not connections: listener, ring or epoll, standard streams, admin, files.
pub(super) const RESERVED_FILES: u64 = 64;

/// Kernel memory of one loopback connection, both ends, in bytes: 2 × 3,640 B of socket objects (TCP 2,368,
/// inode 832, dentry 192, file 192, security 56), and room for epoll or ring state, port buckets and a
/// message in flight. 504,000 connections were held at 9.4 KB of slab each.
pub(super) const CONNECTION_BYTES: u64 = 9_600;

/// Every check, in the order in which they are shown: what the demo cannot do without comes first.
pub const CHECKS: &[fn(&Machine) -> Check] = &[
    kernel::release,
    kernel::io_uring,
    cores::distinct,
    network::open_files,
    memory::available,
    memory::disk,
    kernel::tracepoint,
    kernel::perf_event_paranoid,
    kernel::mitigations,
    kernel::clocksource,
    cores::governor,
    cores::idle_states,
    cores::cgroup_quota,
    memory::cgroup_memory,
    memory::huge_pages,
    memory::swap,
    memory::tcp_memory,
    network::congestion_control,
    network::conntrack,
    network::backlog,
    network::port_range,
    network::fixed_ports,
    quiet::steal,
    quiet::load,
];

/// `20000` as `20,000`, for people.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as GiB or MiB, for people.
pub(super) fn bytes(number: u64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    let mebibytes = number as f64 / MIB;
    if mebibytes >= 1024.0 { format!("{:.1} GiB", mebibytes / 1024.0) } else { format!("{mebibytes:.0} MiB") }
}
