//! The whole box between two moments: how busy, how much of that was ours, and what went wrong meanwhile.
//!
//! **Busy** is what is left of the cores' time after idle, iowait and steal. The kernel's idle time comes from
//! timestamps (with NO_HZ) where its busy columns are sampled by tick, so this is the better side to start
//! from. iowait counts as idle: it is time in which a core had nothing to run, and since Linux 6.5 a ring that
//! waits for completions is filed under it.
//!
//! **Foreign** is busy time less the CPU clocks of the processes that take part (server, generator, lab). A
//! softirq or interrupt that ran on top of one of them is in that one's clock when the kernel has no
//! CONFIG_IRQ_TIME_ACCOUNTING, so the loopback work of the run itself is not foreign; what ran in ksoftirqd or
//! on an idle core is. `/proc/stat` counts in 10 ms steps per column, so over a window of 1.2 s on two cores the
//! share is good to about one percentage point, and the difference is cut off at zero.

use std::time::{Duration, Instant};

use hostfs::stat::{self, CpuTimes};
use hostfs::{Roots, netstat};

use super::cpu_clock::CpuClock;
use super::process::{ProbeError, clock_error};
use crate::result::Surroundings;

/// Reads the box and the CPU clocks of the processes that take part.
#[derive(Debug)]
pub struct BoxProbe {
    stat: stat::Reader,
    netstat: netstat::Reader,
    snmp: netstat::Reader,
    participants: Vec<(u32, CpuClock)>,
}

/// The box at one moment.
#[derive(Clone, Debug)]
pub struct BoxReading {
    /// When.
    pub at: Instant,
    /// Time of all cores together by mode since boot, in clock ticks.
    cpu: CpuTimes,
    /// Cores that are online.
    cores: usize,
    /// CPU time of the participants together, in nanoseconds.
    participants_ns: u64,
    listen_overflows: u64,
    retransmits: u64,
}

/// What happened between two readings.
#[derive(Clone, Debug, Default)]
pub struct BoxDifference {
    /// How long.
    pub elapsed: Duration,
    /// Busy time of all cores together; at most `elapsed` times the cores.
    pub busy: Duration,
    /// `busy` as a share of all cores' time, 0 to 1.
    pub busy_share: f64,
    /// Steal, foreign CPU, drops and retransmits.
    pub surroundings: Surroundings,
}

impl BoxProbe {
    /// A probe on this box. `participants` are the processes whose CPU time is not foreign.
    ///
    /// # Errors
    /// [`ProbeError::Gone`] when one of them does not exist.
    pub fn new(participants: Vec<u32>) -> Result<Self, ProbeError> {
        let clock = |pid| CpuClock::of(pid).map(|clock| (pid, clock)).map_err(|source| clock_error(pid, source));
        let participants = participants.into_iter().map(clock).collect::<Result<_, _>>()?;
        let roots = Roots::default();
        Ok(Self {
            stat: stat::Reader::new(&roots),
            netstat: netstat::Reader::netstat(&roots),
            snmp: netstat::Reader::snmp(&roots),
            participants,
        })
    }

    /// Reads `/proc/stat`, `/proc/net/netstat`, `/proc/net/snmp` and the participants' clocks.
    ///
    /// # Errors
    /// [`ProbeError`]; a participant that has ended is [`ProbeError::Gone`].
    pub fn read(&mut self) -> Result<BoxReading, ProbeError> {
        self.read_beside(0)
    }

    /// [`read`](Self::read) beside a group of processes that has used `others_ns` of CPU time so far and takes part too.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_beside(&mut self, others_ns: u64) -> Result<BoxReading, ProbeError> {
        let listen_overflows = counter(&mut self.netstat, "TcpExt", "ListenOverflows")?;
        let retransmits = counter(&mut self.snmp, "Tcp", "RetransSegs")?;
        let stat = self.stat.read()?;
        let at = Instant::now();
        let mut participants_ns = others_ns;
        for (pid, clock) in &self.participants {
            participants_ns += clock.now_ns().map_err(|source| clock_error(*pid, source))?;
        }
        Ok(BoxReading { at, cpu: stat.total, cores: stat.cpus.len(), participants_ns, listen_overflows, retransmits })
    }
}

