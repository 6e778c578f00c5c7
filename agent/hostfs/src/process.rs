//! Reads `/proc/PID/{stat,status,smaps_rollup,task}`: what one process costs.
//!
//! Used by the lab on its servers and by the agent on itself. Parsing is the procfs crate's where it
//! carries; two things it does not do are here. Its stat parser indexes without looking, so the line's
//! frame is checked first. And `/proc/PID/status` counts the context switches of the main thread only,
//! so those of a process are summed over its tasks.
//!
//! A process may end between two reads. That is an answer and not a failure: every function returns
//! `Ok(None)` when there is no such process (any more).
//!
//! Source: proc_pid_stat(5), proc_pid_status(5), proc_pid_smaps_rollup(5),
//! Documentation/filesystems/proc.rst.

use std::path::{Path, PathBuf};
use std::{fs, io};

use procfs::{FromBufRead, FromRead};

use crate::{Error, Result, Roots, read_into};

/// Most that is read of one file, in bytes. `status` lists up to 65,536 supplementary groups on one line.
const FILE_LIMIT: usize = 1 << 20;

/// Most tasks of one process that are listed; the default of kernel.pid_max on small machines.
const TASK_LIMIT: usize = 32_768;

/// One line of `/proc/PID/stat`, as far as the users of this crate need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Name of the executable, at most 15 bytes, as the process may have changed it.
    pub command: String,
    /// `R`, `S`, `D`, `Z`, …: the state letter of the main thread.
    pub state: char,
    /// CPU time in user mode, in clock ticks (`sysconf(_SC_CLK_TCK)`), exited threads included, children not.
    pub user_ticks: u64,
    /// CPU time in kernel mode, in clock ticks.
    pub system_ticks: u64,
    /// User time of the children that were waited for and of theirs, in clock ticks.
    pub children_user_ticks: u64,
    /// Kernel time of those children, in clock ticks.
    pub children_system_ticks: u64,
    /// Threads now, kernel workers of an io_uring included: they are in the thread group.
    pub threads: u32,
    /// Start of the process in clock ticks after boot; with the pid it names a process for good.
    pub start_ticks: u64,
}

/// What `/proc/PID/status` (or `/proc/PID/task/TID/status`) says, as far as it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Resident set in bytes; `None` for a kernel thread or a zombie. The kernel batches the count per
    /// thread, so it may lag by some pages.
    pub rss_bytes: Option<u64>,
    /// Context switches of this one task.
    pub context_switches: ContextSwitches,
    /// 0 no filter, 1 strict, 2 a filter is in force; `None` before Linux 3.8.
    pub seccomp: Option<u32>,
}

/// Context switches, of a task or summed over the tasks of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextSwitches {
    /// The task waited for something.
    pub voluntary: u64,
    /// The task was pre-empted.
    pub involuntary: u64,
}

/// Reads `/proc/PID/stat`; `None` when the process is gone.
///
/// # Errors
/// [`Error`] when the file cannot be read for another reason or is not in the documented format.
pub fn stat(roots: &Roots, pid: u32) -> Result<Option<Stat>> {
    let path = file(roots, pid, "stat");
    present(&path, parse_stat)
}

/// Reads `/proc/PID/status`; `None` when the process is gone. Context switches are the main thread's alone.
///
/// # Errors
/// As [`stat`].
pub fn status(roots: &Roots, pid: u32) -> Result<Option<Status>> {
    let path = file(roots, pid, "status");
    present(&path, parse_status)
}

/// Sums the context switches of all tasks that the process has now; `None` when it is gone.
///
/// The counts of threads that have exited are lost, so the sum may fall. A task that ends meanwhile is left out.
///
/// # Errors
/// As [`stat`].
pub fn context_switches(roots: &Roots, pid: u32) -> Result<Option<ContextSwitches>> {
    let Some(tasks) = tasks(roots, pid)? else { return Ok(None) };
    let mut sum = ContextSwitches::default();
    for task in tasks {
        let path = file(roots, pid, &format!("task/{task}/status"));
        if let Some(status) = present(&path, parse_status)? {
            sum.voluntary += status.context_switches.voluntary;
            sum.involuntary += status.context_switches.involuntary;
        }
    }
    Ok(Some(sum))
}

