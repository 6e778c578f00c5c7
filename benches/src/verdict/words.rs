//! Sentences.

use super::matrix::Matrix;
use super::steady::{drift, level, unsteady};
use super::{ALPHA, Call, Comparison, FigureVerdict, WANTED};
use crate::stats::{mann_whitney_smallest_p, signed_rank_smallest_p};

/// The sentence that goes first: the largest supported difference of the primary figure, or why there is none.
pub(super) fn headline(matrix: &Matrix, baseline: Option<&str>, primary: Option<&FigureVerdict>) -> String {
    let (Some(baseline), Some(primary)) = (baseline, primary) else {
        return "Nothing was measured: there are no rows.".to_owned();
    };
    let subject = primary.figure.name();
    if let Some(strongest) = strongest(&primary.overall) {
        return sentence(strongest, baseline, subject);
    }
    if let Some(strongest) = strongest(&primary.cells) {
        let cell = strongest.cell.as_deref().unwrap_or_default();
        return format!("With {cell}, {}", sentence(strongest, baseline, subject));
    }
    let rivals = primary.overall.len();
    if rivals == 0 {
        return match primary.band(None) {
            Some(band) => format!(
                "Only {baseline} ran, twice: it differs from itself by {} in {subject}, noise band {}.",
                percent(band.ratio),
                width(band.factor)
            ),
            None => format!("Only {baseline} ran: there is nothing to compare it with."),
        };
    }
    if primary.overall.iter().all(|comparison| comparison.call == Call::Absent) {
        return format!("Nothing to compare: no round counts for both {baseline} and another engine.");
    }
    let could = primary.overall.iter().chain(&primary.cells).any(|comparison| comparison.call == Call::NoEvidence);
    if !could {
        let counted =
            primary.overall.iter().map(|comparison| comparison.pairs).max().unwrap_or(0) / matrix.cells.len().max(1);
        let needed = rounds_needed(matrix.cells.len(), rivals);
        return format!("No claim is possible: {counted} rounds count, {needed} are needed.");
    }
    let others = primary.overall.iter().filter(|comparison| comparison.call != Call::Absent).count();
    let others = match &primary.overall[..] {
        [only] => only.engine.clone(),
        _ => format!("{others} other engines"),
    };
    let band = primary.band(None).map_or_else(String::new, |band| format!(" (noise band {})", width(band.factor)));
    format!("No evidence of a difference in {subject} between {baseline} and {others}{band}.")
}

/// `monoio-uring uses 18% less server CPU per request than mio (95% interval: 15% to 21% less).`
pub fn sentence(comparison: &Comparison, baseline: &str, subject: &str) -> String {
    let engine = &comparison.engine;
    let (Some(ratio), Some([low, high])) = (comparison.ratio, comparison.interval) else {
        return format!("{engine}: no figure for {subject}.");
    };
    match comparison.call {
        Call::Less => {
            format!(
                "{engine} needs {} less {subject} than {baseline} (95% interval: {} to {} less).",
                percent(ratio),
                percent(high),
                percent(low)
            )
        }
        Call::More if ratio >= 2.0 => {
            format!(
                "{engine} needs {ratio:.1} times the {subject} of {baseline} (95% interval: {low:.1} to {high:.1})."
            )
        }
        Call::More => {
            format!(
                "{engine} needs {} more {subject} than {baseline} (95% interval: {} to {} more).",
                percent(ratio),
                percent(low),
                percent(high)
            )
        }
        _ => format!(
            "{engine}: no evidence of a difference in {subject} from {baseline} (ratio {ratio:.2}, {low:.2} to {high:.2})."
        ),
    }
}

/// How far a ratio is from 1 in percent, with a decimal below ten.
pub fn percent(ratio: f64) -> String {
    let distance = (ratio - 1.0).abs() * 100.0;
    if distance < 9.95 { format!("{distance:.1}%") } else { format!("{distance:.0}%") }
}

/// A noise band: `±3.2%`, or `up to 2.6x either way` where percents would mislead, since the band is a ratio both ways.
pub fn width(factor: f64) -> String {
    if factor < 1.5 { format!("±{}", percent(factor)) } else { format!("up to {factor:.1}x either way") }
}

