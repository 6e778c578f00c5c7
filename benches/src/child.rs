//! Processes that the lab starts: pinned, watched, and never left behind.
//!
//! A [`Child`] is killed when it is dropped, and by the kernel when the lab itself dies, even by SIGKILL
//! (PR_SET_PDEATHSIG, prctl(2)). The kernel sends that signal when the *thread* that forked exits, so
//! children are started from the main thread only.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::thread::CpuSet;

/// Lines of a child that may wait to be read; more block the child, which is its own loss.
const LINES: usize = 64;

/// Longest line that is taken from a child, in bytes; ready lines and summaries are a few kilobytes.
const LINE_LIMIT: u64 = 1 << 20;

/// The end of a child's stderr that is kept to explain its failure, in bytes.
const STDERR_KEPT: usize = 16 << 10;

/// How often a wait looks at the clock and at the stop flag.
const LOOK: Duration = Duration::from_millis(50);

/// A process that dies with the lab.
pub struct Child {
    process: std::process::Child,
    pidfd: OwnedFd,
    lines: Receiver<String>,
    stdin: Option<ChildStdin>,
    stderr: Option<JoinHandle<String>>,
}

/// Where the lines of several children meet: who said it, and what. `None` when that child closed its stdout.
pub type Said = (usize, Option<String>);

/// What a wait for a line gave.
#[derive(Debug)]
pub enum Line {
    /// A line, without its end.
    Said(String),
    /// The child closed its stdout, as it does when it exits.
    Ended,
    /// Nothing came in time, or the wait was interrupted.
    Nothing,
}

impl Child {
    /// Starts `command` on `cpus` in a process group of its own, so that Ctrl-C reaches the lab alone.
    ///
    /// # Errors
    /// Those of fork and exec.
    pub fn start(command: Command, cpus: &[usize]) -> std::io::Result<Self> {
        let (sender, lines) = sync_channel(LINES);
        // The sender is dropped with the closure, when the stream ends: that is how a reader learns of it.
        Self::spawn(command, cpus, Stdio::null(), lines, move |line| line.is_some_and(|line| sender.send(line).is_ok()))
    }

    /// Starts a member of a fleet: it takes orders on stdin, and its lines go to `told` under its `number`.
    ///
    /// # Errors
    /// Those of fork and exec.
    pub fn start_member(
        command: Command,
        cpus: &[usize],
        number: usize,
        told: SyncSender<Said>,
    ) -> std::io::Result<Self> {
        let (_, none) = sync_channel(1);
        Self::spawn(command, cpus, Stdio::piped(), none, move |line| told.send((number, line)).is_ok())
    }

