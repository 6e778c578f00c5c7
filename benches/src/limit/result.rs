//! `limits.jsonl`: what the rounds of a search come to, keyed so that a limit is never taken for another service's, version's
//! or machine's. Pure.
//!
//! The limit is the **minimum** of the rounds: what every one of them took. A minimum falls with the number of rounds, so
//! their number, the median and the largest stand beside it, and what order statistics say about the next round.

use serde::{Deserialize, Serialize};

use super::axis::Axis;
use super::slo::Objective;
use super::step::Step;
use crate::report::grouped;
use crate::result::{FactGroup, Fingerprint};
use crate::stats;

/// Version of the rows. Readers require the fields they need and ignore what they do not know.
pub const SCHEMA: u32 = 1;

/// Name of the file in a result directory.
pub const FILE: &str = "limits.jsonl";

/// Facts that make two machines different ones for a limit. Others, such as the free memory, may move.
const MACHINE: [(&str, &str); 7] = [
    ("cpu", "model"),
    ("cpu", "architecture"),
    ("cpu", "logical cores"),
    ("cpu", "physical cores"),
    ("cpu", "usable cores"),
    ("memory", "total"),
    ("kernel", "release"),
];

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// A limit was found and held.
    Limit,
    /// Loads that held for a short while broke when they were held for longer, again and again.
    Unsteady,
    /// The ceiling was held.
    Ceiling,
    /// The smallest load broke.
    BelowSmallest,
    /// The load generator could not offer more.
    Generator,
    /// The box was too busy with other things.
    Void,
    /// The engine cannot run here.
    Unavailable,
    /// Ctrl-C.
    Interrupted,
}

/// One round of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Round, from 1.
    pub round: u32,
    /// How it ended.
    pub ended: Ended,
    /// The highest load that held; the limit where one was found.
    #[serde(default)]
    pub load: Option<f64>,
    /// The smallest load that broke.
    #[serde(default)]
    pub broke: Option<f64>,
    /// Whether the load a tenth below the limit held too.
    #[serde(default)]
    pub steady: Option<bool>,
    /// Whether the server died at the load that broke.
    #[serde(default)]
    pub died: bool,
    /// Why the load that ended the round did: objectives with their values.
    #[serde(default)]
    pub why: Option<String>,
    /// What was saturated first then, with evidence.
    #[serde(default)]
    pub saturated: Option<String>,
    /// Its name alone.
    #[serde(default)]
    pub resource: Option<String>,
    /// What would move it.
    #[serde(default)]
    pub knob: Option<String>,
    /// Loads tried.
    pub loads: u32,
}

impl Round {
    /// A round that ended with `ended`, having held `load`; `last` is the step that broke or ended it.
    pub fn new(round: u32, ended: Ended, load: Option<f64>, last: Option<&Step>, loads: u32) -> Self {
        let first = last.and_then(|step| step.saturation.first());
        Self {
            round,
            ended,
            load,
            broke: None,
            steady: None,
            died: last.is_some_and(|step| step.saturation.died),
            why: last.and_then(|step| step.reason.clone()),
            saturated: last.map(|step| step.saturation.sentence()),
            resource: first.map(|finding| finding.resource.clone()),
            knob: first.map(|finding| finding.knob.clone()),
            loads,
        }
    }
}

/// What all rounds come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conclusion {
    /// A limit.
    Found,
    /// More than `limit`: the ceiling held, or the generator came first.
    MoreThan,
    /// The smallest load breaks an objective already.
    BelowSmallest,
    /// No round says anything.
    Void,
    /// The engine cannot run here.
    Unavailable,
}

