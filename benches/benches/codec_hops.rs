//! What a message costs on its way: validation, the hop of a gateway, compression.
//!
//! * `validate`: JSON Schema by the crate jsonschema, on a document that must be parsed for it, against checks of the same rules on the
//!   record that protobuf or JSON decode to anyway.
//! * `transcode`: the body of a request through a gateway from JSON to protobuf and of a reply back, through generated types and
//!   through descriptors (prost-reflect), which is what a gateway does that knows its schemas at run time only.
//! * `compress`: deflate and zstd per message, with a trained dictionary, and with a context that is kept from message to message. What
//!   that makes of the bytes, and what a connection holds for it: `cargo run -p lab --example compression`.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

mod compression;
mod profiler;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lab::codec::operations::{broadcasts, encoded};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::Value;
use wire::Format;
use wire::data::Broadcast;
use wire::format::Scratch;

/// Runs `work` on each body in turn.
fn bench<T>(
    criterion: &mut Criterion,
    group: &str,
    (name, how): (impl ToString, &str),
    bodies: &[T],
    mut work: impl FnMut(&T),
) {
    let mut turn = bodies.iter().cycle();
    let mut group = criterion.benchmark_group(group);
    group.bench_function(BenchmarkId::new(name.to_string(), how), |bencher| {
        bencher.iter(|| work(black_box(turn.next().expect("a cycle has no end"))));
    });
    group.finish();
}

fn validate(criterion: &mut Criterion) {
    let (json, protobuf) = (encoded(Format::Json, &broadcasts()), encoded(Format::Protobuf, &broadcasts()));
    let group = "validate/broadcast";
    for (name, schema) in
        [("json-schema", wire::data::BROADCAST_SCHEMA), ("json-schema-required-4", wire::data::REQUIRED_SCHEMA)]
    {
        let schema: Value = serde_json::from_str(schema).expect("a test reads it");
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
        bench(criterion, group, (name, "parse+validate"), &json, |body| {
            let document: Value = serde_json::from_slice(body).expect("our JSON");
            assert!(validator.is_valid(&document));
        });
        let documents: Vec<Value> = json.iter().map(|body| serde_json::from_slice(body).expect("our JSON")).collect();
        bench(criterion, group, (name, "validate"), &documents, |document| assert!(validator.is_valid(document)));
    }
    for (format, bodies) in [(Format::Json, &json), (Format::Protobuf, &protobuf)] {
        let mut scratch = Scratch::default();
        bench(criterion, group, (format, "decode"), bodies, |body| {
            let record: Broadcast = format.decode(body, &mut scratch).expect("our bytes");
            black_box(&record);
        });
        bench(criterion, group, (format, "decode+check"), bodies, |body| {
            let record: Broadcast = format.decode(body, &mut scratch).expect("our bytes");
            record.check().expect("a record of the data set");
        });
    }
}

fn transcode(criterion: &mut Criterion) {
    let (json, protobuf) = (encoded(Format::Json, &broadcasts()), encoded(Format::Protobuf, &broadcasts()));
    let group = "transcode/broadcast";
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());
    for (from, to, bodies) in [(Format::Json, Format::Protobuf, &json), (Format::Protobuf, Format::Json, &protobuf)] {
        bench(criterion, group, (format!("{from}-to-{to}"), "generated-types"), bodies, |body| {
            let record: Broadcast = from.decode(body, &mut scratch).expect("our bytes");
            out.clear();
            to.encode(&record, &mut out);
            black_box(out.len());
        });
    }
    let descriptor = descriptor();
    bench(criterion, group, ("json-to-protobuf", "descriptors"), &json, |body| {
        let mut json = serde_json::Deserializer::from_slice(body);
        let message = DynamicMessage::deserialize(descriptor.clone(), &mut json).expect("our JSON");
        out.clear();
        prost::Message::encode(&message, &mut out).expect("a Vec grows as needed");
        black_box(out.len());
    });
    bench(criterion, group, ("protobuf-to-json", "descriptors"), &protobuf, |body| {
        let message = DynamicMessage::decode(descriptor.clone(), &body[..]).expect("our bytes");
        out.clear();
        serde_json::to_writer(&mut out, &message).expect("a Vec grows as needed");
        black_box(out.len());
    });
}

fn descriptor() -> MessageDescriptor {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtimes/wire/proto");
    let files = protox::compile(["broadcast.proto"], [directory]).expect("the schema compiles");
    let pool = DescriptorPool::from_file_descriptor_set(files).expect("the schema is whole");
    pool.get_message_by_name("data.Broadcast").expect("the message is in the schema")
}

fn compress(criterion: &mut Criterion) {
    for set in compression::SETS {
        for format in [Format::Json, Format::Protobuf] {
            let bodies = compression::bodies(set, format);
            for mut compressor in compression::compressors(&bodies) {
                let mut out = Vec::new();
                bench(criterion, &format!("compress/{set}"), (format, compressor.name()), &bodies, |body| {
                    out.clear();
                    compressor.compress(body, &mut out);
                    black_box(out.len());
                });
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = profiler::criterion();
    targets = validate, transcode, compress
}
criterion_main!(benches);
