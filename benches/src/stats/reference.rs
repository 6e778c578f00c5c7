//! Values from `benches/scripts/reference-values.py` (scipy 1.17.1, and every permutation where scipy has no such test), and what
//! must hold whatever the values are.

use proptest::prelude::*;

use super::scaling::{Law, fit};
use super::*;

fn close(seen: f64, wanted: f64, tolerance: f64) {
    assert!((seen - wanted).abs() <= tolerance * wanted.abs(), "seen {seen}, wanted {wanted}");
}

#[test]
fn students_t_agrees_with_scipy() {
    for (p, freedom, wanted) in [
        (0.975, 1.0, 12.706204736174694),
        (0.975, 2.0, 4.302652729749462),
        (0.975, 4.0, 2.7764451051977934),
        (0.8, 4.0, 0.9409645772351816),
        (0.8, 9.0, 0.8834038596855346),
        (0.995, 6.5, 3.5931239959839543),
        (0.1, 3.0, -1.6377443536962089),
    ] {
        close(student_quantile(p, freedom), wanted, 1e-9);
    }
    for (value, freedom, wanted) in
        [(-2.0, 3.0, 0.06966298427942152), (0.5, 10.0, 0.6860531971285135), (-12.0, 4.0, 0.0001382142742514865)]
    {
        close(student_below(value, freedom), wanted, 1e-9);
    }
    for (p, freedom) in [(0.0, 3.0), (1.0, 3.0), (f64::NAN, 3.0), (0.5, 0.0), (0.5, f64::NAN)] {
        assert!(student_quantile(p, freedom).is_nan(), "{p} {freedom}");
    }
}

#[test]
fn trends_agree_with_scipy() {
    let rising = [1.0, 1.2, 1.1, 1.4, 1.3, 1.6, 1.5, 1.9, 1.7, 2.0];
    close(mann_kendall(&rising), 0.0003576940035273369, 1e-9);
    close(sen_slope(&rising).unwrap(), 0.1, 1e-12);
    let steady = [1.0, 0.96, 1.05, 1.02, 0.94, 1.01, 0.99, 1.06, 0.97, 1.03];
    close(mann_kendall(&steady), 0.7274895282186948, 1e-9);
    close(sen_slope(&steady).unwrap(), 0.002, 1e-9);
    let tied = [1., 1., 2., 2., 2., 3., 3., 4., 4., 4.];
    close(mann_kendall(&tied), 0.0005810476282227021, 1e-9);
    close(sen_slope(&tied).unwrap(), 0.375, 1e-12);
    let long: Vec<f64> = (0..80).map(|i| (1.7 * f64::from(i)).sin() + 0.01 * f64::from(i)).collect();
    close(mann_kendall(&long), 0.003354967080904898, 1e-9);
    close(sen_slope(&long).unwrap(), 0.009857153892760366, 1e-9);
    close(trend(&rising).unwrap().change, 0.9 / 1.45, 1e-9);
}

/// The p-value of two thousand shuffles is near that of all 40,320 arrangements, and the place is the same.
#[test]
fn levels_agree_with_every_permutation() {
    let stepped = level_change(&[5.0, 5.1, 4.9, 5.05, 6.2, 6.1, 6.3, 6.15], 1).unwrap();
    assert_eq!(stepped.before, 4);
    assert!((stepped.p - 0.02857142857142857).abs() < 0.012, "{stepped:?}");
    close(stepped.ratio, 6.175 / 5.025, 1e-9);
    let mixed = level_change(&[5.0, 6.1, 4.9, 5.05, 6.2, 5.1, 6.3, 5.2], 1).unwrap();
    assert_eq!(mixed.before, 4);
    assert!((mixed.p - 0.2626984126984127).abs() < 0.03, "{mixed:?}");
    assert_eq!(level_change(&[1.0, 1.0, 1.0, 1.0, 1.0], 1), None);
    assert_eq!(level_change(&[1.0, 2.0, 3.0], 1), None);
    assert_eq!(level_change(&[1.0, -2.0, 3.0, 4.0], 1), None);
}

