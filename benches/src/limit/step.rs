//! One load of a search: what the trial's row and the box's counters say about it. Pure.

use serde::{Deserialize, Serialize};

use super::search::Phase;
use super::slo::{Breach, Objective};
use crate::load::Pacing;
use crate::plan::Cpus;
use crate::result::{Latency, Status, Trial};
use crate::saturation::{Side, Tier, Verdict};
use crate::scenario::VoidsPart;

/// Version of the rows of `steps.jsonl`.
pub const SCHEMA: u32 = 1;

/// What a load came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All objectives were met.
    Held,
    /// The server missed an objective.
    Broke,
    /// The server died.
    Died,
    /// The load generator could not offer more: what the server can do is not known.
    Generator,
    /// An objective was missed while the box was busy with other things: it says nothing about the server.
    Noise,
    /// The engine cannot run here.
    Unavailable,
}

impl Outcome {
    /// For a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Broke => "broke",
            Self::Died => "died",
            Self::Generator => "generator",
            Self::Noise => "noise",
            Self::Unavailable => "unavailable",
        }
    }
}

/// One row of `steps.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Place in the order in which loads were tried, from 0; histograms have it in their names.
    pub index: u32,
    /// Round, from 1.
    pub round: u32,
    /// Engine.
    pub engine: String,
    /// Framing.
    pub protocol: String,
    /// Wire format.
    pub format: String,
    /// What it was tried for.
    pub phase: Phase,
    /// The load, in the unit of the axis.
    pub load: f64,
    /// What it came to.
    pub outcome: Outcome,
    /// Why, in a sentence; nothing when it held.
    #[serde(default)]
    pub reason: Option<String>,
    /// The objectives that were missed.
    #[serde(default)]
    pub breaches: Vec<Breach>,
    /// What was saturated, first things first.
    #[serde(default)]
    pub saturation: Verdict,
    /// Connections held.
    pub connections: u32,
    /// Requests per second asked for.
    pub rate: f64,
    /// Requests per second with the right reply.
    pub rate_achieved: f64,
    /// Errors by kind.
    #[serde(default)]
    pub errors: std::collections::BTreeMap<String, u64>,
    /// From the intended send time to the reply.
    pub response: Latency,
    /// CPU of the server, as a share of its cores.
    pub server_cpu_share: f64,
    /// Its memory, in bytes: PSS, or RSS where there is none.
    pub server_memory_bytes: u64,
    /// Start of the measured window, milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
}

/// What a load is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Bar<'a> {
    /// The objectives.
    pub objectives: &'a [Objective],
    /// From when on the box was too busy to say anything.
    pub voids: &'a VoidsPart,
    /// Who ran where.
    pub cpus: &'a Cpus,
}

/// Share of its cores from which the generator is the bottleneck; the trials' own judge uses the same.
const GENERATOR_FULL: f64 = 0.95;

