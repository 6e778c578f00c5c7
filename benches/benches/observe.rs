//! What watching costs: one sample of the timeline, one reading of a process and of the box, a CPU clock alone.
//!
//! `cargo bench -p lab --bench observe`. The process that is read is this one, with one more thread.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use hostfs::Roots;
use lab::observe::{BoxProbe, ProcessProbe, Sampler};

fn observe(criterion: &mut Criterion) {
    let (stop, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv());

    let mut sampler = Sampler::new(&Roots::default()).expect("/proc/stat is readable");
    criterion.bench_function("timeline sample", |bencher| {
        bencher.iter(|| {
            let sample = sampler.sample().expect("the files stay readable");
            black_box(serde_json::to_vec(&sample).expect("numbers and names"))
        });
    });

    let process = ProcessProbe::new(std::process::id()).expect("we exist");
    criterion.bench_function("process CPU clock", |bencher| {
        bencher.iter(|| black_box(process.cpu_ns().expect("we exist")));
    });
    criterion.bench_function("process counters", |bencher| {
        bencher.iter(|| black_box(process.read_counters().expect("we exist")));
    });
    criterion.bench_function("process counters and PSS", |bencher| {
        bencher.iter(|| black_box(process.read().expect("we exist")));
    });

    let mut whole_box = BoxProbe::new(vec![std::process::id()]).expect("we exist");
    criterion.bench_function("box reading", |bencher| {
        bencher.iter(|| black_box(whole_box.read().expect("the files stay readable")));
    });

    drop(stop);
    let _ = thread.join();
}

criterion_group!(benches, observe);
criterion_main!(benches);
