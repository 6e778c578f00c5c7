//! Reads the state of io_uring instances from `/proc/PID/fdinfo/FD`, and of their threads from `/proc/PID/task`.
//!
//! Used by the agent's census. Nothing here needs eBPF. The right that is needed is the one for another process's
//! descriptors: the same user, or `CAP_SYS_PTRACE`.
//!
//! Kernels differ: head and tail came with Linux 5.19, the poller's times with 6.9; before 5.10 there is
//! little. So every field is an `Option`. A kernel that cannot take the ring's lock leaves lists out.
//!
//! Source: io_uring/fdinfo.c, io_uring(7).

use std::fs::{self, File};
use std::io::Read;

use crate::text::{fields, parse_hex, parse_i64, parse_u64, trim};
use crate::{Error, Result, Roots};

/// Most that is read of one ring, in bytes. A full completion queue of 65,536 entries prints some 4 MB; what comes
/// after this much is left out, and [`Ring::cut`] says so.
const FDINFO_LIMIT: usize = 8 << 20;

/// Piece in which it is read; lines are shorter.
const PIECE: usize = 16 * 1024;

/// Most threads of one process that are looked at.
const THREAD_LIMIT: usize = 4096;

/// Number of io_uring_enter(2), the same on every architecture but Alpha.
const IO_URING_ENTER: &[u8] = b"426";

/// One io_uring instance, as the kernel prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    /// Entries that the submission queue holds.
    pub submission_entries: Option<u64>,
    /// Entries that the completion queue holds.
    pub completion_entries: Option<u64>,
    /// Entries that the program queued and the kernel has not taken.
    pub submissions_waiting: Option<u64>,
    /// Completions that the kernel posted and the program has not taken.
    pub completions_waiting: Option<u64>,
    /// Completions that found no room and wait in kernel memory.
    pub overflow: Option<u64>,
    /// Polls that are armed and pending.
    pub polls: Option<u64>,
    /// Thread id of the submission poller (`IORING_SETUP_SQPOLL`); `None` without one.
    pub poller: Option<u64>,
    /// Microseconds that the poller lived, and those in which it found work.
    pub poller_total_us: Option<u64>,
    /// See [`Ring::poller_total_us`].
    pub poller_busy_us: Option<u64>,
    /// Slots of the registered file table.
    pub files: Option<u64>,
    /// Registered buffers.
    pub buffers: Option<u64>,
    /// Whether the text was longer than what is read.
    pub cut: bool,
}

/// Threads of a process that has rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Threads {
    /// Kernel workers that carry blocking work (`iou-wrk-…`).
    pub workers: u64,
    /// Submission pollers (`iou-sqp-…`).
    pub pollers: u64,
    /// Threads inside io_uring_enter(2) now, waiting for completions as a rule. `None` when the kernel does not let us see.
    pub waiting: Option<u64>,
}

/// Reads descriptor `fd` of `pid`; `None` when either is gone.
///
/// # Errors
/// [`Error::Read`] when it may not be read.
pub fn read(roots: &Roots, pid: u32, fd: u32) -> Result<Option<Ring>> {
    let path = roots.proc(format!("{pid}/fdinfo/{fd}"));
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => return Err(Error::read(&path, error)),
    };
    match parse(file.take(FDINFO_LIMIT as u64)) {
        Ok(ring) => Ok(Some(ring)),
        Err(error) if gone(&error) => Ok(None),
        Err(error) => Err(Error::read(&path, error)),
    }
}

fn gone(error: &std::io::Error) -> bool {
    // ESRCH is what a process that ended between open and read answers.
    error.kind() == std::io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// Counts the io_uring threads of `pid`; `None` when it is gone.
pub fn threads(roots: &Roots, pid: u32) -> Option<Threads> {
    let mut threads = Threads::default();
    let mut seen = false;
    let mut text = String::new();
    for task in
        fs::read_dir(roots.proc(format!("{pid}/task"))).ok()?.take(THREAD_LIMIT).filter_map(std::result::Result::ok)
    {
        let mut read = |name: &str| {
            text.clear();
            File::open(task.path().join(name)).and_then(|file| file.take(256).read_to_string(&mut text)).ok()?;
            Some(text.clone())
        };
        match read("comm") {
            Some(name) if name.starts_with("iou-wrk-") => threads.workers += 1,
            Some(name) if name.starts_with("iou-sqp-") => threads.pollers += 1,
            Some(_) => {
                // "running" for a thread that is not in a system call.
                if let Some(call) = read("syscall") {
                    seen = true;
                    let inside = fields(call.as_bytes()).next() == Some(IO_URING_ENTER);
                    threads.waiting = Some(threads.waiting.unwrap_or(0) + u64::from(inside));
                }
            }
            None => {}
        }
    }
    if !seen {
        threads.waiting = None;
    }
    Some(threads)
}

/// Which list the lines without a key belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Polls,
    Overflow,
    Other,
}

