//! A scenario with a `[climb]` table: engines that go from plateau to plateau while a share of the users chatters.

use std::time::Duration;

use serde::Deserialize;
use wire::{Format, Protocol};

use super::ascent::Ascent;
use super::life::Part;
use super::plan::{Spread, USER_LIMIT};
use super::session::{Run, Wish};
use super::window::Chatter;
use crate::engines::Engines;
use crate::failure::{Failure, unknown};
use crate::load::{IN_FLIGHT_LIMIT, Shuffle};
use crate::scenario::{RoundsPart, ServerPart, VoidsPart, WorkloadPart, explain_toml};
use crate::session::Options;
use crate::target::{self, Own};

/// What a run of climbs asks.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Short name, part of the result directory's name.
    pub name: String,
    /// The question, in prose.
    pub question: String,
    /// Engines by their names in engines.toml; the names of `[[target]]` tables are added.
    #[serde(default)]
    pub engines: Vec<String>,
    /// `[[target]]`: servers of one's own, compared with the engines side by side.
    #[serde(default, rename = "target")]
    pub targets: Vec<Own>,
    /// Framings; may be empty when every contender is asked something of its own.
    #[serde(default)]
    pub protocols: Vec<String>,
    /// Wire formats; as the framings.
    #[serde(default)]
    pub formats: Vec<String>,
    /// What is asked of the servers.
    pub workload: WorkloadPart,
    /// How many users, and what they do.
    pub climb: ClimbPart,
    /// How often.
    #[serde(default)]
    pub rounds: RoundsPart,
    /// When a load does not count.
    #[serde(default)]
    pub voids: VoidsPart,
    /// The servers.
    #[serde(default)]
    pub server: ServerPart,
}

/// `[climb]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClimbPart {
    /// Users at each plateau, ascending.
    pub users: Vec<u32>,
    /// Shares of the users that send, each in a load of its own.
    #[serde(default)]
    pub active_shares: Vec<f64>,
    /// `poisson` and `constant`, each in a load of its own.
    #[serde(default = "poisson")]
    pub arrivals: Vec<String>,
    /// Requests per second of each user that sends.
    #[serde(default = "one")]
    pub requests_per_active_user: f64,
    /// Requests in flight per connection.
    #[serde(default = "one_in_flight")]
    pub in_flight: u32,
    /// Seconds of each load before it is measured.
    #[serde(default = "half")]
    pub warmup_seconds: f64,
    /// Seconds measured.
    #[serde(default = "three")]
    pub measure_seconds: f64,
    /// Seconds that the top is held in silence.
    #[serde(default)]
    pub hold_seconds: f64,
    /// Share of the users that are asked a request before and after the hold.
    #[serde(default = "a_hundredth")]
    pub probe_share: f64,
    /// What users do at the top beside talking.
    #[serde(default)]
    pub life: Vec<Part>,
    /// They do it at every plateau instead.
    #[serde(default)]
    pub life_at_every_plateau: bool,
    /// Seconds that a slice of connections or a late reply may take.
    #[serde(default = "thirty")]
    pub timeout_seconds: f64,
}

fn poisson() -> Vec<String> {
    vec!["poisson".to_owned()]
}
fn one() -> f64 {
    1.0
}
fn one_in_flight() -> u32 {
    1
}
fn half() -> f64 {
    0.5
}
fn three() -> f64 {
    3.0
}
fn a_hundredth() -> f64 {
    0.01
}
fn thirty() -> f64 {
    30.0
}

