//! `/proc/stat` (proc(5), Documentation/filesystems/proc.rst section 1.7): CPU time by mode, interrupts, context
//! switches, boot time, forks, tasks, softirqs.

use std::path::Path;

use crate::text::{Fields, fields, lines, parse_u64};
use crate::{Error, Result, Roots, Source};

/// Most of the file that is read: its `intr` line has a number per interrupt line, its `cpu` lines about 100 bytes each.
const LIMIT: usize = 4 << 20;

/// Time of one CPU by mode, in clock ticks ([`clock_ticks`] a second). Modes that an old kernel lacks are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// Normal processes in user mode; includes `guest`.
    pub user: u64,
    /// Niced processes in user mode; includes `guest_nice`.
    pub nice: u64,
    /// Kernel mode.
    pub system: u64,
    /// Nothing to do.
    pub idle: u64,
    /// Idle while a task of this CPU waits for I/O.
    pub iowait: u64,
    /// Interrupts.
    pub irq: u64,
    /// Softirqs.
    pub softirq: u64,
    /// Taken by the hypervisor.
    pub steal: u64,
    /// Virtual CPUs of guests.
    pub guest: u64,
    /// Virtual CPUs of niced guests.
    pub guest_nice: u64,
}

impl CpuTimes {
    /// All modes together; guest time is already in user and nice.
    pub fn total(&self) -> u64 {
        [self.user, self.nice, self.system, self.idle, self.iowait, self.irq, self.softirq, self.steal]
            .iter()
            .fold(0, |sum: u64, ticks| sum.saturating_add(*ticks))
    }
}

/// One `cpuN` line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// N.
    pub number: u32,
    /// Its time by mode.
    pub times: CpuTimes,
}

/// The file's content. Everything but `total` may be missing on some kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// All CPUs together.
    pub total: CpuTimes,
    /// Online CPUs, in the file's order.
    pub cpus: Vec<Cpu>,
    /// Interrupts served since boot.
    pub interrupts: Option<u64>,
    /// Context switches since boot.
    pub context_switches: Option<u64>,
    /// When the host started, in seconds since 1970.
    pub boot_time_seconds: Option<u64>,
    /// Processes and threads created since boot.
    pub forks: Option<u64>,
    /// Tasks that run or could run now.
    pub procs_running: Option<u64>,
    /// Tasks blocked on I/O now.
    pub procs_blocked: Option<u64>,
    /// Softirqs served since boot, all kinds together.
    pub softirqs: Option<u64>,
    /// The same by kind, in the order of [`SOFTIRQS`].
    pub softirqs_by_kind: [u64; SOFTIRQS.len()],
}

/// Kinds of softirqs in the order of the `softirq` line (include/linux/interrupt.h), named as node_exporter names them.
pub const SOFTIRQS: [&str; 10] =
    ["hi", "timer", "net_tx", "net_rx", "block", "block_iopoll", "tasklet", "sched", "hrtimer", "rcu"];

/// Ticks per second in this file: the constant USER_HZ of the kernel's ABI, 100 on every Linux but Alpha's.
pub fn clock_ticks() -> u64 {
    rustix::param::clock_ticks_per_second()
}

/// Reads the file repeatedly into the same memory.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    stat: Stat,
}

impl Reader {
    /// A reader below `roots`.
    pub fn new(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("stat"), LIMIT), stat: Stat::default() }
    }

    /// The content now.
    ///
    /// # Errors
    /// When the file cannot be read or a known line is not in the documented format.
    pub fn read(&mut self) -> Result<&Stat> {
        let (path, text) = self.source.read()?;
        parse(path, text, &mut self.stat)?;
        Ok(&self.stat)
    }

    /// What the last successful [`Reader::read`] returned.
    pub fn last(&self) -> &Stat {
        &self.stat
    }
}

