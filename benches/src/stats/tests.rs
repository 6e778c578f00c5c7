//! Reference values come from scipy 1.17.1: `mannwhitneyu(method="exact"|"asymptotic")`, `wilcoxon(method=…)`,
//! `combine_pvalues`, and for ties `permutation_test` of the rank sums over all dealings (`n_resamples=inf`).

use proptest::prelude::*;

use super::bootstrap::expanded_tail;
use super::*;

fn close(seen: f64, wanted: f64, tolerance: f64) {
    assert!((seen - wanted).abs() <= tolerance * wanted.abs(), "seen {seen}, wanted {wanted}");
}

#[test]
fn mann_whitney_agrees_with_scipy() {
    let a = [4.21, 4.35, 4.18, 4.40, 4.27];
    close(mann_whitney(&a, &[3.61, 3.55, 3.70, 3.58, 4.20]), 0.015873015873015872, 1e-12);
    close(mann_whitney(&a, &[1.0, 2.0, 3.0, 4.0, 4.1]), 0.007936507936507936, 1e-12);
    let nine = [2.2, 3.1, 5.5, 6.1, 7.9, 8.8, 10.2, 0.9, 11.5];
    close(mann_whitney(&[1.1, 2.5, 3.7, 9.1, 4.4, 0.3], &nine), 0.22377622377622375, 1e-12);
    close(mann_whitney(&[1., 2., 2., 3., 5.], &[2., 4., 4., 5., 6.]), 0.18253968253968253, 1e-12);
    close(mann_whitney(&[1., 1., 2., 2., 3., 3.], &[1., 2., 2., 3., 4., 4., 4.]), 0.26456876456876455, 1e-12);
    let x: Vec<f64> = (0..70).map(f64::from).collect();
    let y: Vec<f64> = x.iter().map(|x| x * 1.1 + 3.0).collect();
    close(mann_whitney(&x, &y), 0.0902408106074031, 1e-9);
    let x: Vec<f64> = (0..70).map(|i| f64::from(i / 7)).collect();
    let y: Vec<f64> = (0..70).map(|i| f64::from(i / 6)).collect();
    close(mann_whitney(&x, &y), 0.14361236797759422, 1e-9);
}

#[test]
fn signed_rank_agrees_with_scipy() {
    close(signed_rank(&[-0.17, -0.12, -0.2, 0.05, -0.08, -0.3, -0.01, -0.11, 0.02, -0.15]), 0.01953125, 1e-12);
    close(signed_rank(&[1., 2., 3., 4., 5.]), 0.0625, 1e-12);
    close(signed_rank(&[1., 1., -1., 2., 2., 3., 0., 0., 3., -2., 4.]), 0.078125, 1e-12);
    let long: Vec<f64> = (0..150).map(|i| (f64::from(i) * 1.7).sin() + 0.13).collect();
    close(signed_rank(&long), 0.009208352095405839, 1e-9);
}

#[test]
fn combination_and_corrections_agree_with_scipy() {
    close(fisher(&[0.0079, 0.3, 0.04]), 0.005040723724223542, 1e-12);
    close(fisher(&[0.2]), 0.2, 1e-12);
    let holm = holm(&[0.01, 0.04, 0.03, 0.005]); // by hand: 0.03, 0.06, 0.06, 0.02
    for (seen, wanted) in holm.iter().zip([0.03, 0.06, 0.06, 0.02]) {
        close(*seen, wanted, 1e-12);
    }
}

/// scipy: `norm.cdf(-sqrt(n/(n-1)) * t.ppf(.975, n-1))`.
#[test]
fn expanded_tails_agree_with_scipy() {
    for (count, wanted) in [
        (3, 6.834137311941282e-08),
        (4, 1.1903073915322603e-04),
        (5, 9.541005518824907e-04),
        (7, 4.109153815637144e-03),
        (10, 8.550639024406366e-03),
        (20, 0.015880829920347974),
        (50, 0.02117941121137757),
    ] {
        close(expanded_tail(count), wanted, 0.03);
    }
}

#[test]
fn smallest_p_values_are_those_of_full_separation() {
    for n in 1..=12_u32 {
        let low: Vec<f64> = (0..n).map(f64::from).collect();
        let high: Vec<f64> = (0..n).map(|i| f64::from(i + 100)).collect();
        close(mann_whitney(&low, &high), mann_whitney_smallest_p(low.len(), high.len()), 1e-12);
        close(signed_rank(&high), signed_rank_smallest_p(high.len()).min(1.0), 1e-12);
    }
}

#[test]
fn medians_and_spreads_by_hand() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[f64::NAN, 1.0]), None);
    assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    let spread = spread(&[1.0, 2.0, 3.0, 4.0, 100.0]).unwrap();
    assert_eq!(spread, Spread { count: 5, min: 1.0, median: 3.0, max: 100.0, deviation: 1.0 });
}

/// With five rounds the interval is the smallest and the largest ratio, as the module's head promises.
#[test]
fn five_rounds_give_the_range() {
    let ratios = vec![[0.8, 0.9, 1.1, 0.85, 0.95].map(Some).to_vec()];
    let estimate = paired_ratio(&ratios, RESAMPLES, 1).unwrap();
    close(estimate.ratio, 0.9, 1e-12);
    close(estimate.interval.low, 0.8, 1e-12);
    close(estimate.interval.high, 1.1, 1e-12);
}

