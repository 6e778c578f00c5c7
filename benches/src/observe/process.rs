//! What one process spent between two moments, seen from outside.
//!
//! CPU time is exact (see [`super::cpu_clock`]). Its split into user and system is not: on kernels with
//! CONFIG_TICK_CPU_ACCOUNTING, the usual x86 default, the kernel's timer tick charges a whole tick to
//! whichever mode it interrupts. The split is therefore taken as a ratio from `/proc/PID/stat` and scaled to
//! the exact sum; over `n` ticks its standard error is at most `0.5 / √n`, at 250 Hz and 5 s of a busy core
//! 1.4 percentage points.
//!
//! What counts as the server's: with CONFIG_IRQ_TIME_ACCOUNTING off, interrupts and softirqs that run on top
//! of the server are in its CPU clock. On loopback that is the receive side of what the server itself sends,
//! since a send runs the peer's receive path, so a server is charged for some of the generator's work and the
//! other way round; the whole box's figure beside it is free of that. The poll thread and the workers of an
//! io_uring belong to the thread group and are included.

use std::io;
use std::time::{Duration, Instant};

use hostfs::Roots;
use hostfs::process::{self, ContextSwitches};

use super::cpu_clock::CpuClock;
use crate::result::ServerCost;

/// Why a process could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It has ended.
    #[error("process {0} has ended")]
    Gone(u32),
    /// It is there but one of its files is not readable.
    #[error(transparent)]
    File(#[from] hostfs::Error),
    /// The CPU clock refused for another reason than the process's end.
    #[error("CPU clock of process {pid}: {source}")]
    Clock {
        /// The process.
        pid: u32,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Reads one process again and again.
#[derive(Debug)]
pub struct ProcessProbe {
    pid: u32,
    clock: CpuClock,
    roots: Roots,
}

/// The counters of a process at one moment.
#[derive(Clone, Copy, Debug)]
pub struct ProcessReading {
    /// When the CPU clock was read.
    pub at: Instant,
    /// CPU time so far, user and system, all threads, in nanoseconds; exact.
    pub cpu_ns: u64,
    /// User part in clock ticks, for the ratio only.
    pub user_ticks: u64,
    /// System part in clock ticks, for the ratio only.
    pub system_ticks: u64,
    /// Context switches of the threads that exist now.
    pub context_switches: ContextSwitches,
    /// Resident set size in bytes; 0 for a zombie.
    pub rss_bytes: u64,
    /// Proportional set size in bytes; `None` when it was not asked for or the kernel has none.
    pub pss_bytes: Option<u64>,
    /// Threads now.
    pub threads: u32,
}

impl ProcessProbe {
    /// A probe on process `pid`, which must not have been waited for yet.
    ///
    /// # Errors
    /// [`ProbeError::Gone`] when there is no such process.
    pub fn new(pid: u32) -> Result<Self, ProbeError> {
        let clock = CpuClock::of(pid).map_err(|source| clock_error(pid, source))?;
        Ok(Self { pid, clock, roots: Roots::default() })
    }

    /// Everything, PSS included. The counters are read first; the PSS after them, since the kernel walks the
    /// page tables for it and may hold the process up meanwhile. For the end of a window.
    ///
    /// # Errors
    /// [`ProbeError`]; a process that ended is [`ProbeError::Gone`].
    pub fn read(&self) -> Result<ProcessReading, ProbeError> {
        let mut reading = self.read_counters()?;
        reading.pss_bytes = process::proportional_set_size(&self.roots, self.pid)?;
        Ok(reading)
    }

    /// Everything but the PSS: for the start of a window. The clock is read last, so that reading the files
    /// falls before the window.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_counters(&self) -> Result<ProcessReading, ProbeError> {
        let gone = || ProbeError::Gone(self.pid);
        let status = process::status(&self.roots, self.pid)?.ok_or_else(gone)?;
        let context_switches = process::context_switches(&self.roots, self.pid)?.ok_or_else(gone)?;
        let stat = process::stat(&self.roots, self.pid)?.ok_or_else(gone)?;
        let cpu_ns = self.cpu_ns()?;
        Ok(ProcessReading {
            at: Instant::now(),
            cpu_ns,
            user_ticks: stat.user_ticks,
            system_ticks: stat.system_ticks,
            context_switches,
            rss_bytes: status.rss_bytes.unwrap_or(0),
            pss_bytes: None,
            threads: stat.threads,
        })
    }

    /// CPU nanoseconds so far, alone: one system call.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn cpu_ns(&self) -> Result<u64, ProbeError> {
        self.clock.now_ns().map_err(|source| clock_error(self.pid, source))
    }
}

