//! The census: every process, descriptor, TCP socket and io_uring instance of the host, counted on a thread of its own.
//!
//! A box with half a million connections needs about a second of kernel time to list them. No scrape can wait
//! for that, so the census has its own pace and says its age. It never takes more than a tenth of one CPU:
//! after a census that took one second of it the next begins nine seconds later at the earliest.
//!
//! The thread enters the network namespaces of containers to ask for their sockets (setns(2), which changes the calling
//! thread only and is why this thread does nothing else). That needs `CAP_SYS_ADMIN` and, for the namespace
//! files and descriptors of other users' processes, `CAP_SYS_PTRACE`. Without them it counts what it may see,
//! and [`Gaps`] says how much it could not.

mod disk;
mod guests;
mod processes;
mod sockets;

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hostfs::Roots;
use hostfs::cgroup::Identity;
use hostfs::sock_diag::StateCounts;

use crate::cost::Spent;
use crate::flags::Setup;
use processes::Scan;

/// Flag for the pause between two censuses, in seconds; of the `connections` collector.
pub const INTERVAL: &str = "collector.connections.census-interval";

/// After a census that took so much CPU time, at least this many times as much of pause. CPU time and not the clock's: on a
/// busy box a census waits for its turn most of the time, and resting for that too would only make it old.
const REST: u32 = 9;

/// Shortest pause that can be asked for.
const SHORTEST: Duration = Duration::from_millis(100);

/// What one census found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// When it began, in unix seconds.
    pub began: f64,
    /// When it ended.
    pub ended: Option<Instant>,
    /// How long it took.
    pub wall: Duration,
    /// CPU time of all censuses since the start, in nanoseconds, this one included.
    pub cpu_ns: u64,
    /// Censuses since the start.
    pub count: u64,
    /// Processes by cgroup; a container with all its groups is one.
    pub groups: Vec<Group>,
    /// Network namespaces; the host's first.
    pub networks: Vec<Network>,
    /// TCP sockets listed.
    pub sockets: u64,
    /// Processes looked at.
    pub processes: u64,
    /// What could not be seen.
    pub gaps: Gaps,
    /// Why the census as a whole failed, if it did.
    pub error: Option<String>,
}

/// What could not be seen, as counts of what it would have been seen of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Processes whose descriptors are another user's; needs `CAP_SYS_PTRACE`.
    pub descriptors: u64,
    /// Network namespaces that could not be entered; needs `CAP_SYS_ADMIN`.
    pub networks: u64,
    /// Rings whose state could not be read.
    pub rings: u64,
    /// Processes with rings whose threads hide what they wait in.
    pub threads: u64,
    /// Left out for one of the bounds of this module: descriptors, groups, namespaces, ports.
    pub bounded: u64,
}

/// The processes of one cgroup, or of one container.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Path of the cgroup.
    pub path: Vec<u8>,
    /// The container.
    pub identity: Option<Identity>,
    /// Processes.
    pub processes: u64,
    /// Open descriptors of those whose descriptors can be seen.
    pub open: u64,
    /// Sockets among them.
    pub sockets: u64,
    /// Share of its own limit of descriptors that the fullest process uses.
    pub fullest: Option<f64>,
    /// The oldest process that was seen (lowest id), and its soft limit of descriptors.
    pub first_pid: u32,
    /// See [`Group::first_pid`].
    pub open_limit: Option<u64>,
    /// Processes with io_uring instances.
    pub rings: Vec<ProcessRings>,
    /// File system of a container's root.
    pub filesystem: Option<Filesystem>,
    /// What its writable layer takes.
    pub disk: Option<DiskUse>,
}

