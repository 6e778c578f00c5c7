//! One contender against another: their values, what tests make of them, and the ratio with its interval.

use std::collections::BTreeMap;

use crate::stats::{
    Estimate, Interval, fisher, mann_whitney, mann_whitney_smallest_p, median, paired_ratio, signed_rank,
    signed_rank_smallest_p, student_below, student_quantile, unpaired_ratio,
};

use super::ALPHA;

/// Seed of all resampling, so that a report made twice is the same twice. Any number would do.
const SEED: u64 = 0x1a6;

/// What a single value is known to: a slope has a standard error of its own, however few rounds there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct OwnError {
    /// Standard error of the logarithm of the ratio.
    pub(crate) log_error: f64,
    /// Degrees of freedom behind it.
    pub(crate) freedom: f64,
}

/// One cell on both sides: values by round, all of them positive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    /// The contender's.
    pub(crate) values: BTreeMap<u32, f64>,
    /// The baseline's.
    pub(crate) baseline: BTreeMap<u32, f64>,
    /// For values that carry their own error; `None` for samples.
    pub(crate) error: Option<OwnError>,
    /// Why a side is empty.
    pub(crate) absence: Option<String>,
}

impl Cell {
    fn is_empty(&self) -> bool {
        self.values.is_empty() || self.baseline.is_empty()
    }

    fn ratio(&self) -> Option<f64> {
        let middle = |side: &BTreeMap<u32, f64>| median(&side.values().copied().collect::<Vec<_>>());
        Some(middle(&self.values)? / middle(&self.baseline)?)
    }

    /// Ratios by round, where a round has both sides.
    fn ratios(&self) -> Vec<Option<f64>> {
        let last = self.values.keys().chain(self.baseline.keys()).copied().max().unwrap_or(0);
        (0..=last).map(|round| Some(self.values.get(&round)? / self.baseline.get(&round)?)).collect()
    }

    /// p-value of no difference, and the smallest that it could have been; `None` where a side is empty.
    fn test(&self) -> Option<(f64, f64)> {
        if self.is_empty() {
            return None;
        }
        if let Some(own) = self.error {
            let distance = self.ratio()?.ln().abs() / own.log_error.max(f64::MIN_POSITIVE);
            return Some((2.0 * student_below(-distance, own.freedom), 0.0));
        }
        let (a, b): (Vec<f64>, Vec<f64>) =
            (self.values.values().copied().collect(), self.baseline.values().copied().collect());
        Some((mann_whitney(&a, &b), mann_whitney_smallest_p(a.len(), b.len())))
    }
}

/// A contender against its baseline in every cell.
pub(crate) struct Sides {
    /// The cells, in the order of the whole comparison.
    pub(crate) cells: Vec<Cell>,
    /// Whether both sides ran in the same rounds, so that a round's noise falls out of its ratio.
    paired: bool,
    tests: Vec<Option<(f64, f64)>>,
}

impl Sides {
    pub(crate) fn new(cells: Vec<Cell>, paired: bool) -> Self {
        let tests = cells.iter().map(Cell::test).collect();
        Self { cells, paired, tests }
    }

    fn part(&self, cell: Option<usize>) -> &[Cell] {
        cell.map_or(&self.cells[..], |cell| &self.cells[cell..=cell])
    }

    /// Rounds that count on both sides, over all cells or in one.
    pub(crate) fn count(&self, cell: Option<usize>) -> usize {
        self.part(cell).iter().map(|cell| self.rounds(cell)).sum()
    }

    fn rounds(&self, cell: &Cell) -> usize {
        if self.paired { cell.ratios().iter().flatten().count() } else { cell.values.len().min(cell.baseline.len()) }
    }

    /// Independent units behind an estimate: the rounds of the cell that has fewest.
    pub(crate) fn units(&self, cell: Option<usize>) -> usize {
        if let [Cell { error: Some(own), .. }] = self.part(cell) {
            return own.freedom as usize + 1;
        }
        self.part(cell).iter().map(|cell| self.rounds(cell)).filter(|count| *count > 0).min().unwrap_or(0)
    }

