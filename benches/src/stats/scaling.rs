//! The Universal Scalability Law: how throughput grows with the number of instances, fitted with intervals.
//!
//! `X(n) = λ·n / (1 + σ·(n − 1) + κ·n·(n − 1))`: λ is what one instance does, σ what they queue for (contention), κ what they tell each
//! other (coherency). With κ above 0 throughput falls again beyond `√((1 − σ)/κ)` instances. Gunther, "Guerrilla Capacity
//! Planning" (Springer 2007), chapters 4 to 6.

use super::bootstrap::Interval;
use super::random::SplitMix64;

/// Refits behind an interval; the 2.5 % tail rests on 25 of them.
const REFITS: usize = 1_000;

/// Steps of one fit at most; exact data takes about ten.
const STEPS: usize = 100;

/// Different numbers of instances from which three parameters are quoted.
pub const LEAST_SIZES: usize = 4;

/// The law's parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Law {
    /// Throughput of one instance.
    pub lambda: f64,
    /// Contention, 0 or more.
    pub sigma: f64,
    /// Coherency, 0 or more.
    pub kappa: f64,
}

impl Law {
    /// Throughput of `instances`.
    pub fn throughput(&self, instances: f64) -> f64 {
        self.lambda * instances / self.slowdown(instances)
    }

    /// Number of instances beyond which throughput falls; `None` when it never does.
    pub fn peak(&self) -> Option<f64> {
        (self.kappa > 0.0 && self.sigma < 1.0).then(|| ((1.0 - self.sigma) / self.kappa).sqrt().max(1.0))
    }

    fn slowdown(&self, instances: f64) -> f64 {
        1.0 + self.sigma * (instances - 1.0) + self.kappa * instances * (instances - 1.0)
    }
}

/// A fitted law.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The best parameters.
    pub law: Law,
    /// 95 % interval of λ.
    pub lambda: Interval,
    /// 95 % interval of σ.
    pub sigma: Interval,
    /// 95 % interval of κ.
    pub kappa: Interval,
    /// Measured ÷ fitted − 1 of each point, in their order.
    pub residuals: Vec<f64>,
    /// Largest number of instances that was measured.
    pub largest: f64,
    refits: Vec<Law>,
}

/// Throughput that a fit foretells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Requests per second, or whatever was fitted.
    pub throughput: f64,
    /// Its 95 % interval, of the law alone: noise of a single measurement comes on top.
    pub interval: Interval,
    /// More than twice the measured range: the law is a guess there.
    pub beyond_twice: bool,
}

impl Fit {
    /// What `instances` would do.
    pub fn forecast(&self, instances: f64) -> Forecast {
        let throughput = |law: &Law| law.throughput(instances);
        Forecast {
            throughput: throughput(&self.law),
            interval: interval(self.refits.iter().map(throughput)),
            beyond_twice: instances > 2.0 * self.largest,
        }
    }

    /// Typical size of a residual: the root of their mean square.
    pub fn residual(&self) -> f64 {
        (self.residuals.iter().map(|residual| residual * residual).sum::<f64>() / self.residuals.len().max(1) as f64)
            .sqrt()
    }
}

/// Fits the law to points of (instances, throughput), both positive, by least squares of the logarithms: noise of a throughput is
/// in proportion to it.
///
/// σ and κ are kept from falling below 0. Intervals are percentiles of refits to resampled residuals, which need no rounds.
/// `None` for fewer than [`LEAST_SIZES`] different numbers of instances or values that are not positive.
pub fn fit(points: &[(f64, f64)], seed: u64) -> Option<Fit> {
    let mut sizes: Vec<f64> = points.iter().map(|point| point.0).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    sizes.dedup();
    let usable = |value: f64| value.is_finite() && value > 0.0;
    if sizes.len() < LEAST_SIZES || points.iter().any(|(n, x)| !usable(*n) || *n < 1.0 || !usable(*x)) {
        return None;
    }
    let law = best(points)?;
    let logs: Vec<f64> = points.iter().map(|(n, x)| (x / law.throughput(*n)).ln()).collect();
    // Three parameters have taken their share of the scatter.
    let count = points.len() as f64;
    let widened = (count / (count - 3.0).max(1.0)).sqrt();
    let mut random = SplitMix64(seed);
    let mut refits = Vec::with_capacity(REFITS);
    let mut again = points.to_vec();
    for _ in 0..REFITS {
        for (place, (n, _)) in points.iter().enumerate() {
            again[place].1 = law.throughput(*n) * (widened * logs[random.below(logs.len())]).exp();
        }
        refits.extend(best(&again));
    }
    Some(Fit {
        lambda: interval(refits.iter().map(|law| law.lambda)),
        sigma: interval(refits.iter().map(|law| law.sigma)),
        kappa: interval(refits.iter().map(|law| law.kappa)),
        residuals: logs.iter().map(|log| log.exp_m1()).collect(),
        largest: *sizes.last()?,
        refits,
        law,
    })
}

