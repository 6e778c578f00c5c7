//! What a format costs a service: users, messages and bytes in; cores, Gbit/s and memory out. Pure: measured costs in,
//! lines out.
//!
//! The CPU of a message is a line over its size, `a + b · bytes`, fitted by least squares to the sizes that were measured, for each
//! round by itself; the figure is the median over rounds with its bootstrap interval. So is the difference between two
//! formats, which is taken within rounds. What lies outside the measured sizes is marked as extrapolated. Costs are those at the rate that
//! was offered: a server with less to do wakes up for fewer messages at a time, and pays more for each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::climb::forecast;
use crate::engines::Engine;
use crate::failure::Failure;
use crate::stats::{RESAMPLES, median, middle};

/// Seed of all resampling, so that a report made twice is the same twice. Any number would do.
const SEED: u64 = 0xca1c;

/// The format that others are compared with, where it was measured: what most services speak.
const REFERENCE: &str = "json";

/// What a service has to do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demand {
    /// Connected users.
    pub users: u64,
    /// Messages per second of each user: requests, each of which is answered.
    pub rate: f64,
    /// Bytes of a request's and its reply's body together in the format raw: how much is said.
    pub bytes: f64,
}

impl Demand {
    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// A usage failure that names the key, the value seen and the range.
    pub fn check(&self) -> Result<(), Failure> {
        let bounds = [
            ("calculator.users", self.users as f64, 1.0, 1e9),
            ("calculator.rate", self.rate, 1e-6, 1e6),
            ("calculator.bytes", self.bytes, 1.0, 1e8),
        ];
        match bounds.into_iter().find(|(_, seen, low, high)| !(low..=high).contains(&seen)) {
            Some((key, seen, low, high)) => {
                Err(Failure::Usage(format!("{key} = {seen}: must be between {low} and {high}")))
            }
            None => Ok(()),
        }
    }

    /// Messages per second of all users.
    pub fn messages_per_second(&self) -> f64 {
        self.users as f64 * self.rate
    }
}

/// Memory of an idle connection on the server's end, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idle {
    /// The engine's own, as `engines.toml` says.
    pub user: u64,
    /// Kernel objects, with the overhead of their slabs.
    pub kernel: u64,
}

/// What `plan.json` keeps for the calculator, so that reports need the result directory alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// What was asked.
    pub demand: Demand,
    /// Memory by engine.
    pub idle_bytes: BTreeMap<String, Idle>,
}

/// Memory of an idle connection to `engine`.
pub fn idle(engine: &Engine) -> Idle {
    Idle { user: forecast::server_user_bytes(engine), kernel: forecast::server_kernel_bytes(engine) }
}

/// What one size of message cost in a format.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Bytes said, as in [`Demand::bytes`].
    pub content_bytes: f64,
    /// Bytes of request and reply on the connection, framing included.
    pub wire_bytes: Option<f64>,
    /// Server CPU-microseconds per message, by round.
    pub cpu_us: BTreeMap<u32, f64>,
}

/// All sizes of one format on one engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// The engine.
    pub engine: String,
    /// The framing.
    pub protocol: String,
    /// What was asked, without its size: `list`, `add`, `echo`.
    pub ask: String,
    /// The format.
    pub format: String,
    /// Its sizes.
    pub points: Vec<Point>,
}

/// A value with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Span {
    /// The value.
    pub value: f64,
    /// Its interval.
    pub interval: [f64; 2],
}

impl Span {
    fn of(values: &[f64], factor: f64) -> Option<Self> {
        let found = middle(values, RESAMPLES, SEED)?;
        Some(Self {
            value: found.value * factor,
            interval: [found.interval.low * factor, found.interval.high * factor],
        })
    }
}

