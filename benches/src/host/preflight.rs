//! Is this box able to do what a plan asks? Looked at once, before the first trial, so that a run of minutes
//! does not fail in its last minute for a limit that was known in its first millisecond.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::check::Fix;
use super::checks::{CONNECTION_BYTES, RESERVED_FILES, is_reserved, processes};
use super::files::Files;
use super::machine::Machine;
use super::ring;

/// Bytes that the smallest run writes: rows, histograms and a report.
const RESULT_BYTES: u64 = 16 << 20;

/// What a plan needs of the machine.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Most connections that one trial holds, in one server and one generator process.
    pub connections: u32,
    /// Every engine of the plan is on io_uring. A plan with others runs, and its rows say why a ring could not.
    pub io_uring: bool,
    /// A fixed address that servers will listen on; `None` when the kernel chooses the port.
    pub listen: Option<String>,
}

/// Why the plan cannot run here. Exit code 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Value seen and value needed.
    pub sentence: String,
    /// What changes it.
    pub fix: Fix,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}; {}", self.sentence, self.fix.command)?;
        match &self.fix.undo {
            Some(undo) => write!(formatter, " (back with: {undo})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

/// Looks on this machine at the first thing that would stop the plan, in the order in which it would be hit.
///
/// # Errors
/// [`Refusal`], with value seen, value needed and the knob.
pub fn preflight(needs: &Needs) -> Result<(), Refusal> {
    preflight_on(&Machine::here(Path::new(".")), needs)
}

/// [`preflight`] on a machine that was looked at before, or made up.
///
/// # Errors
/// As [`preflight`].
pub fn preflight_on(machine: &Machine, needs: &Needs) -> Result<(), Refusal> {
    let files = &machine.files;
    open_files(files, needs)?;
    local_ports(files, needs)?;
    listening_port(files, needs)?;
    memory(files, needs)?;
    conntrack(machine, needs)?;
    interfaces(machine, needs)?;
    results(machine)
}

fn refuse(sentence: String, fix: Fix) -> Result<(), Refusal> {
    Err(Refusal { sentence, fix })
}

/// Soft limits are raised by the lab itself, so the hard one decides.
fn open_files(files: &Files, needs: &Needs) -> Result<(), Refusal> {
    let Some((_, hard)) = files.limit("Max open files") else { return Ok(()) };
    let needed = u64::from(needs.connections) + RESERVED_FILES;
    if needed <= hard {
        return Ok(());
    }
    refuse(
        format!(
            "RLIMIT_NOFILE is {hard}, and {} connections in one process need {needed} descriptors; {} processes would do",
            needs.connections,
            processes(u64::from(needs.connections), hard)
        ),
        Fix::new(format!("ulimit -Hn {needed} as root, or hold fewer connections"), None),
    )
}

/// All connections go to one server address from one source address, so each takes an ephemeral port.
fn local_ports(files: &Files, needs: &Needs) -> Result<(), Refusal> {
    let Some((first, last)) = port_range(files) else { return Ok(()) };
    let ports = (last + 1).saturating_sub(first);
    if u64::from(needs.connections) <= ports {
        return Ok(());
    }
    refuse(
        format!("net.ipv4.ip_local_port_range has {ports} ports, and {} connections need one each", needs.connections),
        Fix::sysctl("net.ipv4.ip_local_port_range", "1024 65535", &format!("{first} {last}")),
    )
}

/// A fixed port must be free, and must not be one that an outgoing connection can take between two trials.
fn listening_port(files: &Files, needs: &Needs) -> Result<(), Refusal> {
    let Some(listen) = &needs.listen else { return Ok(()) };
    let Ok(address) = listen.parse::<SocketAddr>() else {
        return refuse(
            format!("{listen:?} is not an address to listen on"),
            Fix::new("give one as ADDRESS:PORT, such as 127.0.0.1:0", None),
        );
    };
    if let Err(error) = TcpListener::bind(address) {
        let port = address.port();
        return refuse(
            format!("{address} cannot be listened on: {error}"),
            Fix::new(format!("ss -ltnp 'sport = :{port}' shows who has it; stop that, or name another port"), None),
        );
    }
    let Some((first, last)) = port_range(files) else { return Ok(()) };
    let port = u64::from(address.port());
    let reserved = files.sysctl("net/ipv4/ip_local_reserved_ports").unwrap_or_default();
    if port < first || last < port || is_reserved(&reserved, port) {
        return Ok(());
    }
    let with = if reserved.is_empty() { port.to_string() } else { format!("{reserved},{port}") };
    refuse(
        format!(
            "port {port} lies in net.ipv4.ip_local_port_range ({first} {last}), so an outgoing connection can take it"
        ),
        Fix::sysctl("net.ipv4.ip_local_reserved_ports", &with, &reserved),
    )
}

fn port_range(files: &Files) -> Option<(u64, u64)> {
    match files.sysctl_numbers("net/ipv4/ip_local_port_range")?.as_slice() {
        [first, last] => Some((*first, *last)),
        _ => None,
    }
}

fn memory(files: &Files, needs: &Needs) -> Result<(), Refusal> {
    let Some(available) = files.memory("MemAvailable") else { return Ok(()) };
    let needed = u64::from(needs.connections) * CONNECTION_BYTES;
    if needed <= available {
        return Ok(());
    }
    refuse(
        format!(
            "{} connections need about {} MiB of kernel memory, and {} MiB are available",
            needs.connections,
            needed >> 20,
            available >> 20
        ),
        Fix::new(format!("hold at most {} connections, or free memory", available / CONNECTION_BYTES), None),
    )
}

/// A full table drops SYNs without an error, and the client waits a second for each retry.
fn conntrack(machine: &Machine, needs: &Needs) -> Result<(), Refusal> {
    let number = |name: &str| machine.files.sysctl_number(&format!("net/netfilter/nf_conntrack_{name}"));
    let Some((max, count)) = number("max").zip(number("count")) else { return Ok(()) };
    if machine.live.conntrack_on_loopback != Some(true) || u64::from(needs.connections) <= max.saturating_sub(count) {
        return Ok(());
    }
    refuse(
        format!("nf_conntrack has {count} of {max} entries in use, and the run adds {}", needs.connections),
        Fix::sysctl(
            "net.netfilter.nf_conntrack_max",
            &(count + 2 * u64::from(needs.connections)).to_string(),
            &max.to_string(),
        ),
    )
}

fn interfaces(machine: &Machine, needs: &Needs) -> Result<(), Refusal> {
    match &machine.live.ring {
        Err(errno) if needs.io_uring => {
            let (sentence, fix) = ring::explain(&machine.files, *errno);
            refuse(format!("every engine of the plan needs io_uring: {sentence}"), fix)
        }
        _ => Ok(()),
    }
}

fn results(machine: &Machine) -> Result<(), Refusal> {
    match machine.live.results_free_bytes {
        Some(free) if free < RESULT_BYTES => refuse(
            format!("the result directory's disk has {free} bytes free, and a run writes up to {RESULT_BYTES}"),
            Fix::new("name a directory on another file system with --out", None),
        ),
        _ => Ok(()),
    }
}
