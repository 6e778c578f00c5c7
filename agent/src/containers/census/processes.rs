//! First half of a census: processes, their descriptors and rings, by cgroup.

use std::collections::HashMap;

use hostfs::cgroup::classify;
use hostfs::processes::{Access, Descriptors, Processes};
use hostfs::{Roots, uring};

use super::disk::{Disk, upper_directory};
use super::guests::Guests;
use super::{Filesystem, Group, ProcessRings, Report};

/// Most descriptors of one process and of one census that are looked at one by one. At half a microsecond each the
/// latter is one second.
const DESCRIPTORS_PER_PROCESS: u64 = 1 << 20;
const DESCRIPTORS: u64 = 2 << 20;

/// Most groups, and most processes with rings in a group, that are reported.
const GROUPS: usize = 4096;
const RING_PROCESSES: usize = 128;

/// Most rings of a process whose state is read; all are counted.
const RINGS_READ: usize = 256;

/// A process in each network namespace: namespace, process, position of its group.
pub(super) type Networks = Vec<(u64, u32, usize)>;

/// Memory that one census leaves to the next.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pids: Vec<u32>,
    descriptors: Descriptors,
    /// Of each namespace the process with the lowest id, containers first.
    pub(super) networks: Networks,
    /// Containers on the host's network.
    pub(super) guests: Guests,
    /// Sizes of writable layers.
    pub(super) disk: Disk,
}

impl Scan {
    /// Fills groups and [`Scan::networks`].
    pub(super) fn processes(&mut self, roots: &Roots, report: &mut Report) -> hostfs::Result<()> {
        let mut processes = Processes::open(roots)?;
        processes.list(&mut self.pids)?;
        self.networks.clear();
        self.guests.clear();
        let host = processes.network(1);
        let mut index: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut budget = DESCRIPTORS;
        for position in 0..self.pids.len() {
            let pid = self.pids[position];
            let Some(path) = processes.cgroup(pid) else { continue };
            let path = container_part(path);
            let position = match index.get(path) {
                Some(&position) => position,
                None if report.groups.len() >= GROUPS => {
                    report.gaps.bounded += 1;
                    continue;
                }
                None => {
                    let identity = std::str::from_utf8(path).ok().and_then(classify);
                    index.insert(path.to_vec(), report.groups.len());
                    report.groups.push(Group { path: path.to_vec(), identity, first_pid: pid, ..Group::default() });
                    report.groups.len() - 1
                }
            };
            report.processes += 1;
            let group = &mut report.groups[position];
            group.processes += 1;
            if group.first_pid == pid {
                group.open_limit = processes.open_limit(pid);
                group.filesystem = group.identity.is_some().then(|| filesystem(roots, &mut processes, pid)).flatten();
            }
            if let Some(network) = processes.network(pid) {
                self.note_network(network, pid, position, &report.groups);
                if Some(network) == host && report.groups[position].identity.is_some() {
                    self.guests.note(roots, &mut processes, pid, position);
                }
            }
            self.look(roots, &mut processes, pid, position, &mut budget, report);
        }
        Ok(())
    }

    fn note_network(&mut self, network: u64, pid: u32, position: usize, groups: &[Group]) {
        match self.networks.iter_mut().find(|known| known.0 == network) {
            // A container's own process says whose the namespace is, even when its helper was there first.
            Some(known) if groups[known.2].identity.is_none() && groups[position].identity.is_some() => {
                (known.1, known.2) = (pid, position);
            }
            Some(_) => {}
            None => self.networks.push((network, pid, position)),
        }
    }