/// The io_uring instances of one process, summed.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "sums of hostfs::uring::Ring")]
pub struct ProcessRings {
    pub pid: u32,
    /// Name of the executable, at most 15 bytes.
    pub command: Vec<u8>,
    pub rings: u64,
    pub submission_entries: u64,
    pub completion_entries: u64,
    pub submissions_waiting: Option<u64>,
    pub completions_waiting: Option<u64>,
    pub overflow: Option<u64>,
    pub polls: Option<u64>,
    pub poller_rings: u64,
    pub poller_total_us: u64,
    pub poller_busy_us: u64,
    pub files: u64,
    pub buffers: u64,
    pub threads: hostfs::uring::Threads,
}

/// File system of a container's root directory.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "as statvfs(3) says")]
pub struct Filesystem {
    /// What is mounted: a device, or the type of a stacked file system.
    pub device: Vec<u8>,
    pub size_bytes: u64,
    pub inodes: u64,
    pub inodes_free: u64,
    /// Directory of the writable layer, of an overlay; gone once the layer was measured.
    pub(super) layer: Option<Vec<u8>>,
}

/// What the writable layer of a container takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskUse {
    /// Allocated bytes.
    pub bytes: u64,
    /// When they were counted: layers are walked in turns.
    pub at: Instant,
}

/// One network namespace.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Position in [`Report::groups`] of whose it is; `None` for the host's.
    pub group: Option<usize>,
    /// The kernel's number of it, where the group alone does not tell it apart.
    pub number: Option<u64>,
    /// TCP sockets by state, IPv4 and IPv6; `None` when it could not be entered.
    pub states: Option<[StateCounts; 2]>,
    /// Listening ports.
    pub ports: Vec<Port>,
    /// Where outgoing connections use most of the port range.
    pub destinations: Vec<Destination>,
    /// Ports of `net.ipv4.ip_local_port_range`.
    pub port_range: Option<u64>,
    /// Sockets in TIME_WAIT and `net.ipv4.tcp_max_tw_buckets`.
    pub time_wait: Option<u64>,
    /// See [`Network::time_wait`].
    pub time_wait_limit: Option<u64>,
    /// Connections that netfilter tracks, and its limit.
    pub conntrack: Option<(u64, u64)>,
    /// Connections that found the accept queue full, and all that a listener dropped, since the namespace was made.
    pub listen_overflows: Option<u64>,
    /// See [`Network::listen_overflows`].
    pub listen_drops: Option<u64>,
}

/// A listening port, summed over its listeners (`SO_REUSEPORT`, several addresses, both families) of one owner.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Port {
    /// Port.
    pub port: u16,
    /// Position in [`Report::groups`] of the container that listens, on the host's network; elsewhere the network tells.
    pub owner: Option<usize>,
    /// Listening sockets.
    pub listeners: u64,
    /// Established connections, those that wait for accept(2) included.
    pub established: u64,
    /// Connections that wait for accept(2).
    pub queue: u64,
    /// Sum of the listeners' backlogs.
    pub backlog: u64,
    /// Share of its backlog that the fullest listener has waiting.
    pub fullest: f64,
    /// Handshakes that are not complete.
    pub handshakes: u64,
}

/// Outgoing connections from one address to one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Local address.
    pub source: std::net::IpAddr,
    /// Peer's address and port.
    pub peer: std::net::SocketAddr,
    /// Local ports in use.
    pub ports: u64,
}

/// The census thread's results.
#[derive(Debug, Default)]
pub struct Census {
    last: Mutex<Option<Arc<Report>>>,
    first: Condvar,
}

impl Census {
    /// The census of `setup`, started when nobody asked before.
    ///
    /// # Errors
    /// When the interval is no number of seconds.
    pub fn of(setup: &Setup) -> anyhow::Result<Arc<Self>> {
        let text = setup.text(INTERVAL);
        let seconds: f64 =
            text.parse().ok().filter(|seconds| (0.1..=86_400.0).contains(seconds)).ok_or_else(|| {
                anyhow::anyhow!("--{INTERVAL}={text:?}: wanted a number of seconds from 0.1 to 86400")
            })?;
        let roots = setup.roots.clone();
        Ok(setup.shared.census(|| start(roots, Duration::from_secs_f64(seconds))))
    }