/// One counter of a file of counters; 0 where the kernel does not have it, since differences are taken.
fn counter(reader: &mut netstat::Reader, protocol: &str, name: &str) -> Result<u64, ProbeError> {
    let Some(counters) = reader.read()? else { return Ok(0) };
    Ok(counters.value(protocol, name)?.map_or(0, whole))
}

/// The reader hands counters over as f64, exact below 2^53.
#[expect(clippy::cast_sign_loss, reason = "the cast saturates, and these counters are never negative")]
fn whole(value: f64) -> u64 {
    value as u64
}

impl BoxReading {
    /// What happened from `start` to this reading.
    pub fn since(&self, start: &Self) -> BoxDifference {
        let elapsed = self.at.saturating_duration_since(start.at);
        let capacity = elapsed.as_secs_f64() * self.cores as f64;
        if capacity <= 0.0 {
            return BoxDifference::default();
        }
        let spent = |mode: fn(&CpuTimes) -> u64| {
            (mode(&self.cpu) as f64 - mode(&start.cpu) as f64) / stat::clock_ticks() as f64
        };
        // iowait may step back (proc_stat(5) calls it unreliable), so each sum is held within the window.
        let steal = spent(|times| times.steal).clamp(0.0, capacity);
        let not_busy = spent(|times| times.idle) + spent(|times| times.iowait) + steal;
        let busy = (capacity - not_busy).clamp(0.0, capacity);
        let ours = self.participants_ns.saturating_sub(start.participants_ns) as f64 / 1e9;
        BoxDifference {
            elapsed,
            busy: Duration::from_secs_f64(busy),
            busy_share: busy / capacity,
            surroundings: Surroundings {
                steal_share: steal / capacity,
                foreign_cpu_share: (busy - ours).max(0.0) / capacity,
                listen_overflows: self.listen_overflows.saturating_sub(start.listen_overflows),
                retransmits: self.retransmits.saturating_sub(start.retransmits),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reading of two cores, in clock ticks of 10 ms.
    fn reading(at: Instant, [user, idle, iowait, steal]: [u64; 4], participants_ns: u64) -> BoxReading {
        let cpu = CpuTimes { user, idle, iowait, steal, ..CpuTimes::default() };
        BoxReading { at, cpu, cores: 2, participants_ns, listen_overflows: 7, retransmits: 1 }
    }

    /// 10 s of two cores, 12 s idle, 1 s iowait, 1 s steal, 4 s ours: 6 s busy, of which 2 s foreign.
    #[test]
    fn shares_add_up() {
        let start = Instant::now();
        let before = reading(start, [1000, 5000, 10, 3], 1_000_000_000);
        let mut after = reading(start + Duration::from_secs(10), [1600, 6200, 110, 103], 5_000_000_000);
        after.listen_overflows = 9;
        let difference = after.since(&before);
        assert!((difference.busy.as_secs_f64() - 6.0).abs() < 1e-9, "{difference:?}");
        assert!((difference.busy_share - 0.3).abs() < 1e-9, "{difference:?}");
        assert!((difference.surroundings.steal_share - 0.05).abs() < 1e-9, "{difference:?}");
        assert!((difference.surroundings.foreign_cpu_share - 0.1).abs() < 1e-9, "{difference:?}");
        assert_eq!((difference.surroundings.listen_overflows, difference.surroundings.retransmits), (2, 0));
    }

    /// Participants whose exact clocks exceed the coarse busy time leave nothing foreign, never less than nothing.
    #[test]
    fn foreign_is_never_negative() {
        let start = Instant::now();
        let before = reading(start, [0, 0, 0, 0], 0);
        let after = reading(start + Duration::from_secs(1), [101, 99, 0, 0], 1_050_000_000);
        assert!(after.since(&before).surroundings.foreign_cpu_share == 0.0);
        assert!(before.since(&before).busy == Duration::ZERO);
    }
}