/// Both ESRCH (no such process at the start) and EINVAL (its clock is no longer one) mean that it ended.
pub(super) fn clock_error(pid: u32, source: io::Error) -> ProbeError {
    match source.raw_os_error() {
        Some(libc::ESRCH | libc::EINVAL) => ProbeError::Gone(pid),
        _ => ProbeError::Clock { pid, source },
    }
}

impl ProcessReading {
    /// The cost from `start` to this reading, spread over `completed` requests, beside `box_busy`, the busy CPU
    /// time of the whole box in the same window.
    ///
    /// With no request completed the figures per request are those of one request, so that a row stays finite;
    /// such a trial is void for other reasons. Memory and threads are this reading's. System calls are left out:
    /// they are counted in another pass.
    pub fn cost_since(&self, start: &Self, completed: u64, box_busy: Duration) -> ServerCost {
        let requests = completed.max(1) as f64;
        let cpu_us = self.cpu_ns.saturating_sub(start.cpu_ns) as f64 / 1e3;
        let user_us = cpu_us * self.user_share_since(start);
        let elapsed_us = self.at.saturating_duration_since(start.at).as_secs_f64() * 1e6;
        // A thread that ended takes its counts with it, so a sum may fall.
        let switches = |count: fn(&ContextSwitches) -> u64| {
            count(&self.context_switches).saturating_sub(count(&start.context_switches)) as f64 / requests
        };
        ServerCost {
            cpu_us_per_request: cpu_us / requests,
            cpu_user_us_per_request: user_us / requests,
            cpu_system_us_per_request: (cpu_us - user_us) / requests,
            box_cpu_us_per_request: box_busy.as_secs_f64() * 1e6 / requests,
            core_share: if elapsed_us > 0.0 { cpu_us / elapsed_us } else { 0.0 },
            context_switches_voluntary_per_request: switches(|switches| switches.voluntary),
            context_switches_involuntary_per_request: switches(|switches| switches.involuntary),
            rss_bytes: self.rss_bytes,
            pss_bytes: self.pss_bytes,
            threads: self.threads,
            syscalls_per_request: None,
            syscalls_unavailable: None,
        }
    }

    /// Share of user mode, 0 to 1, by ticks. Without a tick in the window the process ran for less than one,
    /// and the kernel's own rule is followed: what was not seen in kernel mode is user time.
    fn user_share_since(&self, start: &Self) -> f64 {
        let user = self.user_ticks.saturating_sub(start.user_ticks);
        let system = self.system_ticks.saturating_sub(start.system_ticks);
        if user + system == 0 { 1.0 } else { user as f64 / (user + system) as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: Instant, cpu_ns: u64, user_ticks: u64, system_ticks: u64) -> ProcessReading {
        let context_switches = ContextSwitches { voluntary: user_ticks * 10, involuntary: 5 };
        ProcessReading {
            at,
            cpu_ns,
            user_ticks,
            system_ticks,
            context_switches,
            rss_bytes: 4096,
            pss_bytes: Some(2048),
            threads: 2,
        }
    }

    /// 2 s of CPU over 4 s and 500,000 requests, a quarter of the ticks in user mode: known figures come out.
    #[test]
    fn splits_exact_time_by_ticks() {
        let start = Instant::now();
        let before = reading(start, 1_000_000_000, 100, 100);
        let after = reading(start + Duration::from_secs(4), 3_000_000_000, 150, 250);
        let cost = after.cost_since(&before, 500_000, Duration::from_secs(5));
        assert!((cost.cpu_us_per_request - 4.0).abs() < 1e-9, "{cost:?}");
        assert!((cost.cpu_user_us_per_request - 1.0).abs() < 1e-9, "{cost:?}");
        assert!((cost.cpu_system_us_per_request - 3.0).abs() < 1e-9, "{cost:?}");
        assert!((cost.box_cpu_us_per_request - 10.0).abs() < 1e-9, "{cost:?}");
        assert!((cost.core_share - 0.5).abs() < 1e-9, "{cost:?}");
        assert!((cost.context_switches_voluntary_per_request - 0.001).abs() < 1e-12, "{cost:?}");
        assert_eq!((cost.rss_bytes, cost.pss_bytes, cost.threads), (4096, Some(2048), 2));
    }

    /// Nothing completed, no time passed and counters that fell give finite, non-negative figures.
    #[test]
    fn degenerate_windows_stay_finite() {
        let start = Instant::now();
        let before = reading(start, 2_000, 7, 7);
        let after = reading(start, 1_000, 6, 6);
        let cost = after.cost_since(&before, 0, Duration::ZERO);
        for value in [cost.cpu_us_per_request, cost.core_share, cost.context_switches_voluntary_per_request] {
            assert!(value == 0.0, "{cost:?}");
        }
    }
}
