//! Data sets against their JSON Schemas, the checks on the protobuf side against the same, compression undone, and what `lab codec`
//! makes of criterion's files.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

#[path = "../benches/compression/mod.rs"]
mod compression;

use std::path::Path;
use std::process::{Command, Output};

use compression::{Compressor, Deflate, FLUSHED, SETS, Zstd, ZstdContext, bodies};
use flate2::{Decompress, FlushDecompress};
use jsonschema::Validator;
use serde_json::Value;
use wire::data::{self, Broadcast, DataSet, Visitor};
use wire::{Format, Record};

fn validator(schema: &str) -> Validator {
    let schema: Value = serde_json::from_str(schema).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

fn document<R: Record>(record: &R) -> Value {
    let mut out = Vec::new();
    Format::Json.encode(record, &mut out);
    serde_json::from_slice(&out).unwrap()
}

/// Every variant of every set is what its schema says, and is not without any one of its fields.
#[test]
fn every_variant_follows_its_schema() {
    struct Follows;
    impl Visitor for Follows {
        fn visit<R: Record>(&mut self, set: &DataSet<R>) {
            let validator = validator(data::schema(set.name).expect("every set has a schema"));
            for variant in &set.variants {
                let document = document(variant);
                if let Err(error) = validator.validate(&document) {
                    panic!("{}: {error}", set.name);
                }
            }
            let whole = document(&set.variants[0]);
            for field in whole.as_object().unwrap().keys() {
                let mut without = whole.clone();
                without.as_object_mut().unwrap().remove(field);
                assert!(!validator.is_valid(&without), "{} without {field}", set.name);
            }
        }
    }
    data::each(&mut Follows);
}

/// The consumer's schema takes every broadcast and asks for four fields only.
#[test]
fn the_consumer_requires_four_fields() {
    let validator = validator(data::REQUIRED_SCHEMA);
    for index in 0..data::VARIANTS {
        let mut document = document(&Broadcast::seeded(index));
        assert!(validator.is_valid(&document));
        document
            .as_object_mut()
            .unwrap()
            .retain(|field, _| ["id", "content", "date", "status"].contains(&field.as_str()));
        assert!(validator.is_valid(&document));
        for field in ["id", "content", "date", "status"] {
            let mut without = document.clone();
            without.as_object_mut().unwrap().remove(field);
            assert!(!validator.is_valid(&without), "without {field}");
        }
    }
}

/// Schema and checks refuse the same records.
#[test]
fn schema_and_checks_agree() {
    let validator = validator(data::BROADCAST_SCHEMA);
    let good = Broadcast::seeded(0);
    let broken = |change: &dyn Fn(&mut Broadcast)| {
        let mut record = good.clone();
        change(&mut record);
        record
    };
    let records = [
        broken(&|record| record.status = "lost".to_owned()),
        broken(&|record| record.tags = vec!["tag".to_owned(); 9]),
        broken(&|record| record.score = 100.5),
        broken(&|record| record.score = -0.5),
        broken(&|record| record.media[0].kind = "film".to_owned()),
        broken(&|record| record.media[0].duration_seconds = -1.0),
    ];
    assert!(validator.is_valid(&document(&good)) && good.check().is_ok());
    for record in records {
        assert!(!validator.is_valid(&document(&record)) && record.check().is_err(), "{record:?}");
    }
}

/// Largest message of [`SETS`], with room.
const MESSAGE_BYTES: usize = 1 << 16;

/// Inflates what [`Deflate`] made, as a peer of permessage-deflate does.
fn inflate(state: &mut Decompress, compressed: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(MESSAGE_BYTES);
    let whole = [compressed, &FLUSHED].concat();
    let before = state.total_in();
    state.decompress_vec(&whole, &mut out, FlushDecompress::Sync).unwrap();
    assert_eq!(state.total_in() - before, whole.len() as u64);
    out
}

/// What each compressor makes of every message is undone by its library's other half, in order, context and dictionary included.
#[test]
fn compressed_messages_come_back() {
    for set in SETS {
        for format in [Format::Json, Format::Protobuf] {
            let bodies = bodies(set, format);
            let mut kept = Decompress::new(false);
            let [mut single, mut context] = [false, true].map(Deflate::new);
            let (mut plain, mut trained) = (Zstd::plain(), Zstd::with_dictionary(&bodies));
            let mut plain_back = zstd::bulk::Decompressor::new().unwrap();
            let mut trained_back = zstd::bulk::Decompressor::with_dictionary(trained.dictionary()).unwrap();
            let (mut stream, mut stream_back) = (ZstdContext::new(), zstd::zstd_safe::DCtx::create());
            for body in &bodies {
                let compressed = |by: &mut dyn Compressor| {
                    let mut out = Vec::new();
                    by.compress(body, &mut out);
                    out
                };
                assert_eq!(&inflate(&mut Decompress::new(false), &compressed(&mut single)), body);
                assert_eq!(&inflate(&mut kept, &compressed(&mut context)), body);
                assert_eq!(&plain_back.decompress(&compressed(&mut plain), MESSAGE_BYTES).unwrap(), body);
                assert_eq!(&trained_back.decompress(&compressed(&mut trained), MESSAGE_BYTES).unwrap(), body);
                let mut out = vec![0; MESSAGE_BYTES];
                let mut output = zstd::zstd_safe::OutBuffer::around(&mut out[..]);
                let block = compressed(&mut stream);
                let mut input = zstd::zstd_safe::InBuffer::around(&block);
                stream_back.decompress_stream(&mut output, &mut input).unwrap();
                let length = output.pos();
                assert_eq!(&out[..length], body);
            }
        }
    }
}

fn lab(arguments: &[&str], criterion: &Path, out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args(arguments).arg("--criterion").arg(criterion).current_dir(out).output().unwrap()
}

/// One bench of criterion's, as it leaves it.
fn bench(home: &Path, group: &str, function: &str, value: Option<&str>, median: f64) {
    let folder = home.join(group.replace('/', "_")).join(function).join(value.unwrap_or(".")).join("new");
    std::fs::create_dir_all(&folder).unwrap();
    let names = serde_json::json!({ "group_id": group, "function_id": function, "value_str": value });
    let bounds =
        serde_json::json!({ "confidence_level": 0.95, "lower_bound": median * 0.9, "upper_bound": median * 1.1 });
    let figures = serde_json::json!({ "median": { "confidence_interval": bounds, "point_estimate": median } });
    std::fs::write(folder.join("benchmark.json"), names.to_string()).unwrap();
    std::fs::write(folder.join("estimates.json"), figures.to_string()).unwrap();
}

/// `--profile-time` leaves stacks and their picture beside each bench: a debug build of one bench, for a second.
/// `--workspace`, so that dependencies have the features that the tests themselves were built with, and are not built again.
#[test]
fn benches_leave_flamegraphs() {
    let home = tempfile::tempdir().unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ran = Command::new(cargo)
        .args(["bench", "--quiet", "--locked", "--profile", "dev", "--workspace", "--bench", "exchange"])
        .args(["--", "^exchange/frame/add/json/serve$", "--profile-time", "1"])
        .env("CRITERION_HOME", home.path())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let profile = home.path().join("exchange_frame_add/json/serve/profile");
    let folded = std::fs::read_to_string(profile.join("profile.folded")).unwrap();
    assert!(folded.contains("serde_json"), "{folded}");
    let svg = std::fs::read_to_string(profile.join("flamegraph.svg")).unwrap();
    assert!(
        svg.starts_with("<svg") && svg.contains("serde_json") && svg.contains("exchange/frame/add/json/serve"),
        "{svg:.300}"
    );
}

/// A tree like criterion's becomes tables, plots and files; words choose groups; what cannot be has its exit code.
#[test]
fn criterions_figures_become_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let (home, out) = (folder.path().join("criterion"), folder.path());
    let nothing = lab(&["codec"], &home, out);
    assert_eq!(nothing.status.code(), Some(4), "{}", String::from_utf8_lossy(&nothing.stderr));
    for (set, ns) in [("text-16", 20.0), ("text-1k", 90.0), ("broadcast", 1_200.0)] {
        bench(&home, &format!("decode/{set}"), "json", None, ns);
        bench(&home, &format!("decode/{set}"), "protobuf", None, ns / 2.0);
    }
    for (share, four) in [("1", 100.0), ("15", 400.0), ("50", 1_600.0)] {
        bench(&home, &format!("project-4/validated/{share}-percent/middle"), "json", Some("full"), 800.0);
        bench(&home, &format!("project-4/validated/{share}-percent/middle"), "json", Some("four-fields"), four);
    }
    for round in ["0", "1", "2"] {
        bench(&home, "overhead/decode/note", "serde_json", Some(round), 100.0);
        bench(&home, "overhead/decode/note", "json", Some(round), 104.0);
    }
    bench(&home, "validate/broadcast", "json-schema", Some("validate"), 5_000.0);

    let ran = lab(&["codec", "--out", "result"], &home, out);
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{text}{}", String::from_utf8_lossy(&ran.stderr));
    let line = |words: &[&str]| text.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(line(&["broadcast", "decode", "1,200", "600"]), "{text}");
    // 0.5 at 15 %, 2.0 at 50 %: a third of the way on a logarithmic axis.
    assert!(line(&["four-fields", "0.12", "0.50", "2.00", "22 %"]), "{text}");
    assert!(line(&["decode/note", "json / serde_json", "1.04 (1.04–1.04)"]), "{text}");
    assert!(line(&["validate/broadcast", "json-schema", "5,000"]), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    let page = std::fs::read_to_string(out.join("result/report.html")).unwrap();
    assert!(
        page.matches("<svg").count() >= 3 && page.contains("bytes of a message"),
        "{}",
        page.matches("<svg").count()
    );

    let again = Command::new(env!("CARGO_BIN_EXE_lab")).args(["report", "result"]).current_dir(out).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&again.stdout), text);
    assert_eq!(lab(&["codec", "--out", "result"], &home, out).status.code(), Some(2), "there is a result already");
    let some = lab(&["codec", "validate/", "--json"], &home, out);
    let lines: Vec<Value> =
        String::from_utf8_lossy(&some.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["group"], &lines[0]["nanoseconds"]), (&"validate/broadcast".into(), &5_000.0.into()));
}
