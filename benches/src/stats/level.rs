//! Whether a series changed its level at some point, and where: the box became slower between two rounds.

use super::random::SplitMix64;

/// Shuffles behind a p-value: its standard error at 0.05 is half a percentage point.
const SHUFFLES: u32 = 2_000;

/// The most likely change of level of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelChange {
    /// How many values are before it.
    pub before: usize,
    /// Median after it ÷ median before it.
    pub ratio: f64,
    /// p-value of no change, by permutation.
    pub p: f64,
}

/// Pettitt's test for one change of level at an unknown place: the split at which a rank sum is farthest from its mean.
///
/// The p-value is the share of shuffled series (2,000, from `seed`) with a statistic as large, so it also holds for the
/// few rounds for which Pettitt's approximation does not. `None` for fewer than four values, values that are not positive, or
/// values that are all the same. Pettitt, Applied Statistics 28 (1979).
pub fn level_change(values: &[f64], seed: u64) -> Option<LevelChange> {
    if values.len() < 4 || values.iter().any(|value| !value.is_finite() || *value <= 0.0) {
        return None;
    }
    let mut ranks: Vec<i64> = values.iter().map(|value| signed_rank_of(*value, values)).collect();
    let (statistic, before) = farthest(&ranks);
    if statistic == 0 {
        return None;
    }
    let (early, late) = values.split_at(before);
    let ratio = super::median(late)? / super::median(early)?;
    let mut random = SplitMix64(seed);
    let mut as_large = 0;
    for _ in 0..SHUFFLES {
        for place in (1..ranks.len()).rev() {
            ranks.swap(place, random.below(place + 1));
        }
        as_large += u32::from(farthest(&ranks).0 >= statistic);
    }
    // The series itself is one of the arrangements.
    Some(LevelChange { before, ratio, p: f64::from(as_large + 1) / f64::from(SHUFFLES + 1) })
}

/// How many values are smaller less how many are larger: the rank, centred and doubled.
fn signed_rank_of(value: f64, values: &[f64]) -> i64 {
    values.iter().map(|other| i64::from(*other < value) - i64::from(*other > value)).sum()
}

/// The largest absolute sum of the first ranks, and of how many.
fn farthest(ranks: &[i64]) -> (i64, usize) {
    let mut sum = 0;
    let mut largest = (0, 0);
    for (place, rank) in ranks[..ranks.len() - 1].iter().enumerate() {
        sum += rank;
        if sum.abs() > largest.0 {
            largest = (sum.abs(), place + 1);
        }
    }
    largest
}
