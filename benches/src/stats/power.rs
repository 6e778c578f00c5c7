//! What a comparison could have seen: "no evidence of a difference" means little without it.

use super::bootstrap::Interval;
use super::student::student_quantile;

/// Chance with which a difference of the minimum detectable size is found; the usual convention.
const POWER: f64 = 0.8;

/// More rounds than this are no advice: the box is too noisy for the question.
const MOST_UNITS: usize = 1_000;

/// The smallest true ratio above 1 that a comparison would have claimed in four of five repetitions.
///
/// `interval` is the 95 % interval of a ratio from `units` independent units (rounds, or values of the smaller side), `band` the
/// end of the noise band as a ratio of at least 1 (1 without one). A claim needs an interval without 1 and a ratio
/// outside the band, so the effect must exceed the farther of both by what the estimate varies: on the logarithm
/// `max(t(0.975)·e, ln band) + t(0.8)·e`, where the standard error `e` is the interval's half width over t(0.975). Without a band
/// that is Bloom's "Minimum Detectable Effects" (Evaluation Review 19, 1995). `None` for fewer than three units and
/// for an interval that is not positive.
pub fn detectable_ratio(interval: Interval, units: usize, band: f64) -> Option<f64> {
    let usable = interval.low > 0.0 && interval.low <= interval.high && interval.high.is_finite() && band >= 1.0;
    if units < 3 || !usable {
        return None;
    }
    Some(detectable_log(interval.half_width(), band.ln(), units, units).exp())
}

/// How many units it takes for a true ratio of `wanted` (above 1) to be [detectable](detectable_ratio), where `units` gave `interval` and
/// `band`: standard errors fall with the square root of the units, and the band with them, since it is an interval's width too. As
/// rough as the interval that it starts from. `None` as for [`detectable_ratio`], and where a thousand would not do.
pub fn units_to_detect(wanted: f64, interval: Interval, units: usize, band: f64) -> Option<usize> {
    detectable_ratio(interval, units, band)?;
    let half = interval.half_width();
    (3..=MOST_UNITS).find(|count| detectable_log(half, band.ln(), units, *count) <= wanted.ln())
}

/// Logarithm of the ratio that `count` units would detect when `units` gave an interval of `half` width and a `band`.
fn detectable_log(half: f64, band: f64, units: usize, count: usize) -> f64 {
    let quantile = |count: usize| student_quantile(0.975, (count - 1) as f64);
    let shrunk = (units as f64 / count as f64).sqrt();
    let error = half / quantile(units) * shrunk;
    let band = band * shrunk * quantile(count) / quantile(units);
    (quantile(count) * error).max(band) + student_quantile(POWER, (count - 1) as f64) * error
}
