//! The process between the lab and a server that a command line starts: whatever that starts ends with it.
//!
//! A server may start workers, go to the background, or be a script. The warden is the subreaper of all of them
//! (PR_SET_CHILD_SUBREAPER, prctl(2)), so that none gets away: on SIGTERM, which the kernel sends as well when the lab dies,
//! it ends every descendant, by force after a grace. It runs for as long as any of them does, and sleeps meanwhile.

use std::os::fd::AsFd;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hostfs::Roots;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::Failure;
use crate::observe::descendants;

/// How long the descendants may take from SIGTERM to their end, before SIGKILL.
pub const GRACE: Duration = Duration::from_secs(5);

/// How often they are looked for while they end.
const LOOK: Duration = Duration::from_millis(5);

/// Starts `command` and lives until all that comes of it has ended. The exit code is the command's own.
///
/// # Errors
/// When the command cannot be started, or the kernel refuses what keeps its descendants together.
pub fn run(command: &[String]) -> Result<ExitCode> {
    let [program, arguments @ ..] = command else {
        return Err(Failure::Usage("a command is missing".to_owned()).into());
    };
    // The lab asked for SIGKILL, which would leave the descendants behind.
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM)).context("PR_SET_PDEATHSIG")?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).context("PR_SET_CHILD_SUBREAPER")?;
    let mut signals = Signals::new([SIGCHLD, SIGTERM, SIGINT]).context("installing signal handlers")?;
    // What it prints explains its end; stdout of the warden belongs to the lab.
    let output = std::io::stderr().as_fd().try_clone_to_owned().context("duplicating stderr")?;
    let server = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::from(output))
        .spawn()
        .map_err(|error| Failure::Environment(format!("starting {program}: {error}")))?;
    let server = Pid::from_child(&server);
    let mut code = None;
    if reap(server, &mut code) {
        return Ok(ExitCode::from(code.unwrap_or(0)));
    }
    for signal in signals.forever() {
        if signal != SIGCHLD {
            end(server, &mut code);
        }
        if reap(server, &mut code) {
            break;
        }
    }
    Ok(ExitCode::from(code.unwrap_or(0)))
}

/// Waits for whoever has ended; whether nobody is left. Keeps the exit code of `server`.
fn reap(server: Pid, code: &mut Option<u8>) -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == server => *code = Some(exit_code(status)),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return false,
            // ECHILD: nobody is left.
            Err(_) => return true,
        }
    }
}

/// As shells number them: the code, or 128 and the signal.
fn exit_code(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// Ends every descendant: asks them, waits for [`GRACE`], then kills.
fn end(server: Pid, code: &mut Option<u8>) {
    tell_all(Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while !reap(server, code) {
        if Instant::now() > deadline {
            // Again and again: who is killed may have started another meanwhile.
            tell_all(Signal::KILL);
        }
        std::thread::sleep(LOOK);
    }
}

/// Signals every descendant. They cannot be somebody else's: only this process or one of them can have waited for them.
fn tell_all(signal: Signal) {
    for pid in descendants(&Roots::default(), std::process::id()).unwrap_or_default() {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // It may have ended meanwhile, which is what is wanted.
            let _ = kill_process(pid, signal);
        }
    }
}