/// What the demand takes in one format on one engine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The engine.
    pub engine: String,
    /// The framing.
    pub protocol: String,
    /// What was asked: `list`, `add`, `echo`.
    pub ask: String,
    /// The format.
    pub format: String,
    /// Server CPU-microseconds per message at the asked size.
    pub cpu_us_per_message: Span,
    /// Server cores.
    pub cores: Span,
    /// The format that savings are counted from.
    pub reference: Option<String>,
    /// Cores that are saved against it; negative when it takes more. `None` for the reference itself.
    pub cores_saved: Option<Span>,
    /// Bytes of request and reply on the connection, framing included, without TCP's and IP's headers.
    pub wire_bytes_per_message: Option<f64>,
    /// Both directions together.
    pub gbit_per_second: Option<f64>,
    /// Memory of all idle connections on the server's end, which no format changes.
    pub memory_bytes: Option<u64>,
    /// Whether the size lies outside the sizes that were measured.
    pub extrapolated: bool,
}

/// Works out `planned` for every curve; curves without a round that counts give no line.
pub fn lines(planned: &Planned, curves: &[Curve]) -> Vec<Line> {
    curves.iter().filter_map(|curve| line(planned, curve, curves)).collect()
}

fn line(planned: &Planned, curve: &Curve, curves: &[Curve]) -> Option<Line> {
    let Demand { users, bytes, .. } = planned.demand;
    let messages = planned.demand.messages_per_second();
    let cores_per_us = messages / 1e6;
    let by_round = at(curve, bytes);
    let values: Vec<f64> = by_round.values().copied().collect();
    let reference = reference(curve, curves);
    let saved = reference.filter(|reference| reference.format != curve.format).and_then(|reference| {
        let theirs = at(reference, bytes);
        let within: Vec<f64> = by_round.iter().filter_map(|(round, ours)| Some(theirs.get(round)? - ours)).collect();
        Span::of(&within, cores_per_us)
    });
    let wire = wire_at(curve, bytes);
    let sizes = curve.points.iter().map(|point| point.content_bytes);
    let (low, high) = sizes.fold((f64::INFINITY, 0.0_f64), |(low, high), size| (low.min(size), high.max(size)));
    let idle = planned.idle_bytes.get(&curve.engine);
    Some(Line {
        engine: curve.engine.clone(),
        protocol: curve.protocol.clone(),
        ask: curve.ask.clone(),
        format: curve.format.clone(),
        cpu_us_per_message: Span::of(&values, 1.0)?,
        cores: Span::of(&values, cores_per_us)?,
        reference: reference.map(|reference| reference.format.clone()),
        cores_saved: saved,
        wire_bytes_per_message: wire,
        gbit_per_second: wire.map(|bytes| bytes * messages * 8.0 / 1e9),
        memory_bytes: idle.map(|idle| (idle.user + idle.kernel) * users),
        extrapolated: !(low..=high).contains(&bytes),
    })
}

/// The curve of the reference format beside `curve`: JSON, else the first one that is not raw.
fn reference<'a>(curve: &Curve, curves: &'a [Curve]) -> Option<&'a Curve> {
    let beside = || {
        curves.iter().filter(|other| {
            (&other.engine, &other.protocol, &other.ask) == (&curve.engine, &curve.protocol, &curve.ask)
        })
    };
    beside()
        .find(|other| other.format == REFERENCE)
        .or_else(|| beside().find(|other| other.format != crate::verdict::RAW))
}

/// CPU-microseconds of a message of `bytes` in each round in which every size counts.
fn at(curve: &Curve, bytes: f64) -> BTreeMap<u32, f64> {
    let Some(first) = curve.points.first() else { return BTreeMap::new() };
    let rounds = first.cpu_us.keys().filter_map(|round| {
        let costs = curve.points.iter().map(|point| Some((point.content_bytes, *point.cpu_us.get(round)?)));
        Some((*round, fitted(&costs.collect::<Option<Vec<_>>>()?, bytes)))
    });
    rounds.collect()
}

/// Bytes on the connection for a message of `bytes`.
fn wire_at(curve: &Curve, bytes: f64) -> Option<f64> {
    let points: Vec<(f64, f64)> =
        curve.points.iter().filter_map(|point| Some((point.content_bytes, point.wire_bytes?))).collect();
    (!points.is_empty()).then(|| fitted(&points, bytes))
}

