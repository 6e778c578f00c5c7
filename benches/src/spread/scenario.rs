//! A scenario with a `[spread]` table, checked.

use serde::{Deserialize, Serialize};
use wire::{Format, Protocol};

use crate::failure::{Failure, unknown};
use crate::load::spread::{RETRIES, SERVERS};
use crate::load::{CONNECTION_LIMIT, RATE_LIMIT};
use crate::scenario::{LoadPart, RoundsPart, ServerPart, VoidsPart, WorkloadPart, explain_toml};
use crate::session::{Options, only};

/// What a run asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Short name, part of the result directory's name.
    pub name: String,
    /// The question, in prose.
    pub question: String,
    /// Engines by their names in engines.toml; all servers of a case are of one.
    pub engines: Vec<String>,
    /// Framing: `frame` or `http1`.
    pub protocol: String,
    /// Wire format.
    pub format: String,
    /// What is asked of the servers.
    pub workload: WorkloadPart,
    /// How much, and for how long.
    pub load: LoadPart,
    /// The servers and their client.
    pub spread: SpreadPart,
    /// How often.
    #[serde(default)]
    pub rounds: RoundsPart,
    /// When a case does not count.
    #[serde(default)]
    pub voids: VoidsPart,
    /// Where servers run.
    #[serde(default)]
    pub server: ServerPart,
}

/// `[spread]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpreadPart {
    /// Servers.
    pub servers: u32,
    /// Seconds that one attempt may take.
    pub attempt_timeout_seconds: f64,
    /// How often a failed request is asked again.
    pub retries: u8,
    /// Seconds of the intervals in which traffic is counted.
    pub interval_seconds: f64,
    /// Failures in a row that ban a server.
    pub ban_after: u32,
    /// Seconds of the first ban.
    pub ban_seconds: f64,
    /// Seconds of the longest ban.
    pub ban_longest_seconds: f64,
    /// `[[spread.case]]`.
    pub case: Vec<Case>,
}

/// `[[spread.case]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name in rows and metrics.
    pub name: String,
    /// Whether the client has breakers.
    #[serde(default = "yes")]
    pub breaker: bool,
    /// Which servers go bad.
    #[serde(default)]
    pub faults: Vec<Faulty>,
}

/// A server that goes bad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faulty {
    /// Its number, from 1.
    pub server: u32,
    /// How, as the servers' `--fault` takes it.
    pub fault: String,
}

fn yes() -> bool {
    true
}

impl Scenario {
    /// Reads the text of a scenario.
    ///
    /// # Errors
    /// A usage failure.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let scenario: Self = toml::from_str(text).map_err(|error| explain_toml(&error))?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Puts what was asked on the command line into the scenario.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn apply(&mut self, options: &Options) -> Result<(), Failure> {
        self.rounds.count = options.rounds.unwrap_or(self.rounds.count);
        self.rounds.seed = options.seed.unwrap_or(self.rounds.seed);
        self.load.measure_seconds = options.measure.unwrap_or(self.load.measure_seconds);
        self.load.rate = options.rate.or(self.load.rate);
        self.load.connections = options.connections.unwrap_or(self.load.connections);
        if options.own.own()?.is_some() || !options.users.is_empty() {
            return Err(Failure::Usage(format!(
                "scenario {} starts several servers of an engine: neither --users nor a server of your own fit it",
                self.name
            )));
        }
        only(&options.only, &mut self.engines)?;
        self.check()
    }

    fn check(&self) -> Result<(), Failure> {
        let usage = |text: String| Err(Failure::Usage(text));
        let (load, spread) = (&self.load, &self.spread);
        let bounds = [
            ("load.connections", f64::from(load.connections), f64::from(spread.servers), f64::from(CONNECTION_LIMIT)),
            ("load.rate", load.rate.unwrap_or(0.0), 1.0, RATE_LIMIT),
            ("load.warmup_seconds", load.warmup_seconds, 0.0, 3600.0),
            ("load.measure_seconds", load.measure_seconds, 0.05, 3600.0),
            ("load.timeout_seconds", load.timeout_seconds, 0.05, 300.0),
            ("workload.payload_bytes", f64::from(self.workload.payload_bytes), 1.0, 65_536.0),
            ("workload.add_share", self.workload.add_share, 0.0, 1.0),
            ("workload.page", f64::from(self.workload.page), 1.0, 100.0),
            ("rounds.count", f64::from(self.rounds.count), 1.0, 1000.0),
            ("spread.servers", f64::from(spread.servers), 2.0, SERVERS as f64),
            ("spread.attempt_timeout_seconds", spread.attempt_timeout_seconds, 0.005, 60.0),
            ("spread.retries", f64::from(spread.retries), 0.0, f64::from(RETRIES)),
            ("spread.interval_seconds", spread.interval_seconds, 0.01, 60.0),
            ("spread.ban_after", f64::from(spread.ban_after), 1.0, 1e6),
            ("spread.ban_seconds", spread.ban_seconds, 0.001, 3600.0),
            ("spread.ban_longest_seconds", spread.ban_longest_seconds, spread.ban_seconds, 3600.0),
        ];
        for (key, seen, low, high) in bounds {
            if !(low..=high).contains(&seen) {
                return usage(format!("{key} = {seen}: must be between {low} and {high}"));
            }
        }
        if load.mode != "open" {
            return usage(format!("load.mode = {:?}: several servers are asked in open loop", load.mode));
        }
        if !["poisson", "constant"].contains(&load.arrivals.as_str()) {
            return Err(unknown("load.arrivals", &load.arrivals, ["poisson", "constant"]));
        }
        if !["echo", "note"].contains(&self.workload.service.as_str()) {
            return Err(unknown("workload.service", &self.workload.service, ["echo", "note"]));
        }
        match self.protocol.parse::<Protocol>() {
            Ok(Protocol::Frame | Protocol::Http1) => {}
            _ => return Err(unknown("protocol", &self.protocol, ["frame", "http1"])),
        }
        self.format.parse::<Format>().map(drop).or_else(|error| usage(format!("format: {error}")))?;
        if self.engines.is_empty() || spread.case.is_empty() {
            return usage("engines and [[spread.case]]: name at least one each".to_owned());
        }
        for case in &spread.case {
            let wrong = case.faults.iter().find(|faulty| !(1..=spread.servers).contains(&faulty.server));
            if let Some(faulty) = wrong {
                return usage(format!(
                    "case {}: server = {}: must be between 1 and {}",
                    case.name, faulty.server, spread.servers
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../scenarios/four-servers.toml");

    /// Wrong keys and values are named, by spoiling a good scenario.
    #[test]
    fn wrong_scenarios_are_explained() {
        for (from, to, wanted) in [
            ("ban_longest_seconds =", "ban_longest_second =", "did you mean `ban_longest_seconds`?"),
            ("servers = 4", "servers = 1", "must be between 2 and 64"),
            ("server = 4", "server = 5", "must be between 1 and 4"),
            ("mode = \"open\"", "mode = \"closed\"", "in open loop"),
            ("\"frame\"", "\"websocket\"", "frame"),
            ("connections = 64", "connections = 3", "must be between 4"),
            ("ban_longest_seconds = 4.0", "ban_longest_seconds = 0.1", "must be between 0.5"),
        ] {
            let spoilt = GOOD.replacen(from, to, 1);
            assert_ne!(spoilt, GOOD, "{from} is in the scenario");
            let said = Scenario::parse(&spoilt).unwrap_err().to_string();
            assert!(said.contains(wanted), "{to}: {said}");
        }
    }
}
