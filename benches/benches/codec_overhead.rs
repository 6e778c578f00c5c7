//! What this project's own layer over prost and serde_json costs: the libraries called as their documentation shows it, and through
//! [`wire::Format`], which checks a body's size first and names field and offset of what it refuses.
//!
//! Groups are `overhead/OPERATION/SET`; both ways run in turn, [`ROUNDS`] times, so that a slow spell of the box hits both.
//! `lab codec` prints the ratio with its interval. The libraries' own benches cannot be asked here: those of prost read Google's
//! data sets, which are no part of the crate, and serde_json has none beside a repository of three large documents.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

mod profiler;

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use lab::codec::operations::encoded;
use wire::data::{self, DataSet, Visitor};
use wire::format::Scratch;
use wire::{Format, Record};

/// How often both ways run.
const ROUNDS: u32 = 5;

/// The sets: a small message, a rich record, many small ones in one.
const SETS: [&str; 3] = ["note", "broadcast", "notes"];

struct Overhead<'a>(&'a mut Criterion);

impl Visitor for Overhead<'_> {
    fn visit<R: Record>(&mut self, set: &DataSet<R>) {
        if !SETS.contains(&set.name) {
            return;
        }
        let mut out = Vec::new();
        let mut group = self.0.benchmark_group(format!("overhead/encode/{}", set.name));
        for round in 0..ROUNDS {
            encode(&mut group, "prost", round, set, |record| {
                out.clear();
                record.encode(&mut out).expect("a Vec grows as needed");
                out.len()
            });
            encode(&mut group, "serde_json", round, set, |record| {
                out.clear();
                serde_json::to_writer(&mut out, record).expect("a Vec takes every byte");
                out.len()
            });
            for format in [Format::Protobuf, Format::Json] {
                encode(&mut group, format.name(), round, set, |record| {
                    out.clear();
                    format.encode(record, &mut out);
                    out.len()
                });
            }
        }
        group.finish();
        let bodies = [Format::Protobuf, Format::Json].map(|format| encoded(format, &set.variants));
        let [protobuf, json] = &bodies;
        let mut scratch = Scratch::default();
        let mut group = self.0.benchmark_group(format!("overhead/decode/{}", set.name));
        for round in 0..ROUNDS {
            decode(&mut group, "prost", round, protobuf, |body| R::decode(body).expect("our bytes"));
            decode(&mut group, "serde_json", round, json, |body| serde_json::from_slice::<R>(body).expect("our bytes"));
            for (format, bodies) in [(Format::Protobuf, protobuf), (Format::Json, json)] {
                decode(&mut group, format.name(), round, bodies, |body| {
                    format.decode::<R>(body, &mut scratch).expect("our bytes")
                });
            }
        }
        group.finish();
    }
}

fn encode<R: Record>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    round: u32,
    set: &DataSet<R>,
    mut encode: impl FnMut(&R) -> usize,
) {
    let mut turn = set.variants.iter().cycle();
    group.bench_function(BenchmarkId::new(name, round), |bencher| {
        bencher.iter(|| encode(black_box(turn.next().expect("a cycle has no end"))));
    });
}

fn decode<R: Record>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    round: u32,
    bodies: &[Vec<u8>],
    mut decode: impl FnMut(&[u8]) -> R,
) {
    let mut turn = bodies.iter().cycle();
    group.bench_function(BenchmarkId::new(name, round), |bencher| {
        bencher.iter(|| drop(black_box(decode(black_box(turn.next().expect("a cycle has no end"))))));
    });
}

fn overhead(criterion: &mut Criterion) {
    data::each(&mut Overhead(criterion));
}

criterion_group! {
    name = benches;
    config = profiler::criterion();
    targets = overhead
}
criterion_main!(benches);
