//! What a search varies, and the load of a trial at each of its values. The other axes stay as the scenario has them.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::search::Bounds;
use crate::failure::Failure;
use crate::load::{Pacing, RATE_LIMIT};
use crate::report::grouped;
use crate::result::Load;
use crate::scenario::Scenario;

/// Events per second of a fan-out: far enough apart that the replies to one are there before the next.
const EVENTS: f64 = 10.0;

/// Descriptors that a process of the lab keeps beside its connections.
const RESERVED: f64 = 128.0;

/// What a search varies. Three different axes; a limit on one says nothing about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// Connected users, each of whom sends as often as the scenario's do
    Connections,
    /// Requests per second over the scenario's connections
    Rate,
    /// Users whom one event reaches at once: ten times a second a request is due on each connection at the same moment
    Fanout,
}

impl Axis {
    /// As options and metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Rate => "rate",
            Self::Fanout => "fanout",
        }
    }

    /// What its values count.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Connections => "connected users",
            Self::Rate => "requests/s",
            Self::Fanout => "users an event",
        }
    }

    /// Where a search begins and ends when nothing else is asked.
    ///
    /// `descriptors` is the most that one process may have open: a search drives one pair of processes.
    pub fn bounds(
        self,
        start: Option<f64>,
        ceiling: Option<f64>,
        resolution: f64,
        descriptors: u64,
    ) -> Result<Bounds, Failure> {
        let most = descriptors as f64 - RESERVED;
        let (first, last) = match self {
            Self::Connections => (100.0, most),
            Self::Rate => (1_000.0, RATE_LIMIT / 10.0),
            Self::Fanout => (10.0, most),
        };
        // A ceiling below the usual start asks for a search below it.
        let start = start.unwrap_or_else(|| ceiling.map_or(first, |ceiling| first.min(ceiling)));
        let ceiling = ceiling.unwrap_or(last.max(start));
        if self != Self::Rate && ceiling > most {
            return Err(Failure::Usage(format!(
                "--ceiling {ceiling}: one process may have {descriptors} descriptors open (RLIMIT_NOFILE), which is room for {most} \
                 connections; ask for at most that, raise `ulimit -Hn`, or climb with `lab hold`, which takes many processes"
            )));
        }
        if !(start >= 1.0 && ceiling >= start && ceiling <= RATE_LIMIT) {
            return Err(Failure::Usage(format!(
                "--start {start} --ceiling {ceiling}: 1 ≤ start ≤ ceiling ≤ {RATE_LIMIT} is needed"
            )));
        }
        Ok(Bounds { start, ceiling, resolution, whole: self != Self::Rate })
    }

    /// Why a search that held `ceiling` went no further, where that is the descriptors' doing.
    pub fn end_of_descriptors(self, ceiling: f64, descriptors: u64) -> Option<String> {
        let most = descriptors as f64 - RESERVED;
        (self != Self::Rate && ceiling + 1.0 > most).then(|| {
            format!(
                "{descriptors} descriptors (RLIMIT_NOFILE) are room for no more in the one server process and the one generator that                  are driven; raise `ulimit -Hn`, or hold more with `lab hold -c N`, which takes many of each"
            )
        })
    }

    /// `planned`, the load of a trial of `scenario`, at `value` and measured for `seconds`.
    ///
    /// # Errors
    /// A usage failure when the scenario does not say how often a user sends.
    pub fn load(self, scenario: &Scenario, planned: &Load, value: f64, seconds: f64) -> Result<Load, Failure> {
        let asked = &scenario.load;
        let poisson = || "poisson".to_owned();
        let whole = value as u32;
        let (arrivals, rate, connections) = match (self, asked.rate) {
            (Self::Rate, Some(_)) => (asked.arrivals.clone(), value, asked.connections),
            (Self::Rate, None) => (poisson(), value, asked.connections),
            (Self::Connections, Some(rate)) => {
                (asked.arrivals.clone(), value * rate / f64::from(asked.connections), whole)
            }
            (Self::Connections, None) => {
                return Err(Failure::Usage(format!(
                    "--over connections: scenario {} is a closed loop and does not say how often a user sends; set load.mode = \
                     \"open\" and load.rate, or search --over rate",
                    scenario.name
                )));
            }
            (Self::Fanout, _) => (Pacing::burst(whole), value * EVENTS, whole),
        };
        Ok(Load {
            mode: "open".to_owned(),
            arrivals: Some(arrivals),
            // Less than a request a second has no place in a window of seconds.
            rate: Some(rate.max(1.0)),
            connections,
            measure_seconds: seconds,
            ..planned.clone()
        })
    }

    /// A value in words: `12,300 requests/s`.
    pub fn show(self, value: f64) -> String {
        format!("{} {}", grouped(value), self.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A load of one connection, of which each axis takes what it does not move.
    fn load(axis: Axis, scenario: &Scenario, value: f64, seconds: f64) -> Result<Load, Failure> {
        let planned = serde_json::from_str(
            r#"{"mode": "closed", "connections": 1, "in_flight": 1, "payload_bytes": 64, "warmup_seconds": 0.1, "measure_seconds": 9}"#,
        );
        axis.load(scenario, &planned.unwrap(), value, seconds)
    }

    fn peak() -> Scenario {
        Scenario::parse(include_str!("../../scenarios/peak.toml")).unwrap()
    }

    /// Each axis moves its own figure and leaves the others: users keep their rate each, a fan-out is a burst.
    #[test]
    fn each_axis_moves_one_thing() {
        let mut scenario = peak();
        let rate = load(Axis::Rate, &scenario, 5_000.0, 2.0).unwrap();
        assert_eq!((rate.rate, rate.connections, rate.measure_seconds), (Some(5_000.0), 200, 2.0));
        let fanout = load(Axis::Fanout, &scenario, 50.0, 1.0).unwrap();
        assert_eq!((fanout.rate, fanout.connections, fanout.arrivals.as_deref()), (Some(500.0), 50, Some("burst:50")));
        let said = load(Axis::Connections, &scenario, 50.0, 1.0).unwrap_err().to_string();
        assert!(said.contains("closed loop"), "{said}");
        scenario.load.rate = Some(2_000.0);
        let users = load(Axis::Connections, &scenario, 50.0, 1.0).unwrap();
        assert_eq!((users.rate, users.connections), (Some(500.0), 50));
    }

    /// Bounds that cannot be are refused with what would do; a ceiling below the usual start moves the start.
    #[test]
    fn bounds_are_checked() {
        let bounds = |start, ceiling| Axis::Connections.bounds(start, ceiling, 0.05, 20_000);
        assert_eq!(bounds(None, None).unwrap().ceiling, 19_872.0);
        assert_eq!(bounds(None, Some(50.0)).unwrap().start, 50.0);
        let why = |ceiling| Axis::Connections.end_of_descriptors(ceiling, 20_000);
        assert!(why(19_872.0).unwrap().contains("lab hold") && why(19_000.0).is_none());
        assert!(Axis::Rate.end_of_descriptors(1e6, 20_000).is_none());
        assert!(bounds(None, Some(20_000.0)).unwrap_err().to_string().contains("RLIMIT_NOFILE"));
        assert!(bounds(Some(60.0), Some(50.0)).unwrap_err().to_string().contains("start ≤ ceiling"));
        assert!(bounds(Some(0.0), None).is_err());
        assert!(bounds(Some(f64::NAN), None).is_err());
    }
}
