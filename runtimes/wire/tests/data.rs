//! Data sets in every format: the way there and back, pinned bytes, the schemas, and the four fields.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::Value;
use sha1::{Digest, Sha1};
use wire::data::project::{self, Position, READERS};
use wire::data::{self, Broadcast, DataSet, Visitor};
use wire::format::Scratch;
use wire::{Format, Record};

fn encoded<R: Record>(format: Format, record: &R) -> Vec<u8> {
    let mut out = Vec::new();
    format.encode(record, &mut out);
    out
}

/// Every variant of every set decodes to itself in every format, whatever the scratch memory held before; either library of JSON and of
/// protobuf reads what the other wrote.
#[test]
fn every_variant_there_and_back() {
    struct ThereAndBack(Vec<&'static str>);
    impl Visitor for ThereAndBack {
        fn visit<R: Record>(&mut self, set: &DataSet<R>) {
            self.0.push(set.name);
            assert!(set.variants.len() >= data::VARIANTS as usize, "{}", set.name);
            let twins = [
                (Format::Json, Format::JsonSonic),
                (Format::JsonSonic, Format::JsonSimd),
                (Format::JsonSimd, Format::Json),
                (Format::Protobuf, Format::ProtobufBuffa),
                (Format::ProtobufBuffa, Format::Protobuf),
            ];
            let alone = Format::ALL.map(|format| (format, format));
            for (writer, reader) in alone.into_iter().chain(twins) {
                let mut scratch = Scratch::default();
                for variant in &set.variants {
                    let read: R = reader.decode(&encoded(writer, variant), &mut scratch).unwrap();
                    assert!(read == *variant, "{} written by {writer}, read by {reader}: {read:?}", set.name);
                }
            }
        }
    }
    let mut seen = ThereAndBack(Vec::new());
    data::each(&mut seen);
    assert_eq!(seen.0, data::NAMES);
}

/// The bytes of every set in every format are those of the golden file: results of different days compare only then.
#[test]
fn bytes_are_pinned() {
    struct Sums(String);
    impl Visitor for Sums {
        fn visit<R: Record>(&mut self, set: &DataSet<R>) {
            for format in Format::ALL {
                let mut sum = Sha1::new();
                let mut bytes = 0;
                for variant in &set.variants {
                    let body = encoded(format, variant);
                    bytes += body.len();
                    sum.update(&body);
                }
                let digits: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
                self.0.push_str(&format!("{} {format} {bytes} {digits}\n", set.name));
            }
        }
    }
    let mut seen = Sums("# set format bytes sha1, over all variants\n".to_owned());
    data::each(&mut seen);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/bytes.txt");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, &seen.0).unwrap();
    }
    let recorded = std::fs::read_to_string(&path).unwrap();
    for (seen, recorded) in seen.0.lines().zip(recorded.lines()) {
        assert_eq!(seen, recorded, "look at why, then run with UPDATE_GOLDENS=1");
    }
    assert_eq!(seen.0.lines().count(), recorded.lines().count());
}

/// Our protobuf bytes, read with the schema file alone, and our JSON, read by proto3's rules, are the same message, and written again
/// by the schema they are our bytes.
#[test]
fn schema_files_and_code_agree() {
    struct BySchema(DescriptorPool);
    impl Visitor for BySchema {
        fn visit<R: Record>(&mut self, set: &DataSet<R>) {
            let named = |package: &str| self.0.get_message_by_name(&format!("{package}.{}", R::NAME));
            let descriptor = named("demo").or_else(|| named("data")).expect("the message is in a schema");
            for variant in set.variants.iter().take(5) {
                let body = encoded(Format::Protobuf, variant);
                let from_protobuf = DynamicMessage::decode(descriptor.clone(), &body[..]).unwrap();
                let json = encoded(Format::Json, variant);
                let mut deserializer = serde_json::Deserializer::from_slice(&json);
                let from_json = DynamicMessage::deserialize(descriptor.clone(), &mut deserializer).unwrap();
                // Not compared as they are: JSON says fields of default values, protobuf leaves them out.
                assert_eq!(prost::Message::encode_to_vec(&from_json), body, "{}", set.name);
                assert_eq!(prost::Message::encode_to_vec(&from_protobuf), body, "{}", set.name);
            }
        }
    }
    let schemas = ["note.proto", "broadcast.proto", "presence.proto", "metrics.proto", "event.proto"];
    let files = protox::compile(schemas, [concat!(env!("CARGO_MANIFEST_DIR"), "/proto")]).unwrap();
    data::each(&mut BySchema(DescriptorPool::from_file_descriptor_set(files).unwrap()));
}

/// The JSON Schema of every set names just the fields that the JSON has, at every depth, and requires them: what a validator would not
/// miss, a reader of the schema would.
#[test]
fn json_schemas_and_code_agree() {
    struct Named(usize);
    impl Visitor for Named {
        fn visit<R: Record>(&mut self, set: &DataSet<R>) {
            let schema: Value = serde_json::from_str(data::schema(set.name).unwrap()).unwrap();
            assert_eq!(schema["title"], R::NAME);
            for variant in set.variants.iter().take(5) {
                let json: Value = serde_json::from_slice(&encoded(Format::Json, variant)).unwrap();
                same_fields(&schema, &schema, &json, set.name);
            }
            self.0 += 1;
        }
    }
    let mut seen = Named(0);
    data::each(&mut seen);
    assert_eq!(seen.0, data::NAMES.len());
    let record: Value = serde_json::from_slice(&encoded(Format::Json, &Broadcast::seeded(1))).unwrap();
    let required: Value = serde_json::from_str(data::REQUIRED_SCHEMA).unwrap();
    let consumer = serde_json::json!({
        "id": record["id"], "content": record["content"], "date": record["date"], "status": record["status"],
    });
    same_fields(&required, &required, &consumer, "the consumer's");
}

