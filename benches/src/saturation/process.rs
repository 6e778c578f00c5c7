//! A server's processes, or the generator's, as signals: CPU, the busiest thread, time in the run queue, descriptors, rings.

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

/// Processes of a server that are read: one a core of a large box, and some.
const PROCESSES: usize = 256;

/// Names of the signals.
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

/// What one process shows at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// CPU seconds so far.
    cpu: Option<f64>,
    /// Seconds that its busiest thread ran since the reading before, and that the thread which waited longest waited.
    threads: Option<(f64, f64)>,
    /// Open descriptors, and how many of them are connections.
    descriptors: Option<(f64, f64)>,
    /// How many it may have.
    limit: Option<f64>,
    /// Completions that found its rings' queues full.
    overflow: Option<f64>,
    /// Entries that wait in the submission queue which is fullest, and how many it holds.
    submissions: Option<(f64, f64)>,
}

/// A process that is read again and again.
struct Process {
    pid: u32,
    files: Files,
    /// Descriptors at the first reading, which are no connections.
    own: Option<f64>,
    /// Run and wait time of each thread at the last reading.
    threads: BTreeMap<u32, (f64, f64)>,
    /// Descriptors that are rings.
    rings: Vec<u32>,
    /// CPU seconds at the last reading.
    cpu: f64,
}

impl Process {
    fn new(roots: &Roots, pid: u32) -> Self {
        let files = Files { roots: roots.clone() };
        let mut process = Self { pid, files, own: None, threads: BTreeMap::new(), rings: Vec::new(), cpu: 0.0 };
        process.find_rings();
        process
    }

    /// Looks for io_uring instances; best before there are connections.
    fn find_rings(&mut self) {
        let path = self.files.roots.proc(format!("{}/fd", self.pid));
        let entries = fs::read_dir(path).into_iter().flatten().flatten().take(DESCRIPTORS);
        self.rings = entries
            .filter(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == "anon_inode:[io_uring]"))
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
    }

    /// What it shows now; of a process that has ended nothing.
    fn read(&mut self) -> Seen {
        let cpu = self.files.roots.has_live_proc().then(|| cpu_clock::of_process(self.pid).ok()).flatten();
        let cpu = cpu.map(|time| time.as_secs_f64());
        self.cpu = cpu.unwrap_or(self.cpu);
        let descriptors = self.descriptors().map(|open| {
            let own = *self.own.get_or_insert(open);
            (open, (open - own).max(0.0))
        });
        let limit = self.descriptor_limit();
        let (overflow, submissions) = self.queues();
        Seen { cpu, threads: self.threads(), descriptors, limit, overflow, submissions }
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

    /// By how much run and wait time of its threads grew at most (`/proc/PID/task/TID/schedstat`,
    /// Documentation/scheduler/sched-stats.rst).
    fn threads(&mut self) -> Option<(f64, f64)> {
        let path = self.files.roots.proc(format!("{}/task", self.pid));
        let mut now = BTreeMap::new();
        for entry in fs::read_dir(path).into_iter().flatten().flatten().take(THREADS) {
            let Some(thread) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            now.extend(schedstat(&entry.path().join("schedstat")).map(|times| (thread, times)));
        }
        if now.is_empty() {
            return None;
        }
        let largest = |of: fn(&(f64, f64)) -> f64| {
            let grown = |(thread, times): (&u32, &(f64, f64))| Some(of(times) - of(self.threads.get(thread)?));
            now.iter().filter_map(grown).fold(0.0, f64::max)
        };
        // Of the thread that waited longest, not of all together: a hundred threads that wait a hundredth each hold nothing up.
        let grown = (largest(|times| times.0), largest(|times| times.1));
        self.threads = now;
        Some(grown)
    }

    /// What its rings' queues could not take, and what waits in the fullest submission queue, with its size.
    fn queues(&self) -> (Option<f64>, Option<(f64, f64)>) {
        let rings = self.rings.iter().filter_map(|fd| uring::read(&self.files.roots, self.pid, *fd).ok().flatten());
        let rings: Vec<uring::Ring> = rings.collect();
        let overflow = rings.iter().filter_map(|ring| ring.overflow).reduce(|a, b| a + b);
        let waiting = |ring: &uring::Ring| Some((ring.submissions_waiting? as f64, ring.submission_entries? as f64));
        (overflow.map(|overflow| overflow as f64), rings.iter().filter_map(waiting).reduce(fuller))
    }
}

/// The processes of a server, or the one of a generator, as one: what they use adds up, what each has a bound of its own for is that
/// of whoever is nearest to it.
pub(super) struct Processes {
    roots: Roots,
    names: &'static Names,
    list: Vec<Process>,
    /// CPU seconds of those that were in it and have gone.
    gone: f64,
    /// Sums of the largest growths of all their threads.
    busiest: f64,
    waiting: f64,
    /// Descriptors at the first reading of the one that is nearest to its limit.
    own: f64,
}

impl Processes {
    pub(super) fn new(roots: &Roots, pids: &[u32], names: &'static Names) -> Self {
        let mut processes =
            Self { roots: roots.clone(), names, list: Vec::new(), gone: 0.0, busiest: 0.0, waiting: 0.0, own: 0.0 };
        processes.are(pids);
        processes
    }

    /// Who belongs to it from now on: those that are new are read too, those that have gone leave their CPU time.
    pub(super) fn are(&mut self, pids: &[u32]) {
        self.list.retain(|process| {
            let stays = pids.contains(&process.pid);
            self.gone += if stays { 0.0 } else { process.cpu };
            stays
        });
        for pid in pids.iter().take(PROCESSES) {
            if !self.list.iter().any(|process| process.pid == *pid) {
                self.list.push(Process::new(&self.roots, *pid));
            }
        }
    }

