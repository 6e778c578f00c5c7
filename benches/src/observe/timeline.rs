//! The host over the whole run: a thread that appends one [`HostSample`] to `timeline.jsonl` per interval.
//!
//! It must not disturb what it watches: it is pinned where the plan says (its own core from four cores on, else
//! the generator's), at the lowest nice level, so that it runs when the core has a moment and is late rather
//! than in the way. A late sample covers a longer interval and says so by its time; shares and rates are per
//! the time really passed. One sample reads `/proc/stat`, `/proc/net/sockstat` and `/proc/meminfo` through kept
//! descriptors; `cargo bench -p lab --bench observe` measures what it costs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hostfs::stat::{self, CpuTimes, Stat};
use hostfs::{Roots, meminfo, sockstat};

use crate::result::HostSample;

/// Time between samples: two to eight in a trial of the demo, and far above the 10 ms in which the kernel counts.
pub const INTERVAL: Duration = Duration::from_millis(250);

/// The last sample is skipped when its interval would be shorter than this: shares of few clock ticks are noise.
const SHORTEST: Duration = Duration::from_millis(100);

/// Stands for "no trial" in the shared cell; a run has fewer trials than that.
const NO_TRIAL: u32 = u32::MAX;

/// The running sampler. Stop it with [`stop`](Self::stop); a dropped one ends its thread too, without the result.
#[derive(Debug)]
pub struct Timeline {
    trial: Arc<AtomicU32>,
    stop: Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Timeline {
    /// Starts to append to the file at `path`, made if it is not there, from a thread on `cpus` (anywhere when
    /// empty). The run's time starts now.
    ///
    /// # Errors
    /// When the file cannot be opened, a kernel file cannot be read, or no thread can be made.
    pub fn start(path: &Path, cpus: &[usize]) -> io::Result<Self> {
        let file = File::options().append(true).create(true).open(path)?;
        let sampler = Sampler::new(&Roots::default()).map_err(io::Error::other)?;
        let trial = Arc::new(AtomicU32::new(NO_TRIAL));
        let (stop, stopped) = mpsc::channel();
        let cpus = cpus.to_vec();
        let seen = Arc::clone(&trial);
        let thread = thread::Builder::new().name("timeline".into()).spawn(move || {
            step_aside(&cpus);
            record(sampler, file, &seen, &stopped)
        })?;
        Ok(Self { trial, stop, thread })
    }

    /// Names the trial that samples belong to from now on; `None` between trials.
    pub fn set_trial(&self, index: Option<u32>) {
        self.trial.store(index.unwrap_or(NO_TRIAL), Ordering::Relaxed);
    }

    /// Takes a last sample and ends the thread.
    ///
    /// # Errors
    /// The first failure to read or to write; what was written before it is whole lines.
    pub fn stop(self) -> io::Result<()> {
        drop(self.stop);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the timeline's thread panicked")))
    }
}

/// Moves the calling thread to `cpus` and to the end of the queue there. A sampler that cannot move still
/// samples, so neither failure matters enough to stop a run.
fn step_aside(cpus: &[usize]) {
    let mut set = rustix::thread::CpuSet::new();
    for cpu in cpus.iter().filter(|cpu| **cpu < rustix::thread::CpuSet::MAX_CPU) {
        set.set(*cpu);
    }
    if set.count() > 0 {
        let _ = rustix::thread::sched_setaffinity(None, &set);
    }
    /// The lowest: about one seventieth of the weight of the default.
    const NICE: i32 = 19;
    // Linux keeps the nice level by thread, and "self" is the calling one; setpriority(2).
    let _ = rustix::process::setpriority_process(None, NICE);
}

/// Samples until the sender is dropped. Deadlines are multiples of the interval from the start; those missed
/// are left out rather than caught up with.
fn record(mut sampler: Sampler, mut file: File, trial: &AtomicU32, stopped: &Receiver<()>) -> io::Result<()> {
    let start = sampler.last.at;
    let mut deadline = start + INTERVAL;
    loop {
        let wait = deadline.saturating_duration_since(Instant::now());
        let last = !matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout));
        if last && sampler.last.at.elapsed() < SHORTEST {
            return Ok(());
        }
        let mut sample = sampler.sample().map_err(io::Error::other)?;
        sample.at_seconds = sampler.last.at.duration_since(start).as_secs_f64();
        sample.trial = Some(trial.load(Ordering::Relaxed)).filter(|trial| *trial != NO_TRIAL);
        let mut line = serde_json::to_vec(&sample)?;
        line.push(b'\n');
        // One write a line, so that an interrupted run leaves whole lines.
        file.write_all(&line)?;
        if last {
            return Ok(());
        }
        while deadline <= Instant::now() {
            deadline += INTERVAL;
        }
    }
}

/// Turns the kernel's counters into a sample per call.
#[derive(Debug)]
pub struct Sampler {
    stat: stat::Reader,
    sockstat: sockstat::Reader,
    meminfo: meminfo::Reader,
    last: Moment,
}