fn interval(values: impl Iterator<Item = f64>) -> Interval {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (share * sorted.len() as f64) as usize;
        sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    };
    Interval { low: at(0.025), high: at(0.975) }
}

/// The best law with σ and κ at 0 or above: of the fits with each of them free or held at 0, the closest that is allowed.
fn best(points: &[(f64, f64)]) -> Option<Law> {
    let frees = [[true, true, true], [true, true, false], [true, false, true], [true, false, false]];
    let allowed = frees.into_iter().filter_map(|free| gauss_newton(points, free));
    allowed
        .filter(|(law, _)| law.sigma >= 0.0 && law.kappa >= 0.0)
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(law, _)| law)
}

/// Levenberg and Marquardt's damped Gauss-Newton over the parameters that are `free`; the law and its sum of squares.
fn gauss_newton(points: &[(f64, f64)], free: [bool; 3]) -> Option<(Law, f64)> {
    let of = |p: [f64; 3]| Law { lambda: p[0].exp(), sigma: p[1], kappa: p[2] };
    let squares = |p: [f64; 3]| -> f64 {
        let law = of(p);
        let sum = points.iter().map(|(n, x)| (x / law.throughput(*n)).ln().powi(2)).sum::<f64>();
        // A slowdown below 0 has no logarithm: such a step is not taken.
        if sum.is_nan() { f64::INFINITY } else { sum }
    };
    let first = points.iter().map(|(n, x)| (x / n).ln()).fold(f64::NEG_INFINITY, f64::max);
    let mut at = [first, if free[1] { 0.05 } else { 0.0 }, if free[2] { 1e-3 } else { 0.0 }];
    let mut error = squares(at);
    let mut damping = 1e-3;
    for _ in 0..STEPS {
        let law = of(at);
        let mut normal = [[0.0; 4]; 3];
        for (n, x) in points {
            let slowdown = law.slowdown(*n);
            let slopes = [1.0, -(n - 1.0) / slowdown, -n * (n - 1.0) / slowdown];
            let residual = (x / law.throughput(*n)).ln();
            for row in 0..3 {
                for column in 0..3 {
                    normal[row][column] += slopes[row] * slopes[column];
                }
                normal[row][3] += slopes[row] * residual;
            }
        }
        for (place, free) in free.iter().enumerate() {
            if *free {
                normal[place][place] *= 1.0 + damping;
            } else {
                normal[place] = [0.0; 4];
                normal.iter_mut().for_each(|row| row[place] = 0.0);
                normal[place][place] = 1.0;
            }
        }
        let step = solve(normal)?;
        let next = [at[0] + step[0], at[1] + step[1], at[2] + step[2]];
        let closer = squares(next);
        if closer < error {
            let gained = error - closer;
            (at, error) = (next, closer);
            damping = (damping / 10.0).max(1e-12);
            if gained <= 1e-15 * (1.0 + error) {
                break;
            }
        } else {
            damping *= 10.0;
            if damping > 1e12 {
                break;
            }
        }
    }
    error.is_finite().then(|| (of(at), error))
}

/// Three linear equations by elimination with pivots; `None` when they do not decide the unknowns.
fn solve(mut rows: [[f64; 4]; 3]) -> Option<[f64; 3]> {
    for column in 0..3 {
        let pivot = (column..3).max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()))?;
        rows.swap(column, pivot);
        if rows[column][column].abs() < 1e-300 {
            return None;
        }
        for row in 0..3 {
            if row != column {
                let factor = rows[row][column] / rows[column][column];
                let above = rows[column];
                rows[row].iter_mut().zip(above).for_each(|(value, above)| *value -= factor * above);
            }
        }
    }
    Some([0, 1, 2].map(|row| rows[row][3] / rows[row][row]))
}
