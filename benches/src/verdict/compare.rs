//! The rule of [`super`], applied.

use super::figure::Figure;
use super::matrix::Matrix;
use super::{ALPHA, Band, Call, Comparison, FigureVerdict, Verdict, words};
use crate::result::Pass;
use crate::stats::{
    Estimate, fisher, holm, mann_whitney, mann_whitney_smallest_p, paired_ratio, signed_rank, signed_rank_smallest_p,
};

/// Seed of all resampling, so that a report made twice is the same twice. Any number would do.
const SEED: u64 = 0x1a6;

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

/// One engine against another: everything that tests and intervals need.
struct Sides {
    /// `pairs[cell][round]`: engine ÷ other.
    pairs: Vec<Vec<Option<f64>>>,
    /// Mann-Whitney per cell, and the smallest it could have been; `None` where a side is empty.
    tests: Vec<Option<(f64, f64)>>,
}

impl Sides {
    fn new(matrix: &Matrix, engine: usize, other: usize, figure: Figure) -> Self {
        let mut pairs = Vec::new();
        let mut tests = Vec::new();
        for cell in 0..matrix.cells.len() {
            let (a, b) = (matrix.values(engine, cell, figure), matrix.values(other, cell, figure));
            let rounds: std::collections::BTreeSet<u32> = a.keys().chain(b.keys()).copied().collect();
            let last = rounds.last().copied().unwrap_or(0);
            pairs.push((0..=last).map(|round| Some(a.get(&round)? / b.get(&round)?)).collect());
            let (a, b): (Vec<f64>, Vec<f64>) = (a.into_values().collect(), b.into_values().collect());
            let smallest = mann_whitney_smallest_p(a.len(), b.len());
            tests.push((!a.is_empty() && !b.is_empty()).then(|| (mann_whitney(&a, &b), smallest)));
        }
        Self { pairs, tests }
    }

    fn count(&self, cell: Option<usize>) -> usize {
        let cells = cell.map_or(&self.pairs[..], |cell| &self.pairs[cell..=cell]);
        cells.iter().flatten().flatten().count()
    }

    /// The estimate over the cells that have pairs, or of one.
    fn estimate(&self, cell: Option<usize>, resamples: usize) -> Option<Estimate> {
        let cells = cell.map_or(&self.pairs[..], |cell| &self.pairs[cell..=cell]);
        let filled: Vec<Vec<Option<f64>>> = cells.iter().filter(|c| c.iter().flatten().count() > 0).cloned().collect();
        paired_ratio(&filled, resamples, SEED)
    }

    /// Question 2's gate: all cells together, whichever way they point.
    fn gate(&self) -> f64 {
        fisher(&self.tests.iter().flatten().map(|(p, _)| *p).collect::<Vec<_>>())
    }

    /// Question 1 among `family` engines: p and the smallest that it could have been.
    fn overall(&self, family: usize) -> (f64, f64) {
        let logs: Vec<f64> = self.pairs.iter().flatten().flatten().map(|ratio| ratio.ln()).collect();
        let smallest = signed_rank_smallest_p(logs.len());
        // Chosen by the number of pairs, never by the outcome.
        if smallest * family as f64 <= ALPHA {
            return (signed_rank(&logs), smallest);
        }
        (self.gate(), fisher(&self.tests.iter().flatten().map(|(_, smallest)| *smallest).collect::<Vec<_>>()))
    }
}

fn judge_figure(matrix: &Matrix, baseline: usize, figure: Figure, resamples: usize) -> FigureVerdict {
    let bands = bands(matrix, figure, resamples);
    let rivals: Vec<usize> =
        (0..matrix.engines.len()).filter(|e| *e != baseline && matrix.engines[*e].twin_of.is_none()).collect();
    let sides: Vec<Sides> = rivals.iter().map(|engine| Sides::new(matrix, *engine, baseline, figure)).collect();
    let asked: Vec<usize> = (0..sides.len()).filter(|index| sides[*index].count(None) > 0).collect();
    let family = asked.len();
    let mut overall_p = vec![(1.0, 1.0); sides.len()];
    let mut gates = vec![1.0; sides.len()];
    let tests: Vec<(f64, f64)> = asked.iter().map(|index| sides[*index].overall(family)).collect();
    let corrected = holm(&tests.iter().map(|(p, _)| *p).collect::<Vec<_>>());
    let best = holm(&tests.iter().map(|(_, smallest)| *smallest).collect::<Vec<_>>());
    let gated = holm(&asked.iter().map(|index| sides[*index].gate()).collect::<Vec<_>>());
    for (place, index) in asked.iter().enumerate() {
        overall_p[*index] = (corrected[place], best[place]);
        gates[*index] = gated[place];
    }

    let mut verdict = FigureVerdict { figure, overall: Vec::new(), cells: Vec::new(), bands };
    let cell_p: Vec<Vec<(f64, f64)>> = sides.iter().zip(&gates).map(|(side, gate)| within(side, *gate)).collect();
    for (index, engine) in rivals.iter().enumerate() {
        let outcome = Question { matrix, engine: *engine, figure, cell: None, p: overall_p[index] };
        verdict.overall.push(outcome.answer(&sides[index], verdict.band(None), resamples));
    }
    for (cell, place) in matrix.cells.iter().enumerate() {
        for (index, engine) in rivals.iter().enumerate() {
            let outcome = Question { matrix, engine: *engine, figure, cell: Some(cell), p: cell_p[index][cell] };
            let band = verdict.band(Some(&place.label)).or_else(|| verdict.band(None));
            verdict.cells.push(outcome.answer(&sides[index], band, resamples));
        }
    }
    verdict
}