/// Thread ids of the process, ascending; `None` when it is gone.
///
/// # Errors
/// [`Error::Read`] when the directory cannot be listed, [`Error::TooLarge`] above 32,768 tasks.
pub fn tasks(roots: &Roots, pid: u32) -> Result<Option<Vec<u32>>> {
    let path = file(roots, pid, "task");
    let mut tasks = Vec::new();
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(source) if is_gone(&source) => return Ok(None),
        Err(source) => return Err(Error::read(&path, source)),
    };
    for entry in entries {
        match entry {
            Ok(entry) => tasks.extend(entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())),
            Err(source) if is_gone(&source) => return Ok(None),
            Err(source) => return Err(Error::read(&path, source)),
        }
        if tasks.len() > TASK_LIMIT {
            return Err(Error::TooLarge { path, limit: TASK_LIMIT });
        }
    }
    tasks.sort_unstable();
    Ok(if tasks.is_empty() { None } else { Some(tasks) })
}

/// Process ids of the children that all threads of the process have now, ascending; `None` when it is gone.
///
/// One that is born or ends meanwhile may be missed (proc_pid_task_children(5)).
///
/// # Errors
/// [`Error::Read`] where the kernel has no such file (CONFIG_PROC_CHILDREN) or denies it.
pub fn children(roots: &Roots, pid: u32) -> Result<Option<Vec<u32>>> {
    let Some(tasks) = tasks(roots, pid)? else { return Ok(None) };
    let mut children = Vec::new();
    for task in tasks {
        let path = file(roots, pid, &format!("task/{task}/children"));
        let mut text = Vec::new();
        match read_into(&path, &mut text, FILE_LIMIT) {
            Ok(()) => {}
            // The task may have ended; a kernel without the file has the task's directory all the same.
            Err(Error::Read { source, .. })
                if is_gone(&source) && !file(roots, pid, &format!("task/{task}")).exists() =>
            {
                continue;
            }
            Err(error) => return Err(error),
        }
        let words = std::str::from_utf8(&text).map_err(|_| Error::format(&path, 1, &text))?.split_ascii_whitespace();
        for word in words {
            children.push(word.parse().map_err(|_| Error::format(&path, 1, &text))?);
        }
    }
    children.sort_unstable();
    Ok(Some(children))
}

/// Proportional set size in bytes: private pages whole, shared pages divided by their users. `None` when
/// the process is gone, is a kernel thread, or the kernel is older than 4.14.
///
/// The kernel walks all page tables of the process under its mmap lock for this: read it outside of
/// measured windows.
///
/// # Errors
/// As [`stat`]; needs the right to ptrace-read the process.
pub fn proportional_set_size(roots: &Roots, pid: u32) -> Result<Option<u64>> {
    let path = file(roots, pid, "smaps_rollup");
    // A zombie still has the file, but it is empty.
    Ok(present(&path, |text| if text.is_empty() { Some(None) } else { parse_pss(text).map(Some) })?.flatten())
}

fn file(roots: &Roots, pid: u32, name: &str) -> PathBuf {
    roots.proc(format!("{pid}/{name}"))
}

/// Reads and parses `path`, with a vanished process as `None`.
fn present<T>(path: &Path, parse: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>> {
    let mut text = Vec::new();
    match read_into(path, &mut text, FILE_LIMIT) {
        Ok(()) => parse(&text).map(Some).ok_or_else(|| Error::format(path, 0, &text)),
        Err(Error::Read { source, .. }) if is_gone(&source) => Ok(None),
        Err(error) => Err(error),
    }
}

/// No such process: ENOENT before the open, ESRCH when it ended between open and read.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// A line looks like `4711 (server-mio) S 1 4711 …`; the name may itself hold spaces and parentheses.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let open = text.iter().position(|byte| *byte == b'(')?;
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let (pid, space) = text.get(..open)?.split_at_checked(open.checked_sub(1)?)?;
    let framed = !pid.is_empty() && pid.iter().all(u8::is_ascii_digit) && space == b" " && open < close;
    let after = text.get(close + 1..)?;
    if !framed || after.first() != Some(&b' ') || !after.get(1)?.is_ascii_alphabetic() {
        return None;
    }
    let stat = procfs::process::Stat::from_read(text).ok()?;
    Some(Stat {
        command: stat.comm,
        state: stat.state,
        user_ticks: stat.utime,
        system_ticks: stat.stime,
        children_user_ticks: u64::try_from(stat.cutime).ok()?,
        children_system_ticks: u64::try_from(stat.cstime).ok()?,
        threads: u32::try_from(stat.num_threads).ok()?,
        start_ticks: stat.starttime,
    })
}