/// The least-squares line through `points` at `x`; with one size, its value (the median where it was measured more than once).
fn fitted(points: &[(f64, f64)], x: f64) -> f64 {
    let count = points.len().max(1) as f64;
    let mean_x = points.iter().map(|point| point.0).sum::<f64>() / count;
    let mean_y = points.iter().map(|point| point.1).sum::<f64>() / count;
    let spread: f64 = points.iter().map(|point| (point.0 - mean_x).powi(2)).sum();
    if spread <= f64::EPSILON * mean_x * mean_x {
        return median(&points.iter().map(|point| point.1).collect::<Vec<_>>()).unwrap_or(0.0);
    }
    let together: f64 = points.iter().map(|point| (point.0 - mean_x) * (point.1 - mean_y)).sum();
    mean_y + together / spread * (x - mean_x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A format whose message costs `fixed` µs and `per_byte`, measured at 100 and 1,000 bytes in five rounds that drift.
    fn curve(format: &str, fixed: f64, per_byte: f64) -> Curve {
        let point = |bytes: f64| Point {
            content_bytes: bytes,
            wire_bytes: Some(24.0 + 2.0 * bytes),
            cpu_us: (1..=5)
                .map(|round| (round, (fixed + per_byte * bytes) * (1.0 + f64::from(round) / 100.0)))
                .collect(),
        };
        Curve {
            engine: "mio".into(),
            protocol: "frame".into(),
            ask: "add".into(),
            format: format.into(),
            points: vec![point(100.0), point(1000.0)],
        }
    }

    fn planned(bytes: f64) -> Planned {
        let idle = Idle { user: 91, kernel: 5_909 };
        Planned {
            demand: Demand { users: 300_000, rate: 0.1, bytes },
            idle_bytes: BTreeMap::from([("mio".to_owned(), idle)]),
        }
    }

    /// Shows cores, Gbit/s, memory and what a format saves, on costs whose answer is known by hand.
    #[test]
    fn known_costs_give_known_lines() {
        let lines = lines(&planned(550.0), &[curve("json", 10.0, 0.02), curve("protobuf", 10.0, 0.01)]);
        let [json, protobuf] = &lines[..] else { panic!("{lines:?}") };
        // 10 + 0.02 · 550 = 21 µs, third round 3 % more; 30,000 messages a second.
        assert!((json.cpu_us_per_message.value - 21.63).abs() < 1e-9, "{json:?}");
        assert!((json.cores.value - 0.6489).abs() < 1e-9);
        assert!((protobuf.cores_saved.unwrap().value - 0.03 * 5.5 * 1.03).abs() < 1e-9, "{protobuf:?}");
        assert_eq!((json.cores_saved, json.reference.as_deref()), (None, Some("json")));
        let [low, high] = json.cores.interval;
        assert!(low < json.cores.value && json.cores.value < high);
        assert!((json.gbit_per_second.unwrap() - 1124.0 * 30_000.0 * 8.0 / 1e9).abs() < 1e-9);
        assert_eq!(json.memory_bytes, Some(1_800_000_000));
        assert!(!json.extrapolated);
        assert!(super::lines(&planned(50_000.0), &[curve("json", 1.0, 1.0)])[0].extrapolated);
    }

    /// Shows that rounds in which a size is missing do not count, and that without any there is no line.
    #[test]
    fn broken_rounds_are_left_out() {
        let mut json = curve("json", 10.0, 0.02);
        json.points[1].cpu_us.remove(&5);
        assert_eq!(at(&json, 550.0).len(), 4);
        json.points[1].cpu_us.clear();
        assert!(lines(&planned(550.0), &[json]).is_empty());
    }

    /// Shows that one size stands for every size, marked.
    #[test]
    fn one_size_is_marked() {
        let mut json = curve("json", 10.0, 0.02);
        json.points.truncate(1);
        let lines = lines(&planned(550.0), &[json]);
        assert!(lines[0].extrapolated && (lines[0].cpu_us_per_message.value - 12.36).abs() < 1e-9, "{lines:?}");
    }

    /// Shows that numbers out of range are named.
    #[test]
    fn senseless_demands_are_refused() {
        let said = Demand { users: 0, rate: 1.0, bytes: 1.0 }.check().unwrap_err().to_string();
        assert_eq!(said, "calculator.users = 0: must be between 1 and 1000000000");
        assert!(Demand { users: 1, rate: f64::NAN, bytes: 1.0 }.check().is_err());
    }
}
