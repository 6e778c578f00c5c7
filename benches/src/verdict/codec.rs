//! The codec's share of the server: what a format costs beyond `raw`, which says the same in fixed fields. Pure.
//!
//! Both are measured on live connections at the same offered load with the same handler, so what is left of the difference is the
//! codec and the bytes that it makes the kernel move. Ratios and differences are taken within rounds, their medians have the
//! intervals of [`crate::stats`]. A share is supported when its interval does not hold zero and the ratio lies outside the noise
//! band of the A/A pair, where there is one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figure::Figure;
use super::matrix::{Cell, Matrix};
use super::{Band, Verdict};
use crate::calculator::{Curve, Point, Span};
use crate::load::workload::Kind;
use crate::result::{Pass, Status, Trial};
use crate::stats::{median, middle, paired_ratio};

/// The format that stands for no codec.
pub const RAW: &str = "raw";

/// Seed of all resampling. Any number would do.
const SEED: u64 = 0xc0dec;

/// What a format costs beyond raw on one engine for one workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    /// The engine.
    pub engine: String,
    /// The engine that it is a second name of.
    pub twin_of: Option<String>,
    /// The framing.
    pub protocol: String,
    /// What was asked, with its size: `list 5`, `add 128 B`.
    pub ask: String,
    /// The format.
    pub format: String,
    /// Rounds in which both it and raw count.
    pub rounds: usize,
    /// Bytes said by a request and its reply: their bodies in raw.
    pub content_bytes: f64,
    /// Bytes of both on the connection, framing included, from the server's own counters.
    pub wire_bytes: Option<f64>,
    /// Server CPU-microseconds per request in raw, median of those rounds.
    pub raw_us: f64,
    /// The same in the format.
    pub format_us: f64,
    /// Their difference within rounds.
    pub codec_us: Span,
    /// The codec's share of the server's CPU, 0 to 1; negative when the format was cheaper than raw.
    pub share: Span,
    /// Whether interval and noise band support a difference.
    pub supported: bool,
}

/// The codec's share in every cell that is not raw, for every engine; cells in order, engines in order within a cell.
pub fn shares(matrix: &Matrix, verdict: &Verdict, resamples: usize) -> Vec<Share> {
    let mut shares = Vec::new();
    for (cell, place) in matrix.cells.iter().enumerate().filter(|(_, cell)| cell.format != RAW) {
        let Some(raw) = matrix.cells.iter().position(|other| is_raw_of(other, place)) else { continue };
        let band = verdict.figures.first().and_then(|cpu| cpu.band(Some(&place.label)).or_else(|| cpu.band(None)));
        for engine in 0..matrix.engines.len() {
            shares.extend(share(matrix, engine, cell, raw, band, resamples));
        }
    }
    shares
}

fn is_raw_of(raw: &Cell, cell: &Cell) -> bool {
    raw.format == RAW && (&raw.protocol, &raw.service, &raw.load) == (&cell.protocol, &cell.service, &cell.load)
}

fn share(
    matrix: &Matrix,
    engine: usize,
    cell: usize,
    raw: usize,
    band: Option<&Band>,
    resamples: usize,
) -> Option<Share> {
    let (ours, floor) = (matrix.values(engine, cell, Figure::Cpu), matrix.values(engine, raw, Figure::Cpu));
    let pairs: Vec<(f64, f64)> = ours.iter().filter_map(|(round, ours)| Some((*ours, *floor.get(round)?))).collect();
    let ratios: Vec<Option<f64>> = pairs.iter().map(|(ours, floor)| Some(floor / ours)).collect();
    let ratio = paired_ratio(&[ratios], resamples, SEED)?;
    let differences: Vec<f64> = pairs.iter().map(|(ours, floor)| ours - floor).collect();
    let codec = middle(&differences, resamples, SEED)?;
    let side = |of: fn(&(f64, f64)) -> f64| median(&pairs.iter().map(of).collect::<Vec<_>>());
    let (name, place) = (&matrix.engines[engine], &matrix.cells[cell]);
    let outside = band.is_none_or(|band| ratio.ratio.ln().abs() > band.factor.ln());
    Some(Share {
        engine: name.name.clone(),
        twin_of: name.twin_of.clone(),
        protocol: place.protocol.clone(),
        ask: place.ask(),
        format: place.format.clone(),
        rounds: pairs.len(),
        content_bytes: content_bytes(place),
        wire_bytes: wire_bytes(matrix, engine, cell),
        raw_us: side(|pair| pair.1)?,
        format_us: side(|pair| pair.0)?,
        codec_us: Span { value: codec.value, interval: [codec.interval.low, codec.interval.high] },
        share: Span { value: 1.0 - ratio.ratio, interval: [1.0 - ratio.interval.high, 1.0 - ratio.interval.low] },
        supported: outside && !ratio.interval.contains(1.0),
    })
}

/// What every format costs over the sizes that were asked, for the calculator.
pub fn curves(matrix: &Matrix) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for (engine, name) in matrix.engines.iter().enumerate().filter(|(_, engine)| engine.twin_of.is_none()) {
        for (cell, place) in matrix.cells.iter().enumerate() {
            let point = Point {
                content_bytes: content_bytes(place),
                wire_bytes: wire_bytes(matrix, engine, cell),
                cpu_us: matrix.values(engine, cell, Figure::Cpu),
            };
            let ask = place.kind_of_ask().to_owned();
            let same = |curve: &Curve| {
                (&curve.engine, &curve.protocol, &curve.ask, &curve.format)
                    == (&name.name, &place.protocol, &ask, &place.format)
            };
            match curves.iter_mut().find(|curve| same(curve)) {
                Some(curve) => curve.points.push(point),
                None => curves.push(Curve {
                    engine: name.name.clone(),
                    protocol: place.protocol.clone(),
                    ask,
                    format: place.format.clone(),
                    points: vec![point],
                }),
            }
        }
    }
    curves.iter_mut().for_each(|curve| curve.points.sort_by(|a, b| a.content_bytes.total_cmp(&b.content_bytes)));
    curves
}

