//! The load generator: N connections, a schedule of requests, every reply checked.
//!
//! An epoll core of its own, since it must cost less than what it measures. The stop rule, the pacing and
//! the origin of latency are three values of a [`Spec`], not three loops:
//!
//! * open loop: each request has an intended send time that does not wait for replies (constant or Poisson
//!   arrivals); response time counts from there, so a stalled server cannot hide requests that it kept from
//!   being sent (coordinated omission, see wrk2's README by Gil Tene);
//! * closed loop: a reply triggers the next request; only for peaks, and labelled.
//!
//! Data flow: [`Spec`] → [`workload`] (pre-encoded requests) → one worker per CPU (sockets, pacing) →
//! [`recorder`] (histograms, errors) → [`Outcome`], merged by adding.

pub mod breaker;
mod clock;
pub(crate) mod connect;
mod connection;
pub(crate) mod opening;
mod pacing;
pub mod recorder;
pub mod spread;
pub mod summary;
pub(crate) mod worker;
pub mod workload;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

pub use clock::Clock;
pub use connect::ConnectError;
pub(crate) use pacing::Arrivals;
pub use pacing::{Pacing, Shuffle};
pub use recorder::{Latencies, Recorder};
pub use spread::Spread;
use worker::{Task, Turn, Worker};
pub use workload::Workload;

/// Most connections of one generator process; the fd limit usually binds first.
pub const CONNECTION_LIMIT: u32 = 1_000_000;

/// Longest run, warm-up and measurement together.
pub const DURATION_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Largest rate asked of one generator process, in requests per second: one every 100 ns.
pub const RATE_LIMIT: f64 = 10_000_000.0;

/// Most requests in flight on one connection.
pub const IN_FLIGHT_LIMIT: u32 = 1024;

/// What to do to a server.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The server.
    pub target: SocketAddr,
    /// Several servers in the place of `target`, which is the first of them; on one thread only.
    pub spread: Option<Spread>,
    /// Addresses to connect from, in turn; empty leaves it to the kernel.
    pub sources: Vec<IpAddr>,
    /// Connections to hold, over all threads.
    pub connections: u32,
    /// Share of them that send, 0 to 1; the others are held and stay idle.
    pub active_share: f64,
    /// Requests in flight per connection at most; above one they are pipelined.
    pub in_flight: u32,
    /// When requests are due.
    pub pacing: Pacing,
    /// Load before the measurement, not recorded.
    pub warmup: Duration,
    /// The measured window.
    pub measure: Duration,
    /// Stop after this many requests even if time is left.
    pub request_limit: Option<u64>,
    /// How long replies may take after the window's end before they count as timeouts, and how long connecting may take.
    pub timeout: Duration,
    /// CPUs of the worker threads, one thread each; empty means one thread where the process is.
    pub cpus: Vec<usize>,
    /// Seed of Poisson arrivals.
    pub seed: u64,
}

/// Where a run is; told to the caller as it happens, so that others can read their own meters at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// All connections are established.
    Connected,
    /// The measured window begins.
    WindowStart,
    /// A slice of the window ended, and it was not the last one.
    SliceEnd,
    /// The measured window ended; late replies are still awaited.
    WindowEnd,
}

/// What happened.
#[derive(Debug)]
pub struct Outcome {
    /// Merged histograms and counts.
    pub recorder: Recorder,
    /// The measured window as it was; shorter than asked when the run ended early.
    pub measured: Duration,
    /// Why the run ended before its time, in a sentence.
    pub ended_early: Option<String>,
    /// Connections that were still alive at the end of the window.
    pub alive: u32,
    /// What was seen of several servers.
    pub spread: Option<spread::Seen>,
}

impl Outcome {
    /// Right replies per second of the window, by when they came.
    pub fn rate(&self) -> f64 {
        self.recorder.answered as f64 / self.measured.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Errors by kind, as rows and summaries print them.
    pub fn errors(&self) -> BTreeMap<String, u64> {
        self.recorder.errors.iter().map(|(kind, count)| (kind.name().to_owned(), *count)).collect()
    }
}

/// Why a run could not be made at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Connections could not be opened.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A system call of the generator itself failed.
    #[error("load generator: {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        source: std::io::Error,
    },
}

/// Instants of one run, nanoseconds on the [`Clock`]. Set once all threads are connected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// Load begins.
    pub(crate) start: u64,
    /// The measured window begins.
    pub(crate) window_start: u64,
    /// The measured window ends, and with it the load.
    pub(crate) window_end: u64,
}

impl Schedule {
    /// Length of a slice of the window, at least a nanosecond.
    pub(crate) fn slice(&self) -> u64 {
        (self.window_end.saturating_sub(self.window_start) / recorder::SLICES as u64).max(1)
    }
}

