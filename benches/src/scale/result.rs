//! `scale.jsonl`: one row a number of instances and round.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::scenario::Scenario;
use crate::result::Latency;

/// Version of the rows. Fields are only added.
pub const SCHEMA: u32 = 1;

/// So many instances, once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Place in the order in which points ran.
    pub index: u32,
    /// Round, from 1.
    pub round: u32,
    /// Instances.
    pub instances: u32,
    /// Requests a second of all of them.
    pub throughput: f64,
    /// Requests a second of each.
    pub of_each: Vec<f64>,
    /// Time from sending a request to its reply, over all instances. Closed loop: what a client waits, not what users feel.
    pub service_time: Latency,
    /// Errors by kind.
    #[serde(default)]
    pub errors: BTreeMap<String, u64>,
    /// Share of their CPUs that the instances used, 0 to 1.
    pub server_share: f64,
    /// Share of its CPUs that load and stub used, 0 to 1.
    pub load_share: f64,
    /// Why it does not count; `None` when it does.
    #[serde(default)]
    pub void: Option<String>,
    /// When it began, milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
}

/// `plan.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The scenario, whole.
    pub scenario: Scenario,
    /// CPUs of the instances.
    pub server_cpus: Vec<usize>,
    /// CPUs of load and stub.
    pub load_cpus: Vec<usize>,
    /// Instances and round of each point, in their order.
    pub order: Vec<(u32, u32)>,
}
