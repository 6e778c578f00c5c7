//! What checks and fingerprint look at: files below a root, and what only trying can tell.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use hostfs::Roots;

use super::files::Files;
use super::ring::{self, Ring};
use crate::observe;

/// Connections made to learn whether conntrack sees loopback; enough to stand out from the box's other traffic.
const CONNTRACK_PROBES: u64 = 32;

/// A machine: the live one, or a fixture tree with answers made up for it.
#[derive(Debug)]
pub struct Machine {
    /// Its kernel files.
    pub files: Files,
    /// What was tried on it.
    pub live: Live,
}

/// What no file tells. Tests set it by hand.
#[derive(Debug)]
pub struct Live {
    /// A ring was made, or the errno that refused it.
    pub ring: Result<Ring, i32>,
    /// System calls can be counted, or the sentence that says why not.
    pub syscalls: Result<(), String>,
    /// Whether a connection over loopback takes a conntrack entry; `None` where conntrack is not loaded or
    /// loopback could not be tried.
    pub conntrack_on_loopback: Option<bool>,
    /// Bytes that may be written where results go.
    pub results_free_bytes: Option<u64>,
    /// Bytes of a page.
    pub page_bytes: u64,
    /// How busy the box was over a short while; `None` when it was not asked for.
    pub activity: Option<Activity>,
}

/// The box over a short while.
#[derive(Clone, Copy, Debug)]
pub struct Activity {
    /// How long it was watched.
    pub seconds: f64,
    /// Share of all cores' time taken by the hypervisor, 0 to 1.
    pub steal_share: f64,
    /// Share of all cores' time that was busy, 0 to 1.
    pub busy_share: f64,
}

impl Machine {
    /// The machine that we run on; `results` is where results would go, made or not. Takes a few milliseconds;
    /// the activity is left out, since it takes as long as one cares to watch.
    pub fn here(results: &Path) -> Self {
        let files = Files { roots: Roots::default() };
        let live = Live {
            ring: ring::probe().map_err(|error| error.raw_os_error().unwrap_or(libc::EIO)),
            syscalls: observe::probe_syscalls(&files.roots).map_err(|reason| reason.to_string()),
            conntrack_on_loopback: conntrack_on_loopback(&files),
            results_free_bytes: free_bytes(results),
            page_bytes: u64::try_from(rustix::param::page_size()).expect("a page is smaller than 2^64"),
            activity: None,
        };
        Self { files, live }
    }
}

/// Free bytes for us on the file system of `path`, or of its nearest ancestor that exists.
fn free_bytes(path: &Path) -> Option<u64> {
    let absolute = std::path::absolute(path).ok()?;
    let place = absolute.ancestors().find(|ancestor| ancestor.exists())?;
    let status = rustix::fs::statvfs(place).ok()?;
    status.f_bavail.checked_mul(status.f_frsize)
}

/// Makes connections over loopback and looks whether conntrack's count grew by as many. No file tells this:
/// the hook exists only while some rule of iptables, nftables or an open vSwitch asks for it.
fn conntrack_on_loopback(files: &Files) -> Option<bool> {
    let count = || files.sysctl_number("net/netfilter/nf_conntrack_count");
    let before = count()?;
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let address = listener.local_addr().ok()?;
    let mut held = Vec::new();
    for _ in 0..CONNTRACK_PROBES {
        // Accepted at once: where net.core.somaxconn is small, a connect beyond it would block for minutes.
        let (connected, (accepted, _)) = (TcpStream::connect(address).ok()?, listener.accept().ok()?);
        // Reset at the end: what is closed in turn would stay in TIME_WAIT and be taken for what a run left behind.
        rustix::net::sockopt::set_socket_linger(&connected, Some(Duration::ZERO)).ok()?;
        held.push((connected, accepted));
    }
    Some(count()?.saturating_sub(before) >= CONNTRACK_PROBES)
}