/// One row of `limits.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// [`SCHEMA`] when the row was written.
    pub schema: u32,
    /// `echo` or `note`: what was asked of the server.
    pub service: String,
    /// The commit that servers and lab were built from; `None` outside a checkout.
    #[serde(default)]
    pub version: Option<String>,
    /// Engine.
    pub engine: String,
    /// `io_uring` or `epoll`.
    pub interface: String,
    /// Framing.
    pub protocol: String,
    /// Wire format.
    pub format: String,
    /// Scenario.
    pub scenario: String,
    /// The machine, as 16 hexadecimal digits of its fingerprint.
    pub machine: String,
    /// Cargo profile of the server.
    pub profile: String,
    /// What was varied.
    pub over: Axis,
    /// What was asked of every load.
    pub objectives: Vec<Objective>,
    /// What it comes to.
    pub conclusion: Conclusion,
    /// The minimum over the rounds, in the unit of the axis; what is known to be exceeded for [`Conclusion::MoreThan`].
    #[serde(default)]
    pub limit: Option<f64>,
    /// Median of the rounds that found one.
    #[serde(default)]
    pub median: Option<f64>,
    /// The largest of them.
    #[serde(default)]
    pub largest: Option<f64>,
    /// Largest divided by smallest, less one.
    #[serde(default)]
    pub spread: Option<f64>,
    /// What that many rounds say about the next one.
    pub confidence: String,
    /// Why the search stopped where it did.
    pub stopped: String,
    /// The resource that was saturated first in most rounds.
    #[serde(default)]
    pub resource: Option<String>,
    /// What would move it.
    #[serde(default)]
    pub knob: Option<String>,
    /// The rounds.
    pub rounds: Vec<Round>,
    /// Whether all rounds that were asked for were made.
    pub complete: bool,
    /// When the run began, RFC 3339, UTC.
    pub started: String,
}

/// Who and what a limit is of.
#[derive(Clone, Debug)]
pub struct Key {
    /// Service.
    pub service: String,
    /// Engine.
    pub engine: String,
    /// Interface.
    pub interface: String,
    /// Framing.
    pub protocol: String,
    /// Format.
    pub format: String,
    /// Scenario.
    pub scenario: String,
    /// Axis.
    pub over: Axis,
    /// Objectives.
    pub objectives: Vec<Objective>,
}

impl Limit {
    /// Concludes from `rounds`, of which `wanted` were asked for.
    pub fn conclude(key: &Key, host: &Fingerprint, rounds: Vec<Round>, wanted: u32) -> Self {
        let conclusion = conclusion(&rounds);
        let loads = |of: &dyn Fn(Ended) -> bool| -> Vec<f64> {
            rounds.iter().filter(|round| of(round.ended)).filter_map(|round| round.load).collect()
        };
        let found = loads(&|ended| ended == Ended::Limit);
        let spread = stats::spread(&found);
        let limit = match conclusion {
            Conclusion::Found => spread.map(|spread| spread.min),
            Conclusion::MoreThan => {
                loads(&|ended| matches!(ended, Ended::Ceiling | Ended::Generator)).into_iter().reduce(f64::min)
            }
            _ => None,
        };
        let spread = spread.filter(|_| conclusion == Conclusion::Found);
        let deciding = deciding(&rounds, conclusion, limit);
        Self {
            schema: SCHEMA,
            service: key.service.clone(),
            version: host.commit.clone(),
            engine: key.engine.clone(),
            interface: key.interface.clone(),
            protocol: key.protocol.clone(),
            format: key.format.clone(),
            scenario: key.scenario.clone(),
            machine: machine(host),
            profile: host.profile.clone(),
            over: key.over,
            objectives: key.objectives.clone(),
            conclusion,
            limit,
            median: spread.map(|spread| spread.median),
            largest: spread.map(|spread| spread.max),
            spread: spread.filter(|spread| spread.min > 0.0).map(|spread| spread.max / spread.min - 1.0),
            confidence: spread.map_or_else(String::new, |spread| confidence(key.over, &spread)),
            stopped: stopped(key.over, conclusion, deciding),
            resource: deciding.and_then(|round| round.resource.clone()),
            knob: deciding.and_then(|round| round.knob.clone()),
            complete: rounds.len() == wanted as usize && rounds.iter().all(|round| round.ended != Ended::Interrupted),
            rounds,
            started: host.started.clone(),
        }
    }

    /// What makes it another limit than the next: everything but what was found, and when.
    pub fn key(&self) -> String {
        let objectives: Vec<String> = self.objectives.iter().map(Objective::to_string).collect();
        let version = self.version.as_deref().unwrap_or("unknown");
        let parts = [&*self.service, version, &self.engine, &self.protocol, &self.format, &self.scenario];
        format!("{} {} {} {}", parts.join(" "), self.over.name(), objectives.join(","), self.machine)
    }
}

