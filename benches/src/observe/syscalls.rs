//! Counts the system calls of a process, all its threads included.
//!
//! One counting perf event on the tracepoint `raw_syscalls:sys_enter` per thread, inherited by threads made
//! later. Counting perturbs: the tracepoint costs every system call of the process, so an engine that makes
//! more calls is slowed more. It therefore runs in a pass of its own, whose timings are not used.
//!
//! Source: perf_event_open(2); include/trace/events/syscalls.h; kernel/trace/trace_event_perf.c, which lets
//! counting (as opposed to sampling) pass wherever kernel events are allowed.

use std::fmt;
use std::io;

use hostfs::Roots;
use perf_event::events::Tracepoint;
use perf_event::{Builder, Counter};

use super::tracefs::{self, NoTracefs};

/// How often the list of threads is taken again when it changed while events were being opened.
const ATTACH_ATTEMPTS: usize = 8;

/// Why system calls cannot be counted here: one sentence, with what was seen, what is needed and the knob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(String);

impl fmt::Display for Unavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// Counts while it exists; dropping it detaches from the process.
#[derive(Debug)]
pub struct SyscallCounter {
    counters: Vec<Counter>,
}

impl SyscallCounter {
    /// Starts to count the system calls of process `pid`: of the threads it has and of those it will make
    /// (and of children that it forks, which servers under test do not).
    ///
    /// # Errors
    /// [`Unavailable`] when the kernel refuses or the process is gone.
    pub fn attach(pid: u32) -> Result<Self, Unavailable> {
        let roots = Roots::default();
        let id = sys_enter_id(&roots)?;
        for _ in 0..ATTACH_ATTEMPTS {
            let before = threads(&roots, pid)?;
            let opened: io::Result<Vec<Counter>> = before.iter().map(|thread| open(id, *thread)).collect();
            let after = threads(&roots, pid)?;
            match opened {
                // No thread appeared in between, so none was made by a thread without an event, and none
                // has two events (its own and an inherited one).
                Ok(counters) if before == after => return Ok(Self { counters }),
                Err(error) if before == after => return Err(refused(&roots, &error)),
                _ => {}
            }
        }
        Err(Unavailable(format!(
            "process {pid} made or ended threads during each of {ATTACH_ATTEMPTS} attempts to attach to all of them"
        )))
    }

    /// System calls entered since [`attach`](Self::attach), over all threads, ended ones included.
    ///
    /// # Errors
    /// The kernel's answer to the read.
    pub fn read(&mut self) -> io::Result<u64> {
        let mut sum = 0;
        for counter in &mut self.counters {
            sum += counter.read()?;
        }
        Ok(sum)
    }
}

/// Whether system calls can be counted on this box, tried on the calling thread; for `lab doctor`.
///
/// # Errors
/// [`Unavailable`] with the reason.
pub fn probe(roots: &Roots) -> Result<(), Unavailable> {
    let id = sys_enter_id(roots)?;
    open(id, 0).map(drop).map_err(|error| refused(roots, &error))
}

fn sys_enter_id(roots: &Roots) -> Result<u64, Unavailable> {
    tracefs::tracepoint_id(roots, "raw_syscalls/sys_enter").map_err(|error| Unavailable(no_tracefs(&error)))
}

fn threads(roots: &Roots, pid: u32) -> Result<Vec<u32>, Unavailable> {
    match hostfs::process::tasks(roots, pid) {
        Ok(Some(threads)) => Ok(threads),
        Ok(None) => Err(Unavailable(format!("there is no process {pid} whose system calls could be counted"))),
        Err(error) => Err(Unavailable(error.to_string())),
    }
}

/// One counting event on `thread` (0: the caller), on any CPU, running from the start.
fn open(id: u64, thread: u32) -> io::Result<Counter> {
    let thread = i32::try_from(thread).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // The tracepoint fires in kernel mode: with the kernel excluded it would count nothing.
    Builder::new(Tracepoint::with_id(id))
        .observe_pid(thread)
        .any_cpu()
        .include_kernel()
        .inherit(true)
        .enabled(true)
        .build()
}

fn no_tracefs(error: &NoTracefs) -> String {
    let places: Vec<String> =
        error.mounted.iter().map(|(path, error)| format!("{}: {error}", path.display())).collect();
    format!(
        "the tracepoint raw_syscalls:sys_enter cannot be read (detached mount of tracefs: {}; {}); it needs \
         CONFIG_FTRACE_SYSCALLS and CAP_SYS_ADMIN: run as root, or mount tracefs readable to this user: \
         mount -t tracefs -o mode=755 tracefs /sys/kernel/tracing",
        error.detached,
        places.join("; ")
    )
}

/// Says what refused the event. EACCES and EPERM are the paranoia level or a seccomp filter.
fn refused(roots: &Roots, error: &io::Error) -> Unavailable {
    let denied = matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM));
    if !denied {
        return Unavailable(format!("perf_event_open on raw_syscalls:sys_enter: {error}"));
    }
    let level = std::fs::read_to_string(roots.proc("sys/kernel/perf_event_paranoid"));
    let seen = level.as_deref().map_or("unreadable", str::trim);
    Unavailable(format!(
        "perf_event_open on raw_syscalls:sys_enter: {error}; kernel.perf_event_paranoid is {seen} and 1 or less is \
         needed without CAP_PERFMON: sysctl -w kernel.perf_event_paranoid=1, or run with CAP_PERFMON (in a \
         container also: a seccomp profile that allows perf_event_open)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A refusal by paranoia level names level seen, level needed and the knob; another error stays itself.
    #[test]
    fn a_refusal_names_the_knob() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/sys/kernel")).unwrap();
        std::fs::write(dir.path().join("proc/sys/kernel/perf_event_paranoid"), "4\n").unwrap();
        let roots = Roots::below(dir.path());
        let sentence = refused(&roots, &io::Error::from_raw_os_error(libc::EACCES)).to_string();
        for part in ["perf_event_paranoid is 4", "1 or less", "sysctl -w kernel.perf_event_paranoid=1"] {
            assert!(sentence.contains(part), "{sentence}");
        }
        let sentence = refused(&roots, &io::Error::from_raw_os_error(libc::ENOENT)).to_string();
        assert!(!sentence.contains("paranoid"), "{sentence}");
    }

    /// Without any tracefs the sentence names the three ways that were tried and the mount that would help.
    #[test]
    fn no_tracefs_names_the_mount() {
        let not_there = || io::Error::from_raw_os_error(libc::ENOENT);
        let sentence = no_tracefs(&NoTracefs {
            detached: io::Error::from_raw_os_error(libc::EPERM),
            mounted: vec![
                ("/sys/kernel/tracing".into(), not_there()),
                ("/sys/kernel/debug/tracing".into(), not_there()),
            ],
        });
        for part in ["Operation not permitted", "/sys/kernel/debug/tracing", "mount -t tracefs"] {
            assert!(sentence.contains(part), "{sentence}");
        }
    }

    /// A process that does not exist is said to be missing.
    #[test]
    fn a_missing_process_is_named() {
        let missing = u32::try_from(i32::MAX).unwrap();
        assert!(threads(&Roots::default(), missing).unwrap_err().to_string().contains("no process 2147483647"));
    }
}
