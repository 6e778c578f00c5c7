//! What a server of several processes spent between two moments: a process, a tree of processes, or a control group.
//!
//! Processes may come and go while they are watched. Of a tree, the CPU time is the sum of the clocks of the living
//! ([`super::cpu_clock`], exact) and of what their parents were told of the dead (`cutime` and `cstime` of
//! `/proc/PID/stat`, in clock ticks), so a process that ends moves its time to its parent with a loss of 10 ms at most;
//! a parent that ignores SIGCHLD is told nothing, and loses it. A control group counts by itself and exactly, whoever ends.
//!
//! Resident sets are added up, so pages that the processes share count several times; their proportional sets do not.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use hostfs::Roots;
use hostfs::cgroup::{Controller, Layout};
use hostfs::process;
use hostfs::stat::clock_ticks;

use super::process::{ProbeError, ProcessProbe, ProcessReading};

/// Most processes of a group that are looked at: a server with more is not one that a lab on one box measures.
const PROCESSES: usize = 4096;

/// Which processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// This one.
    One(u32),
    /// This one and its descendants.
    Tree(u32),
    /// The descendants of this one.
    Below(u32),
    /// Those of a control group and of the groups below it.
    Group(ControlGroup),
}

/// A control group that counts CPU time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlGroup {
    /// Its directory: of the v2 hierarchy, or of v1's cpuacct.
    pub directory: PathBuf,
    /// Whether it is of the v2 hierarchy.
    pub unified: bool,
}

impl ControlGroup {
    /// The group of process `pid`; `None` on a host without control groups that count CPU time.
    ///
    /// # Errors
    /// [`ProbeError`]; a process that has ended is [`ProbeError::Gone`].
    pub fn of(roots: &Roots, pid: u32) -> Result<Option<Self>, ProbeError> {
        let Some(layout) = Layout::find(roots)? else { return Ok(None) };
        let text = fs::read_to_string(roots.proc(format!("{pid}/cgroup"))).map_err(|_| ProbeError::Gone(pid))?;
        let v1 = layout.v1(Controller::Cpuacct);
        let Some(hierarchy) = v1.or_else(|| layout.unified()) else { return Ok(None) };
        let Some(path) = path_in(&text, v1.is_some()) else { return Ok(None) };
        let directory = layout.hierarchies[hierarchy].mount.join(path.trim_start_matches('/'));
        let group = Self { directory, unified: v1.is_none() };
        Ok(group.cpu_ns().map(|_| group))
    }

    /// CPU nanoseconds of all processes that are or were in it.
    fn cpu_ns(&self) -> Option<u64> {
        if self.unified {
            let text = fs::read_to_string(self.directory.join("cpu.stat")).ok()?;
            let usage = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
            return Some(usage.trim().parse::<u64>().ok()?.saturating_mul(1000));
        }
        fs::read_to_string(self.directory.join("cpuacct.usage")).ok()?.trim().parse().ok()
    }

    /// The processes in it and in the groups below it.
    fn processes(&self) -> Vec<u32> {
        let (mut found, mut open) = (Vec::new(), vec![self.directory.clone()]);
        while let Some(directory) = open.pop() {
            let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
            found.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            if found.len() > PROCESSES {
                break;
            }
            let entries = fs::read_dir(&directory).into_iter().flatten().filter_map(Result::ok);
            open.extend(entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()));
        }
        found.truncate(PROCESSES);
        found
    }
}

/// The path of a process's group, from `/proc/PID/cgroup`: v1's of cpuacct, or v2's.
fn path_in(text: &str, v1: bool) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let right = if v1 { controllers.split(',').any(|name| name == "cpuacct") } else { controllers.is_empty() };
        // Some containers put their first process one level down.
        right.then(|| path.strip_suffix("/init.scope").unwrap_or(path))
    })
}

/// Reads a group of processes as if it were one.
#[derive(Clone, Debug)]
pub struct GroupProbe {
    members: Members,
    roots: Roots,
}

impl GroupProbe {
    /// A probe on `members`.
    ///
    /// # Errors
    /// [`ProbeError::Gone`] when there is no process in it.
    pub fn new(members: Members) -> Result<Self, ProbeError> {
        let probe = Self { members, roots: Roots::default() };
        probe.read_counters()?;
        Ok(probe)
    }