    /// The last report; waits at most `patience` for the very first.
    pub fn last(&self, patience: Duration) -> Option<Arc<Report>> {
        let guard = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.first.wait_timeout_while(guard, patience, |last| last.is_none());
        waited.map_or_else(|poisoned| poisoned.into_inner().0.clone(), |(last, _)| last.clone())
    }

    fn publish(&self, report: Report) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(report));
        self.first.notify_all();
    }
}

fn start(roots: Roots, interval: Duration) -> Arc<Census> {
    let census = Arc::new(Census::default());
    let weak = Arc::downgrade(&census);
    let started = std::thread::Builder::new().name("census".into()).spawn(move || run(&roots, interval, &weak));
    if let Err(error) = started {
        census.publish(Report { error: Some(format!("no thread for the census: {error}")), ..Report::default() });
    }
    census
}

/// Takes one census after the other until nobody has a handle any more.
fn run(roots: &Roots, interval: Duration, census: &Weak<Census>) {
    let mut scan = Scan::default();
    let (mut count, mut cpu_ns) = (0, Spent::now().cpu_ns);
    loop {
        count += 1;
        let report = take(roots, &mut scan, count);
        let spent = Duration::from_nanos(report.cpu_ns.saturating_sub(cpu_ns));
        cpu_ns = report.cpu_ns;
        let rest = interval.max(spent * REST).max(SHORTEST);
        match census.upgrade() {
            Some(census) => census.publish(report),
            None => return,
        }
        std::thread::sleep(rest);
    }
}

/// One census on the calling thread. Public for measurements; `count` is its number.
pub fn take_once(roots: &Roots) -> Report {
    take(roots, &mut Scan::default(), 1)
}

fn take(roots: &Roots, scan: &mut Scan, count: u64) -> Report {
    let began = Instant::now();
    let mut report = Report {
        began: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64()),
        count,
        ..Report::default()
    };
    match scan.processes(roots, &mut report) {
        Ok(()) => {
            sockets::networks(roots, scan, &mut report);
            scan.disk.measure(roots, &mut report);
        }
        Err(error) => report.error = Some(error.to_string()),
    }
    report.wall = began.elapsed();
    report.ended = Some(Instant::now());
    // The thread does nothing but censuses, so that its CPU time is theirs.
    report.cpu_ns = Spent::now().cpu_ns;
    report
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    /// This process and a connection of it are in a census of the live host.
    #[test]
    fn counts_itself() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let clients: Vec<_> = (0..5).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap()).collect();
        let _accepted: Vec<_> = (0..3).map(|_| listener.accept().unwrap()).collect();
        let report = take_once(&Roots::default());
        assert_eq!(report.error, None);
        let network = &report.networks[0];
        assert!(network.group.is_none() && network.states.is_some());
        let found = network.ports.iter().find(|found| found.port == port).unwrap();
        assert_eq!((found.listeners, found.established, found.queue, found.handshakes), (1, 5, 2, 0));
        assert!(found.backlog >= 128 && found.fullest > 0.0 && found.fullest < 0.1, "{found:?}");
        let own = report.groups.iter().find(|group| group.sockets >= 9 && group.open >= group.sockets);
        assert!(own.is_some(), "no group with this process's sockets: {:?}", report.groups);
        assert!(report.wall > Duration::ZERO && report.cpu_ns > 0 && report.processes > 1);
        drop(clients);
    }

    /// A tree without processes: an empty report; without procfs: an error that names it.
    #[test]
    fn nothing_there() {
        let dir = tempfile::tempdir().unwrap();
        let report = take_once(&Roots::below(dir.path()));
        assert!(report.error.unwrap().contains("proc"));
        std::fs::create_dir(dir.path().join("proc")).unwrap();
        let report = take_once(&Roots::below(dir.path()));
        assert_eq!((report.error, report.processes, report.groups.len()), (None, 0, 0));
    }
}
