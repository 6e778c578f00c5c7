//! What a generator process says on stdout: JSON lines as a run goes on, the last one with everything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Outcome;
use super::recorder::SliceCount;
use super::spread::Seen;
use crate::result::Latency;

/// One line of `lab load --events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// All connections are established.
    Connected,
    /// The measured window begins.
    WindowStart,
    /// A slice of the window ended, and it was not the last one.
    SliceEnd,
    /// The measured window ended.
    WindowEnd,
    /// The run is over.
    Done(Box<Summary>),
}

/// One of the equal parts of the measured window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Requests with the right reply that were due in it.
    pub completed: u64,
    /// Mean of their response times in microseconds, 0 without any.
    pub response_mean_us: f64,
    /// Right replies that came in it.
    #[serde(default)]
    pub answered: u64,
}

/// The figures of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Length of the measured window.
    pub measured_seconds: f64,
    /// Requests that came up in the window; none in closed loop.
    #[serde(default)]
    pub due: u64,
    /// Requests of the window with the right reply, whenever it came.
    pub completed: u64,
    /// Right replies that came within the window.
    #[serde(default)]
    pub answered: u64,
    /// Requests sent, warm-up included.
    pub sent: u64,
    /// Connections that were opened again because the server had closed them behind a reply, as HTTP lets it.
    #[serde(default)]
    pub reopened: u64,
    /// Right replies per second of the window, by when they came.
    pub rate: f64,
    /// Errors by kind.
    pub errors: BTreeMap<String, u64>,
    /// The first error in words.
    #[serde(default)]
    pub example: Option<String>,
    /// From the intended send time to the reply.
    pub response: Latency,
    /// From the actual send to the reply.
    pub service_time: Latency,
    /// Actual minus intended send time of requests that no earlier reply held back.
    pub schedule_lag: Latency,
    /// The window in ten equal parts.
    #[serde(default)]
    pub slices: Vec<Slice>,
    /// Connections alive at the end of the window.
    pub alive: u32,
    /// Why the run ended before its time.
    #[serde(default)]
    pub ended_early: Option<String>,
    /// What was seen of several servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Seen>,
    /// CPU-seconds of this process over the whole run, connecting included (getrusage(2)).
    pub cpu_seconds: f64,
    /// CPU-microseconds of this process per request sent, over the whole run.
    pub cpu_us_per_request: f64,
}

impl Summary {
    /// The figures of `outcome`.
    pub fn of(outcome: &Outcome) -> Self {
        let record = &outcome.recorder;
        let cpu_seconds = own_cpu_seconds();
        Self {
            measured_seconds: outcome.measured.as_secs_f64(),
            due: record.due,
            completed: record.completed,
            answered: record.answered,
            sent: record.sent,
            reopened: record.reopened,
            rate: outcome.rate(),
            errors: outcome.errors(),
            example: record.example.clone(),
            response: record.response.summary(),
            service_time: record.service.summary(),
            schedule_lag: record.lag.summary(),
            slices: record.slices.iter().map(Slice::of).collect(),
            alive: outcome.alive,
            ended_early: outcome.ended_early.clone(),
            spread: outcome.spread.clone(),
            cpu_seconds,
            cpu_us_per_request: cpu_seconds * 1e6 / record.sent.max(1) as f64,
        }
    }
}

impl Slice {
    fn of(count: &SliceCount) -> Self {
        let completed = count.completed;
        let response_mean_us = count.response_ns as f64 / 1e3 / completed.max(1) as f64;
        Self { completed, response_mean_us, answered: count.answered }
    }
}

/// CPU time of this process so far.
fn own_cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
