//! A thread that reads the signals while a trial runs, from before its first connection until it is told to stop.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hostfs::Roots;

use super::signals::{Signals, Subject};
use crate::observe::GroupProbe;
use crate::plan::Cpus;
use crate::trial::{Edge, Watcher};

/// Time between readings at most, for windows of ten seconds and more.
const LONGEST: Duration = Duration::from_secs(1);

/// Time between readings at least: a reading takes some 300 µs, and the kernel's ticks are 10 ms.
const SHORTEST: Duration = Duration::from_millis(50);

/// Readings of one trial at most; a longer one keeps its first ones.
const READINGS: usize = 100_000;

/// Signals by name.
pub type Values = BTreeMap<&'static str, f64>;

/// All signals at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Seconds since the server was ready.
    pub at_seconds: f64,
    /// What was read.
    pub values: Values,
}

/// What a watch leaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// In order of time, the first one before the first connection.
    pub readings: Vec<Reading>,
    /// Begin and end of the measured window, if it began.
    pub window_seconds: Option<(f64, f64)>,
}

impl Record {
    /// Readings within the measured window; all of them when there was none.
    pub(super) fn window(&self) -> &[Reading] {
        let Some((from, to)) = self.window_seconds else { return &self.readings };
        let first = self.readings.partition_point(|reading| reading.at_seconds < from);
        let end = self.readings.partition_point(|reading| reading.at_seconds <= to);
        &self.readings[first..end.max(first)]
    }

    /// Adds a signal that is known only at the end, to the last reading.
    pub fn add(&mut self, name: &'static str, value: f64) {
        if let Some(last) = self.readings.last_mut() {
            last.values.insert(name, value);
        }
    }
}

/// Watches one trial.
pub struct Watch {
    roots: Roots,
    cpus: Cpus,
    interval: Duration,
    /// The generator's process; 0 until there is one.
    generator: Arc<AtomicU32>,
    running: Mutex<Option<Running>>,
}

struct Running {
    started: Instant,
    window: Option<(f64, f64)>,
    stop: Sender<()>,
    thread: JoinHandle<Vec<Reading>>,
}

impl Watch {
    /// A watch on a trial whose window is `seconds` long: ten readings or more in it, and finer ones when `near` the limit.
    pub fn new(cpus: &Cpus, seconds: f64, near: bool) -> Self {
        let parts = if near { 20.0 } else { 10.0 };
        let interval = Duration::from_secs_f64((seconds / parts).max(0.0)).clamp(SHORTEST, LONGEST);
        let (generator, running) = (Arc::default(), Mutex::new(None));
        Self { roots: Roots::default(), cpus: cpus.clone(), interval, generator, running }
    }

    /// Ends it; what was read. Empty when the server was never ready.
    pub fn finish(self) -> Record {
        let running = self.running.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Some(Running { window, stop, thread, .. }) = running else { return Record::default() };
        drop(stop);
        Record { readings: thread.join().unwrap_or_default(), window_seconds: window }
    }
}

impl Watcher for Watch {
    fn ready(&self, server: &GroupProbe, line: &serde_json::Value) {
        // What ran before the lab was not moved to the plan's cores.
        let elsewhere = line["cpus_allowed"].as_str().and_then(cpus);
        let subject = Subject {
            server: server.processes().unwrap_or_default(),
            server_cpus: elsewhere.unwrap_or_else(|| self.cpus.server.clone()),
            generator_cores: self.cpus.generator.len(),
            max_connections: line["max_connections"].as_u64(),
            shards: line["shards"].as_u64().unwrap_or(0),
        };
        let started = Instant::now();
        let mut signals = Signals::new(&self.roots, subject);
        // Here rather than in the thread: growth counts from before the first connection.
        let first = Reading { at_seconds: 0.0, values: signals.read() };
        let (stop, stopped) = mpsc::channel();
        let (generator, interval, cpus) = (Arc::clone(&self.generator), self.interval, self.cpus.observer.clone());
        let server = server.clone();
        let thread = std::thread::spawn(move || {
            move_to(&cpus);
            follow(signals, first, started, interval, &server, &generator, &stopped)
        });
        let running = Running { started, window: None, stop, thread };
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
    }

    fn generator(&self, pid: u32) {
        self.generator.store(pid, Ordering::Relaxed);
    }

    fn window(&self, edge: Edge) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = running.as_mut() else { return };
        let now = running.started.elapsed().as_secs_f64();
        running.window = match (edge, running.window) {
            (Edge::End, Some((start, _))) => Some((start, now)),
            // Until its end is told it goes on.
            _ => Some((now, f64::INFINITY)),
        };
    }
}

/// Reads at every interval until the sender is dropped, and once more then.
fn follow(
    mut signals: Signals,
    first: Reading,
    started: Instant,
    interval: Duration,
    server: &GroupProbe,
    generator: &AtomicU32,
    stopped: &Receiver<()>,
) -> Vec<Reading> {
    let mut readings = vec![first];
    let mut known = 0;
    let mut deadline = started + interval;
    while readings.len() < READINGS {
        let wait = deadline.saturating_duration_since(Instant::now());
        let last = !matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout));
        let pid = generator.load(Ordering::Relaxed);
        if pid != known {
            signals.generator(pid);
            known = pid;
        }
        // Of a server that has ended the last ones are kept.
        if let Ok(processes) = server.processes() {
            signals.server(&processes);
        }
        let at_seconds = started.elapsed().as_secs_f64();
        readings.push(Reading { at_seconds, values: signals.read() });
        if last {
            break;
        }
        // What was missed is left out.
        while deadline <= Instant::now() {
            deadline += interval;
        }
    }
    readings
}

/// CPUs from a list as the kernel writes it, `0-3,8` (proc_pid_status(5), Cpus_allowed_list).
fn cpus(list: &str) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        all.extend((first..=last).take(rustix::thread::CpuSet::MAX_CPU));
    }
    (!all.is_empty()).then_some(all)
}

/// Moves the calling thread to `cpus`; where that fails it reads from where it is.
fn move_to(cpus: &[usize]) {
    let mut set = rustix::thread::CpuSet::new();
    cpus.iter().filter(|cpu| **cpu < rustix::thread::CpuSet::MAX_CPU).for_each(|cpu| set.set(*cpu));
    if set.count() > 0 {
        let _ = rustix::thread::sched_setaffinity(None, &set);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists of CPUs read as the kernel writes them; what is none is none.
    #[test]
    fn lists_of_cpus() {
        assert_eq!(cpus("0-3,8"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(cpus("5"), Some(vec![5]));
        for wrong in ["", "a-b", "3-1", "1-"] {
            assert_eq!(cpus(wrong), None, "{wrong}");
        }
    }
}