impl Bar<'_> {
    /// Judges `row`, tried for `phase` at `load`.
    pub fn judge(&self, row: &Trial, saturation: Verdict, phase: Phase, load: f64) -> Step {
        let breaches: Vec<Breach> = self.breaches(row);
        let (outcome, reason) = self.outcome(row, &breaches, &saturation);
        Step {
            schema: SCHEMA,
            index: row.index,
            round: row.round,
            engine: row.engine.clone(),
            protocol: row.protocol.clone(),
            format: row.format.clone(),
            phase,
            load,
            outcome,
            reason,
            breaches,
            saturation,
            connections: row.load.connections,
            rate: row.load.rate.unwrap_or_default(),
            rate_achieved: row.rate_achieved,
            errors: row.errors.clone(),
            response: row.response.clone(),
            server_cpu_share: row.server.core_share / self.cpus.server.len().max(1) as f64,
            server_memory_bytes: row.server.pss_bytes.unwrap_or(row.server.rss_bytes),
            started_unix_ms: row.started_unix_ms,
        }
    }

    /// Objectives that a row which measured something misses, the offered rate among them.
    fn breaches(&self, row: &Trial) -> Vec<Breach> {
        if row.completed == 0 {
            return Vec::new();
        }
        let mut breaches: Vec<Breach> =
            self.objectives.iter().filter_map(|objective| objective.breach(row, self.cpus.server.len())).collect();
        if let Some(rate) = row.load.rate
            && row.rate_achieved < rate * (1.0 - self.voids.rate_shortfall) - self.chance(row)
        {
            breaches.push(Breach {
                objective: "rate".to_owned(),
                seen: row.rate_achieved,
                sentence: format!("{:.0} of {rate:.0} requests/s were answered in time", row.rate_achieved),
            });
        }
        breaches
    }

    /// How far below the rate arrivals may stay by chance, per second: four standard deviations of a Poisson count, and a burst that
    /// falls outside of the window.
    fn chance(&self, row: &Trial) -> f64 {
        let seconds = row.measured_seconds.max(f64::MIN_POSITIVE);
        let poisson = 4.0 * (row.load.rate.unwrap_or_default() * seconds).sqrt();
        let burst = match at_once(row) {
            1 => 0,
            size => size,
        };
        (poisson + f64::from(burst)) / seconds
    }

    fn outcome(&self, row: &Trial, breaches: &[Breach], saturation: &Verdict) -> (Outcome, Option<String>) {
        let said = || row.reason.clone().unwrap_or_else(|| "no reason given".to_owned());
        let first = saturation.findings.first();
        if row.status == Status::Unavailable {
            return (Outcome::Unavailable, Some(said()));
        }
        if row.completed == 0 {
            let outcome = if saturation.died {
                Outcome::Died
            } else if first.is_some_and(|finding| finding.side == Side::Generator) {
                Outcome::Generator
            } else {
                Outcome::Broke
            };
            return (outcome, Some(said()));
        }
        if breaches.is_empty() {
            return (Outcome::Held, None);
        }
        let missed = breaches.iter().map(|breach| breach.sentence.as_str()).collect::<Vec<_>>().join("; ");
        let server_full =
            first.is_some_and(|f| f.side != Side::Generator && matches!(f.tier, Tier::Refused | Tier::Full));
        let generator_full = row.generator.core_share / self.cpus.generator.len().max(1) as f64 >= GENERATOR_FULL;
        if first.is_some_and(|finding| finding.side == Side::Generator) || generator_full && !server_full {
            return (Outcome::Generator, Some(missed));
        }
        match self.noise(row) {
            // What the kernel refused or the server used up is no noise of the neighbours'.
            Some(noise) if !server_full => (Outcome::Noise, Some(format!("{missed}, while {noise}"))),
            _ => (Outcome::Broke, Some(missed)),
        }
    }

    /// What else the box was busy with, beyond the scenario's bounds.
    fn noise(&self, row: &Trial) -> Option<String> {
        let lag = row.generator.schedule_lag.p99_us;
        // Requests of a burst are due at once and cannot all leave at once.
        if at_once(row) == 1 && lag > self.voids.schedule_lag_p99_us {
            return Some(format!(
                "the generator was late by {lag:.0} µs at p99, at most {:.0} (voids.schedule_lag_p99_us)",
                self.voids.schedule_lag_p99_us
            ));
        }
        let (steal, foreign) = (row.surroundings.steal_share, row.surroundings.foreign_cpu_share);
        if steal > self.voids.steal_share {
            return Some(format!("the hypervisor took {:.1} % of the CPU (voids.steal_share)", steal * 100.0));
        }
        (foreign > self.voids.foreign_cpu_share)
            .then(|| format!("other processes took {:.1} % of the CPU (voids.foreign_cpu_share)", foreign * 100.0))
    }
}

