//! What a message costs alone: nanoseconds by operation, data set and format.
//!
//! Groups are `OPERATION/SET` with a bench for each format, so that formats stand below each other. `raw` is the floor. The operations
//! are those of `lab::codec::operations`, whose allocations `lab alloc` counts. `project-4` groups read four fields out of many:
//! ways that validate the whole message and ways that do not are in groups of their own.
//!
//! ```text
//! cargo bench -p lab --bench codec -- 'decode/broadcast'
//! cargo bench -p lab --bench codec -- 'project-4' --profile-time 5
//! ```

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

mod profiler;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lab::codec::Operation;
use lab::codec::operations::{PROJECT, broadcasts, each, readers};
use wire::Format;
use wire::data::project::{self, Position};
use wire::data::{Broadcast, VARIANTS};

/// Fields that a producer sends and a consumer does not know.
const UNKNOWN: [u32; 3] = [0, 5, 20];

/// Every operation on every data set.
fn every_operation(criterion: &mut Criterion) {
    let mut set: Vec<Operation> = Vec::new();
    each(
        |_, _| true,
        |operation| {
            if set.first().is_some_and(|first| first.set != operation.set) {
                groups(criterion, std::mem::take(&mut set));
            }
            set.push(operation);
        },
    );
    groups(criterion, set);
}

/// The operations of one data set, a group each.
fn groups(criterion: &mut Criterion, mut operations: Vec<Operation>) {
    while let Some(first) = operations.first() {
        let name = first.name;
        let mut group = criterion.benchmark_group(format!("{name}/{}", first.set));
        for operation in operations.iter_mut().filter(|operation| operation.name == name) {
            group.bench_function(operation.format.name(), |bencher| bencher.iter(|| operation.run()));
        }
        group.finish();
        operations.retain(|operation| operation.name != name);
    }
}

/// Four fields of a record of 4 KiB, by their share of it and by where they stand.
fn project_four(criterion: &mut Criterion) {
    for share in project::SHARES {
        let records: Vec<Broadcast> = (0..VARIANTS).map(|index| project::shaped(index, share)).collect();
        for position in Position::ALL {
            reading(criterion, PROJECT, &format!("{share}-percent/{}", position.name()), |format| {
                records.iter().map(|record| project::encode(format, record, position)).collect()
            });
        }
    }
}

/// The same four fields, and full decoding, of records with fields that the reader does not know: a producer on version 7, a
/// consumer on version 4.
fn skip_unknown(criterion: &mut Criterion) {
    let records = broadcasts();
    for count in UNKNOWN {
        reading(criterion, "skip-unknown", &format!("{count}-fields"), |format| {
            records.iter().map(|record| project::with_unknown(format, record, count)).collect()
        });
    }
}

/// Two groups, of readers that validate everything and of those that do not, over messages that `bodies` makes for a format that can.
fn reading(criterion: &mut Criterion, name: &str, shape: &str, bodies: impl Fn(Format) -> Option<Vec<Vec<u8>>>) {
    for (validates, word) in [(true, "validated"), (false, "unvalidated")] {
        let mut group = criterion.benchmark_group(format!("{name}/{word}/{shape}"));
        for (reader, mut operation) in readers("broadcast", &bodies).filter(|(reader, _)| reader.validates == validates)
        {
            let id = BenchmarkId::new(reader.format.name(), reader.name);
            group.bench_function(id, |bencher| bencher.iter(|| operation.run()));
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = profiler::criterion();
    targets = every_operation, project_four, skip_unknown
}
criterion_main!(benches);