#[test]
fn the_scalability_law_agrees_with_scipy() {
    let throughput = [964.6, 1762.9, 2562.1, 3099.3, 4119.2, 4844.8, 5398.9, 5746.5];
    let points: Vec<(f64, f64)> = [1., 2., 3., 4., 6., 8., 12., 16.].into_iter().zip(throughput).collect();
    let fit = fit(&points, 1).unwrap();
    close(fit.law.lambda, 957.2872483168711, 1e-6);
    close(fit.law.sigma, 0.060161800056778264, 1e-5);
    close(fit.law.kappa, 0.003254178783691415, 1e-5);
    // What the points were made from lies within the intervals.
    assert!(fit.lambda.contains(955.0) && fit.sigma.contains(0.061) && fit.kappa.contains(0.0031), "{fit:?}");
    assert!(fit.residual() < 0.03, "{}", fit.residual());
    assert!(!fit.forecast(32.0).beyond_twice && fit.forecast(33.0).beyond_twice);
}

#[test]
fn ratios_of_two_samples_agree_with_scipy() {
    let side = |values: &[f64]| vec![values.iter().copied().map(Some).collect::<Vec<_>>()];
    let first = side(&[5.02, 4.95, 5.11, 5.2, 5.05, 4.99, 5.15, 5.08, 4.9, 5.1]);
    let second = side(&[4.21, 4.35, 4.18, 4.40, 4.27, 4.31, 4.25, 4.22, 4.38, 4.29]);
    let estimate = unpaired_ratio(&first, &second, RESAMPLES, 1).unwrap();
    close(estimate.ratio, 1.1834092555119031, 1e-9);
    // Of 4,000 resamples 34 lie in a tail: within a quarter of a percent of 200,000.
    close(estimate.interval.low, 1.1500640643559927, 2.5e-3);
    close(estimate.interval.high, 1.2097150595781014, 2.5e-3);
}

#[test]
fn detectable_effects_by_the_formula() {
    let interval = Interval { low: 0.95, high: 1.07 };
    close(detectable_ratio(interval, 7, 1.0).unwrap(), 1.0849028984809734, 1e-9);
    close(detectable_ratio(interval, 7, 1.1).unwrap(), 1.1244844870182036, 1e-9);
    assert_eq!(detectable_ratio(interval, 2, 1.0), None);
    assert_eq!(detectable_ratio(Interval { low: 0.0, high: 1.0 }, 7, 1.0), None);
}

/// The formula over again in Python with scipy's quantiles.
#[test]
fn rounds_to_detect_by_the_formula() {
    let interval = Interval { low: 0.95, high: 1.07 };
    assert_eq!(units_to_detect(1.05, interval, 7, 1.0), Some(16));
    assert_eq!(units_to_detect(1.05, interval, 7, 1.1), Some(30));
    assert_eq!(units_to_detect(1.2, interval, 7, 1.0), Some(4));
    assert_eq!(units_to_detect(1.05, Interval { low: 0.2, high: 5.0 }, 7, 1.0), None);
    assert_eq!(units_to_detect(1.05, interval, 2, 1.0), None);
}

/// What is called detectable is found about four times in five: of 300 simulated runs of 7, 10 and 20 rounds with normal noise at the
/// typical detectable effect, 60 to 97 % have an interval without 1.
#[test]
fn detectable_effects_are_detected() {
    let mut random = SplitMix64(11);
    let mut normal = move || (-2.0 * random.unit().ln()).sqrt() * (std::f64::consts::TAU * random.unit()).cos();
    for rounds in [7_usize, 10, 20] {
        let mut run = |effect: f64| -> Estimate {
            let ratios = (0..rounds).map(|_| Some((0.03 * normal()).exp() * effect)).collect();
            paired_ratio(&[ratios], 400, 1).unwrap()
        };
        let told: Vec<f64> = (0..60).map(|_| detectable_ratio(run(1.0).interval, rounds, 1.0).unwrap()).collect();
        let typical = median(&told).unwrap();
        let found = (0..300).filter(|_| run(typical).interval.low > 1.0).count();
        assert!((180..=291).contains(&found), "{rounds} rounds, effect {typical:.4}: {found} of 300");
    }
}

fn series() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(0.5_f64..20.0, 4..16)
}