/// Parses the file's text into `stat`, whose memory is used again.
///
/// # Errors
/// When a known line is not in the documented format, or there is no `cpu` line. Unknown lines are skipped.
pub fn parse(path: &Path, text: &[u8], stat: &mut Stat) -> Result<()> {
    let mut cpus = std::mem::take(&mut stat.cpus);
    cpus.clear();
    *stat = Stat { cpus, ..Stat::default() };
    let mut has_total = false;
    for (index, line) in lines(text).enumerate() {
        let malformed = || Error::format(path, index + 1, line);
        // The intr line is by far the longest: what is not asked for is not split.
        let (key, rest) = line.split_at(line.iter().position(|byte| *byte == b' ').unwrap_or(line.len()));
        let first = || fields(rest).u64().map(Some).ok_or_else(malformed);
        match key {
            b"cpu" => {
                stat.total = cpu_times(fields(rest)).ok_or_else(malformed)?;
                has_total = true;
            }
            b"intr" => stat.interrupts = first()?,
            b"ctxt" => stat.context_switches = first()?,
            b"btime" => stat.boot_time_seconds = first()?,
            b"processes" => stat.forks = first()?,
            b"procs_running" => stat.procs_running = first()?,
            b"procs_blocked" => stat.procs_blocked = first()?,
            b"softirq" => {
                let mut numbers = fields(rest);
                stat.softirqs = Some(numbers.u64().ok_or_else(malformed)?);
                for kind in &mut stat.softirqs_by_kind {
                    *kind = numbers.u64().ok_or_else(malformed)?;
                }
            }
            _ => {
                if let Some(number) = key.strip_prefix(b"cpu") {
                    let number = parse_u64(number).and_then(|number| u32::try_from(number).ok());
                    let cpu = number.zip(cpu_times(fields(rest)));
                    stat.cpus.push(cpu.map(|(number, times)| Cpu { number, times }).ok_or_else(malformed)?);
                }
            }
        }
    }
    if has_total { Ok(()) } else { Err(Error::format(path, 0, text)) }
}

/// The four oldest modes must be there; newer ones are 0 when missing, `None` when not a number.
fn cpu_times(mut numbers: Fields<'_>) -> Option<CpuTimes> {
    let (user, nice, system, idle) = (numbers.u64()?, numbers.u64()?, numbers.u64()?, numbers.u64()?);
    let mut newer = || numbers.next().map_or(Some(0), parse_u64);
    Some(CpuTimes {
        user,
        nice,
        system,
        idle,
        iowait: newer()?,
        irq: newer()?,
        softirq: newer()?,
        steal: newer()?,
        guest: newer()?,
        guest_nice: newer()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"cpu  10 20 30 40 50 60 70 80 90 100\n\
        cpu0 1 2 3 4 5 6 7 8 9 10\n\
        cpu12 11 12 13 14\n\
        intr 123 0 0 9\n\
        ctxt 456\n\
        btime 1700000000\n\
        processes 789\n\
        procs_running 2\n\
        procs_blocked 1\n\
        softirq 55 1 2 3 4 5 6 7 8 9 10\n\
        something new 1 2 3\n";

    fn parsed(text: &[u8]) -> Result<Stat> {
        let mut stat = Stat::default();
        parse(Path::new("/proc/stat"), text, &mut stat).map(|()| stat)
    }

    /// Every known line, an old kernel's short cpu line, and an unknown line.
    #[test]
    fn known_lines() {
        let stat = parsed(TEXT).unwrap();
        assert_eq!(stat.total.guest_nice, 100);
        assert_eq!(stat.total.total(), 360);
        assert_eq!(stat.cpus.len(), 2);
        assert_eq!((stat.cpus[1].number, stat.cpus[1].times.idle, stat.cpus[1].times.steal), (12, 14, 0));
        assert_eq!((stat.interrupts, stat.context_switches, stat.forks), (Some(123), Some(456), Some(789)));
        assert_eq!((stat.procs_running, stat.procs_blocked), (Some(2), Some(1)));
        assert_eq!((stat.boot_time_seconds, stat.softirqs), (Some(1_700_000_000), Some(55)));
        assert_eq!(stat.softirqs_by_kind[9], 10);
    }

    /// A broken line is named with its number.
    #[test]
    fn broken_lines() {
        for (text, line) in [
            (&b"cpu 1 2 3\n"[..], 1),
            (b"cpu 1 2 3 4\ncpu0 1 2 x 4\n", 2),
            (b"cpu 1 2 3 4\ncpux 1 2 3 4\n", 2),
            (b"cpu 1 2 3 4\n\nctxt\n", 3),
            (b"cpu 1 2 3 99999999999999999999\n", 1),
            (b"cpu 1 2 3 4\nsoftirq 1 2 3\n", 2),
            (b"", 0),
        ] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("/proc/stat:{line}: unexpected")), "{error}");
        }
    }
}