fn parse_status(text: &[u8]) -> Option<Status> {
    // A name may hold any bytes; the parser wants UTF-8.
    let text = String::from_utf8_lossy(text);
    let status = procfs::process::Status::from_buf_read(text.as_bytes()).ok()?;
    Some(Status {
        rss_bytes: status.vmrss.and_then(|kibibytes| kibibytes.checked_mul(1024)),
        context_switches: ContextSwitches {
            voluntary: status.voluntary_ctxt_switches?,
            involuntary: status.nonvoluntary_ctxt_switches?,
        },
        seccomp: status.seccomp,
    })
}

/// The line `Pss:                 264 kB`. By hand, since procfs parses a map's address line too, of which
/// a rollup has only the shape.
fn parse_pss(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux 6.18, with a name that tries to look like the end of the name.
    const STAT: &[u8] = b"4711 (a) R (b) S 1 4711 4711 0 -1 4194560 1217 0 0 0 123 456 7 8 20 0 3 0 987654 \
        12345678 1500 18446744073709551615 1 1 0 0 0 0 0 4096 17642 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    const STATUS: &str = "Name:\tserver:mio\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4711\nNgid:\t0\nPid:\t4711\n\
        PPid:\t1\nTracerPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t64\nGroups:\t0 \nVmRSS:\t    1500 kB\n\
        Threads:\t3\nSigQ:\t0/96365\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\nSigBlk:\t0000000000000000\n\
        SigIgn:\t0000000000001000\nSigCgt:\t0000000000000440\nCapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\n\
        CapEff:\t000001ffffffffff\nSeccomp:\t2\nvoluntary_ctxt_switches:\t41\nnonvoluntary_ctxt_switches:\t7\n";

    const SMAPS_ROLLUP: &str = "56024dd13000-7ffc5f3fe000 ---p 00000000 00:00 0                          [rollup]\n\
        Rss:                1952 kB\nPss:                 264 kB\nPss_Dirty:            116 kB\n";

    /// Lays out `/proc/4711` with two tasks in a directory of its own, and removes it when dropped.
    struct Fixture(PathBuf);

    impl Fixture {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("hostfs-process-{name}-{}", std::process::id()));
            for task in ["4711", "4713"] {
                fs::create_dir_all(dir.join("proc/4711/task").join(task)).unwrap();
                fs::write(dir.join("proc/4711/task").join(task).join("status"), STATUS).unwrap();
                fs::write(dir.join("proc/4711/task").join(task).join("children"), format!("{}1 50 ", &task[3..]))
                    .unwrap();
            }
            fs::write(dir.join("proc/4711/stat"), STAT).unwrap();
            fs::write(dir.join("proc/4711/status"), STATUS).unwrap();
            fs::write(dir.join("proc/4711/smaps_rollup"), SMAPS_ROLLUP).unwrap();
            Self(dir)
        }

        fn roots(&self) -> Roots {
            Roots::below(&self.0)
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// A fixture process reads as written: name with parentheses, ticks, sizes, and switches summed over two tasks.
    #[test]
    fn reads_a_fixture_process() {
        let fixture = Fixture::new("whole");
        let stat = stat(&fixture.roots(), 4711).unwrap().unwrap();
        assert_eq!((stat.command.as_str(), stat.state), ("a) R (b", 'S'));
        assert_eq!((stat.user_ticks, stat.system_ticks, stat.threads, stat.start_ticks), (123, 456, 3, 987_654));
        assert_eq!((stat.children_user_ticks, stat.children_system_ticks), (7, 8));
        assert_eq!(children(&fixture.roots(), 4711).unwrap(), Some(vec![11, 31, 50, 50]));
        let status = status(&fixture.roots(), 4711).unwrap().unwrap();
        assert_eq!((status.rss_bytes, status.seccomp), (Some(1500 * 1024), Some(2)));
        let switches = context_switches(&fixture.roots(), 4711).unwrap().unwrap();
        assert_eq!(switches, ContextSwitches { voluntary: 82, involuntary: 14 });
        assert_eq!(tasks(&fixture.roots(), 4711).unwrap(), Some(vec![4711, 4713]));
        assert_eq!(proportional_set_size(&fixture.roots(), 4711).unwrap(), Some(264 * 1024));
    }

    /// A process that is not there is `None` from every function, and never an error.
    #[test]
    fn a_process_that_is_gone_is_none() {
        let fixture = Fixture::new("gone");
        let roots = fixture.roots();
        assert_eq!(stat(&roots, 1).unwrap(), None);
        assert_eq!(status(&roots, 1).unwrap(), None);
        assert_eq!(tasks(&roots, 1).unwrap(), None);
        assert_eq!(children(&roots, 1).unwrap(), None);
        assert_eq!(context_switches(&roots, 1).unwrap(), None);
        assert_eq!(proportional_set_size(&roots, 1).unwrap(), None);
    }

    /// A real child: alive, then a zombie, then reaped; each answers as documented.
    #[test]
    fn follows_a_real_child_to_its_end() {
        let roots = Roots::default();
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("cat starts");
        let pid = child.id();
        assert!(children(&roots, std::process::id()).unwrap().unwrap().contains(&pid));
        assert!(proportional_set_size(&roots, pid).unwrap().is_some_and(|bytes| bytes > 0));
        assert!(status(&roots, pid).unwrap().unwrap().rss_bytes.is_some_and(|bytes| bytes > 0));
        drop(child.stdin.take());
        while stat(&roots, pid).unwrap().unwrap().state != 'Z' {
            std::thread::yield_now();
        }
        assert_eq!(status(&roots, pid).unwrap().unwrap().rss_bytes, None);
        assert_eq!(proportional_set_size(&roots, pid).unwrap(), None);
        child.wait().unwrap();
        assert_eq!(stat(&roots, pid).unwrap(), None);
        assert_eq!(context_switches(&roots, pid).unwrap(), None);
    }

    /// Our own threads are counted, and the sum over tasks is at least the main thread's own count.
    #[test]
    fn sums_over_threads() {
        let roots = Roots::default();
        let pid = std::process::id();
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        assert!(stat(&roots, pid).unwrap().unwrap().threads >= 2);
        assert!(tasks(&roots, pid).unwrap().unwrap().len() >= 2);
        let main = status(&roots, pid).unwrap().unwrap().context_switches;
        let all = context_switches(&roots, pid).unwrap().unwrap();
        assert!(all.voluntary >= main.voluntary && all.involuntary >= main.involuntary);
        drop(stop);
        thread.join().unwrap().unwrap_err();
    }

    /// A malformed file is a format error that names the file and quotes its start.
    #[test]
    fn malformed_is_an_error_with_the_path() {
        let fixture = Fixture::new("malformed");
        fs::write(fixture.0.join("proc/4711/stat"), "4711 (cut").unwrap();
        let error = stat(&fixture.roots(), 4711).unwrap_err().to_string();
        assert!(error.contains("proc/4711/stat") && error.contains("4711 (cut"), "{error}");
    }

    /// Every prefix of the three files, and every file with one byte replaced, parses or is refused; none panics.
    #[test]
    fn no_damaged_text_panics() {
        for text in [STAT, STATUS.as_bytes(), SMAPS_ROLLUP.as_bytes()] {
            for at in 0..text.len() {
                for replacement in [None, Some(b'('), Some(b')'), Some(b':'), Some(b' '), Some(0xff)] {
                    let mut damaged = text.to_vec();
                    match replacement {
                        None => damaged.truncate(at),
                        Some(byte) => damaged[at] = byte,
                    }
                    let _ = (parse_stat(&damaged), parse_status(&damaged), parse_pss(&damaged));
                }
            }
        }
        assert_eq!(parse_stat(&STAT[..40]), None);
    }
}
