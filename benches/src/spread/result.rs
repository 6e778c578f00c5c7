//! `spreads.jsonl`: a row for each case, engine and round.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::load::spread::Seen;
use crate::result::{Latency, Status};

/// Version of the rows; fields are only ever added.
pub const SCHEMA: u32 = 1;

/// One case, once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Place in the file.
    pub index: u32,
    /// Round, from 1.
    pub round: u32,
    /// The engine of all servers.
    pub engine: String,
    /// `io_uring` or `epoll`.
    pub interface: String,
    /// The case's name.
    pub case: String,
    /// Whether the client had breakers.
    pub breaker: bool,
    /// The fault of each server that has one, by its number from 1.
    pub faults: BTreeMap<u32, String>,
    /// `ok`, `void`, `failed` or `unavailable`.
    pub status: Status,
    /// Why it does not count.
    pub reason: Option<String>,
    /// Start of the measured window, milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
    /// Requests per second that were due.
    pub rate: f64,
    /// Length of the measured window.
    pub measured_seconds: f64,
    /// Requests of the window that got a right reply, of whichever server.
    pub completed: u64,
    /// Right replies divided by the requests that were due in the window.
    pub goodput_ratio: f64,
    /// Requests that got none, by the kind of their last failure, warm-up included.
    pub errors: BTreeMap<String, u64>,
    /// From the intended send time to the right reply, retries included.
    pub response: Latency,
    /// The generator's own lateness.
    pub schedule_lag: Latency,
    /// What the client saw of each server.
    pub seen: Seen,
    /// CPU-microseconds of each server per right reply of its own, in the window; 0 without a reply.
    pub server_cpu_us_per_request: Vec<f64>,
}
