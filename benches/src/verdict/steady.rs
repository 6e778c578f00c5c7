//! Whether what was measured stood still: within a trial (its slices) and from round to round (the level of the box).
//!
//! A percentile of a queue that grows all the time is a figure of when the window ended, and a mean over a cache that warms up is
//! one of neither state. Such trials still count, since to drop them would favour whoever drifts: they are marked.

use super::figure::Figure;
use super::matrix::Matrix;
use super::words::percent;
use crate::result::{Pass, Status, Trial};
use crate::stats::{LevelChange, level_change, median, trend};

/// p-value of a trend below which it counts: of a hundred steady trials one passes this, and hardly any the sizes below too.
const TREND_P: f64 = 0.01;

/// Change of CPU per request over the window that matters: the noise band of a quiet box.
const CPU_CHANGE: f64 = 0.1;

/// Change of the mean response time over the window that matters; means of a tenth of a second scatter.
const RESPONSE_CHANGE: f64 = 0.5;

/// Fewest slices for a trend, and fewest requests in each.
const SLICES: usize = 5;
const REQUESTS: u64 = 20;

/// p-value below which the level of the box is said to have changed.
const LEVEL_P: f64 = 0.05;

/// Seed of the shuffles behind a level's p-value. Any number would do.
const SEED: u64 = 0x1e7e1;

/// How a timing trial that counts drifted within its window, in words; `None` when it stood still or cannot be told.
pub fn drift(trial: &Trial) -> Option<String> {
    let slices = &trial.slices;
    let told = slices.len() >= SLICES && slices.iter().all(|slice| slice.completed >= REQUESTS);
    if trial.status != Status::Ok || trial.pass != Pass::Timing || !told {
        return None;
    }
    let cpu: Option<Vec<f64>> = slices.iter().map(|slice| slice.server_cpu_us_per_request).collect();
    let response = slices.iter().map(|slice| slice.response_mean_us).collect();
    let series =
        [("the mean response time", Some(response), RESPONSE_CHANGE), ("server CPU per request", cpu, CPU_CHANGE)];
    series.into_iter().find_map(|(name, values, least)| {
        let found = trend(&values?).filter(|trend| trend.p <= TREND_P && trend.change.abs() >= least)?;
        let way = if found.change > 0.0 { "rose" } else { "fell" };
        Some(format!("{name} {way} by {} within the window", percent(1.0 + found.change.abs())))
    })
}

/// Whether so many of a row's trials drifted that it is marked: more than one in five. Of a hundred steady trials one drifts by chance, and
/// of many short ones on a shared machine some meet a neighbour that wakes or goes; the median over rounds does not mind.
pub fn unsteady(drifting: usize, counted: usize) -> bool {
    drifting * 5 > counted
}

/// Whether the level of the whole box changed between two rounds: of the rounds' typical CPU per request, every engine and cell
/// in proportion to its own median. The round after which it did, and by how much.
pub(super) fn level(matrix: &Matrix) -> Option<(u32, LevelChange)> {
    let mut rounds = std::collections::BTreeMap::<u32, Vec<f64>>::new();
    for engine in 0..matrix.engines.len() {
        for cell in 0..matrix.cells.len() {
            let values = matrix.values(engine, cell, Figure::Cpu);
            let Some(middle) = median(&values.values().copied().collect::<Vec<_>>()) else { continue };
            for (round, value) in values {
                rounds.entry(round).or_default().push(value / middle);
            }
        }
    }
    let numbers: Vec<u32> = rounds.keys().copied().collect();
    let levels: Vec<f64> = rounds.values().filter_map(|values| median(values)).collect();
    let change = level_change(&levels, SEED).filter(|change| change.p <= LEVEL_P)?;
    Some((*numbers.get(change.before - 1)?, change))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Slice;

    fn trial(cpu: impl Fn(usize) -> f64, response: impl Fn(usize) -> f64) -> Trial {
        let slice = |place: usize| Slice {
            completed: 1_000,
            response_mean_us: response(place),
            server_cpu_us_per_request: Some(cpu(place)),
        };
        let mut trial = crate::verdict::tests::trial("mio", "raw", 1, 5.0);
        trial.slices = (0..10).map(slice).collect();
        trial
    }

    /// Wobbling slices stand still; a queue that grows and a cache that warms up are told, each by its own series.
    #[test]
    fn drifts_are_told_apart_from_noise() {
        let wobble = |place: usize| [1.0, 0.96, 1.05, 1.02, 0.94, 1.01, 0.99, 1.06, 0.97, 1.0][place];
        assert_eq!(drift(&trial(|p| 5.0 * wobble(p), |p| 80.0 * wobble(9 - p))), None);
        let queue = trial(|p| 5.0 * wobble(p), |p| 100.0 + 400.0 * p as f64);
        assert!(drift(&queue).unwrap().starts_with("the mean response time rose by"), "{:?}", drift(&queue));
        let warm = trial(|p| 8.0 - 0.2 * p as f64, |p| 80.0 * wobble(p));
        assert!(drift(&warm).unwrap().starts_with("server CPU per request fell by 2"), "{:?}", drift(&warm));
        // A trend too small to matter is none.
        assert_eq!(drift(&trial(|p| 5.0 + 0.01 * p as f64, |p| 80.0 * wobble(p))), None);
        // Rows of older labs, and trials that do not count anyway.
        let mut old = queue.clone();
        old.slices.clear();
        assert_eq!(drift(&old), None);
        let mut void = queue;
        void.status = Status::Void;
        assert_eq!(drift(&void), None);
    }

    /// Ten rounds of which the last four are a quarter dearer on every engine: the change is found and placed.
    #[test]
    fn a_change_of_the_box_is_placed() {
        let mut rows = Vec::new();
        for round in 1..=10_u32 {
            for (engine, cpu) in [("mio", 5.0), ("tokio", 7.0)] {
                let level = if round > 6 { 1.25 } else { 1.0 };
                rows.push(crate::verdict::tests::trial(
                    engine,
                    "raw",
                    round,
                    cpu * level * (1.0 + f64::from(round % 3) * 0.01),
                ));
            }
        }
        let (after, change) = level(&Matrix::new(&rows, None)).unwrap();
        assert_eq!(after, 6);
        assert!((change.ratio - 1.25).abs() < 0.03 && change.p < 0.05, "{change:?}");
        rows.truncate(12);
        assert_eq!(level(&Matrix::new(&rows, None)), None);
    }
}
