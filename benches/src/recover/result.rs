//! `recover.jsonl`, as types: one row a story. Fields are only ever added.

use serde::{Deserialize, Serialize};

use crate::result::{Latency, Status, Surroundings};

/// Version of the rows. Readers require the fields they need and ignore what they do not know.
pub const SCHEMA: u32 = 1;

/// Name of the file in a result directory.
pub const FILE: &str = "recover.jsonl";

/// Length of a [`Tick`].
pub const TICK_SECONDS: f64 = 0.1;

/// What a row tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Story {
    /// 0.8 of the limit, 1.5, 2, and back to 0.8.
    Overload,
    /// Everybody is cut off and comes back at once, and as many strangers with them.
    Storm,
    /// Half of the limit, all of it served or all of it refused: what each costs.
    Price,
}

/// A stretch of constant offered load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// `warm-up`, `below`, `1.5x`, `2x`, `back`, ….
    pub name: String,
    /// Offered load in units of the limit.
    pub factor: f64,
    /// When it began, seconds since the story did.
    pub begins_seconds: f64,
    /// Its length.
    pub seconds: f64,
    /// Wishes of users that came up in it.
    pub due: u64,
    /// Requests sent or queued for them: wishes and further tries.
    pub tries: u64,
    /// Right replies within the deadline, by the time of the reply.
    pub good: u64,
    /// Tries whose deadline passed after they were sent.
    pub late: u64,
    /// Tries whose deadline passed before a connection was free for them.
    pub unsent: u64,
    /// Tries that were refused (503).
    pub refused: u64,
    /// Replies that came after their deadline: work for nobody.
    pub wasted: u64,
    /// Tries that a lost connection took with it.
    pub lost: u64,
    /// Response times of good replies, from the moment at which the try was due.
    pub accepted: Latency,
    /// CPU-microseconds of the server.
    pub server_cpu_us: f64,
}

/// What happened in [`TICK_SECONDS`], by the time at which it happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// Wishes that came up.
    pub due: u64,
    /// Right replies within the deadline.
    pub good: u64,
    /// Deadlines that passed, sent or not.
    pub late: u64,
    /// Refusals.
    pub refused: u64,
    /// 99th percentile of good replies' response times, microseconds; `None` without any.
    #[serde(default)]
    pub p99_us: Option<f64>,
}

/// How an overload went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Good replies per second at 1.5 times the limit, in units of the limit.
    pub goodput_at_1_5: f64,
    /// The same at twice the limit.
    pub goodput_at_2: f64,
    /// 99th percentile of what was accepted at twice the limit, microseconds.
    pub accepted_p99_us: f64,
    /// Share of replies with content that came too late, at twice the limit.
    pub wasted_share: f64,
    /// Seconds from the end of the overload until goodput is back for good; `None` when that did not happen.
    #[serde(default)]
    pub recovery_seconds: Option<f64>,
    /// The overload outlived its cause: goodput never came back at 0.8 of the limit.
    pub metastable: bool,
}

/// How a reconnect storm went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StormScore {
    /// Users who were cut off.
    pub cut_off: u32,
    /// Strangers who came with them.
    pub strangers: u32,
    /// Seconds until all had a connection, refused or not.
    pub connect_seconds: f64,
    /// Connections that the first gate refused.
    pub refused_connections: u64,
    /// Seconds until goodput is back for good; `None` when that did not happen.
    #[serde(default)]
    pub recovery_seconds: Option<f64>,
}

/// What serving and refusing cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// CPU-microseconds of the server for a request that it serves.
    pub served_us: f64,
    /// For a request that it refuses, at the same rate over the same connections.
    pub refused_us: f64,
    /// The second divided by the first.
    pub ratio: f64,
}

/// One row of `recover.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// [`SCHEMA`] when the row was written.
    pub schema: u32,
    /// Engine.
    pub engine: String,
    /// `io_uring` or `epoll`.
    pub interface: String,
    /// Framing.
    pub protocol: String,
    /// Wire format.
    pub format: String,
    /// `echo` or `note`.
    pub service: String,
    /// What the row tells.
    pub story: Story,
    /// `--limit-requests` of the server; `None` without a limiter.
    #[serde(default)]
    pub limiter: Option<String>,
    /// How often users try again.
    pub retries: u32,
    /// The limit, requests per second.
    pub limit: f64,
    /// Patience of users, in milliseconds.
    pub deadline_ms: f64,
    /// Connections that users share.
    pub connections: u32,
    /// Requests in flight per connection, at most.
    pub in_flight: u32,
    /// How it ended.
    pub status: Status,
    /// Why, for every status but `ok`.
    #[serde(default)]
    pub reason: Option<String>,
    /// Start, milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
    /// The phases, in order.
    pub phases: Vec<Phase>,
    /// The story in ticks of [`TICK_SECONDS`].
    pub ticks: Vec<Tick>,
    /// Of an overload.
    #[serde(default)]
    pub score: Option<Score>,
    /// Of a storm.
    #[serde(default)]
    pub storm: Option<StormScore>,
    /// Of a price.
    #[serde(default)]
    pub price: Option<Price>,
    /// Share of its core that the generator used.
    pub generator_core_share: f64,
    /// 99th percentile of the generator's own lateness, microseconds.
    pub schedule_lag_p99_us: f64,
    /// The rest of the box.
    #[serde(default)]
    pub surroundings: Surroundings,
    /// The server's ready line.
    #[serde(default)]
    pub ready: serde_json::Value,
    /// The server's own final counters.
    #[serde(default)]
    pub counters: serde_json::Value,
}