impl Scenario {
    /// Reads the text of a scenario.
    ///
    /// # Errors
    /// A usage failure.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let mut scenario: Self = toml::from_str(text).map_err(|error| explain_toml(&error))?;
        scenario.engines.extend(scenario.targets.iter().map(|own| own.name.clone()));
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
        self.climb.measure_seconds = options.measure.unwrap_or(self.climb.measure_seconds);
        if !options.users.is_empty() {
            self.climb.users.clone_from(&options.users);
        }
        options.contenders(&mut self.engines, &mut self.targets)?;
        self.check()
    }

    fn check(&self) -> Result<(), Failure> {
        let usage = |text: String| Err(Failure::Usage(text));
        let climb = &self.climb;
        let bounds = [
            ("climb.requests_per_active_user", climb.requests_per_active_user, 1e-3, 1e6),
            ("climb.in_flight", f64::from(climb.in_flight), 1.0, f64::from(IN_FLIGHT_LIMIT)),
            ("climb.warmup_seconds", climb.warmup_seconds, 0.0, 3600.0),
            ("climb.measure_seconds", climb.measure_seconds, 0.05, 3600.0),
            ("climb.hold_seconds", climb.hold_seconds, 0.0, 86_400.0),
            ("climb.probe_share", climb.probe_share, 0.0, 1.0),
            ("climb.timeout_seconds", climb.timeout_seconds, 0.05, 3600.0),
            ("workload.payload_bytes", f64::from(self.workload.payload_bytes), 1.0, 65_536.0),
            ("workload.add_share", self.workload.add_share, 0.0, 1.0),
            ("workload.page", f64::from(self.workload.page), 1.0, 100.0),
            ("rounds.count", f64::from(self.rounds.count), 1.0, 1000.0),
        ];
        for (key, seen, low, high) in bounds {
            if !(low..=high).contains(&seen) {
                return usage(format!("{key} = {seen}: must be between {low} and {high}"));
            }
        }
        if climb.users.is_empty() || !climb.users.is_sorted_by(|a, b| a < b) || climb.users[0] == 0 {
            return usage(format!("climb.users = {:?}: must be ascending and above 0", climb.users));
        }
        if let Some(users) = climb.users.last().filter(|users| **users > USER_LIMIT) {
            return usage(format!("climb.users has {users}: at most {USER_LIMIT}"));
        }
        if let Some(share) = climb.active_shares.iter().find(|share| !(1e-6..=1.0).contains(*share)) {
            return usage(format!("climb.active_shares has {share}: must be above 0 and at most 1"));
        }
        if let Some((part, wrong)) = climb.life.iter().find_map(|part| Some((part, part.wrong()?))) {
            return usage(format!("climb.life {}: {wrong}", part.name()));
        }
        let told = climb.life.iter().any(Part::is_broadcast);
        if let Some(own) = self.targets.first().filter(|_| told) {
            return usage(format!(
                "climb.life broadcast: {} is a server of yours, and only engines take that order",
                own.name
            ));
        }
        let deaf = |name: &&String| name.parse().is_ok_and(|protocol| !wire::event::is_told_in(protocol));
        if let Some(protocol) = self.protocols.iter().find(|name| told && deaf(name)) {
            return usage(format!(
                "climb.life broadcast: in {protocol} nobody can be told an event: frame or websocket"
            ));
        }
        for arrivals in &climb.arrivals {
            if !["poisson", "constant"].contains(&arrivals.as_str()) {
                return Err(unknown("climb.arrivals", arrivals, ["poisson", "constant"]));
            }
        }
        if !["echo", "note"].contains(&self.workload.service.as_str()) {
            return Err(unknown("workload.service", &self.workload.service, ["echo", "note"]));
        }
        for own in &self.targets {
            own.check()?;
        }
        let asks_its_own = |name: &String| self.targets.iter().any(|own| own.name == *name && own.ask.is_some());
        let ours = !self.engines.iter().all(asks_its_own);
        for (key, empty) in [("protocols", self.protocols.is_empty()), ("formats", self.formats.is_empty())] {
            if empty && ours {
                return usage(format!("{key} is empty: name at least one"));
            }
        }
        self.protocols
            .iter()
            .try_for_each(|name| name.parse::<Protocol>().map(drop))
            .or_else(|error| usage(format!("protocols: {error}")))?;
        self.formats
            .iter()
            .try_for_each(|name| name.parse::<Format>().map(drop))
            .or_else(|error| usage(format!("formats: {error}")))
    }

    /// The run that this scenario asks for, its climbs shuffled within each round.
    ///
    /// # Errors
    /// A usage failure for an engine that does not exist.
    pub fn run<'a>(&self, engines: &'a Engines, options: &Options) -> Result<Run<'a>, Failure> {
        let mut wishes = Vec::new();
        let mut shuffle = Shuffle::new(self.rounds.seed);
        for round in 1..=self.rounds.count {
            let mut once = Vec::new();
            for engine in &self.engines {
                let engine = engines.named(engine)?;
                if let Some(protocol) = engine.own.as_ref().and_then(Own::protocol) {
                    // What it is asked is its own, and so has no format of ours.
                    once.push(Wish {
                        round,
                        engine,
                        protocol: protocol.to_owned(),
                        format: target::INTERFACE.to_owned(),
                    });
                    continue;
                }
                for protocol in &self.protocols {
                    for format in &self.formats {
                        once.push(Wish { round, engine, protocol: protocol.clone(), format: format.clone() });
                    }
                }
            }
            shuffle.shuffle(&mut once);
            wishes.append(&mut once);
        }
        let server_cores = self.server.cores.unwrap_or(1) as usize;
        Ok(Run {
            name: self.name.clone(),
            question: self.question.clone(),
            wishes,
            ascent: self.ascent(),
            spread: Spread::Address,
            host_namespace: false,
            service: self.workload.service.clone(),
            workload: workload_arguments(&self.workload, self.climb.timeout_seconds, self.rounds.seed),
            server_cores,
            out: options.out.clone(),
            profile: options.profile.clone(),
        })
    }

    fn ascent(&self) -> Ascent {
        let climb = &self.climb;
        let chatter = climb.active_shares.iter().flat_map(|share| {
            climb.arrivals.iter().map(|arrivals| Chatter {
                active_share: *share,
                requests_per_active_user: climb.requests_per_active_user,
                arrivals: arrivals.clone(),
                in_flight: climb.in_flight,
                warmup: Duration::from_secs_f64(climb.warmup_seconds),
                measure: Duration::from_secs_f64(climb.measure_seconds),
            })
        });
        Ascent {
            plateaus: climb.users.clone(),
            chatter: chatter.collect(),
            chatter_at_top_only: false,
            hold: Duration::from_secs_f64(climb.hold_seconds),
            probe_share: climb.probe_share,
            voids: self.voids.clone(),
            life: climb.life.clone(),
            life_at_every_plateau: climb.life_at_every_plateau,
            syscalls: self.rounds.syscalls,
            seed: self.rounds.seed,
        }
    }
}