proptest! {
    /// Turned round, a trend has the other sign and the same p.
    #[test]
    fn trends_turn_round(values in series()) {
        let reversed: Vec<f64> = values.iter().rev().copied().collect();
        let (one, other) = (trend(&values).unwrap(), trend(&reversed).unwrap());
        prop_assert!((one.p - other.p).abs() < 1e-9 && (0.0..=1.0).contains(&one.p));
        prop_assert!((one.change + other.change).abs() < 1e-9);
    }

    /// Units do not matter to the place and the p of a change of level, and its ratio is that of the medians.
    #[test]
    fn levels_ignore_units(values in series(), unit in 0.1_f64..100.0) {
        let scaled: Vec<f64> = values.iter().map(|value| value * unit).collect();
        if let Some(one) = level_change(&values, 3) {
            let other = level_change(&scaled, 3).unwrap();
            prop_assert_eq!((one.before, one.p), (other.before, other.p));
            let (early, late) = values.split_at(one.before);
            let ratio = median(late).unwrap() / median(early).unwrap();
            prop_assert!((one.ratio - ratio).abs() < 1e-9 && one.before >= 1 && one.before < values.len());
            prop_assert!(one.p > 0.0 && one.p <= 1.0);
        }
    }

    /// Two samples: turned round the ratio is its inverse, and the seed decides all.
    #[test]
    fn ratios_of_two_samples_are_consistent(a in series(), b in series(), seed: u64) {
        let side = |values: &[f64]| vec![values.iter().copied().map(Some).collect::<Vec<_>>()];
        let one = unpaired_ratio(&side(&a), &side(&b), 300, seed).unwrap();
        let other = unpaired_ratio(&side(&b), &side(&a), 300, seed).unwrap();
        prop_assert!((one.ratio * other.ratio - 1.0).abs() < 1e-9);
        prop_assert!(one.interval.low <= one.interval.high);
        prop_assert_eq!(one, unpaired_ratio(&side(&a), &side(&b), 300, seed).unwrap());
    }

    /// A wider interval, a wider band or fewer rounds never make smaller effects detectable.
    #[test]
    fn detectable_effects_are_ordered(half in 0.001_f64..0.5, band in 1.0_f64..1.5, units in 4_usize..40) {
        let interval = |half: f64| Interval { low: (-half).exp(), high: half.exp() };
        let told = detectable_ratio(interval(half), units, band).unwrap();
        prop_assert!(told > 1.0);
        prop_assert!(detectable_ratio(interval(half * 1.5), units, band).unwrap() >= told);
        prop_assert!(detectable_ratio(interval(half), units, band * 1.1).unwrap() >= told);
        // But for rounding, what is detectable takes no more than the units that there were, and nothing smaller takes fewer.
        if let Some(needed) = units_to_detect(told * 1.000_001, interval(half), units, band) {
            prop_assert!(needed <= units);
            prop_assert!(units_to_detect(told.sqrt(), interval(half), units, band).is_none_or(|more| more >= needed));
        }
    }
}

proptest! {
    // A fit is a thousand fits, and debug builds are slow.
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Data that a law made gives the law back, its peak, and forecasts that agree with it.
    #[test]
    fn laws_come_back(lambda in 10.0_f64..1e5, sigma in 0.0_f64..0.5, kappa in 0.0_f64..0.05) {
        let law = Law { lambda, sigma, kappa };
        let points: Vec<(f64, f64)> = (1..=10).map(|n| (f64::from(n), law.throughput(f64::from(n)))).collect();
        let fit = fit(&points, 1).unwrap();
        prop_assert!((fit.law.lambda / lambda - 1.0).abs() < 1e-4, "{:?} {:?}", fit.law, law);
        prop_assert!((fit.law.sigma - sigma).abs() < 1e-4 && (fit.law.kappa - kappa).abs() < 1e-5, "{:?} {:?}", fit.law, law);
        prop_assert!(fit.residual() < 1e-4);
        prop_assert!((fit.forecast(15.0).throughput / law.throughput(15.0) - 1.0).abs() < 1e-2);
    }

    /// Whatever was measured, σ and κ are not below 0 and the intervals hold numbers.
    #[test]
    fn any_throughput_has_a_law(values in prop::collection::vec(1.0_f64..1e6, 6..12)) {
        let points: Vec<(f64, f64)> = (1_u32..).zip(&values).map(|(n, x)| (f64::from(n), *x)).collect();
        if let Some(fit) = fit(&points, 1) {
            prop_assert!(fit.law.sigma >= 0.0 && fit.law.kappa >= 0.0 && fit.law.lambda > 0.0);
            prop_assert!(fit.sigma.low >= 0.0 && fit.kappa.high.is_finite() && fit.lambda.low.is_finite());
            prop_assert!(fit.forecast(20.0).throughput >= 0.0);
        }
    }
}