/// Question 2 for one engine: corrected p of each cell and the smallest it could have been; never below the gate.
fn within(side: &Sides, gate: f64) -> Vec<(f64, f64)> {
    let present: Vec<usize> = (0..side.tests.len()).filter(|cell| side.tests[*cell].is_some()).collect();
    let corrected = holm(&side.tests.iter().flatten().map(|(p, _)| *p).collect::<Vec<_>>());
    let best = holm(&side.tests.iter().flatten().map(|(_, smallest)| *smallest).collect::<Vec<_>>());
    let mut all = vec![(1.0, 1.0); side.tests.len()];
    for (place, cell) in present.iter().enumerate() {
        all[*cell] = (corrected[place].max(gate), best[place]);
    }
    all
}

struct Question<'a> {
    matrix: &'a Matrix<'a>,
    engine: usize,
    figure: Figure,
    cell: Option<usize>,
    /// Corrected p and the smallest that it could have been.
    p: (f64, f64),
}

impl Question<'_> {
    fn answer(&self, sides: &Sides, band: Option<&Band>, resamples: usize) -> Comparison {
        let pairs = sides.count(self.cell);
        let estimate = sides.estimate(self.cell, resamples);
        let mut comparison = Comparison {
            engine: self.matrix.engines[self.engine].name.clone(),
            cell: self.cell.map(|cell| self.matrix.cells[cell].label.clone()),
            ratio: estimate.map(|estimate| estimate.ratio),
            interval: None,
            p_adjusted: None,
            pairs,
            call: Call::Absent,
            note: None,
        };
        let Some(estimate) = estimate else {
            comparison.note = self.reason();
            return comparison;
        };
        if self.figure.pass() == Pass::Syscalls {
            comparison.call = Call::Counted;
            return comparison;
        }
        comparison.interval = Some([estimate.interval.low, estimate.interval.high]);
        comparison.p_adjusted = Some(self.p.0);
        (comparison.call, comparison.note) = call(estimate, self.p, band);
        let missing = sides.pairs.iter().filter(|cell| cell.iter().flatten().count() == 0).count();
        if self.cell.is_none() && missing > 0 {
            let part = format!("{} of {} formats", sides.pairs.len() - missing, sides.pairs.len());
            comparison.note = Some(comparison.note.map_or_else(|| part.clone(), |note| format!("{note}; {part}")));
        }
        comparison
    }

    /// Why an engine has no round in common with the baseline.
    fn reason(&self) -> Option<String> {
        let cells = self.cell.map_or(0..self.matrix.cells.len(), |cell| cell..cell + 1);
        cells
            .flat_map(|cell| self.matrix.rows(self.engine, cell))
            .filter(|trial| trial.pass == self.figure.pass())
            .find_map(|trial| trial.reason.clone().or_else(|| trial.server.syscalls_unavailable.clone()))
    }
}

fn call(estimate: Estimate, (p, smallest): (f64, f64), band: Option<&Band>) -> (Call, Option<String>) {
    if smallest > ALPHA {
        return (Call::TooFew, Some("too few rounds: no outcome could have been a claim".to_owned()));
    }
    if band.is_some_and(|band| estimate.ratio.ln().abs() <= band.factor.ln()) {
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
fn bands(matrix: &Matrix, figure: Figure, resamples: usize) -> Vec<Band> {
    let Some((original, twin)) = matrix.pair() else { return Vec::new() };
    if figure.pass() == Pass::Syscalls {
        return Vec::new();
    }
    let sides = Sides::new(matrix, twin, original, figure);
    let cells = within(&sides, sides.gate());
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
                factor: estimate.interval.low.ln().abs().max(estimate.interval.high.ln().abs()).exp(),
                claims: matches!(call(estimate, p, None).0, Call::Less | Call::More),
            })
        })
        .collect()
}