#[derive(Default)]
struct Heads {
    submission: Option<u32>,
    completion: Option<u32>,
}

/// Takes the text piece by piece, so that a ring with a long list costs time and not memory.
fn parse(mut text: impl Read) -> std::io::Result<Ring> {
    let mut ring = Ring::default();
    let (mut heads, mut section) = (Heads::default(), Section::Other);
    let mut piece = vec![0; PIECE];
    let (mut kept, mut total) = (0, 0);
    loop {
        let count = match text.read(&mut piece[kept..]) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        total += count;
        let end = kept + count;
        let whole = memchr::memrchr(b'\n', &piece[..end]).map_or(0, |at| at + 1);
        for line in crate::text::lines(&piece[..whole]) {
            take(line, &mut ring, &mut heads, &mut section);
        }
        // A line that fills the piece is none of the kernel's; drop it.
        let rest = if whole == 0 && end == piece.len() { end..end } else { whole..end };
        kept = rest.len();
        piece.copy_within(rest, 0);
    }
    take(&piece[..kept], &mut ring, &mut heads, &mut section);
    ring.cut = total >= FDINFO_LIMIT;
    Ok(ring)
}

/// Takes one line: `Key:\tvalue`, or an entry of the list that the last key began.
fn take(line: &[u8], ring: &mut Ring, heads: &mut Heads, section: &mut Section) {
    if line.first().is_none_or(|first| !first.is_ascii_alphabetic()) {
        match section {
            Section::Polls if !line.is_empty() => ring.polls = Some(ring.polls.unwrap_or(0) + 1),
            Section::Overflow if !line.is_empty() => ring.overflow = Some(ring.overflow.unwrap_or(0) + 1),
            _ => {}
        }
        return;
    }
    let Some(colon) = memchr::memchr(b':', line) else { return };
    let value = trim(&line[colon + 1..]);
    *section = Section::Other;
    // Heads and tails are counters that wrap at 2^32.
    let wrapping = || parse_u64(value).and_then(|value| u32::try_from(value).ok());
    let behind = |head: Option<u32>| Some(u64::from(wrapping()?.wrapping_sub(head?)));
    match &line[..colon] {
        b"SqMask" => ring.submission_entries = mask(value),
        b"CqMask" => ring.completion_entries = mask(value),
        b"SqHead" => heads.submission = wrapping(),
        b"SqTail" => ring.submissions_waiting = behind(heads.submission),
        b"CqHead" => heads.completion = wrapping(),
        b"CqTail" => ring.completions_waiting = behind(heads.completion),
        b"SqThread" => ring.poller = parse_i64(value).and_then(|id| u64::try_from(id).ok()),
        b"SqTotalTime" => ring.poller_total_us = parse_u64(value),
        b"SqWorkTime" => ring.poller_busy_us = parse_u64(value),
        b"UserFiles" => ring.files = parse_u64(value),
        b"UserBufs" => ring.buffers = parse_u64(value),
        b"PollList" => {
            ring.polls = Some(0);
            *section = Section::Polls;
        }
        b"CqOverflowList" => {
            ring.overflow = Some(0);
            *section = Section::Overflow;
        }
        _ => {}
    }
}

/// Entries from a mask such as `0x7`.
fn mask(value: &[u8]) -> Option<u64> {
    parse_hex(value)?.checked_add(1)
}