/// Requests of a row's load that are due at once.
fn at_once(row: &Trial) -> u32 {
    row.load.arrivals.as_deref().map_or(1, Pacing::at_once)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::saturation::Finding;

    /// A row that met everything: 1,000 requests a second for a second, p99 of 2 ms, a quiet box.
    fn row() -> Trial {
        let latency = json!({"count": 1000, "mean_us": 900.0, "p50_us": 800.0, "p90_us": 1500.0, "p99_us": 2000.0,
            "p999_us": 3000.0, "p9999_us": 3500.0, "max_us": 4000.0});
        let none = Latency::default();
        serde_json::from_value(json!({
            "schema": 1, "index": 3, "round": 1, "pass": "timing", "engine": "mio", "interface": "epoll", "protocol": "frame",
            "service": "echo", "format": "raw",
            "load": {"mode": "open", "arrivals": "constant", "rate": 1000.0, "connections": 10, "in_flight": 1, "payload_bytes": 64,
                "warmup_seconds": 0.1, "measure_seconds": 1.0},
            "status": "ok", "started_unix_ms": 1, "measured_seconds": 1.0, "completed": 1000, "rate_achieved": 1000.0,
            "response": latency, "service_time": latency,
            "server": {"cpu_us_per_request": 5.0, "cpu_user_us_per_request": 1.0, "cpu_system_us_per_request": 4.0,
                "box_cpu_us_per_request": 9.0, "core_share": 0.4, "context_switches_voluntary_per_request": 1.0,
                "context_switches_involuntary_per_request": 0.0, "rss_bytes": 1_000_000, "threads": 1},
            "generator": {"cpu_us_per_request": 5.0, "core_share": 0.3, "schedule_lag": none},
            "surroundings": {"steal_share": 0.0, "foreign_cpu_share": 0.0, "listen_overflows": 0, "retransmits": 0}
        }))
        .unwrap()
    }

    fn finding(resource: &str, side: Side, tier: Tier) -> Verdict {
        let found = Finding {
            resource: resource.into(),
            side,
            tier,
            at_seconds: 0.0,
            evidence: String::new(),
            knob: String::new(),
        };
        Verdict { findings: vec![found], ..Verdict::default() }
    }

    fn judged(row: &Trial, verdict: Verdict) -> Step {
        let objectives: Vec<Objective> = ["p99<10ms", "errors<1%"].iter().map(|text| text.parse().unwrap()).collect();
        let cpus = Cpus { server: vec![0], generator: vec![1], observer: vec![1] };
        let bar = Bar { objectives: &objectives, voids: &VoidsPart::default(), cpus: &cpus };
        bar.judge(row, verdict, Phase::Climb, 1_000.0)
    }

    fn outcome(change: impl Fn(&mut Trial), verdict: Verdict) -> Outcome {
        let mut row = row();
        change(&mut row);
        judged(&row, verdict).outcome
    }

    /// What met its objectives held, on a busy box too: noise makes a server worse, never better.
    #[test]
    fn what_met_its_objectives_held() {
        assert_eq!(outcome(|_| {}, Verdict::default()), Outcome::Held);
        assert_eq!(outcome(|row| row.surroundings.foreign_cpu_share = 0.9, Verdict::default()), Outcome::Held);
    }

    /// A missed percentile, errors and an unanswered rate break, each with its value; in a busy box they are tried again, unless the
    /// server itself was full.
    #[test]
    fn what_missed_one_broke() {
        let late = |row: &mut Trial| row.response.p99_us = 12_000.0;
        assert_eq!(outcome(late, Verdict::default()), Outcome::Broke);
        let timeouts = |row: &mut Trial| row.errors = [("timeout".to_owned(), 50)].into();
        assert_eq!(outcome(timeouts, Verdict::default()), Outcome::Broke);
        assert_eq!(outcome(|row| row.rate_achieved = 800.0, Verdict::default()), Outcome::Broke);
        let busy = |row: &mut Trial| {
            row.response.p99_us = 12_000.0;
            row.surroundings.steal_share = 0.2;
        };
        assert_eq!(outcome(busy, Verdict::default()), Outcome::Noise);
        assert_eq!(outcome(busy, finding("server-cpu", Side::Server, Tier::Full)), Outcome::Broke);
        let mut row = row();
        late(&mut row);
        let step = judged(&row, Verdict::default());
        assert_eq!(step.reason.as_deref(), Some("p99 was 12.0 ms, p99<10ms was asked"));
    }

    /// A full generator, or one without ports, says nothing about the server.
    #[test]
    fn the_generator_is_not_the_server() {
        let full = |row: &mut Trial| {
            row.response.p99_us = 12_000.0;
            row.generator.core_share = 0.99;
        };
        assert_eq!(outcome(full, Verdict::default()), Outcome::Generator);
        assert_eq!(outcome(full, finding("server-cpu", Side::Server, Tier::Full)), Outcome::Broke);
        let nothing = |row: &mut Trial| row.completed = 0;
        assert_eq!(outcome(nothing, finding("ports", Side::Generator, Tier::Refused)), Outcome::Generator);
        assert_eq!(outcome(nothing, Verdict::default()), Outcome::Broke);
        assert_eq!(outcome(nothing, Verdict { died: true, ..Verdict::default() }), Outcome::Died);
        assert_eq!(outcome(|row| row.status = Status::Unavailable, Verdict::default()), Outcome::Unavailable);
    }
}