    fn spawn(
        mut command: Command,
        cpus: &[usize],
        stdin: Stdio,
        lines: Receiver<String>,
        mut told: impl FnMut(Option<String>) -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let mut set = CpuSet::new();
        cpus.iter().for_each(|cpu| set.set(*cpu));
        let parent = rustix::process::getpid();
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        // SAFETY: between fork and exec only async-signal-safe calls are made (prctl, getppid,
        // sched_setaffinity are plain system calls), and nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                // The lab may have died between fork and prctl.
                if rustix::process::getppid() != Some(parent) {
                    return Err(rustix::io::Errno::SRCH.into());
                }
                rustix::thread::sched_setaffinity(None, &set)?;
                Ok(())
            });
        }
        let mut process = command.spawn()?;
        let stdout = process.stdout.take().expect("stdout is piped");
        let stderr = process.stderr.take().expect("stderr is piped");
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            loop {
                let mut line = String::new();
                let said = match reader.by_ref().take(LINE_LIMIT).read_line(&mut line) {
                    Ok(0) | Err(_) => None,
                    Ok(_) => Some(line.trim_end().to_owned()),
                };
                let ended = said.is_none();
                if !told(said) || ended {
                    return;
                }
            }
        });
        let stderr = Some(std::thread::spawn(move || tail(stderr)));
        let pid = Pid::from_child(&process);
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        let stdin = process.stdin.take();
        Ok(Self { process, pidfd, lines, stdin, stderr })
    }

    /// Writes a line to the stdin of a member of a fleet.
    ///
    /// # Errors
    /// When it has closed its stdin, as it does when it ends.
    pub fn order(&mut self, line: &str) -> std::io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(std::io::ErrorKind::NotConnected)?;
        stdin.write_all(line.as_bytes())?;
        stdin.write_all(b"\n")
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the next line of stdout for `timeout` at most, or until `stop` says so.
    pub fn line(&self, timeout: Duration, stop: &dyn Fn() -> bool) -> Line {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left.min(LOOK)) {
                Ok(line) => return Line::Said(line),
                Err(RecvTimeoutError::Disconnected) => return Line::Ended,
                Err(RecvTimeoutError::Timeout) if left.is_zero() || stop() => return Line::Nothing,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Asks the process to end (SIGTERM); its last lines can still be read.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks the process to end and waits; kills it after `grace`. Its status, `None` when it had to be killed.
    pub fn stop(&mut self, grace: Duration) -> Option<ExitStatus> {
        self.terminate();
        let ended = self.wait(grace);
        if ended.is_none() {
            self.kill();
        }
        ended
    }

    /// Waits until the process ends, `timeout` at most.
    pub fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Some(status);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let mut ends = [PollFd::new(&self.pidfd, PollFlags::IN)];
            let wait = left.min(LOOK);
            // An error (EINTR) only means looking again.
            let _ = poll(&mut ends, Some(&Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() }));
        }
    }

    /// Sends a signal; a process that is gone already does not mind.
    fn signal(&self, signal: Signal) {
        // Through the pidfd, which can never mean another process; ESRCH means that it is gone.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
    }

    /// Sends SIGKILL and does not wait; [`kill`](Self::kill) does.
    pub fn send_kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Kills the process and waits until it is gone.
    pub fn kill(&mut self) {
        // Both fail only when the process is gone, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Why the process ended, in its own words: a panic's message or the last line on stderr. Call it after the end, as [`stderr`](Self::stderr).
    pub fn last_words(&mut self) -> String {
        telling(&self.stderr()).unwrap_or_else(|| "it said nothing on stderr".to_owned())
    }

    /// The end of the process's stderr; waits until the process has closed it, so call it after the end.
    pub fn stderr(&mut self) -> String {
        self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads to the end and keeps the last part.
fn tail(mut from: impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..count]);
        if kept.len() > 2 * STDERR_KEPT {
            kept.drain(..kept.len() - STDERR_KEPT);
        }
    }
    String::from_utf8_lossy(&kept).trim_end().to_owned()
}

/// The line that tells most about a process's end: a Rust panic's message, which comes before its backtrace and what the panic hook
/// adds, or else the last one.
fn telling(said: &str) -> Option<String> {
    let mut lines = said.lines().map(str::trim);
    // "thread 'NAME' (ID) panicked at FILE:LINE:COLUMN:", and the message on the line after it.
    match lines.by_ref().find(|line| line.contains(" panicked at ")) {
        Some(panic) => Some([panic, lines.next().unwrap_or_default()].join(" ").trim_end().to_owned()),
        None => said.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned),
    }
}

/// How a process ended, for a sentence.
pub fn ended(status: Option<ExitStatus>) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status {
        None => "still running".to_owned(),
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => status.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that a child's lines arrive in order, that its end is seen and that its stderr is kept.
    #[test]
    fn lines_status_and_stderr_are_seen() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two; echo why >&2; exit 3"]);
        let mut child = Child::start(command, &crate::plan::Cpus::allowed().unwrap()).unwrap();
        let second = Duration::from_secs(10);
        assert!(matches!(child.line(second, &|| false), Line::Said(line) if line == "one"));
        assert!(matches!(child.line(second, &|| false), Line::Said(line) if line == "two"));
        assert!(matches!(child.line(second, &|| false), Line::Ended));
        assert_eq!(child.wait(second).and_then(|status| status.code()), Some(3));
        assert_eq!(child.stderr(), "why");
        let said = "warming up\n\nthread 'shard-0' (7) panicked at src/main.rs:1:2:\nno such place\nstack backtrace:\n   0: f\nnote: more";
        assert_eq!(telling(said).unwrap(), "thread 'shard-0' (7) panicked at src/main.rs:1:2: no such place");
        assert_eq!(telling("one\ntwo").unwrap(), "two");
    }

    /// Shows that a child that ignores SIGTERM is killed after its grace, and that none outlives its handle.
    #[test]
    fn stubborn_children_are_killed() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]);
        let mut child = Child::start(command, &crate::plan::Cpus::allowed().unwrap()).unwrap();
        assert!(matches!(child.line(Duration::from_secs(10), &|| false), Line::Said(_)));
        let pid = child.pid();
        assert_eq!(child.stop(Duration::from_millis(200)), None);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
