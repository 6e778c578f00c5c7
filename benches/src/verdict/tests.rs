//! What the rule claims: on noise, on true differences, and on rows that must not count.

use super::*;
use crate::result::{Latency, Load, Pass, Status, Trial};
use crate::stats::SplitMix64;

fn load() -> Load {
    Load {
        mode: "open".into(),
        arrivals: Some("constant".into()),
        rate: Some(20_000.0),
        connections: 64,
        in_flight: 1,
        payload_bytes: 64,
        add_share: None,
        page: None,
        warmup_seconds: 0.5,
        measure_seconds: 2.0,
    }
}

pub(super) fn trial(engine: &str, format: &str, round: u32, cpu: f64) -> Trial {
    let mut trial = Trial {
        schema: 1,
        index: 0,
        round,
        pass: Pass::Timing,
        engine: engine.into(),
        twin_of: (engine == "mio-again").then(|| "mio".into()),
        interface: "epoll".into(),
        protocol: "http1".into(),
        service: "note".into(),
        format: format.into(),
        load: load(),
        status: Status::Ok,
        reason: None,
        limiter: None,
        started_unix_ms: 0,
        measured_seconds: 2.0,
        due: None,
        completed: 40_000,
        rate_achieved: 20_000.0,
        errors: Default::default(),
        response: Latency { p99_us: cpu * 30.0, ..Latency::default() },
        service_time: Latency::default(),
        slices: Vec::new(),
        histograms: Default::default(),
        flame: None,
        server: Default::default(),
        generator: Default::default(),
        surroundings: Default::default(),
        ready: serde_json::Value::Null,
        counters: serde_json::Value::Null,
    };
    trial.server.cpu_us_per_request = cpu;
    trial.server.rss_bytes = 4_000_000;
    trial
}

/// A noisy box: the level walks between rounds, some rounds are slow, each trial has Student-t noise (3 degrees) and
/// one trial in twenty is much slower. `effect(engine, format)` is the true ratio.
fn run(random: &mut SplitMix64, rounds: u32, engines: &[&str], effect: impl Fn(&str, &str) -> f64) -> Vec<Trial> {
    let mut level = 0.0;
    let mut rows = Vec::new();
    for round in 1..=rounds {
        level += 0.03 * normal(random);
        let slow = if random.unit() < 0.08 { 0.1 + 0.4 * random.unit() } else { 0.0 };
        for format in ["raw", "json", "protobuf"] {
            for engine in engines {
                let student = normal(random) / ((0..3).map(|_| normal(random).powi(2)).sum::<f64>() / 3.0).sqrt();
                let hiccup = if random.unit() < 0.05 { 0.1 + 0.5 * random.unit() } else { 0.0 };
                let log = level + slow + 0.02 * student + hiccup;
                rows.push(trial(engine, format, round, 5.0 * effect(engine, format) * log.exp()));
            }
        }
    }
    rows
}

fn normal(random: &mut SplitMix64) -> f64 {
    (-2.0 * random.unit().ln()).sqrt() * (std::f64::consts::TAU * random.unit()).cos()
}

const FIVE: [&str; 5] = ["mio", "mio-again", "monoio-epoll", "monoio-uring", "tokio-uring"];

fn verdict(rows: &[Trial]) -> Verdict {
    judge(&Matrix::new(rows, None), 400)
}

/// A/A: in each of eight batches of 20 runs of five equal engines, at most two claim any difference in CPU
/// over all formats or in one, and at most two say so of the A/A pair itself; 5, 7 and 12 rounds.
#[test]
fn equal_engines_are_rarely_told_apart() {
    let mut random = SplitMix64(20);
    for rounds in [5, 5, 5, 5, 7, 7, 12, 12] {
        let (mut claims, mut pair) = (0, 0);
        for _ in 0..20 {
            let verdict = verdict(&run(&mut random, rounds, &FIVE, |_, _| 1.0));
            claims += usize::from(verdict.figures[0].claims());
            pair += usize::from(verdict.figures[0].bands.iter().any(|band| band.claims));
        }
        assert!(claims <= 2 && pair <= 2, "{rounds} rounds: {claims} claims, {pair} of the pair, in 20");
    }
}

/// The rule is not merely silent: of 20 runs of five rounds on the same noisy box, at least 12 find a true 20 %.
#[test]
fn true_differences_are_found() {
    let mut random = SplitMix64(7);
    let found = (0..20)
        .filter(|_| {
            let rows = run(&mut random, 5, &FIVE, |engine, _| if engine == "monoio-uring" { 0.8 } else { 1.0 });
            verdict(&rows).figures[0].of("monoio-uring", None).unwrap().call == Call::Less
        })
        .count();
    assert!(found >= 12, "{found} of 20");
}