/// The counters at the last sample.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at: Instant,
    cpu: CpuTimes,
    context_switches: u64,
    softirqs: u64,
}

impl Moment {
    fn of(stat: &Stat) -> Self {
        Self {
            at: Instant::now(),
            cpu: stat.total,
            context_switches: stat.context_switches.unwrap_or(0),
            softirqs: stat.softirqs.unwrap_or(0),
        }
    }
}

impl Sampler {
    /// Takes the first reading below `roots`.
    ///
    /// # Errors
    /// When `/proc/stat` cannot be read.
    pub fn new(roots: &Roots) -> hostfs::Result<Self> {
        let mut stat = stat::Reader::new(roots);
        let last = Moment::of(stat.read()?);
        Ok(Self { stat, sockstat: sockstat::Reader::new(roots), meminfo: meminfo::Reader::new(roots), last })
    }

    /// The host since the last call. Time of the run and trial are the caller's to fill in.
    ///
    /// # Errors
    /// When one of the files cannot be read or is malformed.
    pub fn sample(&mut self) -> hostfs::Result<HostSample> {
        let now = Moment::of(self.stat.read()?);
        let before = std::mem::replace(&mut self.last, now);
        let seconds = now.at.duration_since(before.at).as_secs_f64().max(1e-3);
        let (mut tcp_in_use, mut tcp_time_wait) = (0, 0);
        if let Some(sockets) = self.sockstat.read()? {
            sockets.for_each(|field| match (field.protocol, field.name) {
                (b"TCP", b"inuse") => tcp_in_use = field.value,
                (b"TCP", b"tw") => tcp_time_wait = field.value,
                _ => {}
            })?;
        }
        Ok(HostSample {
            at_seconds: 0.0,
            trial: None,
            cpu: shares(&before.cpu, &now.cpu),
            context_switches_per_second: now.context_switches.saturating_sub(before.context_switches) as f64 / seconds,
            softirqs_per_second: now.softirqs.saturating_sub(before.softirqs) as f64 / seconds,
            tcp_in_use,
            tcp_time_wait,
            memory_available_bytes: self.meminfo.read()?.value("MemAvailable")?.unwrap_or(0),
        })
    }
}

/// Share of each mode in the ticks that passed, adding up to 1; all idle when no tick passed.
fn shares(before: &CpuTimes, now: &CpuTimes) -> BTreeMap<String, f64> {
    let modes = |times: &CpuTimes| {
        [
            ("user", times.user),
            ("nice", times.nice),
            ("system", times.system),
            ("idle", times.idle),
            ("iowait", times.iowait),
            ("irq", times.irq),
            ("softirq", times.softirq),
            ("steal", times.steal),
        ]
    };
    // idle and iowait may step back by a tick; proc_stat(5).
    let passed: Vec<(&str, u64)> = modes(now)
        .into_iter()
        .zip(modes(before))
        .map(|((mode, now), (_, before))| (mode, now.saturating_sub(before)))
        .collect();
    let total: u64 = passed.iter().map(|(_, ticks)| ticks).sum();
    let share = |mode: &str, ticks: u64| match total {
        0 => f64::from(mode == "idle"),
        total => ticks as f64 / total as f64,
    };
    passed.into_iter().map(|(mode, ticks)| (mode.to_owned(), share(mode, ticks))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shares of modes add up to 1, follow the ticks, and are all idle when no tick passed or one stepped back.
    #[test]
    fn shares_add_up() {
        let before = CpuTimes { user: 100, idle: 1000, iowait: 5, ..CpuTimes::default() };
        let now = CpuTimes { user: 125, system: 50, idle: 1025, iowait: 4, ..CpuTimes::default() };
        let shares_seen = shares(&before, &now);
        assert_eq!(shares_seen["user"], 0.25);
        assert_eq!(shares_seen["system"], 0.5);
        assert_eq!(shares_seen["iowait"], 0.0);
        assert!((shares_seen.values().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(shares(&before, &before)["idle"], 1.0);
    }

    /// A fixture tree read twice: sockets and memory as written, no rate without change.
    #[test]
    fn samples_a_fixture() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/net")).unwrap();
        std::fs::write(
            dir.path().join("proc/stat"),
            "cpu  9 0 0 9 0 0 0 0 0 0\ncpu0 9 0 0 9 0 0 0 0 0 0\nctxt 5\nsoftirq 7 0 0 0 0 0 0 0 0 0 0\n",
        )
        .unwrap();
        std::fs::write(
            dir.path().join("proc/net/sockstat"),
            "sockets: used 9\nTCP: inuse 4 orphan 0 tw 3 alloc 5 mem 1\n",
        )
        .unwrap();
        std::fs::write(dir.path().join("proc/meminfo"), "MemTotal: 9 kB\nMemAvailable: 8 kB\n").unwrap();
        let sample = Sampler::new(&Roots::below(dir.path())).unwrap().sample().unwrap();
        assert_eq!((sample.tcp_in_use, sample.tcp_time_wait, sample.memory_available_bytes), (4, 3, 8192));
        assert_eq!(sample.context_switches_per_second, 0.0);
    }
}
