//! What a comparison could have seen: "no evidence of a difference" means little without it.

use super::bootstrap::Interval;
use super::student::student_quantile;

/// Chance with which a difference of the minimum detectable size is found; the usual convention.
const POWER: f64 = 0.8;

/// The smallest true ratio above 1 that a comparison would have claimed in four of five repetitions.
///
/// `interval` is the 95 % interval of a ratio from `units` independent units (rounds, or values of the smaller side), `band` the
/// farther end of the noise band as a ratio of at least 1 (1 without one). A claim needs an interval without 1 and a ratio
/// outside the band, so the effect must exceed the farther of both by what the estimate varies: on the logarithm
/// `max(t(0.975)·e, ln band) + t(0.8)·e`, where the standard error `e` is the interval's half width over t(0.975). Without a band
/// that is Bloom's "Minimum Detectable Effects" (Evaluation Review 19, 1995). `None` for fewer than three units and
/// for an interval that is not positive.
pub fn detectable_ratio(interval: Interval, units: usize, band: f64) -> Option<f64> {
    let usable = interval.low > 0.0 && interval.low <= interval.high && interval.high.is_finite() && band >= 1.0;
    if units < 3 || !usable {
        return None;
    }
    let freedom = (units - 1) as f64;
    let half = (interval.high / interval.low).ln() / 2.0;
    let error = half / student_quantile(0.975, freedom);
    Some((half.max(band.ln()) + student_quantile(POWER, freedom) * error).exp())
}
