//! Ratios with bootstrap intervals.

use super::describe::median_of;
use super::random::SplitMix64;

/// Resamples of an interval. At 4,000 the widened 2.5 % tail of ten rounds still rests on 34 resamples.
pub const RESAMPLES: usize = 4_000;

/// Two-sided confidence of every interval.
const CONFIDENCE: f64 = 0.95;

/// A closed interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether `value` lies within, ends included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// A ratio and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The ratio: below 1 the numerator is smaller.
    pub ratio: f64,
    /// Where the true ratio lies with 95 % confidence.
    pub interval: Interval,
}

/// The tail to cut from each side of a bootstrap distribution over `count` units.
///
/// A percentile bootstrap behaves as a normal interval that divides by n instead of n − 1. The expanded
/// percentile interval undoes that: tail = Φ(−√(n/(n−1)) · t(0.975, n−1)) (Hesterberg, "What Teachers Should Know
/// about the Bootstrap", The American Statistician 2015, section 5.2). 0 for fewer than two units.
pub fn expanded_tail(count: usize) -> f64 {
    if count < 2 {
        return 0.0;
    }
    let freedom = (count - 1) as f64;
    normal_below(-(count as f64 / freedom).sqrt() * student_upper(freedom))
}

/// Φ(z), the share of a normal distribution below `z`.
pub(super) fn normal_below(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// The 0.975 quantile of Student's t.
///
/// Exact for 1 and 2 degrees of freedom (closed forms), tabulated for 3, else Fisher's expansion
/// around the normal quantile (Abramowitz and Stegun 26.7.5), which is within 0.3 % from 4 degrees on.
fn student_upper(freedom: f64) -> f64 {
    if freedom < 1.5 {
        return (std::f64::consts::PI * (CONFIDENCE / 2.0)).tan();
    }
    if freedom < 2.5 {
        return CONFIDENCE * (2.0 / (1.0 - CONFIDENCE * CONFIDENCE)).sqrt();
    }
    if freedom < 3.5 {
        return 3.182_446_305;
    }
    let z: f64 = 1.959_963_984_540_054;
    let terms = [
        z,
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
    ];
    terms.iter().rev().fold(0.0, |sum, term| sum / freedom + term)
}

/// Engine ÷ baseline from ratios paired by round: the geometric mean over formats of each format's median.
///
/// `ratios[f][r]` is the ratio of format `f` in round `r`, all positive and finite, `None` where a side did not
/// count. Rounds are drawn with replacement, all formats of a round together; a draw that leaves a
/// format without a ratio is drawn again. `None` when a format has no ratio at all or a ratio is not positive.
pub fn paired_ratio(ratios: &[Vec<Option<f64>>], resamples: usize, seed: u64) -> Option<Estimate> {
    let rounds = ratios.iter().map(Vec::len).max()?;
    let usable = |ratio: f64| ratio.is_finite() && ratio > 0.0;
    if ratios.iter().flatten().flatten().any(|ratio| !usable(*ratio)) {
        return None;
    }
    let logs: Vec<Vec<Option<f64>>> =
        ratios.iter().map(|format| format.iter().map(|ratio| ratio.map(f64::ln)).collect()).collect();
    let mut scratch = Vec::with_capacity(rounds);
    let everything: Vec<usize> = (0..rounds).collect();
    let estimate = mean_of_medians(&logs, &everything, &mut scratch)?;
    // Rounds in which nothing counted would only dilute the draws.
    let drawn: Vec<usize> = everything
        .into_iter()
        .filter(|round| logs.iter().any(|f| f.get(*round).is_some_and(Option::is_some)))
        .collect();
    let units = logs.iter().map(|format| format.iter().flatten().count()).min()?;

    let mut random = SplitMix64(seed);
    let mut sample = vec![0; drawn.len()];
    let mut means = Vec::with_capacity(resamples);
    // A format with one ratio among n rounds is missed by 1/e of the draws, so a few times as many suffice.
    for _ in 0..resamples.saturating_mul(16) {
        if means.len() == resamples {
            break;
        }
        sample.fill_with(|| drawn[random.below(drawn.len())]);
        means.extend(mean_of_medians(&logs, &sample, &mut scratch));
    }
    let interval = cut(&mut means, units)?;
    Some(Estimate { ratio: estimate.exp(), interval: Interval { low: interval.low.exp(), high: interval.high.exp() } })
}

/// The ratio of two medians of unpaired samples, each resampled by itself. For rows that share no rounds,
/// as those of two result directories. `None` when a sample is empty or has a value that is not positive.
pub fn ratio_of_medians(numerator: &[f64], denominator: &[f64], resamples: usize, seed: u64) -> Option<Estimate> {
    let usable = |values: &[f64]| values.iter().all(|value| value.is_finite() && *value > 0.0);
    if !usable(numerator) || !usable(denominator) {
        return None;
    }
    let ratio = super::median(numerator)? / super::median(denominator)?;
    let mut random = SplitMix64(seed);
    let mut scratch = Vec::new();
    let mut draw = |values: &[f64]| {
        scratch.clear();
        scratch.extend((0..values.len()).map(|_| values[random.below(values.len())]));
        median_of(&mut scratch)
    };
    let mut ratios = Vec::with_capacity(resamples);
    for _ in 0..resamples {
        ratios.push(draw(numerator)? / draw(denominator)?);
    }
    Some(Estimate { ratio, interval: cut(&mut ratios, numerator.len().min(denominator.len()))? })
}

/// Mean over formats of the median of `logs[format][round]` over `rounds`; `None` when a format has none.
fn mean_of_medians(logs: &[Vec<Option<f64>>], rounds: &[usize], scratch: &mut Vec<f64>) -> Option<f64> {
    let mut sum = 0.0;
    for format in logs {
        scratch.clear();
        scratch.extend(rounds.iter().filter_map(|round| format.get(*round).copied().flatten()));
        sum += median_of(scratch)?;
    }
    Some(sum / logs.len() as f64)
}

/// Cuts the tails of a bootstrap distribution over `units` independent units.
pub(super) fn cut(values: &mut [f64], units: usize) -> Option<Interval> {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    #[expect(clippy::cast_sign_loss, reason = "a tail is a probability")]
    let skipped = (expanded_tail(units) * values.len() as f64) as usize;
    Some(Interval { low: values[skipped.min(last)], high: values[last.saturating_sub(skipped)] })
}
