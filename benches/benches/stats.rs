//! What a report costs: `cargo bench -p lab --bench stats`.
//!
//! A result of 5 engines, 3 formats and 3 sampled figures asks for 48 intervals and as many tests, so that an
//! interval of a few milliseconds keeps `lab report` below a blink.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lab::stats::{RESAMPLES, SplitMix64, mann_whitney, paired_ratio, signed_rank};

fn ratios(rounds: usize) -> Vec<Option<f64>> {
    let mut random = SplitMix64(1);
    (0..rounds).map(|_| Some(0.9 + 0.2 * random.unit())).collect()
}

fn stats(criterion: &mut Criterion) {
    for rounds in [5, 20] {
        let formats = vec![ratios(rounds); 3];
        criterion.bench_function(&format!("bootstrap of 3 formats, {rounds} rounds"), |bencher| {
            bencher.iter(|| paired_ratio(black_box(&formats), RESAMPLES, 1));
        });
        let values: Vec<f64> = ratios(3 * rounds).into_iter().flatten().collect();
        let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
        criterion.bench_function(&format!("signed-rank of {} pairs", logs.len()), |bencher| {
            bencher.iter(|| signed_rank(black_box(&logs)));
        });
        let (a, b) = (&values[..rounds], &values[rounds..2 * rounds]);
        criterion.bench_function(&format!("Mann-Whitney of {rounds} and {rounds}"), |bencher| {
            bencher.iter(|| mann_whitney(black_box(a), black_box(b)));
        });
    }
}

criterion_group!(benches, stats);
criterion_main!(benches);
