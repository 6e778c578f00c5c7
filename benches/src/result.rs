//! The files of a result directory, as types.
//!
//! A directory holds `plan.json`, `host.json`, `trials.jsonl` (one [`Trial`] a line, appended as trials
//! end, so that an interrupted run keeps what it measured), `timeline.jsonl` (one [`HostSample`] a line),
//! `histograms/*.hgrm` and `*.hdr` (HDR V2, deflated), and the reports made from them. `report` reads these
//! files and nothing else. Fields are only ever added: every field that may be missing has a default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of the rows. Readers require the fields they need and ignore what they do not know.
pub const SCHEMA: u32 = 1;

/// What a trial was run for. Tracing perturbs, so it has passes of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pass {
    /// Latency, CPU, memory: the numbers of the table.
    Timing,
    /// System calls per request, counted through the raw_syscalls tracepoint; its timings are not used.
    Syscalls,
    /// CPU stacks for a flame graph; its timings are not used.
    Flame,
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Measured and fit for the statistics.
    Ok,
    /// Measured, kept and shown, but not counted; `reason` says why.
    Void,
    /// Something broke while it ran (server died, wrong reply); `reason` says what.
    Failed,
    /// The engine cannot run on this box; `reason` is the engine's own sentence.
    Unavailable,
}

/// The load that a trial offered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// `open` or `closed`.
    pub mode: String,
    /// `constant` or `poisson`; `None` in closed loop.
    #[serde(default)]
    pub arrivals: Option<String>,
    /// Requests per second asked for; `None` in closed loop.
    #[serde(default)]
    pub rate: Option<f64>,
    /// Connections held.
    pub connections: u32,
    /// Requests in flight per connection, at most.
    pub in_flight: u32,
    /// Bytes of note text or echo payload in a request.
    pub payload_bytes: u32,
    /// Share of note requests that add one, 0 to 1; the others list. `None` for echo, and in rows of older labs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_share: Option<f64>,
    /// Notes in a listed page. `None` for echo, and in rows of older labs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// Seconds before the measurement starts.
    pub warmup_seconds: f64,
    /// Seconds measured.
    pub measure_seconds: f64,
}

/// A latency distribution in microseconds. The whole histogram stands beside the rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Samples.
    pub count: u64,
    /// Arithmetic mean.
    pub mean_us: f64,
    /// Median.
    pub p50_us: f64,
    /// 90th percentile.
    pub p90_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// 99.9th percentile.
    pub p999_us: f64,
    /// 99.99th percentile.
    pub p9999_us: f64,
    /// Largest.
    pub max_us: f64,
}

/// What the server process spent in the measured window, read from outside through hostfs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerCost {
    /// CPU-microseconds per completed request (user and system together), from the process CPU clock.
    pub cpu_us_per_request: f64,
    /// The user part; the split is sampled by the kernel's tick, the sum is not.
    pub cpu_user_us_per_request: f64,
    /// The system part, softirq work done in the server's context included.
    pub cpu_system_us_per_request: f64,
    /// Busy CPU-microseconds of the whole box per request: server, generator, softirq and all else.
    pub box_cpu_us_per_request: f64,
    /// Share of its one core that the server used, 0 to 1.
    pub core_share: f64,
    /// Voluntary context switches per request (it waited).
    pub context_switches_voluntary_per_request: f64,
    /// Involuntary context switches per request (it was pre-empted).
    pub context_switches_involuntary_per_request: f64,
    /// Resident set size at the end of the window, in bytes.
    pub rss_bytes: u64,
    /// Proportional set size at the end of the window, in bytes; `None` where smaps_rollup is missing.
    #[serde(default)]
    pub pss_bytes: Option<u64>,
    /// Threads, kernel workers of the ring included.
    pub threads: u32,
    /// System calls per request; only in rows of the syscalls pass.
    #[serde(default)]
    pub syscalls_per_request: Option<f64>,
    /// Why there are no system calls in a row that should have them.
    #[serde(default)]
    pub syscalls_unavailable: Option<String>,
}

/// What the load generator spent and how well it kept its schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorCost {
    /// Its CPU-microseconds per completed request.
    pub cpu_us_per_request: f64,
    /// Share of its core that it used, 0 to 1.
    pub core_share: f64,
    /// Actual minus intended send time of requests that no earlier reply held back: its own lateness.
    pub schedule_lag: Latency,
}

/// What else happened on the box in the measured window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Surroundings {
    /// Share of all cores' time taken by the hypervisor, 0 to 1.
    pub steal_share: f64,
    /// Share of all cores' time used by processes other than server, generator and lab, 0 to 1.
    pub foreign_cpu_share: f64,
    /// Growth of TcpExt ListenOverflows.
    pub listen_overflows: u64,
    /// Growth of Tcp RetransSegs.
    pub retransmits: u64,
}

/// What a trial of the flame pass sampled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flame {
    /// Path of the folded stacks below the result directory.
    pub folded: String,
    /// `pprof` or `perf`.
    pub sampler: String,
    /// Samples a second of CPU time that were asked for.
    pub hertz: u32,
    /// Seconds sampled.
    pub seconds: u32,
    /// Samples taken.
    pub samples: u64,
    /// Share of them in the kernel, 0 to 1.
    pub kernel_share: f64,
}

/// One of the equal parts of a trial's measured window: whether what was measured stood still.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Requests with the right reply.
    pub completed: u64,
    /// Mean of their response times in microseconds.
    pub response_mean_us: f64,
    /// Server CPU-microseconds per request; `None` where the server's clock was not read at both ends.
    #[serde(default)]
    pub server_cpu_us_per_request: Option<f64>,
}