    /// Looks at the descriptors and rings of one process.
    fn look(
        &mut self,
        roots: &Roots,
        processes: &mut Processes,
        pid: u32,
        position: usize,
        budget: &mut u64,
        report: &mut Report,
    ) {
        match processes.descriptors(pid, DESCRIPTORS_PER_PROCESS.min(*budget), &mut self.descriptors) {
            Access::Granted => {}
            Access::Denied => {
                report.gaps.descriptors += 1;
                return;
            }
            Access::Gone => return,
        }
        let found = &self.descriptors;
        *budget -= found.open;
        report.gaps.bounded += u64::from(found.cut);
        let group = &mut report.groups[position];
        group.open += found.open;
        group.sockets += found.sockets;
        if found.open > 0
            && let Some(limit) = processes.open_limit(pid).filter(|&limit| limit > 0)
        {
            let share = found.open as f64 / limit as f64;
            group.fullest = Some(group.fullest.map_or(share, |fullest| fullest.max(share)));
        }
        if found.rings.is_empty() {
            return;
        }
        if group.rings.len() >= RING_PROCESSES {
            report.gaps.bounded += 1;
            return;
        }
        let command = processes.read(pid, "comm").map(|name| name.trim_ascii_end().to_vec()).unwrap_or_default();
        let mut rings = ProcessRings { pid, command, rings: found.rings.len() as u64, ..ProcessRings::default() };
        for &fd in found.rings.iter().take(RINGS_READ) {
            match uring::read(roots, pid, fd) {
                Ok(Some(ring)) => add(&mut rings, &ring),
                Ok(None) => {}
                Err(_) => report.gaps.rings += 1,
            }
        }
        rings.threads = uring::threads(roots, pid).unwrap_or_default();
        report.gaps.threads += u64::from(rings.threads.waiting.is_none());
        group.rings.push(rings);
    }
}

fn add(sum: &mut ProcessRings, ring: &uring::Ring) {
    let plus = |sum: &mut Option<u64>, more: Option<u64>| {
        if let Some(more) = more {
            *sum = Some(sum.unwrap_or(0) + more);
        }
    };
    sum.submission_entries += ring.submission_entries.unwrap_or(0);
    sum.completion_entries += ring.completion_entries.unwrap_or(0);
    plus(&mut sum.submissions_waiting, ring.submissions_waiting);
    plus(&mut sum.completions_waiting, ring.completions_waiting);
    plus(&mut sum.overflow, ring.overflow);
    plus(&mut sum.polls, ring.polls);
    sum.poller_rings += u64::from(ring.poller.is_some());
    sum.poller_total_us += ring.poller_total_us.unwrap_or(0);
    sum.poller_busy_us += ring.poller_busy_us.unwrap_or(0);
    sum.files += ring.files.unwrap_or(0);
    sum.buffers += ring.buffers.unwrap_or(0);
}

/// The innermost container of a path, or the whole path when it is in none.
fn container_part(path: &[u8]) -> &[u8] {
    let mut end = path.len();
    while end > 1 {
        if std::str::from_utf8(&path[..end]).is_ok_and(|path| classify(path).is_some()) {
            return &path[..end];
        }
        end = path[..end].iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    }
    path
}

/// Size of the file system of the process's root. This is the one call here that a dead network mount can hold up; it
/// holds up the census and no scrape.
fn filesystem(roots: &Roots, processes: &mut Processes, pid: u32) -> Option<Filesystem> {
    let stat = rustix::fs::statvfs(roots.proc(format!("{pid}/root"))).ok()?;
    // The first mount of a container is its root.
    let mounts = processes.read(pid, "mounts")?;
    let mut fields = hostfs::text::fields(hostfs::text::lines(mounts).next()?);
    let device = fields.next()?.to_vec();
    let is_overlay = fields.nth(1)? == b"overlay";
    Some(Filesystem {
        device,
        layer: fields.next().filter(|_| is_overlay).and_then(upper_directory),
        size_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        inodes: stat.f_files,
        inodes_free: stat.f_ffree,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn innermost_container() {
        let id = "0123456789abcdef".repeat(4);
        let docker = format!("/docker/{id}");
        assert_eq!(container_part(format!("{docker}/init.scope").as_bytes()), docker.as_bytes());
        let inner = format!("{docker}/kubepods/{id}");
        assert_eq!(container_part(inner.as_bytes()), inner.as_bytes());
        assert_eq!(container_part(b"/system.slice/a.service"), b"/system.slice/a.service");
        assert_eq!(container_part(b"/"), b"/");
        assert_eq!(container_part(b"/\xff/x"), b"/\xff/x");
    }
}
