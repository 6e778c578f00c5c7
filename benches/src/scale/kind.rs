//! What a series of throughputs looks like: linear, shared or external. Pure.

use serde::Serialize;

use super::scenario::Scaling;
use crate::stats::median;
use crate::stats::scaling::Law;

/// Share of perfectly linear throughput at the most instances from which scaling is called linear.
const LINEAR: f64 = 0.9;

/// Within how much of each other the last throughputs are called flat: noise of a closed loop over a second.
const FLAT: f64 = 0.07;

/// How many of the last sizes must be flat.
const LAST: usize = 3;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Seen {
    /// The type that it looks like.
    pub kind: Scaling,
    /// Median throughput by number of instances.
    pub medians: Vec<(u32, f64)>,
    /// Throughput at the most instances, as a share of so many times that of the fewest per instance.
    pub efficiency: f64,
    /// Where it is flat: the limit.
    pub cap: Option<f64>,
    /// Instances worth having: where a limit or the peak is reached; `None` for linear scaling.
    pub most_instances: Option<u32>,
}

/// Classifies `points` of (instances, throughput), of which there must be at least one; `law` is their fit.
///
/// A flat top is called external. From outside a shared resource with fixed permits looks just the same: what tells them apart
/// is whose limit it is. Throughput that bends, or falls, is shared.
pub fn classify(points: &[(u32, f64)], law: Option<&Law>) -> Option<Seen> {
    let mut by_size = std::collections::BTreeMap::<u32, Vec<f64>>::new();
    points.iter().for_each(|(instances, throughput)| by_size.entry(*instances).or_default().push(*throughput));
    let medians: Vec<(u32, f64)> =
        by_size.iter().filter_map(|(instances, values)| Some((*instances, median(values)?))).collect();
    let (fewest, first) = *medians.first()?;
    let (most, last) = *medians.last()?;
    let one = first / f64::from(fewest);
    let efficiency = last / (one * f64::from(most));
    let top: Vec<f64> = medians.iter().rev().take(LAST).map(|(_, throughput)| *throughput).collect();
    let (low, high) =
        top.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(*value), high.max(*value)));
    let flat = medians.len() > LAST && high <= low * (1.0 + FLAT);
    let kind = match () {
        () if efficiency >= LINEAR => Scaling::Linear,
        () if flat => Scaling::External,
        () => Scaling::Shared,
    };
    let cap = (kind == Scaling::External).then(|| median(&top)).flatten();
    let most_instances = match kind {
        Scaling::Linear => None,
        // An instance that would be used in part only is one too many.
        Scaling::External => cap.map(|cap| ((cap / one).floor() as u32).max(1)),
        Scaling::Shared => law.and_then(Law::peak).map(|peak| (peak.round() as u32).max(1)),
    };
    Some(Seen { kind, medians, efficiency, cap, most_instances })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::scaling::fit;

    fn seen(of: impl Fn(f64) -> f64) -> Seen {
        let points: Vec<(u32, f64)> = [1, 2, 3, 4, 6, 8, 12].map(|n| (n, of(f64::from(n)))).into();
        let fitted = fit(&points.iter().map(|(n, x)| (f64::from(*n), *x)).collect::<Vec<_>>(), 1).unwrap();
        classify(&points, Some(&fitted.law)).unwrap()
    }

    /// Each type is recognised from throughputs that are made by its definition, with the instances that are worth having.
    #[test]
    fn types_are_recognised() {
        let linear = seen(|n| 950.0 * n * (1.0 - 0.002 * n));
        assert_eq!((linear.kind, linear.most_instances), (Scaling::Linear, None));
        let external = seen(|n| (98.0 * n).min(500.0));
        assert_eq!((external.kind, external.most_instances, external.cap), (Scaling::External, Some(5), Some(500.0)));
        let law = Law { lambda: 1_000.0, sigma: 0.05, kappa: 0.02 };
        let shared = seen(|n| law.throughput(n));
        assert_eq!((shared.kind, shared.most_instances), (Scaling::Shared, Some(7)));
    }

    #[test]
    fn nothing_is_no_type() {
        assert_eq!(classify(&[], None), None);
    }
}