/// Less in one format and more in another: no claim over all formats, but one for each format.
#[test]
fn opposite_differences_are_seen_per_format() {
    let mut random = SplitMix64(3);
    let effect = |engine: &str, format: &str| match (engine, format) {
        ("tokio-uring", "raw") => 0.5,
        ("tokio-uring", "json") => 2.0,
        _ => 1.0,
    };
    let verdict = verdict(&run(&mut random, 8, &FIVE, effect));
    let cpu = &verdict.figures[0];
    assert_eq!(cpu.of("tokio-uring", None).unwrap().call, Call::NoEvidence);
    assert_eq!(cpu.of("tokio-uring", Some("raw")).unwrap().call, Call::Less);
    assert_eq!(cpu.of("tokio-uring", Some("json")).unwrap().call, Call::More);
    assert_eq!(cpu.of("tokio-uring", Some("protobuf")).unwrap().call, Call::NoEvidence);
    assert!(verdict.headline.starts_with("With "), "{}", verdict.headline);
}

/// Void, failed and unavailable rows carry absurd numbers here; none of them reaches a figure.
#[test]
fn rows_that_are_not_ok_are_not_counted() {
    let mut random = SplitMix64(5);
    let mut rows = run(&mut random, 6, &FIVE[..3], |_, _| 1.0);
    let clean = verdict(&rows);
    for status in [Status::Void, Status::Failed, Status::Unavailable] {
        let mut bad = trial("monoio-epoll", "raw", 7, 1e6);
        bad.status = status;
        bad.reason = Some("schedule lag 9 ms, bound 1 ms".into());
        rows.push(bad);
    }
    let dirty = verdict(&rows);
    assert_eq!(clean.figures, dirty.figures);
    assert!(
        dirty.notes.iter().any(|note| note.contains("6 of 7 rounds count: schedule lag 9 ms")),
        "{:?}",
        dirty.notes
    );
}

#[test]
fn the_noise_band_silences_small_differences() {
    let mut rows = Vec::new();
    for round in 1..=10 {
        // The pair is 8 % apart from itself in every round; the rival is 5 % from the original.
        for (engine, cpu) in [("mio", 1.0), ("mio-again", 1.08), ("tokio", 1.05)] {
            rows.push(trial(engine, "raw", round, cpu * (1.0 + f64::from(round) * 1e-4)));
        }
    }
    let verdict = verdict(&rows);
    let cpu = &verdict.figures[0];
    assert!(cpu.band(None).unwrap().claims && (1.07..1.09).contains(&cpu.band(None).unwrap().factor));
    assert_eq!(cpu.of("tokio", None).unwrap().note.as_deref(), Some("inside the noise band"));
    assert_eq!(
        verdict.headline,
        "No evidence of a difference in server CPU per request between mio and tokio (noise band ±8.0%)."
    );
    assert!(verdict.notes[0].starts_with("The A/A pair differs from itself"), "{:?}", verdict.notes);
}

/// A pair's distance from itself by chance is not added to the width of its interval, which is what says how large chance is.
#[test]
fn the_noise_band_is_the_half_width_round_one() {
    let mut rows = Vec::new();
    for (round, twin) in (1..).zip([0.95, 0.97, 1.0, 1.01, 1.01, 1.02, 1.04, 1.06]) {
        rows.push(trial("mio", "raw", round, 1.0));
        rows.push(trial("mio-again", "raw", round, twin));
    }
    let verdict = verdict(&rows);
    let band = verdict.figures[0].band(None).unwrap();
    let [low, high] = band.interval;
    assert!(!band.claims && low < 1.0 && band.ratio > 1.0, "{band:?}");
    assert!((band.factor - (high / low).sqrt()).abs() < 1e-12 && band.factor < high, "{band:?}");
}

#[test]
fn headlines_say_what_there_is() {
    assert_eq!(verdict(&[]).headline, "Nothing was measured: there are no rows.");
    let rows = |rounds: u32, engines: &[(&str, f64)]| -> Vec<Trial> {
        (1..=rounds)
            .flat_map(|r| {
                engines.iter().map(move |(e, cpu)| trial(e, "raw", r, cpu + f64::from(r) * 1e-3)).collect::<Vec<_>>()
            })
            .collect()
    };
    assert_eq!(verdict(&rows(5, &[("mio", 4.0)])).headline, "Only mio ran: there is nothing to compare it with.");
    assert_eq!(
        verdict(&rows(2, &[("mio", 4.0), ("ring", 3.0)])).headline,
        "No claim is possible: 2 rounds count, 5 are needed."
    );
    let less = verdict(&rows(5, &[("mio", 4.0), ("ring", 3.0)])).headline;
    assert_eq!(less, "ring needs 25% less server CPU per request than mio (95% interval: 25% to 25% less).");
    let more = verdict(&rows(5, &[("mio", 1.0), ("tokio", 2.5)])).headline;
    assert_eq!(more, "tokio needs 2.5 times the server CPU per request of mio (95% interval: 2.5 to 2.5).");
    assert!(less.len() <= 110);
}