    /// Adds their signals; those of processes that have ended are left out.
    pub(super) fn read(&mut self, values: &mut Values) {
        let names = self.names;
        let seen: Vec<Seen> = self.list.iter_mut().map(Process::read).collect();
        if seen.iter().any(|seen| seen.cpu.is_some()) {
            values.insert(names.cpu, self.gone + self.list.iter().map(|process| process.cpu).sum::<f64>());
        }
        let threads = seen.iter().filter_map(|seen| seen.threads);
        if let Some((ran, waited)) = threads.reduce(|a, b| (a.0.max(b.0), a.1.max(b.1))) {
            self.busiest += ran;
            self.waiting += waited;
            values.insert(names.busiest, self.busiest);
            values.insert(names.waiting, self.waiting);
        }
        self.descriptors(&seen, values);
        let overflow = seen.iter().filter_map(|seen| seen.overflow).reduce(|a, b| a + b);
        values.extend(overflow.map(|overflow| ("ring.overflow", overflow)));
        if let Some((waiting, entries)) = seen.iter().filter_map(|seen| seen.submissions).reduce(fuller) {
            values.insert("ring.submissions_waiting", waiting);
            values.insert("ring.submission_entries", entries);
        }
    }

    /// Those of whoever is nearest to its limit.
    fn descriptors(&mut self, seen: &[Seen], values: &mut Values) {
        let nearness = |(place, seen): &(usize, &Seen)| {
            let own = self.list[*place].own.unwrap_or(0.0);
            let room = seen.limit.map_or(f64::INFINITY, |limit| (limit - own).max(1.0));
            seen.descriptors.map_or(-1.0, |(_, connections)| connections / room)
        };
        let nearest = seen.iter().enumerate().max_by(|a, b| nearness(a).total_cmp(&nearness(b)));
        let Some((place, seen)) = nearest else { return };
        self.own = self.list[place].own.unwrap_or(0.0);
        if let Some((open, connections)) = seen.descriptors {
            values.insert(self.names.descriptors, open);
            values.insert(self.names.connections, connections);
        }
        values.extend(seen.limit.map(|limit| (self.names.limit, limit)));
    }

    /// Descriptors that the one whose descriptors were read last had at its first reading.
    pub(super) fn own_descriptors(&self) -> f64 {
        self.own
    }
}

/// Of two queues, what waits and how many it holds, the one that is fuller.
fn fuller(one: (f64, f64), other: (f64, f64)) -> (f64, f64) {
    if other.0 * one.1 > one.0 * other.1 { other } else { one }
}

/// Seconds that a thread ran, and waited to run.
fn schedstat(path: &Path) -> Option<(f64, f64)> {
    let text = fs::read_to_string(path).ok()?;
    let mut numbers = text.split_whitespace().map(|number| number.parse::<u64>().ok());
    Some((numbers.next()?? as f64 / 1e9, numbers.next()?? as f64 / 1e9))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process of a fixture: as many descriptors as `open`, at most `limit`, and one thread that ran for `ran` nanoseconds.
    fn process(root: &Path, pid: u32, open: usize, limit: u32, ran: u64) {
        let directory = root.join(format!("proc/{pid}"));
        fs::create_dir_all(directory.join("fd")).unwrap();
        fs::create_dir_all(directory.join(format!("task/{pid}"))).unwrap();
        (0..open).for_each(|fd| fs::write(directory.join(format!("fd/{fd}")), "").unwrap());
        let limits =
            format!("Limit  Soft Limit  Hard Limit  Units\nMax open files            {limit}  {limit}  files\n");
        fs::write(directory.join("limits"), limits).unwrap();
        fs::write(directory.join(format!("task/{pid}/schedstat")), format!("{ran} 0 1\n")).unwrap();
    }

    /// Two workers below a master: the busiest thread is that of the busier worker, descriptors are those of the worker that is
    /// nearest to its own limit, and one that comes later is read as well.
    #[test]
    fn of_several_processes_the_nearest_to_its_bound_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        process(root, 1, 4, 100, 0);
        process(root, 2, 4, 100, 1_000_000_000);
        let mut server = Processes::new(&Roots::below(root), &[1, 2], &SERVER);
        let mut values = Values::new();
        server.read(&mut values);
        assert_eq!(values.get("server.connections"), Some(&0.0));
        process(root, 1, 10, 100, 500_000_000);
        process(root, 2, 60, 100, 1_900_000_000);
        process(root, 3, 5, 100, 0);
        server.are(&[1, 2, 3]);
        server.read(&mut values);
        assert_eq!(values.get("server.connections"), Some(&56.0));
        assert_eq!((values.get("server.descriptor_limit"), server.own_descriptors()), (Some(&100.0), 4.0));
        let busiest = values["server.busiest_thread_seconds"];
        assert!((busiest - 0.9).abs() < 1e-9, "{busiest}");
        process(root, 3, 95, 100, 2_000_000_000);
        server.are(&[1, 3]);
        server.read(&mut values);
        assert_eq!(values.get("server.connections"), Some(&90.0));
        let busiest = values["server.busiest_thread_seconds"];
        assert!((busiest - 2.9).abs() < 1e-9, "{busiest}");
    }

    /// CPU time of a process that has left stays with the server.
    #[test]
    fn those_who_have_gone_leave_their_time() {
        let (mut values, me) = (Values::new(), std::process::id());
        let mut server = Processes::new(&Roots::default(), &[me], &SERVER);
        server.read(&mut values);
        let before = values["server.cpu_seconds"];
        assert!(before > 0.0);
        server.are(&[1]);
        server.read(&mut values);
        assert!(values["server.cpu_seconds"] >= before, "{values:?}");
    }
}
