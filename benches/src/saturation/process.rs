//! One process as signals: CPU, its busiest thread, time in the run queue, descriptors, rings.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hostfs::{Roots, cpu_clock, uring};

use super::watch::Values;
use crate::host::Files;

/// Threads of which the run time is read. A thread a connection is more than a watcher should follow; those of one shard
/// a core are few.
const THREADS: usize = 256;

/// Descriptors that are looked through for rings, before connections have any.
const DESCRIPTORS: usize = 4_096;

/// Names of a process's signals.
pub(super) struct Names {
    pub(super) cpu: &'static str,
    pub(super) busiest: &'static str,
    pub(super) waiting: &'static str,
    pub(super) descriptors: &'static str,
    pub(super) limit: &'static str,
    pub(super) connections: &'static str,
}

pub(super) const SERVER: Names = Names {
    cpu: "server.cpu_seconds",
    busiest: "server.busiest_thread_seconds",
    waiting: "server.waiting_seconds",
    descriptors: "server.descriptors",
    limit: "server.descriptor_limit",
    connections: "server.connections",
};

pub(super) const GENERATOR: Names = Names {
    cpu: "generator.cpu_seconds",
    busiest: "generator.busiest_thread_seconds",
    waiting: "generator.waiting_seconds",
    descriptors: "generator.descriptors",
    limit: "generator.descriptor_limit",
    connections: "generator.connections",
};

/// A process that is read again and again.
pub(super) struct Process {
    pid: u32,
    names: &'static Names,
    files: Files,
    /// Descriptors at the first reading, which are no connections.
    own: Option<f64>,
    /// Run and wait time of each thread at the last reading, and the sums of the largest growths of each.
    threads: BTreeMap<u32, (f64, f64)>,
    busiest: f64,
    waiting: f64,
    /// Descriptors that are rings.
    rings: Vec<u32>,
}

impl Process {
    pub(super) fn new(roots: &Roots, pid: u32, names: &'static Names) -> Self {
        let files = Files { roots: roots.clone() };
        Self { pid, names, files, own: None, threads: BTreeMap::new(), busiest: 0.0, waiting: 0.0, rings: Vec::new() }
    }

    /// Looks for io_uring instances; to be called before there are connections.
    pub(super) fn find_rings(&mut self) {
        let path = self.files.roots.proc(format!("{}/fd", self.pid));
        let entries = fs::read_dir(path).into_iter().flatten().flatten().take(DESCRIPTORS);
        self.rings = entries
            .filter(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == "anon_inode:[io_uring]"))
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
    }

    /// Adds its signals; those of a process that has ended are left out.
    pub(super) fn read(&mut self, values: &mut Values) {
        let names = self.names;
        if self.files.roots.has_live_proc() {
            values.extend(cpu_clock::of_process(self.pid).ok().map(|time| (names.cpu, time.as_secs_f64())));
        }
        self.threads(values);
        if let Some(descriptors) = self.descriptors() {
            let own = *self.own.get_or_insert(descriptors);
            values.insert(names.descriptors, descriptors);
            values.insert(names.connections, (descriptors - own).max(0.0));
        }
        values.extend(self.descriptor_limit().map(|limit| (names.limit, limit)));
        self.rings(values);
    }

    /// Descriptors that it had at the first reading.
    pub(super) fn own_descriptors(&self) -> f64 {
        self.own.unwrap_or(0.0)
    }

    /// Since Linux 6.2 the size of the directory is their number (Documentation/filesystems/proc.rst, 3.14); before, they are counted.
    fn descriptors(&self) -> Option<f64> {
        let path = self.files.roots.proc(format!("{}/fd", self.pid));
        match fs::metadata(&path).ok()?.len() {
            0 => Some(fs::read_dir(&path).ok()?.count() as f64),
            _ if !self.files.roots.has_live_proc() => Some(fs::read_dir(&path).ok()?.count() as f64),
            count => Some(count as f64),
        }
    }

    /// The soft limit (proc_pid_limits(5)).
    fn descriptor_limit(&self) -> Option<f64> {
        let limits = self.files.proc(&format!("{}/limits", self.pid))?;
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// Run and wait time of the threads (`/proc/PID/task/TID/schedstat`, Documentation/scheduler/sched-stats.rst).
    fn threads(&mut self, values: &mut Values) {
        let path = self.files.roots.proc(format!("{}/task", self.pid));
        let mut now = BTreeMap::new();
        for entry in fs::read_dir(path).into_iter().flatten().flatten().take(THREADS) {
            let Some(thread) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            now.extend(schedstat(&entry.path().join("schedstat")).map(|times| (thread, times)));
        }
        if now.is_empty() {
            return;
        }
        let largest = |of: fn(&(f64, f64)) -> f64| {
            let grown = |(thread, times): (&u32, &(f64, f64))| Some(of(times) - of(self.threads.get(thread)?));
            now.iter().filter_map(grown).fold(0.0, f64::max)
        };
        let (ran, waited) = (largest(|times| times.0), largest(|times| times.1));
        self.busiest += ran;
        // Of the thread that waited longest, not of all together: a hundred threads that wait a hundredth each hold nothing up.
        self.waiting += waited;
        self.threads = now;
        values.insert(self.names.busiest, self.busiest);
        values.insert(self.names.waiting, self.waiting);
    }

    fn rings(&self, values: &mut Values) {
        let rings = self.rings.iter().filter_map(|fd| uring::read(&self.files.roots, self.pid, *fd).ok().flatten());
        let overflow = rings.filter_map(|ring| ring.overflow).reduce(|a, b| a + b);
        values.extend(overflow.map(|overflow| ("ring.overflow", overflow as f64)));
    }
}

/// Seconds that a thread ran, and waited to run.
fn schedstat(path: &Path) -> Option<(f64, f64)> {
    let text = fs::read_to_string(path).ok()?;
    let mut numbers = text.split_whitespace().map(|number| number.parse::<u64>().ok());
    Some((numbers.next()?? as f64 / 1e9, numbers.next()?? as f64 / 1e9))
}