/// What comparisons with `baseline` could have seen: `tokio 6.1%, ring 4.0%`; `None` when no claim was possible.
pub fn detectable(comparisons: &[Comparison]) -> Option<String> {
    let seen = comparisons
        .iter()
        .filter_map(|comparison| Some(format!("{} {}", comparison.engine, percent(comparison.detectable?))));
    Some(seen.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
}

/// `5.0% takes about 40 rounds (--rounds 40)`, by the comparison that takes most; `None` where all could have seen that, and where no
/// number of rounds would do.
pub fn rounds_wanted(comparisons: &[Comparison]) -> Option<String> {
    let short = comparisons.iter().filter(|comparison| comparison.detectable.is_some_and(|seen| seen > WANTED));
    let counts: Option<Vec<usize>> = short.map(|comparison| comparison.rounds_to_detect).collect();
    let most = counts?.into_iter().max()?;
    Some(format!("{} takes about {most} rounds (--rounds {most})", percent(WANTED)))
}

/// What to know before believing the rest.
pub(super) fn notes(matrix: &Matrix, figures: &[FigureVerdict]) -> Vec<String> {
    let mut notes = Vec::new();
    for figure in figures {
        for band in figure.bands.iter().filter(|band| band.claims) {
            let place = band.cell.as_ref().map_or_else(String::new, |cell| format!(" with {cell}"));
            notes.push(format!(
                "The A/A pair differs from itself{place}: {} ÷ {} = {:.3} in {}. One engine under two names should not; distrust small differences.",
                band.twin, band.original, band.ratio, figure.figure.name()
            ));
        }
    }
    if matrix.pair().is_none() && matrix.engines.len() > 1 {
        notes.push(
            "No A/A pair ran, so there is no noise band: differences rest on test and interval alone.".to_owned(),
        );
    }
    if let Some((round, change)) = level(matrix) {
        let way = if change.ratio > 1.0 { "dearer" } else { "cheaper" };
        notes.push(format!(
            "The box changed after round {round}: requests were {} {way} from then on, on all engines together (p = {:.3}). Ratios within \
             rounds do not suffer; absolute figures mix both levels.",
            percent(change.ratio), change.p
        ));
    }
    for (index, engine) in matrix.engines.iter().enumerate() {
        for (place, cell) in matrix.cells.iter().enumerate() {
            let tally = matrix.tally(index, place);
            if tally.counted < tally.planned {
                let reason = tally.reason.map_or_else(String::new, |reason| format!(": {reason}"));
                notes.push(format!(
                    "{} with {}: {} of {} rounds count{reason}",
                    engine.name, cell.label, tally.counted, tally.planned
                ));
            }
            let drifting: Vec<(u32, String)> =
                matrix.rows(index, place).filter_map(|trial| Some((trial.round, drift(trial)?))).collect();
            if let Some((round, what)) = drifting.first().filter(|_| unsteady(drifting.len(), tally.counted)) {
                notes.push(format!(
                    "{} with {}: not steady in {} of {} rounds (~): in round {round} {what}",
                    engine.name,
                    cell.label,
                    drifting.len(),
                    tally.counted
                ));
            }
        }
    }
    notes
}

/// Fewest full rounds with which a claim over `cells` cells among `engines` engines is possible at all.
fn rounds_needed(cells: usize, engines: usize) -> usize {
    let engines = engines as f64;
    let possible = |rounds: usize| {
        signed_rank_smallest_p(rounds * cells) * engines <= ALPHA
            || mann_whitney_smallest_p(rounds, rounds) * engines <= ALPHA
    };
    (2..).find(|rounds| possible(*rounds)).unwrap_or(usize::MAX)
}

fn strongest(comparisons: &[Comparison]) -> Option<&Comparison> {
    let size = |comparison: &Comparison| comparison.ratio.map_or(0.0, |ratio| ratio.ln().abs());
    comparisons
        .iter()
        .filter(|comparison| matches!(comparison.call, Call::Less | Call::More))
        .max_by(|a, b| size(a).total_cmp(&size(b)))
}