    /// How many rounds were asked for, as far as rows tell: the number of the last one in which either side counted, over all cells or in
    /// one. `None` for values whose error does not come from rounds.
    pub(crate) fn rounds_asked(&self, cell: Option<usize>) -> Option<usize> {
        let cells = self.part(cell);
        let rounds = cells.iter().flat_map(|cell| cell.values.keys().chain(cell.baseline.keys()));
        let last = rounds.max().map(|round| *round as usize);
        last.filter(|_| cells.iter().all(|cell| cell.error.is_none()))
    }

    /// Cells in which nothing can be compared.
    pub(crate) fn missing(&self) -> usize {
        self.cells.iter().filter(|cell| self.rounds(cell) == 0).count()
    }

    /// The ratio over the cells that have one, or of one cell.
    pub(crate) fn estimate(&self, cell: Option<usize>, resamples: usize) -> Option<Estimate> {
        let cells: Vec<&Cell> = self.part(cell).iter().filter(|cell| self.rounds(cell) > 0).collect();
        if cells.iter().any(|cell| cell.error.is_some()) {
            return by_own_error(&cells);
        }
        if self.paired {
            let ratios: Vec<Vec<Option<f64>>> = cells.iter().map(|cell| cell.ratios()).collect();
            return paired_ratio(&ratios, resamples, SEED);
        }
        let side = |of: fn(&Cell) -> &BTreeMap<u32, f64>| -> Vec<Vec<Option<f64>>> {
            let last = cells.iter().flat_map(|cell| of(cell).keys()).copied().max().unwrap_or(0);
            cells.iter().map(|cell| (0..=last).map(|round| of(cell).get(&round).copied()).collect()).collect()
        };
        unpaired_ratio(&side(|cell| &cell.values), &side(|cell| &cell.baseline), resamples, SEED)
    }

    /// Question 2's gate: all cells together, whichever way they point.
    pub(crate) fn gate(&self) -> f64 {
        fisher(&self.tests.iter().flatten().map(|(p, _)| *p).collect::<Vec<_>>())
    }

    /// Question 1 among `family` contenders: p and the smallest that it could have been.
    pub(crate) fn overall(&self, family: usize) -> (f64, f64) {
        if self.paired {
            let ratios = self.cells.iter().flat_map(Cell::ratios).flatten();
            let logs: Vec<f64> = ratios.map(f64::ln).collect();
            let smallest = signed_rank_smallest_p(logs.len());
            // Chosen by the number of pairs, never by the outcome.
            if smallest * family as f64 <= ALPHA {
                return (signed_rank(&logs), smallest);
            }
        }
        (self.gate(), fisher(&self.tests.iter().flatten().map(|(_, smallest)| *smallest).collect::<Vec<_>>()))
    }

    /// Question 2: corrected p of each cell and the smallest it could have been; never below the gate.
    pub(crate) fn within(&self, gate: f64) -> Vec<(f64, f64)> {
        let present: Vec<usize> = (0..self.tests.len()).filter(|cell| self.tests[*cell].is_some()).collect();
        let corrected = crate::stats::holm(&self.tests.iter().flatten().map(|(p, _)| *p).collect::<Vec<_>>());
        let best = crate::stats::holm(&self.tests.iter().flatten().map(|(_, smallest)| *smallest).collect::<Vec<_>>());
        let mut all = vec![(1.0, 1.0); self.tests.len()];
        for (place, cell) in present.iter().enumerate() {
            all[*cell] = (corrected[place].max(gate), best[place]);
        }
        all
    }
}

/// The geometric mean of the cells' ratios with the interval that their own errors give.
fn by_own_error(cells: &[&Cell]) -> Option<Estimate> {
    let logs: Vec<f64> = cells.iter().filter_map(|cell| Some(cell.ratio()?.ln())).collect();
    let errors: Vec<OwnError> = cells.iter().filter_map(|cell| cell.error).collect();
    let count = logs.len().max(1) as f64;
    let middle = logs.iter().sum::<f64>() / count;
    let error = errors.iter().map(|own| own.log_error.powi(2)).sum::<f64>().sqrt() / count;
    let freedom = errors.iter().map(|own| own.freedom).fold(f64::INFINITY, f64::min);
    let half = student_quantile(0.975, freedom) * error;
    (!logs.is_empty() && half.is_finite()).then(|| Estimate {
        ratio: middle.exp(),
        interval: Interval { low: (middle - half).exp(), high: (middle + half).exp() },
    })
}
