//! Readings and rules to ranked findings. Pure: the same readings, the same verdict.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::rules::{Measure, Rule, Rules, Side, Tier};
use super::watch::{Reading, Record};
use crate::report::grouped;

/// A resource that crossed its bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The resource.
    pub resource: String,
    /// Whose it is.
    pub side: Side,
    /// How much that says.
    pub tier: Tier,
    /// When it crossed, seconds since the server was ready.
    pub at_seconds: f64,
    /// What was seen.
    pub evidence: String,
    /// What moves the bound.
    pub knob: String,
}

/// A resource that came nearest to its bound without crossing it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Near {
    /// The resource.
    pub resource: String,
    /// What was seen.
    pub evidence: String,
    /// How near, 1 at the bound.
    pub share_of_bound: f64,
}

/// What the counters say about one load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether the server ended while it was loaded.
    #[serde(default)]
    pub died: bool,
    /// What was saturated, first things first.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// What came nearest, when nothing was full or refused.
    #[serde(default)]
    pub nearest: Option<Near>,
    /// How many readings it rests on.
    #[serde(default)]
    pub readings: usize,
}

impl Verdict {
    /// The finding that is named: the first.
    pub fn first(&self) -> Option<&Finding> {
        self.findings.first()
    }

    /// It in a sentence, or what came nearest.
    pub fn sentence(&self) -> String {
        match (self.first(), &self.nearest) {
            (Some(first), _) => format!("{}: {}", first.resource, first.evidence),
            (None, Some(near)) => {
                format!("nothing on this box crossed its bound; nearest {}: {}", near.resource, near.evidence)
            }
            (None, None) => "nothing on this box crossed its bound".to_owned(),
        }
    }
}

/// Where a rule stands at its worst reading.
struct Worst {
    /// When the rule fired, if it did.
    fired: Option<f64>,
    value: f64,
    of: Option<f64>,
    /// Value over `of`, or the value.
    ratio: f64,
}

/// Puts `record` to `rules`. `said` is what broke the trial, `missed` whether an objective was missed.
pub fn judge(rules: &Rules, record: &Record, said: &str, missed: bool) -> Verdict {
    let mut findings: Vec<Finding> = Vec::new();
    let mut nearest: Option<Near> = None;
    for rule in rules.iter() {
        if rule.tier == Tier::Idle && !missed {
            continue;
        }
        if let Some(wanted) = &rule.said {
            if said.contains(wanted.as_str()) {
                let end = record.readings.last().map_or(0.0, |reading| reading.at_seconds);
                note(&mut findings, finding(rule, end, rule.evidence.clone()));
            }
            continue;
        }
        let Some(worst) = worst(rule, record) else { continue };
        let evidence = evidence(rule, &worst);
        match worst.fired {
            Some(at) => note(&mut findings, finding(rule, at, evidence)),
            None => approach(&mut nearest, rule, &worst, evidence),
        }
    }
    // Stable: rules of one tier that crossed at one reading keep the table's order.
    findings
        .sort_by(|a, b| a.tier.cmp(&b.tier).then(a.at_seconds.partial_cmp(&b.at_seconds).unwrap_or(Ordering::Equal)));
    let hard = findings.iter().any(|finding| finding.tier <= Tier::Idle);
    Verdict { died: false, findings, nearest: nearest.filter(|_| !hard), readings: record.readings.len() }
}

fn finding(rule: &Rule, at_seconds: f64, evidence: String) -> Finding {
    let Rule { resource, side, tier, knob, .. } = rule.clone();
    Finding { resource, side, tier, at_seconds, evidence, knob }
}

/// Adds a finding, or keeps the stronger of two about one resource.
fn note(findings: &mut Vec<Finding>, found: Finding) {
    match findings.iter_mut().find(|other| other.resource == found.resource) {
        Some(other) if (found.tier, found.at_seconds) < (other.tier, other.at_seconds) => *other = found,
        Some(_) => {}
        None => findings.push(found),
    }
}