/// The minimum rule: a round that broke at the smallest load decides, then those that found a limit.
fn conclusion(rounds: &[Round]) -> Conclusion {
    let any = |wanted: &[Ended]| rounds.iter().any(|round| wanted.contains(&round.ended));
    if any(&[Ended::BelowSmallest]) {
        Conclusion::BelowSmallest
    } else if any(&[Ended::Limit]) {
        Conclusion::Found
    } else if rounds.iter().any(|r| matches!(r.ended, Ended::Ceiling | Ended::Generator) && r.load.is_some()) {
        Conclusion::MoreThan
    } else if any(&[Ended::Unavailable]) {
        Conclusion::Unavailable
    } else {
        Conclusion::Void
    }
}

/// The round that says why: the one whose load is the limit, else the last.
fn deciding(rounds: &[Round], conclusion: Conclusion, limit: Option<f64>) -> Option<&Round> {
    let of = |wanted: Ended| rounds.iter().find(|round| round.ended == wanted);
    match conclusion {
        Conclusion::Found => rounds.iter().find(|round| round.ended == Ended::Limit && round.load == limit),
        Conclusion::BelowSmallest => of(Ended::BelowSmallest),
        Conclusion::MoreThan => rounds.iter().find(|round| round.load == limit),
        Conclusion::Unavailable => of(Ended::Unavailable),
        Conclusion::Void => rounds.last(),
    }
}

/// Why a search stopped where it did, in a sentence or two.
fn stopped(over: Axis, conclusion: Conclusion, round: Option<&Round>) -> String {
    let Some(round) = round else { return "no round was finished".to_owned() };
    let why = round.why.as_deref().unwrap_or("no reason given");
    let saturated = round.saturated.as_deref().map(|said| format!("; {said}")).unwrap_or_default();
    let shown = |load: Option<f64>| load.map_or_else(|| "an unknown load".to_owned(), |load| over.show(load));
    match (conclusion, round.ended) {
        (Conclusion::Found, _) => format!("at {} {why}{saturated}", shown(round.broke)),
        (Conclusion::BelowSmallest, _) => format!("the smallest load breaks already: {why}{saturated}"),
        (Conclusion::MoreThan, Ended::Ceiling) => {
            format!("the ceiling of {} was held: {}", shown(round.load), round.why.as_deref().unwrap_or("--ceiling"))
        }
        (Conclusion::MoreThan, _) => format!("the load generator came first: {why}{saturated}"),
        (_, Ended::Unsteady) => format!("no load could be held for longer: {why}{saturated}"),
        (_, Ended::Interrupted) => "interrupted before a round was finished".to_owned(),
        _ => why.to_owned(),
    }
}

/// What `n` rounds say about further ones, whatever their distribution, as long as rounds are alike and independent:
/// the next is below the smallest of n with 1/(n+1); with 95 % confidence a share of 0.05^(1/n) reaches it (one-sided tolerance,
/// Wilks 1941); smallest and largest hold the median between them with 1 - 2^(1-n) (sign test).
fn confidence(over: Axis, spread: &stats::Spread) -> String {
    let n = spread.count as f64;
    if spread.count < 2 {
        return "one round says nothing about the spread; ask for five (--rounds 5)".to_owned();
    }
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    format!(
        "minimum of {n} rounds: the next one reaches it with {}, and with 95 % confidence at least {} of further ones do; the median \
         lies between {} and {} {} with {}",
        percent(n / (n + 1.0)),
        percent(0.05_f64.powf(1.0 / n)),
        grouped(spread.min),
        grouped(spread.max),
        over.unit(),
        percent(1.0 - 0.5_f64.powf(n - 1.0)),
    )
}