/// Runs `spec` with `workload`; `stop` ends it early, `tell` hears of the phases.
///
/// # Errors
/// When connections cannot be opened or a system call of the generator fails. Whatever goes wrong with
/// established connections is counted in the outcome instead.
pub fn run(
    spec: &Spec,
    workload: &Workload,
    stop: &Arc<AtomicBool>,
    tell: &mut dyn FnMut(Phase),
) -> Result<Outcome, Error> {
    let threads = spec.cpus.len().max(1);
    let connected = Barrier::new(threads + 1);
    let begin = Barrier::new(threads + 1);
    let schedule: Mutex<Option<Schedule>> = Mutex::new(None);
    let failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|number| {
                let task = Task::of(spec, number, threads);
                let (connected, begin, schedule, failed) = (&connected, &begin, &schedule, &failed);
                scope.spawn(move || {
                    let opened = open(spec, task, number, threads, workload);
                    failed.fetch_or(opened.is_err(), Ordering::SeqCst);
                    connected.wait();
                    begin.wait();
                    let schedule = *schedule.lock().expect("no thread panics while it holds this lock");
                    match (opened, schedule) {
                        (Ok(mut worker), Some(schedule)) => {
                            worker.drive(task, schedule, &mut Turn::new(), stop).map(Some)
                        }
                        (Ok(_), None) => Ok(None),
                        (Err(error), _) => Err(error),
                    }
                })
            })
            .collect();
        connected.wait();
        let planned = (!failed.load(Ordering::SeqCst)).then(|| plan(Clock.now(), spec));
        *schedule.lock().expect("no thread panics while it holds this lock") = planned;
        begin.wait();
        if let Some(planned) = planned {
            announce(planned, || stop.load(Ordering::Relaxed) || workers.iter().all(|w| w.is_finished()), tell);
        }
        let parts =
            workers.into_iter().map(|w| w.join().expect("a worker does not panic")).collect::<Result<Vec<_>, _>>()?;
        Ok(merge(parts.into_iter().flatten(), planned))
    })
}

/// Worker `number` of `of`, with its equal share of the connections; the first ones take the remainder.
fn open(spec: &Spec, task: Task, number: usize, of: usize, workload: &Workload) -> Result<Worker, Error> {
    spec.cpus.get(number).map_or(Ok(()), |cpu| Worker::pin(*cpu))?;
    let mut worker = Worker::new(spec, task, workload)?;
    let whole = spec.connections as usize;
    worker.grow(whole / of + usize::from(number < whole % of))?;
    Ok(worker)
}

/// The instants of a run that starts now.
fn plan(now: u64, spec: &Spec) -> Schedule {
    let window_start = now + spec.warmup.as_nanos() as u64;
    Schedule { start: now, window_start, window_end: window_start + spec.measure.as_nanos() as u64 }
}

/// Tells the caller of the phases when they come, until the window ends or the workers have.
fn announce(schedule: Schedule, over: impl Fn() -> bool, tell: &mut dyn FnMut(Phase)) {
    tell(Phase::Connected);
    if sleep_until(schedule.window_start, &over) {
        tell(Phase::WindowStart);
        for slice in 1..recorder::SLICES as u64 {
            if !sleep_until(schedule.window_start + slice * schedule.slice(), &over) {
                break;
            }
            tell(Phase::SliceEnd);
        }
        sleep_until(schedule.window_end, &over);
    }
    tell(Phase::WindowEnd);
}

/// Sleeps until `deadline`, looking every 20 ms whether it is `over`; whether the deadline was reached.
fn sleep_until(deadline: u64, over: impl Fn() -> bool) -> bool {
    const LOOK: Duration = Duration::from_millis(20);
    loop {
        let left = Duration::from_nanos(deadline.saturating_sub(Clock.now()));
        if left.is_zero() {
            return true;
        }
        if over() {
            return false;
        }
        std::thread::sleep(left.min(LOOK));
    }
}

/// Adds up what the workers saw.
fn merge(parts: impl Iterator<Item = worker::Finished>, schedule: Option<Schedule>) -> Outcome {
    let mut whole =
        Outcome { recorder: Recorder::new(), measured: Duration::ZERO, ended_early: None, alive: 0, spread: None };
    let mut end = 0;
    for part in parts {
        whole.recorder.add(&part.recorder);
        whole.alive += part.alive;
        whole.spread = whole.spread.or(part.spread);
        whole.ended_early = whole.ended_early.or(part.ended_early);
        end = end.max(part.ended_at);
    }
    if let Some(schedule) = schedule {
        whole.measured = Duration::from_nanos(end.min(schedule.window_end).saturating_sub(schedule.window_start));
    }
    whole
}
