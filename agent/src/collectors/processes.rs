//! `processes`: how many processes and threads there are, by state. Off by default: it reads a file per thread.

use std::path::{Path, PathBuf};

use hostfs::text::{fields, parse_u64};
use hostfs::{Error, Roots, Source, read_into};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    THREADS = gauge("node_processes_threads").help("Threads of all processes.").source("/proc/PID/stat")
        .answers("How near is the host to its limit of threads?");
    MAX_THREADS = gauge("node_processes_max_threads").help("Most threads that there can be.").source("/proc/sys/kernel/threads-max")
        .answers("How near is the host to its limit of threads?");
    STATE = gauge("node_processes_state").labels(&["state"]).help("Processes by state, with the kernel's letter.").source("/proc/PID/stat")
        .answers("Are there zombies, or processes that hang in the disk?");
    PIDS = gauge("node_processes_pids").help("Processes.").source("/proc")
        .answers("How near is the host to its limit of process numbers?");
    MAX_PROCESSES = gauge("node_processes_max_processes").help("Largest process number.").source("/proc/sys/kernel/pid_max")
        .answers("How near is the host to its limit of process numbers?");
    THREADS_STATE = gauge("node_processes_threads_state").labels(&["thread_state"]).help("Threads by state, with the kernel's letter.")
        .source("/proc/PID/task/TID/stat").answers("How many threads run, and how many hang in the disk?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

/// Counts by the kernel's state letter.
type States = [u64; 128];

struct Processes {
    roots: Roots,
    max_threads: Source,
    max_processes: Source,
    text: Vec<u8>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Processes {
        roots: setup.roots.clone(),
        max_threads: Source::new(setup.roots.proc("sys/kernel/threads-max"), 64),
        max_processes: Source::new(setup.roots.proc("sys/kernel/pid_max"), 64),
        text: Vec::new(),
    }))
}

impl Collector for Processes {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let (mut pids, mut threads): (u64, u64) = (0, 0);
        let (mut states, mut thread_states): (States, States) = ([0; 128], [0; 128]);
        for process in numbered(&self.roots.procfs)? {
            // A process that has ended meanwhile is not there any more.
            let Some((state, count)) = self.stat(&process.join("stat"))? else { continue };
            pids += 1;
            threads = threads.saturating_add(count);
            states[usize::from(state)] += 1;
            if count == 1 {
                thread_states[usize::from(state)] += 1;
                continue;
            }
            for task in numbered(&process.join("task")).unwrap_or_default() {
                if let Some((state, _)) = self.stat(&task.join("stat"))? {
                    thread_states[usize::from(state)] += 1;
                }
            }
        }
        let missing = |what| move || Failure::NoData(format!("/proc/sys/kernel/{what} is not there"));
        page.single(&THREADS, threads);
        page.single(&MAX_THREADS, self.max_threads.number_if_present()?.ok_or_else(missing("threads-max"))?);
        page.single(&PIDS, pids);
        page.single(&MAX_PROCESSES, self.max_processes.number_if_present()?.ok_or_else(missing("pid_max"))?);
        for (metric, label, states) in [(&STATE, "state", states), (&THREADS_STATE, "thread_state", thread_states)] {
            let mut family = page.family(metric);
            for (letter, count) in (0u8..).zip(states).filter(|(_, count)| *count > 0) {
                family.sample(&[(label, &[letter])], count);
            }
        }
        Ok(())
    }
}

impl Processes {
    /// State letter and number of threads; `None` when the process has ended.
    fn stat(&mut self, path: &Path) -> Result<Option<(u8, u64)>, Failure> {
        match read_into(path, &mut self.text, 4096) {
            Ok(()) => {}
            Err(Error::Read { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound || source.raw_os_error() == Some(3) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        // The name in brackets may hold anything, brackets too.
        let rest = memchr::memrchr(b')', &self.text).map(|at| &self.text[at + 1..]);
        let mut split = fields(rest.unwrap_or(b""));
        let state = split.next().and_then(|state| state.first().copied()).filter(u8::is_ascii);
        let threads = split.nth(16).and_then(parse_u64);
        state.zip(threads).map(Some).ok_or_else(|| Error::format(path, 1, &self.text).into())
    }
}

/// Directories with a number as their name.
fn numbered(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(directory).map_err(|source| Error::read(directory, source))?;
    let is_number = |name: &std::ffi::OsStr| name.as_encoded_bytes().first().is_some_and(u8::is_ascii_digit);
    Ok(entries.flatten().filter(|entry| is_number(&entry.file_name())).map(|entry| entry.path()).collect())
}
