//! The CPU-time clock of another process (clock_getcpuclockid(3)): nanoseconds, where `/proc/PID/stat` counts ticks.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::{Error, Result};

/// CPU time that the process `pid` has used, user and system, of all its threads, ended ones included.
///
/// # Errors
/// When there is no such process.
pub fn of_process(pid: u32) -> Result<Duration> {
    let failed = |source| Error::read(Path::new("clock_getcpuclockid(3)"), source);
    let pid = libc::pid_t::try_from(pid).map_err(|_| failed(io::Error::from_raw_os_error(libc::ESRCH)))?;
    let mut clock: libc::clockid_t = 0;
    // SAFETY: the pointer is to a clockid_t that lives through the call.
    let errno = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    if errno != 0 {
        return Err(failed(io::Error::from_raw_os_error(errno)));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that lives through the call; the kernel checks the clock's number.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(failed(io::Error::last_os_error()));
    }
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Ok(Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock of this process runs while it works, and that of a pid that cannot be is an error.
    #[test]
    fn own_clock() {
        let before = of_process(std::process::id()).unwrap();
        while of_process(std::process::id()).unwrap() == before {}
        assert!(of_process(u32::MAX).is_err());
    }
}
