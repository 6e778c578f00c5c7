//! Quantiles of Student's t, which small samples need in place of the normal distribution's.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// The share of Student's t with `freedom` degrees of freedom that lies below `value`; NaN for a `freedom` not above 0.
pub fn student_below(value: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |student| student.cdf(value))
}

/// The value below which the share `p` of Student's t with `freedom` degrees of freedom lies.
///
/// `p` between 0 and 1, both excluded, and `freedom` above 0; NaN for anything else.
pub fn student_quantile(p: f64, freedom: f64) -> f64 {
    if !(p > 0.0 && p < 1.0) {
        return f64::NAN;
    }
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |student| student.inverse_cdf(p))
}
