//! A median with its bootstrap interval, for figures that are differences and so have no ratio.

use super::bootstrap::{Interval, cut};
use super::describe::median_of;
use super::random::SplitMix64;

/// A value and its 95 % interval, in the unit of what it is the median of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Middle {
    /// The median.
    pub value: f64,
    /// Where the true median lies with 95 % confidence; the expanded percentile interval of [`super::expanded_tail`].
    pub interval: Interval,
}

/// Median and interval of `values`, one a round, drawn with replacement `resamples` times. `None` for no values or a NaN.
pub fn middle(values: &[f64], resamples: usize, seed: u64) -> Option<Middle> {
    let mut scratch = values.to_vec();
    let value = median_of(&mut scratch)?;
    let mut random = SplitMix64(seed);
    let mut medians = Vec::with_capacity(resamples);
    for _ in 0..resamples {
        scratch.clear();
        scratch.extend((0..values.len()).map(|_| values[random.below(values.len())]));
        medians.push(median_of(&mut scratch)?);
    }
    Some(Middle { value, interval: cut(&mut medians, values.len())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows the median and, with five values, an interval from the smallest to the largest, as for ratios.
    #[test]
    fn five_values_span_their_interval() {
        let found = middle(&[3.0, -1.0, 2.0, 10.0, 4.0], 4_000, 7).unwrap();
        assert_eq!((found.value, found.interval), (3.0, Interval { low: -1.0, high: 10.0 }));
        assert_eq!(middle(&[], 100, 7), None);
        assert_eq!(middle(&[f64::NAN], 100, 7), None);
    }

    /// Shows that the interval holds the true median in about 95 of 100 samples, by 400 samples of nine normal values.
    #[test]
    fn intervals_cover_the_truth() {
        let mut random = SplitMix64(11);
        let mut normal = || (-2.0 * random.unit().ln()).sqrt() * (std::f64::consts::TAU * random.unit()).cos();
        let covered = (0..400)
            .filter(|seed| {
                let sample: Vec<f64> = (0..9).map(|_| 5.0 + normal()).collect();
                middle(&sample, 500, *seed).unwrap().interval.contains(5.0)
            })
            .count();
        assert!((364..=398).contains(&covered), "{covered} of 400");
    }
}