/// Parses text as a ring, for fuzzing: whatever the bytes, it must return.
#[doc(hidden)]
pub fn fuzz_fdinfo(bytes: &[u8]) -> Ring {
    parse(bytes).expect("a slice reads without errors")
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    /// As Linux 6.18 prints a ring with two queued entries, one completion waiting, polls, overflow and a poller.
    const TEXT: &str = "pos:\t0\nflags:\t02000002\nmnt_id:\t17\nino:\t40835\nSqMask:\t0x7\nSqHead:\t4294967295\nSqTail:\t1\nCachedSqHead:\t1\n\
        CqMask:\t0xf\nCqHead:\t3\nCqTail:\t4\nCachedCqTail:\t4\nSQEs:\t2\n    0: opcode:NOP, fd:-1, flags:0, off:0, addr:0x0, rw_flags:0x0, buf_index:0 user_data:7\n\
        CQEs:\t1\n    3: user_data:1, res:0, flags:0\nSqThread:\t4711\nSqThreadCpu:\t1\nSqTotalTime:\t900\nSqWorkTime:\t30\nUserFiles:\t4\n    0: /tmp/a\nUserBufs:\t2\n    0: 0x7f/4096\n\
        PollList:\n  op=6, task_works=0\n  op=6, task_works=0\nCqOverflowList:\n  user_data=1, res=0, flags=0\nNAPI:\tdisabled\n";

    #[test]
    fn parses_a_busy_ring() {
        let ring = fuzz_fdinfo(TEXT.as_bytes());
        let expected = Ring {
            submission_entries: Some(8),
            completion_entries: Some(16),
            submissions_waiting: Some(2),
            completions_waiting: Some(1),
            overflow: Some(1),
            polls: Some(2),
            poller: Some(4711),
            poller_total_us: Some(900),
            poller_busy_us: Some(30),
            files: Some(4),
            buffers: Some(2),
            cut: false,
        };
        assert_eq!(ring, expected);
    }

    /// Cut anywhere, with a line longer than a piece, of an old kernel, or empty: never a panic, and what is there counts.
    #[test]
    fn other_texts() {
        for length in 0..TEXT.len() {
            fuzz_fdinfo(&TEXT.as_bytes()[..length]);
        }
        assert_eq!(fuzz_fdinfo(b"").submission_entries, None);
        let old = fuzz_fdinfo(b"pos:\t0\nSqThread:\t-1\nSqThreadCpu:\t-1\nUserFiles:\t0\nUserBufs:\t0\nPollList:\n");
        assert_eq!((old.poller, old.files, old.polls, old.submissions_waiting), (None, Some(0), Some(0), None));
        let mut long = vec![b'x'; 100_000];
        long.extend_from_slice(b"\nUserFiles:\t9\n");
        assert_eq!(fuzz_fdinfo(&long).files, Some(9));
        let mut many = b"CqOverflowList:\n".to_vec();
        (0..100_000).for_each(|_| many.extend_from_slice(b"  user_data=1, res=0, flags=0\n"));
        assert_eq!(fuzz_fdinfo(&many).overflow, Some(100_000));
    }

    /// A ring of this process, found among its descriptors and read back from the kernel.
    #[test]
    fn reads_a_live_ring() {
        let ring = io_uring::IoUring::new(64).expect("kernel.io_uring_disabled must be 0 for this test");
        let (roots, pid) = (Roots::default(), std::process::id());
        let mut descriptors = crate::processes::Descriptors::default();
        crate::processes::Processes::open(&roots).unwrap().descriptors(pid, 100_000, &mut descriptors);
        let fd = u32::try_from(ring.as_raw_fd()).unwrap();
        assert!(descriptors.rings.contains(&fd));
        let state = read(&roots, pid, fd).unwrap().unwrap();
        assert_eq!((state.submission_entries, state.completion_entries), (Some(64), Some(128)));
        assert_eq!((state.submissions_waiting, state.completions_waiting, state.poller), (Some(0), Some(0), None));
        assert!(threads(&roots, pid).is_some());
        assert_eq!(read(&roots, 1 << 23, 3).unwrap(), None);
    }

    /// Rings that are closed, and processes that end, between being listed and being read: gone, and never an error.
    #[test]
    fn rings_and_processes_that_go() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let (roots, pid, done) = (Roots::default(), std::process::id(), AtomicBool::new(false));
        let mut processes = crate::processes::Processes::open(&roots).unwrap();
        let mut descriptors = crate::processes::Descriptors::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    drop(io_uring::IoUring::new(4).unwrap());
                    std::process::Command::new("true").status().unwrap();
                }
            });
            let (mut pids, mut seen) = (Vec::new(), 0);
            for _ in 0..300 {
                processes.descriptors(pid, 100_000, &mut descriptors);
                for &fd in &descriptors.rings {
                    seen += usize::from(read(&roots, pid, fd).unwrap().is_some());
                }
                processes.list(&mut pids).unwrap();
                for &newest in pids.iter().rev().take(3) {
                    processes.descriptors(newest, 100, &mut descriptors);
                    let result = read(&roots, newest, 0);
                    // What is protected from tracing may refuse; nothing else may fail.
                    assert!(
                        !matches!(&result, Err(Error::Read { source, .. })
                            if source.kind() != std::io::ErrorKind::PermissionDenied),
                        "{result:?}"
                    );
                    threads(&roots, newest);
                }
            }
            done.store(true, Ordering::Relaxed);
            println!("{seen} rings were still there");
        });
    }
}
