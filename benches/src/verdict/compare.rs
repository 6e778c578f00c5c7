//! The rule of [`super`], applied.

use super::figure::Figure;
use super::matrix::Matrix;
use super::sides::{Cell, Sides};
use super::{ALPHA, Band, Call, Comparison, FigureVerdict, Verdict, WANTED, words};
use crate::result::Pass;
use crate::stats::{Estimate, detectable_ratio, holm, units_to_detect};

/// Compares every engine of `matrix` with the baseline. `resamples` is [`crate::stats::RESAMPLES`] but in simulations.
pub fn judge(matrix: &Matrix, resamples: usize) -> Verdict {
    let baseline = matrix.baseline();
    let figures: Vec<FigureVerdict> = match baseline {
        Some(baseline) => Figure::ALL.map(|figure| judge_figure(matrix, baseline, figure, resamples)).into(),
        None => Vec::new(),
    };
    let name = baseline.map(|index| matrix.engines[index].name.clone());
    Verdict {
        headline: words::headline(matrix, name.as_deref(), figures.first()),
        notes: words::notes(matrix, &figures),
        baseline: name,
        figures,
    }
}

fn judge_figure(matrix: &Matrix, baseline: usize, figure: Figure, resamples: usize) -> FigureVerdict {
    let engines = 0..matrix.engines.len();
    let rivals = engines.filter(|engine| *engine != baseline && matrix.engines[*engine].twin_of.is_none());
    let rivals: Vec<Rival> = rivals
        .map(|engine| Rival {
            name: matrix.engines[engine].name.clone(),
            sides: sides(matrix, engine, baseline, figure),
        })
        .collect();
    let mut verdict =
        FigureVerdict { figure, overall: Vec::new(), cells: Vec::new(), bands: bands(matrix, figure, resamples) };
    let labels: Vec<&str> = matrix.cells.iter().map(|cell| &*cell.label).collect();
    let band = |cell: Option<usize>| {
        let own = cell.and_then(|cell| verdict.band(Some(labels[cell])));
        own.or_else(|| verdict.band(None)).map(|band| band.factor)
    };
    let sampled = figure.pass() == Pass::Timing;
    let (overall, cells) = judge_rivals(&rivals, &labels, sampled, &band, resamples);
    (verdict.overall, verdict.cells) = (overall, cells);
    verdict
}

/// The values of one engine against another's, paired by round.
fn sides(matrix: &Matrix, engine: usize, other: usize, figure: Figure) -> Sides {
    let cell = |cell| Cell {
        values: matrix.values(engine, cell, figure),
        baseline: matrix.values(other, cell, figure),
        error: None,
        absence: matrix
            .rows(engine, cell)
            .filter(|trial| trial.pass == figure.pass())
            .find_map(|trial| trial.reason.clone().or_else(|| trial.server.syscalls_unavailable.clone())),
    };
    Sides::new((0..matrix.cells.len()).map(cell).collect(), true)
}

/// Somebody who is compared with a baseline.
pub(crate) struct Rival {
    /// Its name.
    pub(crate) name: String,
    /// Its values and the baseline's.
    pub(crate) sides: Sides,
}

/// Applies the rule to `rivals`, whose cells have `labels`: comparisons over all cells, one a rival, and in each cell, rivals
/// in order within cells in order. `band` is the noise band of a cell, or over all, as a ratio of at least 1.
pub(crate) fn judge_rivals(
    rivals: &[Rival],
    labels: &[&str],
    sampled: bool,
    band: &dyn Fn(Option<usize>) -> Option<f64>,
    resamples: usize,
) -> (Vec<Comparison>, Vec<Comparison>) {
    let asked: Vec<usize> = (0..rivals.len()).filter(|index| rivals[*index].sides.count(None) > 0).collect();
    let mut overall_p = vec![(1.0, 1.0); rivals.len()];
    let mut gates = vec![1.0; rivals.len()];
    let tests: Vec<(f64, f64)> = asked.iter().map(|index| rivals[*index].sides.overall(asked.len())).collect();
    let corrected = holm(&tests.iter().map(|(p, _)| *p).collect::<Vec<_>>());
    let best = holm(&tests.iter().map(|(_, smallest)| *smallest).collect::<Vec<_>>());
    let gated = holm(&asked.iter().map(|index| rivals[*index].sides.gate()).collect::<Vec<_>>());
    for (place, index) in asked.iter().enumerate() {
        overall_p[*index] = (corrected[place], best[place]);
        gates[*index] = gated[place];
    }
    let cell_p: Vec<Vec<(f64, f64)>> =
        rivals.iter().zip(&gates).map(|(rival, gate)| rival.sides.within(*gate)).collect();
    let answer = |index: usize, cell: Option<(usize, &str)>, p: (f64, f64)| {
        let place = cell.map(|(place, _)| place);
        let question = Question { rival: &rivals[index], cell, p, sampled, band: band(place) };
        question.answer(resamples)
    };
    let overall = (0..rivals.len()).map(|index| answer(index, None, overall_p[index])).collect();
    let places = labels.iter().copied().enumerate();
    let cells = places.flat_map(|(place, label)| (0..rivals.len()).map(move |index| (index, place, label)));
    let cells = cells.map(|(index, place, label)| answer(index, Some((place, label)), cell_p[index][place]));
    (overall, cells.collect())
}