/// Bytes said by a request and its reply.
pub fn content_bytes(cell: &Cell) -> f64 {
    let kind = match (cell.load.add_share, cell.load.page) {
        (Some(add_share), Some(page)) => Kind::Note { add_share, page },
        _ if cell.service == "content" => Kind::Content,
        _ => Kind::Echo,
    };
    kind.content_bytes(cell.load.payload_bytes)
}

/// Bytes of a request and its reply on the connection, as the servers counted them; median of the rounds that count.
fn wire_bytes(matrix: &Matrix, engine: usize, cell: usize) -> Option<f64> {
    let counted = matrix.rows(engine, cell).filter(|trial| trial.status == Status::Ok && trial.pass == Pass::Timing);
    median(&counted.filter_map(wire_bytes_of).collect::<Vec<_>>())
}

fn wire_bytes_of(trial: &Trial) -> Option<f64> {
    let count = |name: &str| trial.counters.get(name).and_then(serde_json::Value::as_u64);
    let requests = count("requests").filter(|requests| *requests > 0)?;
    Some((count("bytes_in")? + count("bytes_out")?) as f64 / requests as f64)
}

/// The sentence that goes first for a comparison of formats: the baseline's dearest format, by its share.
pub fn headline(verdict: &Verdict, shares: &[Share]) -> Option<String> {
    let engine = verdict.baseline.as_deref()?;
    let mut by_format: BTreeMap<&str, Vec<&Share>> = BTreeMap::new();
    for share in shares.iter().filter(|share| share.engine == engine) {
        by_format.entry(&share.format).or_default().push(share);
    }
    let largest = by_format
        .values()
        .filter_map(|shares| shares.iter().max_by(|a, b| a.share.value.total_cmp(&b.share.value)))
        .max_by(|a, b| a.share.value.total_cmp(&b.share.value))?;
    let Share { ask, format, .. } = largest;
    if !largest.supported {
        return Some(format!(
            "No format's codec shows beyond the noise in {engine}'s CPU; the largest is {format}'s for {ask}."
        ));
    }
    let percent = |share: f64| format!("{:.0}%", share * 100.0);
    let [low, high] = largest.share.interval;
    Some(format!(
        "The codec is at most {} of {engine}'s server CPU: {format}'s for {ask} (95% interval: {} to {}).",
        percent(largest.share.value),
        percent(low),
        percent(high)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::judge;
    use crate::verdict::tests::trial;

    fn judged(trials: &[Trial]) -> (Matrix<'_>, Verdict) {
        let matrix = Matrix::new(trials, None);
        let verdict = judge(&matrix, 1_000);
        (matrix, verdict)
    }

    /// Shows the share and its cost where they are known: json costs raw and 4 µs, with a drift over rounds that hits both.
    #[test]
    fn a_known_codec_is_found() {
        let mut trials = Vec::new();
        for round in 1..=7 {
            let drift = 1.0 + f64::from(round % 3) * 0.1;
            trials.push(trial("mio", "raw", round, 6.0 * drift));
            trials.push(trial("mio", "json", round, 10.0 * drift));
        }
        for trial in &mut trials {
            trial.counters = serde_json::json!({"requests": 10, "bytes_in": 500, "bytes_out": 1500});
        }
        let (matrix, verdict) = judged(&trials);
        let shares = shares(&matrix, &verdict, 1_000);
        let [json] = &shares[..] else { panic!("{shares:?}") };
        assert_eq!((json.format.as_str(), json.rounds, json.wire_bytes), ("json", 7, Some(200.0)));
        assert!((json.share.value - 0.4).abs() < 1e-9 && json.supported, "{json:?}");
        assert!((json.codec_us.value - 4.4).abs() < 1e-9, "{json:?}");
        assert!(json.codec_us.interval[0] > 3.99 && json.codec_us.interval[1] < 4.81);
        assert!(headline(&verdict, &shares).unwrap().starts_with("The codec is at most 40% of mio's server CPU"));
        let curves = curves(&matrix);
        assert_eq!(curves.len(), 2);
        assert_eq!(curves[0].points[0].cpu_us.len(), 7);
    }

    /// Shows that a format which costs nothing is not said to cost something, and that without raw there is no share.
    #[test]
    fn noise_is_no_codec() {
        let noise = [1.0, 1.1, 0.95, 1.04, 0.9, 1.02, 0.99];
        let mut trials = Vec::new();
        for (round, factor) in (1..).zip(noise) {
            trials.push(trial("mio", "raw", round, 10.0));
            trials.push(trial("mio", "protobuf", round, 10.0 * factor));
        }
        let (matrix, verdict) = judged(&trials);
        let found = shares(&matrix, &verdict, 1_000);
        assert!(!found[0].supported, "{found:?}");
        assert!(headline(&verdict, &found).unwrap().starts_with("No format's codec"));
        trials.retain(|trial| trial.format != "raw");
        let (matrix, verdict) = judged(&trials);
        assert!(shares(&matrix, &verdict, 1_000).is_empty());
    }
}
