//! `climbs.jsonl`: one row a climb, an engine that was taken from plateau to plateau.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::memory::{Memory, Slopes};
use crate::result::{Latency, ServerCost, Status, Surroundings};

/// Version of the rows. Fields are only added; consumers require what they need.
pub const SCHEMA: u32 = 1;

/// One climb.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Climb {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Its place in the order in which climbs ran.
    pub index: u32,
    /// Round, from 1.
    pub round: u32,
    /// Engine by its name in engines.toml.
    pub engine: String,
    /// `io_uring` or `epoll`.
    pub interface: String,
    /// Framing.
    pub protocol: String,
    /// `echo` or `note`.
    pub service: String,
    /// Wire format.
    pub format: String,
    /// How it ended.
    pub status: Status,
    /// Why it did not count, or what went wrong.
    #[serde(default)]
    pub reason: Option<String>,
    /// Users that were asked for at the top.
    pub users: u32,
    /// Server processes.
    pub shards: u32,
    /// Generator processes.
    pub holders: u32,
    /// Where it ran: the network namespace in a sentence.
    pub namespace: String,
    /// Unix time of the start, in milliseconds.
    pub started_unix_ms: u64,
    /// Plateaus, lowest first; the first one has no users.
    pub plateaus: Vec<Plateau>,
    /// Bytes per connection; `None` with fewer plateaus than a slope needs.
    #[serde(default)]
    pub slopes: Option<Slopes>,
    /// The hold at the top.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// What the users did at the top beside talking.
    #[serde(default)]
    pub life: Vec<Life>,
    /// What was left after the end.
    #[serde(default)]
    pub leftovers: Option<Leftovers>,
    /// Connections that the servers say they accepted, by shard.
    #[serde(default)]
    pub accepted: Vec<u64>,
    /// Requests and bytes of all servers over the whole climb, as they counted them themselves; `None` in older rows.
    #[serde(default)]
    pub totals: Option<Totals>,
    /// The first shard's ready line.
    #[serde(default)]
    pub ready: serde_json::Value,
}

/// What the servers of a climb counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Requests, probes included.
    pub requests: u64,
    /// Bytes that came in, framing included.
    pub bytes_in: u64,
    /// Bytes that went out, framing included.
    pub bytes_out: u64,
}

impl Totals {
    /// Adds up the servers' counters lines; `None` when one of them did not count.
    pub fn of(counters: &[serde_json::Value]) -> Option<Self> {
        let sum = |name: &str| counters.iter().map(|said| said[name].as_u64()).sum::<Option<u64>>();
        let totals = Self { requests: sum("requests")?, bytes_in: sum("bytes_in")?, bytes_out: sum("bytes_out")? };
        (totals.requests > 0).then_some(totals)
    }
}

/// The same number of users, held while it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// Users that were asked for.
    pub users: u32,
    /// Seconds from the order to the last verified slice.
    pub connect_seconds: f64,
    /// CPU seconds of all servers meanwhile: handshakes, and one request in two thousand.
    pub connect_server_cpu_seconds: f64,
    /// Memory once they were connected and before they were loaded.
    pub memory: Memory,
    /// Loads that were offered there.
    pub windows: Vec<Window>,
    /// Accept queues that overflowed on the way (`ListenOverflows`).
    pub listen_overflows: u64,
    /// What the users did there beside talking, in scenarios whose life goes on at every plateau.
    #[serde(default)]
    pub life: Vec<Life>,
}