    /// The processes that are in it now.
    ///
    /// # Errors
    /// [`ProbeError`]; [`ProbeError::Gone`] when there is none.
    pub fn processes(&self) -> Result<Vec<u32>, ProbeError> {
        let (first, found) = match &self.members {
            Members::One(pid) => (*pid, vec![*pid]),
            Members::Tree(pid) => (*pid, [vec![*pid], descendants(&self.roots, *pid)?].concat()),
            Members::Below(pid) => (*pid, descendants(&self.roots, *pid)?),
            Members::Group(group) => (0, group.processes()),
        };
        if found.is_empty() { Err(ProbeError::Gone(first)) } else { Ok(found) }
    }

    /// Everything, PSS included where it may be read; see [`ProcessProbe::read`].
    ///
    /// # Errors
    /// As [`read_counters`](Self::read_counters).
    pub fn read(&self) -> Result<ProcessReading, ProbeError> {
        let mut sum = self.read_counters()?;
        sum.pss_bytes = self.memory()?;
        Ok(sum)
    }

    /// Proportional set size of all processes, in bytes; `None` where one of them may not be looked into.
    ///
    /// # Errors
    /// As [`processes`](Self::processes).
    pub fn memory(&self) -> Result<Option<u64>, ProbeError> {
        let mut sum = 0;
        for pid in self.processes()? {
            match process::proportional_set_size(&self.roots, pid) {
                Ok(size) => sum += size.unwrap_or(0),
                // Another user's: the map is not readable, all else is.
                Err(_) => return Ok(None),
            }
        }
        Ok((sum > 0).then_some(sum))
    }

    /// Everything but the PSS, as [`ProcessProbe::read_counters`] reads one process.
    ///
    /// # Errors
    /// [`ProbeError::Gone`] when no process is left, others when a file cannot be read.
    pub fn read_counters(&self) -> Result<ProcessReading, ProbeError> {
        let mut sum: Option<ProcessReading> = None;
        for pid in self.processes()? {
            let reading = match ProcessProbe::new(pid).and_then(|probe| probe.read_counters()) {
                Ok(reading) => reading,
                Err(ProbeError::Gone(_)) if !matches!(self.members, Members::One(_)) => continue,
                Err(error) => return Err(error),
            };
            sum = Some(sum.map_or(reading, |sum| add(sum, &reading)));
        }
        let mut sum = sum.ok_or(ProbeError::Gone(self.first()))?;
        match &self.members {
            Members::One(_) => {}
            Members::Tree(_) | Members::Below(_) => self.add_the_dead(&mut sum)?,
            Members::Group(group) => sum.cpu_ns = group.cpu_ns().ok_or(ProbeError::Gone(self.first()))?,
        }
        sum.at = Instant::now();
        Ok(sum)
    }

    /// CPU nanoseconds so far, alone.
    ///
    /// # Errors
    /// As [`read_counters`](Self::read_counters).
    pub fn cpu_ns(&self) -> Result<u64, ProbeError> {
        match &self.members {
            Members::One(pid) => ProcessProbe::new(*pid)?.cpu_ns(),
            Members::Group(group) => group.cpu_ns().ok_or(ProbeError::Gone(self.first())),
            Members::Tree(_) | Members::Below(_) => Ok(self.read_counters()?.cpu_ns),
        }
    }

    /// Adds the time of children that have ended.
    fn add_the_dead(&self, sum: &mut ProcessReading) -> Result<(), ProbeError> {
        let above = match &self.members {
            Members::Below(pid) => Some(*pid),
            _ => None,
        };
        let nanoseconds_per_tick = 1_000_000_000 / clock_ticks().max(1);
        for pid in self.processes()?.into_iter().chain(above) {
            let Some(stat) = process::stat(&self.roots, pid)? else { continue };
            sum.user_ticks += stat.children_user_ticks;
            sum.system_ticks += stat.children_system_ticks;
            sum.cpu_ns += (stat.children_user_ticks + stat.children_system_ticks) * nanoseconds_per_tick;
        }
        Ok(())
    }

    fn first(&self) -> u32 {
        match self.members {
            Members::One(pid) | Members::Tree(pid) | Members::Below(pid) => pid,
            Members::Group(_) => 0,
        }
    }
}

/// Two processes as one: everything adds up.
fn add(mut sum: ProcessReading, other: &ProcessReading) -> ProcessReading {
    sum.cpu_ns += other.cpu_ns;
    sum.user_ticks += other.user_ticks;
    sum.system_ticks += other.system_ticks;
    sum.context_switches.voluntary += other.context_switches.voluntary;
    sum.context_switches.involuntary += other.context_switches.involuntary;
    sum.rss_bytes += other.rss_bytes;
    sum.threads += other.threads;
    sum
}