fn same_fields(root: &Value, schema: &Value, value: &Value, path: &str) {
    let schema = schema["$ref"].as_str().map_or(schema, |reference| root.pointer(&reference[1..]).unwrap());
    let kind = match value {
        Value::Object(fields) => {
            let seen: BTreeSet<&String> = fields.keys().collect();
            let named: BTreeSet<&String> = schema["properties"].as_object().expect(path).keys().collect();
            let required: BTreeSet<&str> =
                schema["required"].as_array().expect(path).iter().flat_map(Value::as_str).collect();
            assert_eq!(seen, named, "{path}");
            assert!(required.iter().copied().eq(named.iter().map(|name| name.as_str())), "{path}: {required:?}");
            for (name, value) in fields {
                same_fields(root, &schema["properties"][name], value, &format!("{path}.{name}"));
            }
            "object"
        }
        Value::Array(items) => {
            for item in items {
                same_fields(root, &schema["items"], item, &format!("{path}[]"));
            }
            "array"
        }
        Value::String(text) if schema["enum"].is_array() => {
            assert!(schema["enum"].as_array().unwrap().iter().any(|known| known == text), "{path}: {text}");
            return;
        }
        Value::String(_) => "string",
        Value::Number(_) if schema["type"] == "integer" => "integer",
        Value::Number(_) => "number",
        Value::Bool(_) => "boolean",
        Value::Null => panic!("{path}: null"),
    };
    assert_eq!(schema["type"], kind, "{path}");
}

/// All ways to read the four fields agree, wherever the fields stand, whatever their share, and however many unknown fields there are.
#[test]
fn readers_of_four_fields_agree() {
    let mut compared = BTreeMap::new();
    let mut check = |what: String, record: &Broadcast, body: &dyn Fn(Format) -> Option<Vec<u8>>| {
        let expected =
            (READERS[0].read)(&encoded(Format::Raw, record), &mut Scratch::default()).expect("raw reads its own");
        for reader in &READERS {
            if let Some(body) = body(reader.format) {
                let read = (reader.read)(&body, &mut Scratch::default());
                assert_eq!(read, Some(expected), "{what}: {} {}", reader.format, reader.name);
                *compared.entry((reader.format.name(), reader.name)).or_insert(0) += 1;
            }
        }
    };
    for index in 0..10 {
        for share in project::SHARES {
            let record = project::shaped(index, share);
            for position in Position::ALL {
                let what = format!("variant {index}, {share} %, {}", position.name());
                check(what, &record, &|format| project::encode(format, &record, position));
            }
        }
        let record = Broadcast::seeded(index);
        for count in [0, 5, 20] {
            check(format!("variant {index}, {count} unknown"), &record, &|format| {
                project::with_unknown(format, &record, count)
            });
        }
    }
    assert!(compared.values().all(|count| *count >= 40) && compared.len() == READERS.len(), "{compared:?}");
}

/// Shaped records have about the size and the share that they are asked for.
#[test]
fn shapes_are_as_asked() {
    for share in project::SHARES {
        let record = project::shaped(3, share);
        let required = Broadcast {
            id: record.id,
            content: record.content.clone(),
            date: record.date,
            status: record.status.clone(),
            ..Broadcast::default()
        };
        // The empty messages that prost always writes.
        let (all, wanted) = (encoded(Format::Protobuf, &record).len(), encoded(Format::Protobuf, &required).len() - 6);
        let percent = 100 * wanted / all;
        assert!((4_000..4_400).contains(&all), "{share} %: {all} bytes");
        assert!(percent.abs_diff(share) <= 2, "{share} %: {percent} %");
    }
}

/// Seed 2's story: a producer on version 7 sends twenty fields that a consumer on version 4 does not know. Formats whose table says so
/// read on as if nothing were there; the others have no place for such fields, and one with an element more is refused.
#[test]
fn a_newer_producer() {
    let record = Broadcast::seeded(1);
    for format in Format::ALL {
        let newer = project::with_unknown(format, &record, 20);
        assert_eq!(newer.is_some(), format.about().skips_unknown, "{format}");
        let Some(newer) = newer else { continue };
        assert!(newer.len() > encoded(format, &record).len() + 20 * 30, "{format}");
        let read: Broadcast = format.decode(&newer, &mut Scratch::default()).unwrap();
        assert_eq!(read, record, "{format}");
    }
    let mut longer = encoded(Format::MsgpackArray, &record);
    assert_eq!(longer[0], 0x9c, "an array of 12");
    longer[0] = 0x9d;
    longer.push(0x2a);
    let error = Format::MsgpackArray.decode::<Broadcast>(&longer, &mut Scratch::default()).unwrap_err();
    assert_eq!(error.message, "Broadcast");
}