/// Keeps the resource that came nearest to its bound; only shares have a bound that can be approached.
fn approach(nearest: &mut Option<Near>, rule: &Rule, worst: &Worst, evidence: String) {
    let Some(above) = rule.above.filter(|_| rule.tier <= Tier::Full && rule.measure != Some(Measure::Growth)) else {
        return;
    };
    let share_of_bound = worst.ratio / above;
    if nearest.as_ref().is_none_or(|near| share_of_bound > near.share_of_bound) && share_of_bound > 0.0 {
        *nearest = Some(Near { resource: rule.resource.clone(), evidence, share_of_bound });
    }
}

/// The worst that the readings say about a rule; `None` when its signals were not read.
fn worst(rule: &Rule, record: &Record) -> Option<Worst> {
    let (signal, measure) = (rule.signal.as_deref()?, rule.measure?);
    if measure == Measure::Mean {
        let mut window = seen(record.window(), signal);
        let (first, last) = (window.next()?, window.last()?);
        let value = slope(first, last, signal)?;
        let of = compared(rule, last)?;
        let ratio = ratio(value, of);
        return Some(Worst { fired: beyond(rule, ratio).then_some(first.at_seconds), value, of, ratio });
    }
    run(rule, points(rule, record, signal, measure)?)
}

/// What a rule compares with: nothing, or a signal that must have been read.
fn compared(rule: &Rule, reading: &Reading) -> Option<Option<f64>> {
    rule.of.as_deref().map_or(Some(None), |of| reading.values.get(of).copied().map(Some))
}

/// Whether a rule's bound is crossed.
fn beyond(rule: &Rule, ratio: f64) -> bool {
    rule.above.is_some_and(|above| ratio >= above) || rule.below.is_some_and(|below| ratio <= below)
}

/// Time, value and what it is compared with at each reading.
fn points(rule: &Rule, record: &Record, signal: &str, measure: Measure) -> Option<Vec<(f64, f64, Option<f64>)>> {
    let point = |reading: &Reading, value: f64| Some((reading.at_seconds, value, compared(rule, reading)?));
    let points: Vec<_> = match measure {
        Measure::Level => {
            seen(&record.readings, signal).filter_map(|reading| point(reading, reading.values[signal])).collect()
        }
        Measure::Growth => {
            let first = seen(&record.readings, signal).next()?.values[signal];
            seen(&record.readings, signal).filter_map(|r| point(r, r.values[signal] - first)).collect()
        }
        Measure::Mean | Measure::Rate => {
            let window: Vec<&Reading> = seen(record.window(), signal).collect();
            let rate = |pair: &[&Reading]| point(pair[1], slope(pair[0], pair[1], signal)?);
            window.windows(2).filter_map(rate).collect()
        }
    };
    (!points.is_empty()).then_some(points)
}

/// Looks for the first run of readings beyond the bound, and for the worst reading.
fn run(rule: &Rule, points: Vec<(f64, f64, Option<f64>)>) -> Option<Worst> {
    let worse = |ratio: f64, than: f64| if rule.below.is_some() { ratio < than } else { ratio > than };
    let (mut worst, mut in_a_row): (Option<Worst>, usize) = (None, 0);
    let mut fired = None;
    for (at, value, of) in points {
        let ratio = ratio(value, of);
        in_a_row = if beyond(rule, ratio) { in_a_row + 1 } else { 0 };
        if in_a_row >= rule.readings && fired.is_none() {
            fired = Some(at);
        }
        if worst.as_ref().is_none_or(|worst| worse(ratio, worst.ratio)) {
            worst = Some(Worst { fired: None, value, of, ratio });
        }
    }
    worst.map(|worst| Worst { fired, ..worst })
}

/// Readings that have `signal`.
fn seen<'a>(readings: &'a [Reading], signal: &'a str) -> impl Iterator<Item = &'a Reading> {
    readings.iter().filter(move |reading| reading.values.contains_key(signal))
}

fn slope(from: &Reading, to: &Reading, signal: &str) -> Option<f64> {
    let seconds = to.at_seconds - from.at_seconds;
    (seconds > 0.0).then(|| (to.values[signal] - from.values[signal]) / seconds)
}

fn ratio(value: f64, of: Option<f64>) -> f64 {
    match of {
        Some(of) if of > 0.0 => value / of,
        Some(_) => 0.0,
        None => value,
    }
}