struct Question<'a> {
    rival: &'a Rival,
    /// Place and label; `None` over all.
    cell: Option<(usize, &'a str)>,
    /// Corrected p and the smallest that it could have been.
    p: (f64, f64),
    /// A count stands by itself.
    sampled: bool,
    band: Option<f64>,
}

impl Question<'_> {
    fn answer(&self, resamples: usize) -> Comparison {
        let sides = &self.rival.sides;
        let place = self.cell.map(|(place, _)| place);
        let estimate = sides.estimate(place, resamples);
        let mut comparison = Comparison {
            engine: self.rival.name.clone(),
            cell: self.cell.map(|(_, label)| label.to_owned()),
            ratio: estimate.map(|estimate| estimate.ratio),
            interval: None,
            p_adjusted: None,
            pairs: sides.count(place),
            detectable: None,
            rounds_to_detect: None,
            call: Call::Absent,
            note: None,
        };
        let Some(estimate) = estimate else {
            let cells = place.map_or(&sides.cells[..], |place| &sides.cells[place..=place]);
            comparison.note = cells.iter().find_map(|cell| cell.absence.clone());
            return comparison;
        };
        if !self.sampled {
            comparison.call = Call::Counted;
            return comparison;
        }
        comparison.interval = Some([estimate.interval.low, estimate.interval.high]);
        comparison.p_adjusted = Some(self.p.0);
        (comparison.call, comparison.note) = call(estimate, self.p, self.band);
        if comparison.call != Call::TooFew {
            let (units, band) = (sides.units(place), self.band.unwrap_or(1.0));
            comparison.detectable = detectable_ratio(estimate.interval, units, band);
            if let Some(rounds) = sides.rounds_asked(place) {
                // As large a share of them will not count again.
                comparison.rounds_to_detect = units_to_detect(WANTED, estimate.interval, units, band)
                    .map(|needed| (needed * rounds).div_ceil(units));
            }
        }
        let (missing, all) = (sides.missing(), sides.cells.len());
        if place.is_none() && missing > 0 {
            let part = format!("{} of {all} formats", all - missing);
            comparison.note = Some(comparison.note.map_or_else(|| part.clone(), |note| format!("{note}; {part}")));
        }
        comparison
    }
}

fn call(estimate: Estimate, (p, smallest): (f64, f64), band: Option<f64>) -> (Call, Option<String>) {
    if smallest > ALPHA {
        return (Call::TooFew, Some("too few rounds: no outcome could have been a claim".to_owned()));
    }
    if band.is_some_and(|factor| estimate.ratio.ln().abs() <= factor.ln()) {
        return (Call::NoEvidence, Some("inside the noise band".to_owned()));
    }
    if estimate.interval.contains(1.0) {
        return (Call::NoEvidence, Some("the interval holds 1".to_owned()));
    }
    if p > ALPHA {
        return (Call::NoEvidence, Some(format!("p = {p:.3} after correction")));
    }
    (if estimate.ratio < 1.0 { Call::Less } else { Call::More }, None)
}

/// The A/A pair, judged by test and interval alone.
pub(crate) fn bands(matrix: &Matrix, figure: Figure, resamples: usize) -> Vec<Band> {
    let Some((original, twin)) = matrix.pair() else { return Vec::new() };
    if figure.pass() == Pass::Syscalls {
        return Vec::new();
    }
    let sides = sides(matrix, twin, original, figure);
    let cells = sides.within(sides.gate());
    let questions =
        std::iter::once((None, sides.overall(1))).chain((0..cells.len()).map(|cell| (Some(cell), cells[cell])));
    questions
        .filter_map(|(cell, p)| {
            let estimate = sides.estimate(cell, resamples)?;
            Some(Band {
                twin: matrix.engines[twin].name.clone(),
                original: matrix.engines[original].name.clone(),
                cell: cell.map(|cell| matrix.cells[cell].label.clone()),
                ratio: estimate.ratio,
                interval: [estimate.interval.low, estimate.interval.high],
                // The truth is 1, so equals come out within the half width of it. The pair's own distance from 1 is one draw of that
                // and not added; only where it is larger is something else at work, and then it is the band.
                factor: estimate.interval.half_width().max(estimate.ratio.ln().abs()).exp(),
                claims: matches!(call(estimate, p, None).0, Call::Less | Call::More),
            })
        })
        .collect()
}