/// What every holder is started with.
pub fn workload_arguments(workload: &WorkloadPart, timeout_seconds: f64, seed: u64) -> Vec<String> {
    let part = |flag: &str, value: String| [flag.to_owned(), value];
    [
        part("--service", workload.service.clone()),
        part("--payload-bytes", workload.payload_bytes.to_string()),
        part("--add-share", workload.add_share.to_string()),
        part("--page", workload.page.to_string()),
        part("--timeout", timeout_seconds.to_string()),
        part("--seed", seed.to_string()),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../scenarios/ccu-curve.toml");

    /// Shows that wrong keys and values are named, by spoiling a good scenario.
    #[test]
    fn wrong_scenarios_are_explained() {
        for (from, to, wanted) in [
            ("active_shares =", "active_share =", "did you mean `active_shares`?"),
            ("[10_000, ", "[20_000, 10_000, ", "must be ascending"),
            ("\"poisson\"", "\"poison\"", "did you mean \"poisson\"?"),
            ("[0.01, ", "[0, 0.01, ", "must be above 0"),
            ("\"json\"", "\"jason\"", "formats"),
        ] {
            let spoilt = GOOD.replacen(from, to, 1);
            assert_ne!(spoilt, GOOD, "{from} is in the scenario");
            let said = Scenario::parse(&spoilt).unwrap_err().to_string();
            assert!(said.contains(wanted), "{to}: {said}");
        }
    }

    /// Shows that every round has every engine and format once, in an order of its own.
    #[test]
    fn rounds_are_complete_and_shuffled() {
        let mut scenario = Scenario::parse(GOOD).unwrap();
        scenario.rounds.count = 2;
        let engines = Engines::load(None).unwrap();
        let run = scenario.run(&engines, &Options::default()).unwrap();
        let order = |round: u32| -> Vec<(String, String)> {
            let of = run.wishes.iter().filter(|wish| wish.round == round);
            of.map(|wish| (wish.engine.name.clone(), wish.format.clone())).collect()
        };
        assert_eq!(order(1).len(), scenario.engines.len() * scenario.formats.len());
        assert_ne!(order(1), order(2));
        assert_eq!(run.ascent.chatter.len(), 4);
    }
}
