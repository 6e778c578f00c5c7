//! Whether a series drifts: Mann and Kendall's test, and how far it drifted by Theil and Sen's slope.
//!
//! Both look at the order of values only, so that one slow slice makes no trend. They take the values as independent: slices
//! that hang together (a queue that drains) look more like a trend than they are, which is why size is asked for too.

use super::bootstrap::normal_below;
use super::describe::median_of;

/// Longest series whose distribution is counted: beyond it the normal approximation is right to three digits.
const EXACT_VALUES: usize = 60;

/// A series' tendency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Two-sided p-value of no tendency.
    pub p: f64,
    /// What the fitted line gains from the first value to the last, as a share of the median: 0.1 is 10 % more at the end.
    pub change: f64,
}

/// The trend of values taken at equal distances; `None` for fewer than three, for a median of 0, or for a NaN.
pub fn trend(values: &[f64]) -> Option<Trend> {
    let middle = super::median(values).filter(|middle| *middle != 0.0)?;
    if values.len() < 3 {
        return None;
    }
    let change = sen_slope(values)? * (values.len() - 1) as f64 / middle;
    Some(Trend { p: mann_kendall(values), change })
}

/// Median of the slopes of all pairs, per step. Sen, Journal of the American Statistical Association 63 (1968).
pub fn sen_slope(values: &[f64]) -> Option<f64> {
    let pairs = pairs(values.len());
    let mut slopes: Vec<f64> = pairs.map(|(i, j)| (values[j] - values[i]) / (j - i) as f64).collect();
    median_of(&mut slopes)
}

/// Two-sided p-value of Mann and Kendall's test against a monotone trend. Values must not be NaN.
///
/// Without ties and up to 60 values the permutations with as many inversions are counted; otherwise the normal
/// approximation with the variance for ties. Mann, Econometrica 13 (1945); Kendall, "Rank Correlation Methods" (1948).
pub fn mann_kendall(values: &[f64]) -> f64 {
    let count = values.len();
    if count < 2 {
        return 1.0;
    }
    let (mut rises, mut falls) = (0_usize, 0_usize);
    for (i, j) in pairs(count) {
        rises += usize::from(values[j] > values[i]);
        falls += usize::from(values[j] < values[i]);
    }
    if rises + falls == count * (count - 1) / 2 && count <= EXACT_VALUES {
        let shares = inversions(count);
        let tail: f64 = shares[..=rises.min(falls)].iter().sum();
        return (2.0 * tail).min(1.0);
    }
    let term = |size: f64| size * (size - 1.0) * (2.0 * size + 5.0);
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let ties: f64 = sorted.chunk_by(|a, b| a == b).map(|group| term(group.len() as f64)).sum();
    let variance = (term(count as f64) - ties) / 18.0;
    if variance <= 0.0 {
        return 1.0;
    }
    (2.0 * normal_below(-(rises as f64 - falls as f64).abs() / variance.sqrt())).min(1.0)
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |i| (i + 1..count).map(move |j| (i, j)))
}

/// Share of the permutations of `count` values that have each number of inversions.
fn inversions(count: usize) -> Vec<f64> {
    let mut shares = vec![1.0];
    for size in 2..=count {
        // The next value lands before 0 to size − 1 of the others, each as likely.
        let mut wider = vec![0.0; shares.len() + size - 1];
        for (inversions, share) in shares.iter().enumerate() {
            for more in 0..size {
                wider[inversions + more] += share / size as f64;
            }
        }
        shares = wider;
    }
    shares
}