fn evidence(rule: &Rule, worst: &Worst) -> String {
    rule.evidence
        .replace("{value}", &number(worst.value))
        .replace("{of}", &worst.of.map_or_else(String::new, number))
        .replace("{share}", &format!("{:.0} %", worst.ratio * 100.0))
}

/// Whole where it is, else with two digits.
fn number(value: f64) -> String {
    if value.fract() == 0.0 { grouped(value) } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readings of some signals every 100 ms; the window is all of them.
    fn record(signals: &[(&'static str, &[f64])]) -> Record {
        let count = signals.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
        let reading = |index: usize| Reading {
            at_seconds: index as f64 / 10.0,
            values: signals.iter().filter_map(|(name, values)| Some((*name, *values.get(index)?))).collect(),
        };
        Record { readings: (0..count).map(reading).collect(), window_seconds: None }
    }

    fn first(record: &Record) -> Option<String> {
        judge(&Rules::default(), record, "", true).first().map(|finding| finding.resource.clone())
    }

    /// A core that is full over the window is named; one that is so for a part of it is what came nearest.
    #[test]
    fn a_core_is_named_when_it_stays_full() {
        let cores: &[f64] = &[1.0; 6];
        let full = record(&[("server.cpu_seconds", &[0.0, 0.1, 0.2, 0.3, 0.4, 0.48]), ("server.cores", cores)]);
        assert_eq!(first(&full).as_deref(), Some("server-cpu"));
        let short = record(&[("server.cpu_seconds", &[0.0, 0.08, 0.18, 0.28, 0.34, 0.42]), ("server.cores", cores)]);
        let verdict = judge(&Rules::default(), &short, "", true);
        assert!(verdict.findings.is_empty(), "{verdict:?}");
        assert_eq!(verdict.nearest.unwrap().resource, "server-cpu");
    }

    /// What was refused outranks what was full, and an idle server is only a finding when nothing else is and an objective was missed.
    #[test]
    fn findings_are_ranked() {
        let full: &[f64] = &[0.0, 0.1, 0.2, 0.3, 0.4, 0.5];
        let cores: &[f64] = &[1.0; 6];
        let both = record(&[
            ("server.cpu_seconds", full),
            ("server.cores", cores),
            ("tcp.listen_overflows", &[7.0, 7.0, 7.0, 7.0, 7.0, 9.0]),
        ]);
        let verdict = judge(&Rules::default(), &both, "", true);
        let names: Vec<&str> = verdict.findings.iter().map(|finding| finding.resource.as_str()).collect();
        assert_eq!(names, ["accept-queue", "server-cpu"]);
        assert!(verdict.findings[0].evidence.starts_with("2 times"), "{}", verdict.findings[0].evidence);
        let idle = record(&[("server.cpu_seconds", &[0.0, 0.01, 0.02]), ("server.cores", &[1.0; 3])]);
        assert_eq!(first(&idle).as_deref(), Some("dependency"));
        assert!(judge(&Rules::default(), &idle, "", false).findings.is_empty());
    }

    /// Rates are those of the measured window: a core that is full while connections are opened is not the limit.
    #[test]
    fn rates_are_of_the_window() {
        let mut opening = record(&[
            ("server.cpu_seconds", &[0.0, 0.1, 0.2, 0.3, 0.4, 0.48, 0.56, 0.64]),
            ("server.cores", &[1.0; 8]),
        ]);
        opening.window_seconds = Some((0.39, 0.71));
        assert!(judge(&Rules::default(), &opening, "", true).findings.is_empty());
    }

    /// What the generator said about its end is heard.
    #[test]
    fn words_are_heard() {
        let said = "only 61 of 100 connections could be opened: Cannot assign requested address (os error 99)";
        let verdict = judge(&Rules::default(), &Record::default(), said, true);
        assert_eq!(
            (verdict.first().unwrap().resource.as_str(), verdict.first().unwrap().side),
            ("ports", Side::Generator)
        );
    }

    /// Signals that were not read make no finding and no division by zero.
    #[test]
    fn missing_signals_say_nothing() {
        let odd = record(&[
            ("server.connections", &[5.0]),
            ("server.descriptor_room", &[0.0]),
            ("conntrack.entries", &[9.0]),
        ]);
        assert!(judge(&Rules::default(), &odd, "", true).findings.is_empty());
    }
}