#[test]
fn missing_rounds_and_bad_ratios_are_not_guessed() {
    let holes = vec![vec![Some(0.5), None, Some(0.5)], vec![None, Some(2.0), Some(2.0)]];
    close(paired_ratio(&holes, 500, 1).unwrap().ratio, 1.0, 1e-12);
    assert_eq!(paired_ratio(&[vec![None, None]], 500, 1), None);
    assert_eq!(paired_ratio(&[vec![Some(0.0)]], 500, 1), None);
    assert_eq!(paired_ratio(&[], 500, 1), None);
    let side = |values: &[f64]| vec![values.iter().copied().map(Some).collect::<Vec<_>>()];
    assert_eq!(unpaired_ratio(&side(&[1.0, -1.0]), &side(&[1.0]), 500, 1), None);
    assert_eq!(unpaired_ratio(&side(&[]), &side(&[1.0]), 500, 1), None);
}

/// Nominal 95 % intervals hold the truth in at least 92 % of 400 simulated runs, for each number of rounds.
#[test]
fn intervals_cover_the_truth() {
    for rounds in [5_u64, 7, 10, 15] {
        let mut random = SplitMix64(rounds);
        let covered = (0..400)
            .filter(|seed| {
                let ratios: Vec<Option<f64>> =
                    (0..rounds).map(|_| Some((heavy(&mut random) - heavy(&mut random)).exp() * 0.8)).collect();
                paired_ratio(&[ratios], 400, *seed).unwrap().interval.contains(0.8)
            })
            .count();
        assert!(covered >= 368, "{rounds} rounds: {covered} of 400");
    }
}

/// Student-t noise with three degrees of freedom and 2 % scale, one value in twenty much larger.
fn heavy(random: &mut SplitMix64) -> f64 {
    let mut normal = || {
        let radius = (-2.0 * random.unit().ln()).sqrt();
        radius * (std::f64::consts::TAU * random.unit()).cos()
    };
    let (top, a, b, c) = (normal(), normal(), normal(), normal());
    let student = top / ((a * a + b * b + c * c) / 3.0).sqrt();
    0.02 * student + if random.unit() < 0.05 { 0.3 * random.unit() } else { 0.0 }
}

fn samples() -> impl Strategy<Value = Vec<f64>> {
    // Whole numbers, so that ties are common.
    prop::collection::vec((1_u32..30).prop_map(f64::from), 1..12)
}

proptest! {
    #[test]
    fn mann_whitney_is_symmetric_and_bounded(a in samples(), b in samples()) {
        let p = mann_whitney(&a, &b);
        prop_assert!((mann_whitney_smallest_p(a.len(), b.len()) - 1e-12..=1.0).contains(&p));
        prop_assert!((p - mann_whitney(&b, &a)).abs() < 1e-9);
    }

    /// Ranks only: a monotone change of units changes nothing.
    #[test]
    fn mann_whitney_ignores_units(a in samples(), b in samples()) {
        let squared = |values: &[f64]| values.iter().map(|value| value * value).collect::<Vec<_>>();
        prop_assert_eq!(mann_whitney(&a, &b), mann_whitney(&squared(&a), &squared(&b)));
    }

    #[test]
    fn signed_rank_ignores_the_side(d in prop::collection::vec(-9_i32..10, 0..14)) {
        let plus: Vec<f64> = d.iter().copied().map(f64::from).collect();
        let minus: Vec<f64> = plus.iter().map(|value| -value).collect();
        prop_assert!((signed_rank(&plus) - signed_rank(&minus)).abs() < 1e-9);
    }

    #[test]
    fn holm_only_raises_and_keeps_the_order(p in prop::collection::vec(0.0_f64..=1.0, 0..9)) {
        let adjusted = holm(&p);
        for (i, raw) in p.iter().enumerate() {
            prop_assert!(adjusted[i] >= *raw && adjusted[i] <= 1.0);
            for (j, other) in p.iter().enumerate() {
                prop_assert!(raw > other || adjusted[i] <= adjusted[j]);
            }
        }
    }

    /// The estimate lies in its interval, turning the ratio round turns both, and the seed decides all.
    #[test]
    fn paired_ratios_are_consistent(ratios in prop::collection::vec(0.1_f64..10.0, 1..12), seed: u64) {
        let some = |values: &[f64]| vec![values.iter().copied().map(Some).collect::<Vec<_>>()];
        let inverse: Vec<f64> = ratios.iter().map(|ratio| 1.0 / ratio).collect();
        let one = paired_ratio(&some(&ratios), 300, seed).unwrap();
        let other = paired_ratio(&some(&inverse), 300, seed).unwrap();
        prop_assert!(one.interval.low <= one.ratio * 1.000_001 && one.ratio <= one.interval.high * 1.000_001);
        prop_assert!((one.ratio * other.ratio - 1.0).abs() < 1e-9);
        prop_assert!((one.interval.low * other.interval.high - 1.0).abs() < 1e-9);
        prop_assert_eq!(one, paired_ratio(&some(&ratios), 300, seed).unwrap());
    }

    #[test]
    fn spread_is_ordered(values in prop::collection::vec(-1e6_f64..1e6, 1..40)) {
        let spread = spread(&values).unwrap();
        prop_assert!(spread.min <= spread.median && spread.median <= spread.max);
        prop_assert!(spread.deviation <= spread.max - spread.min);
    }
}