/// The machine of a fingerprint: FNV-1a (64 bits) over the facts of `MACHINE`.
pub fn machine(host: &Fingerprint) -> String {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let fact = |group: &str, name: &str| -> &str {
        let facts = host.groups.iter().filter(|known: &&FactGroup| known.name == group).flat_map(|group| &group.facts);
        facts.into_iter().find(|(known, _)| known == name).map_or("unknown", |(_, value)| value)
    };
    let text: Vec<&str> = MACHINE.iter().map(|(group, name)| fact(group, name)).collect();
    let hash = text.join("\n").bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            service: "echo".into(),
            engine: "mio".into(),
            interface: "epoll".into(),
            protocol: "frame".into(),
            format: "raw".into(),
            scenario: "test".into(),
            over: Axis::Rate,
            objectives: vec!["p99<20ms".parse().unwrap()],
        }
    }

    fn round(number: u32, ended: Ended, load: Option<f64>) -> Round {
        Round { broke: load.map(|load| load * 1.05), ..Round::new(number, ended, load, None, 9) }
    }

    fn limit(rounds: &[(Ended, Option<f64>)]) -> Limit {
        let rounds = (1..).zip(rounds).map(|(number, (ended, load))| round(number, *ended, *load)).collect::<Vec<_>>();
        let wanted = u32::try_from(rounds.len()).unwrap();
        Limit::conclude(&key(), &Fingerprint::default(), rounds, wanted)
    }

    /// The minimum of the rounds is the limit; median, largest and spread stand beside it.
    #[test]
    fn the_minimum_is_taken() {
        let limit = limit(&[(Ended::Limit, Some(120.0)), (Ended::Limit, Some(100.0)), (Ended::Limit, Some(110.0))]);
        assert_eq!(
            (limit.conclusion, limit.limit, limit.median, limit.largest),
            (Conclusion::Found, Some(100.0), Some(110.0), Some(120.0))
        );
        assert!((limit.spread.unwrap() - 0.2).abs() < 1e-12);
        assert!(limit.confidence.contains("with 75 %") && limit.confidence.contains("37 %"), "{}", limit.confidence);
    }

    /// A limit is never made up: the ceiling and the generator give "more than", the smallest load its own words, no round none.
    #[test]
    fn other_ends_are_no_limits() {
        let more = limit(&[(Ended::Ceiling, Some(900.0)), (Ended::Generator, Some(700.0))]);
        assert_eq!((more.conclusion, more.limit, more.median), (Conclusion::MoreThan, Some(700.0), None));
        let below = limit(&[(Ended::Limit, Some(100.0)), (Ended::BelowSmallest, None)]);
        assert_eq!((below.conclusion, below.limit), (Conclusion::BelowSmallest, None));
        assert_eq!(limit(&[(Ended::Void, Some(100.0))]).conclusion, Conclusion::Void);
        assert_eq!(limit(&[]).conclusion, Conclusion::Void);
        let cut = limit(&[(Ended::Limit, Some(100.0)), (Ended::Interrupted, Some(50.0))]);
        assert_eq!((cut.conclusion, cut.limit, cut.complete), (Conclusion::Found, Some(100.0), false));
        assert_eq!(limit(&[(Ended::Generator, None)]).conclusion, Conclusion::Void);
    }

    /// The same facts are the same machine; another core count is another one; what moves from run to run does not matter.
    #[test]
    fn machines_are_told_apart() {
        let host = |cores: &str, load: &str| Fingerprint {
            groups: vec![FactGroup {
                name: "cpu".into(),
                facts: vec![("logical cores".into(), cores.into()), ("load".into(), load.into())],
            }],
            ..Fingerprint::default()
        };
        assert_eq!(machine(&host("2", "0.1")), machine(&host("2", "3.7")));
        assert_ne!(machine(&host("2", "0.1")), machine(&host("4", "0.1")));
    }

    /// A row reads back as it was, and one with fewer and with unknown fields reads too.
    #[test]
    fn rows_read_back() {
        let row = limit(&[(Ended::Limit, Some(120.0))]);
        let text = serde_json::to_string(&row).unwrap();
        assert_eq!(serde_json::from_str::<Limit>(&text).unwrap(), row);
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value["later"] = 1.into();
        value.as_object_mut().unwrap().remove("spread");
        assert_eq!(serde_json::from_value::<Limit>(value).unwrap().limit, Some(120.0));
    }
}