/// Children of `pid`, their children, and so on; at most 4,096.
///
/// # Errors
/// [`ProbeError`] where the kernel does not tell.
pub fn descendants(roots: &Roots, pid: u32) -> Result<Vec<u32>, ProbeError> {
    let mut found = Vec::new();
    let mut open = vec![pid];
    while let Some(parent) = open.pop() {
        let children = process::children(roots, parent)?.unwrap_or_default();
        found.extend_from_slice(&children);
        if found.len() > PROCESSES {
            break;
        }
        open.extend(children);
    }
    found.truncate(PROCESSES);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// A shell with a child that works for as long as it is told and one that has ended, all of them killed at the end.
    struct Shell(Child);

    impl Shell {
        fn start(script: &str) -> Self {
            Self(Command::new("sh").args(["-c", script]).spawn().unwrap())
        }
    }

    impl Drop for Shell {
        fn drop(&mut self) {
            for pid in descendants(&Roots::default(), self.0.id()).unwrap_or_default() {
                let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
        for _ in 0..2_000 {
            if condition() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{what} did not happen within 20 s");
    }

    /// A tree has the time of the living and of the dead: a shell that waits for one busy child and starts another.
    #[test]
    fn a_tree_has_the_time_of_the_living_and_the_dead() {
        let work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let shell = Shell::start(&format!("sh -c '{work}'; sleep 60 & sh -c 'while :; do :; done' & wait"));
        let tree = GroupProbe::new(Members::Tree(shell.0.id())).unwrap();
        eventually("two children", || tree.processes().unwrap().len() == 3);
        let first = tree.read().unwrap();
        assert!(first.cpu_ns > 10_000_000, "the dead child's time is missing: {first:?}");
        assert!(first.threads == 3 && first.rss_bytes > 0 && first.pss_bytes.is_some(), "{first:?}");
        eventually("more time", || tree.read_counters().unwrap().cpu_ns > first.cpu_ns + 10_000_000);
        let below = GroupProbe::new(Members::Below(shell.0.id())).unwrap();
        assert_eq!(below.processes().unwrap().len(), 2);
        let alone = ProcessProbe::new(shell.0.id()).unwrap().read_counters().unwrap();
        assert!(alone.cpu_ns < tree.cpu_ns().unwrap());
    }

    /// Without a process there is nothing to read.
    #[test]
    fn nobody_is_gone() {
        let nobody = u32::try_from(i32::MAX).unwrap();
        for members in [Members::One(nobody), Members::Tree(nobody), Members::Below(nobody)] {
            assert!(matches!(GroupProbe::new(members), Err(ProbeError::Gone(_))));
        }
        let directory = tempfile::tempdir().unwrap();
        let group = ControlGroup { directory: directory.path().to_owned(), unified: true };
        assert!(matches!(GroupProbe::new(Members::Group(group)), Err(ProbeError::Gone(0))));
    }

    /// The group's path is cpuacct's on v1 and hybrid, the one without controllers on v2, and the container's own.
    #[test]
    fn paths_of_groups() {
        let hybrid = "5:memory:/docker/a\n3:cpu,cpuacct:/docker/b/init.scope\n0::/docker/c\n";
        assert_eq!(path_in(hybrid, true), Some("/docker/b"));
        assert_eq!(path_in(hybrid, false), Some("/docker/c"));
        assert_eq!(path_in("5:memory:/a\n", true), None);
    }

    /// A v2 group counts in microseconds, a v1 group in nanoseconds, and processes of groups below belong to it.
    #[test]
    fn groups_count_by_themselves() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::write(path.join("cpu.stat"), "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n").unwrap();
        fs::write(path.join("cpuacct.usage"), "1500001\n").unwrap();
        fs::create_dir(path.join("below")).unwrap();
        fs::write(path.join("cgroup.procs"), "1\n").unwrap();
        fs::write(path.join("below/cgroup.procs"), "2\n3\n").unwrap();
        let group = |unified| ControlGroup { directory: path.to_owned(), unified };
        assert_eq!(group(true).cpu_ns(), Some(1_500_000));
        assert_eq!(group(false).cpu_ns(), Some(1_500_001));
        assert_eq!(group(true).processes(), [1, 2, 3]);
    }
}