/// One row of `trials.jsonl`: one engine under one load once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// [`SCHEMA`] when the row was written.
    pub schema: u32,
    /// Position in the order in which trials ran, from 0.
    pub index: u32,
    /// Round, from 1; 0 for the syscalls pass.
    pub round: u32,
    /// What the trial was for.
    pub pass: Pass,
    /// Name of the contender in this result, unique per engine: `mio`, `monoio-uring`, … `mio-again` for an A/A twin.
    pub engine: String,
    /// The engine that this is a second name of: the A/A pair.
    #[serde(default)]
    pub twin_of: Option<String>,
    /// `io_uring` or `epoll`.
    pub interface: String,
    /// `frame` or `http1`.
    pub protocol: String,
    /// `echo` or `note`.
    pub service: String,
    /// `raw`, `json` or `protobuf`.
    pub format: String,
    /// The offered load.
    pub load: Load,
    /// How it ended.
    pub status: Status,
    /// Why, for every status but `ok`.
    #[serde(default)]
    pub reason: Option<String>,
    /// What kept the rate from being higher: `offered-rate`, `server-cpu`, `generator-cpu`, `in-flight`, …
    #[serde(default)]
    pub limiter: Option<String>,
    /// Start of the measured window, milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
    /// Length of the measured window.
    pub measured_seconds: f64,
    /// Requests that came up in the window; `None` in closed loop and in rows of older labs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<u64>,
    /// Requests that were due in the window and got the right reply, whenever it came: what the latencies are of.
    pub completed: u64,
    /// Right replies per second, counted by when they came: a reply to the window's requests that comes after it is no part of it.
    pub rate_achieved: f64,
    /// Errors by kind: `wrong-reply`, `refused`, `reset`, `closed`, `timeout`, `overrun`, ….
    #[serde(default)]
    pub errors: BTreeMap<String, u64>,
    /// From the intended send time to the reply: what a user feels. Equals `service` in closed loop.
    pub response: Latency,
    /// From the actual send to the reply.
    pub service_time: Latency,
    /// The window in ten equal parts, in their order; empty in rows of older labs.
    #[serde(default)]
    pub slices: Vec<Slice>,
    /// Paths of the histograms below the result directory, without suffix: `histograms/0007-response`.
    #[serde(default)]
    pub histograms: BTreeMap<String, String>,
    /// CPU stacks; only in rows of the flame pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flame: Option<Flame>,
    /// The server's cost.
    pub server: ServerCost,
    /// The generator's cost.
    pub generator: GeneratorCost,
    /// The rest of the box.
    pub surroundings: Surroundings,
    /// The server's ready line, as it printed it.
    #[serde(default)]
    pub ready: serde_json::Value,
    /// The server's own final counters, as it printed them.
    #[serde(default)]
    pub counters: serde_json::Value,
}

/// One line of `timeline.jsonl`: the box over one interval of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostSample {
    /// End of the interval, seconds since the run started.
    pub at_seconds: f64,
    /// Index of the trial that ran then.
    #[serde(default)]
    pub trial: Option<u32>,
    /// Share of all cores' time per mode (`user`, `system`, `softirq`, `irq`, `iowait`, `steal`, `nice`, `idle`), adding up to 1.
    pub cpu: BTreeMap<String, f64>,
    /// Context switches per second.
    pub context_switches_per_second: f64,
    /// Softirqs per second.
    pub softirqs_per_second: f64,
    /// TCP sockets in use (sockstat `inuse`).
    pub tcp_in_use: u64,
    /// TCP sockets in TIME_WAIT (sockstat `tw`).
    pub tcp_time_wait: u64,
    /// Memory available, in bytes.
    pub memory_available_bytes: u64,
}

/// `plan.json`: what the run set out to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The scenario's name.
    pub scenario: String,
    /// The scenario's prose: which question it asks.
    pub question: String,
    /// Seed of the shuffle.
    pub seed: u64,
    /// Rounds.
    pub rounds: u32,
    /// CPU of the servers.
    pub server_cpus: Vec<usize>,
    /// CPU of the load generator.
    pub generator_cpus: Vec<usize>,
    /// What to work out from the formats' costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calculator: Option<crate::calculator::Planned>,
    /// The trials in the order in which they run.
    pub trials: Vec<PlannedTrial>,
}

/// One trial of a [`Plan`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedTrial {
    /// Position in the order, from 0.
    pub index: u32,
    /// Round, from 1; 0 for the syscalls pass.
    pub round: u32,
    /// What for.
    pub pass: Pass,
    /// Contender's name in this result.
    pub engine: String,
    /// The engine that this is a second name of.
    #[serde(default)]
    pub twin_of: Option<String>,
    /// `io_uring` or `epoll`.
    pub interface: String,
    /// `frame` or `http1`.
    pub protocol: String,
    /// `echo` or `note`.
    pub service: String,
    /// `raw`, `json` or `protobuf`.
    pub format: String,
    /// The load.
    pub load: Load,
}

/// `host.json`: the machine's fingerprint and how the run was started. Groups of named values, in the
/// order in which a report shows them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The command line.
    pub command: Vec<String>,
    /// RFC 3339, UTC.
    pub started: String,
    /// The commit that the lab was built from, with `+changes` when the tree was not clean; `None` outside a checkout.
    #[serde(default)]
    pub commit: Option<String>,
    /// Cargo profile of the servers.
    pub profile: String,
    /// Groups: `cpu`, `memory`, `kernel`, `limits`, `network`, `io_uring`, `versions`.
    pub groups: Vec<FactGroup>,
}

/// One group of the fingerprint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FactGroup {
    /// Its name.
    pub name: String,
    /// Name and value of each fact, as text.
    pub facts: Vec<(String, String)>,
}
