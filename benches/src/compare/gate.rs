//! The gate: may a figure have become this much worse, and does the comparison show that it did not?
//!
//! Over all loads of an engine there are three outcomes. *Regressed*: more, supported, and by more than is allowed. *Passed*: not
//! more than allowed, and either the interval ends below what is allowed or the comparison would have seen that much.
//! *Inconclusive*: all else, since a gate that passes whatever it cannot see is none. A single load can only add a regression:
//! it has fewer rounds, and would mostly be inconclusive.

use serde::Serialize;

use super::{Compared, FigureCompared, Line};
use crate::verdict::{Call, percent};

/// What a check comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// No regression beyond what is allowed, and it could have been seen.
    Passed,
    /// A supported regression beyond what is allowed.
    Regressed,
    /// The comparison cannot tell.
    Inconclusive,
}

/// One engine's figure, over all loads or in one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// The engine.
    pub engine: String,
    /// The figure's short name.
    pub figure: &'static str,
    /// The load; `None` over all of them.
    pub cell: Option<String>,
    /// What it comes to.
    pub outcome: Outcome,
    /// After ÷ before.
    pub ratio: Option<f64>,
    /// Its 95 % interval.
    pub interval: Option<[f64; 2]>,
    /// The smallest ratio that would have been claimed in four of five such comparisons.
    pub detectable: Option<f64>,
    /// In words.
    pub why: String,
}

/// Checks `figures` of a comparison by their keys; `allowed` is the largest ratio that passes, 1.05 for 5 %.
pub fn check(compared: &Compared, figures: &[String], allowed: f64) -> Vec<Check> {
    let wanted = compared.figures.iter().filter(|figure| figures.iter().any(|name| name == figure.figure));
    let mut checks = Vec::new();
    for figure in wanted {
        checks.extend(figure.overall.iter().map(|line| judged(figure, line, allowed)));
        if figure.cells.len() > figure.overall.len() {
            let cells = figure.cells.iter().map(|line| judged(figure, line, allowed));
            checks.extend(cells.filter(|check| check.outcome == Outcome::Regressed));
        }
    }
    checks
}

fn judged(figure: &FigureCompared, line: &Line, allowed: f64) -> Check {
    let comparison = &line.comparison;
    let (outcome, why) = judge(line, allowed);
    Check {
        engine: comparison.engine.clone(),
        figure: figure.figure,
        cell: comparison.cell.clone(),
        outcome,
        ratio: comparison.ratio,
        interval: comparison.interval,
        detectable: comparison.detectable,
        why,
    }
}

fn judge(line: &Line, allowed: f64) -> (Outcome, String) {
    let comparison = &line.comparison;
    let Some(ratio) = comparison.ratio else {
        let reason = comparison.note.as_deref().unwrap_or("it counts on one side only");
        return (Outcome::Inconclusive, format!("nothing to compare: {reason}"));
    };
    let way = if ratio >= 1.0 { "more" } else { "less" };
    let seen = format!("{} {way}", percent(ratio));
    let limit = percent(allowed);
    if comparison.call == Call::Counted {
        let outcome = if ratio > allowed { Outcome::Regressed } else { Outcome::Passed };
        return (outcome, format!("{seen}, counted once a side; {limit} more is allowed"));
    }
    let Some([low, high]) = comparison.interval else {
        return (Outcome::Inconclusive, format!("{seen}, without an interval"));
    };
    let interval = format!("{seen} ({low:.3}x to {high:.3}x)");
    if comparison.call == Call::TooFew {
        return (Outcome::Inconclusive, format!("{interval}: too few rounds for any claim; measure more (--rounds)"));
    }
    if comparison.call == Call::More && ratio > allowed {
        return (Outcome::Regressed, format!("{interval}, supported; {limit} more is allowed"));
    }
    if ratio <= allowed && high <= allowed {
        return (Outcome::Passed, format!("{interval}: the interval ends below the {limit} that are allowed"));
    }
    match comparison.detectable {
        Some(detectable) if ratio <= allowed && detectable <= allowed => {
            (Outcome::Passed, format!("{interval}: {} could have been seen", percent(detectable)))
        }
        Some(detectable) => (
            Outcome::Inconclusive,
            format!(
                "{interval}: not supported, and only {} or more could have been seen; measure more rounds, longer, or on a quieter box",
                percent(detectable)
            ),
        ),
        None => (Outcome::Inconclusive, format!("{interval}: too few rounds to say what could have been seen")),
    }
}

/// The outcome of all checks: a regression before what is inconclusive, and nothing checked is inconclusive.
pub fn outcome(checks: &[Check]) -> Outcome {
    let has = |outcome| checks.iter().any(|check| check.outcome == outcome);
    if has(Outcome::Regressed) {
        Outcome::Regressed
    } else if checks.is_empty() || has(Outcome::Inconclusive) {
        Outcome::Inconclusive
    } else {
        Outcome::Passed
    }
}
