//! One exported cgroup: its sample with what belongs to it from elsewhere.

use std::collections::HashMap;
use std::sync::Arc;

use hostfs::Roots;
use hostfs::cgroup::{Cgroup, Runtime, Sample};
use hostfs::processes::{Interface, Processes, interfaces};

use crate::containers::{BaseLabels, Decoration, Names};

/// How often a container's bundle is looked for: more than once, since a scrape may fall between the making of the two.
const BUNDLE_LOOKS: u8 = 3;

/// What is remembered of a cgroup from one scrape to the next.
#[derive(Debug, Default)]
pub(super) struct Known {
    labels: Option<Arc<BaseLabels>>,
    decoration: Option<Arc<Decoration>>,
    /// How often its bundle was looked for.
    bundle_looks: u8,
    /// The process whose start was asked for, and its start in clock ticks after boot.
    start: Option<(u32, u64)>,
}

/// A group at this scrape. Kept for its memory.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) path: Vec<u8>,
    pub(super) is_container: bool,
    pub(super) runtime: Option<Runtime>,
    pub(super) container_id: String,
    pub(super) sample: Sample,
    pub(super) labels: Arc<BaseLabels>,
    pub(super) decoration: Option<Arc<Decoration>>,
    /// Processes, with those in groups that the container made itself.
    pub(super) processes: u64,
    pub(super) pid: Option<u32>,
    /// Start of the first process, in unix seconds.
    pub(super) started: Option<f64>,
    /// Interfaces of its own network namespace.
    pub(super) interfaces: Vec<Interface>,
    /// Start of the first process in clock ticks after boot.
    ticks: Option<u64>,
}

impl Row {
    /// Takes over what the group is, after its sample was read.
    pub(super) fn describe(&mut self, roots: &Roots, path: &[u8], group: &mut Cgroup<Known>, names: &Names) {
        self.path.clear();
        self.path.extend_from_slice(path);
        let identity = group.identity.as_ref();
        self.is_container = identity.is_some();
        self.runtime = identity.map(|identity| identity.runtime);
        self.container_id.clear();
        self.container_id.push_str(identity.map_or("", |identity| &identity.id));
        let known = &mut group.data;
        let mut decoration = identity.and_then(|identity| names.find(&identity.id));
        if let Some(identity) = identity
            && decoration.is_none()
            && known.decoration.is_none()
            && known.bundle_looks < BUNDLE_LOOKS
        {
            known.bundle_looks += 1;
            decoration = names.of_bundle(roots, identity);
        }
        let same = match (&decoration, &known.decoration) {
            (Some(new), Some(old)) => Arc::ptr_eq(new, old),
            // What an engine forgot, because the container ends or the engine lost it, keeps its last name.
            (None, _) => true,
            (Some(_), None) => false,
        };
        if !same {
            known.decoration = decoration;
            known.labels = None;
        }
        let labels =
            known.labels.get_or_insert_with(|| Arc::new(BaseLabels::new(path, identity, known.decoration.as_deref())));
        self.labels = labels.clone();
        self.decoration.clone_from(&known.decoration);
        self.processes = self.sample.processes.unwrap_or(0);
        self.pid = if path == b"/" { Some(1) } else { self.sample.first_pid };
        if let Some(pid) = self.pid.filter(|&pid| known.start.is_none_or(|known| known.0 != pid)) {
            known.start = start_ticks(roots, pid).map(|ticks| (pid, ticks));
        }
        self.ticks = known.start.map(|start| start.1).filter(|_| self.pid.is_some());
        self.started = None;
        self.interfaces.clear();
    }

    /// Whether `path` lies below this group.
    pub(super) fn holds(&self, path: &[u8]) -> bool {
        path.strip_prefix(&self.path[..]).is_some_and(|rest| rest.first() == Some(&b'/'))
    }

    pub(super) fn add_processes(&mut self, (count, first): (u64, Option<u32>)) {
        self.processes += count;
        self.pid = self.pid.or(first);
    }
}

/// Start of a process in clock ticks after boot.
fn start_ticks(roots: &Roots, pid: u32) -> Option<u64> {
    Some(hostfs::process::stat(roots, pid).ok()??.start_ticks)
}

/// Fills start times and interfaces. Interfaces stand on the root group for the host, and on one container per network
/// namespace: the one whose first process is the oldest, which in a Kubernetes pod is the one that holds the network.
pub(super) fn processes_and_networks(
    roots: &Roots,
    processes: &mut Processes,
    boot_time: Option<f64>,
    rows: &mut [Row],
    owners: &mut HashMap<u64, (u64, usize)>,
) {
    owners.clear();
    let host = processes.network(1);
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1) as f64;
    for index in 0..rows.len() {
        let row = &mut rows[index];
        let Some(pid) = row.pid else { continue };
        let Some(ticks) = row.ticks.or_else(|| start_ticks(roots, pid)) else { continue };
        row.started = boot_time.map(|boot| boot + ticks as f64 / ticks_per_second);
        let is_root = row.path == b"/";
        if !is_root && !row.is_container {
            continue;
        }
        let wanted = |network| is_root || Some(network) != host && !owners.contains_key(&network);
        let Some((network, text)) = processes.network_and_text(pid, wanted) else { continue };
        if let Some(text) = text {
            read_interfaces(text, row);
        }
        if is_root || Some(network) == host {
            continue;
        }
        let owner = owners.entry(network).or_insert((ticks, index));
        if (ticks, index) < *owner {
            let before = std::mem::replace(owner, (ticks, index)).1;
            let (left, right) = rows.split_at_mut(index);
            std::mem::swap(&mut left[before].interfaces, &mut right[0].interfaces);
        }
    }
}

/// Interfaces but for those that only lead to containers, or nowhere.
fn read_interfaces(text: &[u8], row: &mut Row) {
    interfaces(text, &mut row.interfaces);
    row.interfaces.retain(|interface| {
        let name = interface.name();
        name != b"lo" && !["veth", "docker", "nerdctl"].iter().any(|prefix| name.starts_with(prefix.as_bytes()))
    });
}