/// One load at one plateau.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Share of the users that sent.
    pub active_share: f64,
    /// `constant` or `poisson`.
    pub arrivals: String,
    /// Requests per second that were asked for.
    pub rate: f64,
    /// Right replies per second, by when they came.
    pub rate_achieved: f64,
    /// Seconds measured.
    pub measured_seconds: f64,
    /// Requests of the window with the right reply, whenever it came.
    pub completed: u64,
    /// Bytes of a request as the generators sent it, framing included; `None` where one had no reply, and in older rows.
    #[serde(default)]
    pub request_bytes: Option<f64>,
    /// Bytes of a reply as the generators received it.
    #[serde(default)]
    pub reply_bytes: Option<f64>,
    /// Errors by kind.
    pub errors: BTreeMap<String, u64>,
    /// Why it does not count; `None` when it does.
    pub void: Option<String>,
    /// From the intended send time to the reply.
    pub response: Latency,
    /// From the actual send to the reply.
    pub service_time: Latency,
    /// The generator's own lateness.
    pub schedule_lag: Latency,
    /// All servers together.
    pub server: ServerCost,
    /// CPU of all generators per request, in microseconds.
    pub generator_cpu_us_per_request: f64,
    /// What else the box did.
    pub surroundings: Surroundings,
}

/// An event in the life of the users at the top.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Life {
    /// `storm`, `churn`, `vanish`, `slow-readers` or `broadcast`.
    pub kind: String,
    /// Users that took part.
    pub affected: u32,
    /// Requests that they asked.
    pub asked: u64,
    /// Right replies.
    pub right: u64,
    /// From the order to the last reply, the measuring of the others included.
    pub seconds: f64,
    /// From the event, or from a newcomer's due time, to its right reply.
    pub served_again: Latency,
    /// CPU of all servers.
    pub server_cpu_seconds: f64,
    /// What the servers' own memory (PSS) grew by, in bytes.
    pub server_memory_delta: f64,
    /// Accept queues that overflowed.
    pub listen_overflows: u64,
    /// What the other users said meanwhile.
    #[serde(default)]
    pub others: Option<Window>,
    /// The first wrong reply in words.
    #[serde(default)]
    pub example: Option<String>,
    /// What was not kept; `None` when everybody was served.
    #[serde(default)]
    pub verdict: Option<String>,
    /// What it took to tell everybody an event. `asked` and `right` then count deliveries.
    #[serde(default)]
    pub broadcast: Option<Broadcast>,
}

/// One event to all users.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Broadcast {
    /// Bytes of the event's text.
    pub bytes: u32,
    /// `once` for all connections, or anew for `each`.
    pub serialise: String,
    /// Events that were told, one after the other.
    pub times: u32,
    /// Bytes of an event as a user received it: framing, format and text.
    pub wire_bytes: f64,
    /// From the moment at which all servers were to begin to the first user who heard it: median of the events.
    pub first_us: f64,
    /// To the last user who heard it: median of the events.
    pub last_us: f64,
    /// From the same moment to each user, all events added.
    pub delivery: Latency,
    /// CPU-microseconds of all servers per delivery.
    pub server_cpu_us: f64,
    /// Of the generators.
    pub generator_cpu_us: f64,
    /// Of the whole box.
    pub box_cpu_us: f64,
    /// System calls of the servers per delivery, counted while one more event was told.
    #[serde(default)]
    pub syscalls: Option<f64>,
    /// Why they were not counted.
    #[serde(default)]
    pub syscalls_unavailable: Option<String>,
}

/// Users held at the top.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// How long.
    pub seconds: f64,
    /// Users alive at the end.
    pub alive: u32,
    /// Users lost on the way.
    pub lost: u32,
    /// TCP sockets of the namespace at the end, both ends (`/proc/net/sockstat`).
    pub tcp_sockets: u64,
    /// Random users that were asked a request before the hold, and right replies.
    pub probed_before: (u32, u32),
    /// The same after it.
    pub probed_after: (u32, u32),
    /// CPU seconds of all servers while nobody spoke.
    pub server_cpu_seconds: f64,
}

/// What was left once every process had ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftovers {
    /// Processes of the fleet.
    pub processes: u32,
    /// TCP sockets in the run's namespace.
    pub tcp_sockets: u64,
    /// Sockets in TIME_WAIT there.
    pub time_wait: u64,
}
