//! The schema file, the code and the bytes say the same.
//!
//! protox compiles `proto/note.proto` as protoc would; prost-reflect reads our bytes and our JSON with that schema alone.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use wire::Format;
use wire::message::{ListNotes, Note, NotePage, Timestamp};

fn descriptor(name: &str) -> MessageDescriptor {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let files = protox::compile(["note.proto"], [directory]).expect("the schema compiles");
    let pool = DescriptorPool::from_file_descriptor_set(files).expect("the schema is whole");
    pool.get_message_by_name(&format!("demo.{name}")).expect("the message is in the schema")
}

/// Our protobuf bytes, read with the schema, and our JSON, read by proto3's JSON rules, are the same message; writing it
/// again by the schema gives our bytes.
fn assert_same(name: &str, protobuf: &[u8], json: &[u8]) {
    let descriptor = descriptor(name);
    let from_protobuf = DynamicMessage::decode(descriptor.clone(), protobuf).expect("our bytes follow the schema");
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let from_json = DynamicMessage::deserialize(descriptor, &mut deserializer).expect("our JSON follows the schema");
    assert_eq!(from_protobuf, from_json);
    assert_eq!(prost::Message::encode_to_vec(&from_protobuf), protobuf);
}

fn encoded(encode: impl Fn(Format, &mut Vec<u8>)) -> [Vec<u8>; 2] {
    [Format::Protobuf, Format::Json].map(|format| {
        let mut out = Vec::new();
        encode(format, &mut out);
        out
    })
}

#[test]
fn schema_and_code_agree() {
    let notes: Vec<Note> = (0..wire::seeded::NOTES).step_by(97).map(wire::seeded::note).collect();
    for note in &notes {
        let [protobuf, json] = encoded(|format, out| format.encode_note(note, out));
        assert_same("Note", &protobuf, &json);
    }
    let [protobuf, json] = encoded(|format, out| format.encode_page(u64::MAX, notes.iter(), out));
    assert_same("NotePage", &protobuf, &json);
    let [protobuf, json] = encoded(|format, out| format.encode_add_note("a \"b\"\n\u{1F600}", out));
    assert_same("AddNote", &protobuf, &json);
    let [protobuf, json] = encoded(|format, out| format.encode_list_notes(ListNotes { offset: 7, limit: 300 }, out));
    assert_same("ListNotes", &protobuf, &json);
}

/// The bytes of one note in each format, written out: they change only on purpose. The protobuf ones by hand from
/// protobuf.dev's encoding rules, the raw ones from the table in format/raw.rs.
#[test]
fn golden_bytes() {
    let created = Timestamp { seconds: 1_704_067_200, nanos: 500_000_000 };
    let note =
        Note { id: 300, text: "hi".to_owned(), created, modified: Timestamp { seconds: 1_704_070_800, nanos: 0 } };
    let bytes = |format: Format| {
        let mut out = Vec::new();
        format.encode_note(&note, &mut out);
        out
    };
    let protobuf = [
        0x08, 0xac, 0x02, // 1: varint 300
        0x12, 0x02, b'h', b'i', // 2: 2 bytes
        0x1a, 0x0c, 0x08, 0x80, 0x81, 0xc8, 0xac, 0x06, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01, // 3: seconds, nanos
        0x22, 0x06, 0x08, 0x90, 0x9d, 0xc8, 0xac, 0x06, // 4: seconds, no nanos
    ];
    assert_eq!(bytes(Format::Protobuf), protobuf);
    let json = r#"{"id":"300","text":"hi","created":"2024-01-01T00:00:00.5Z","modified":"2024-01-01T01:00:00Z"}"#;
    assert_eq!(String::from_utf8(bytes(Format::Json)).unwrap(), json);
    let raw = [
        44, 1, 0, 0, 0, 0, 0, 0, // id
        0x80, 0x00, 0x92, 0x65, 0, 0, 0, 0, 0x00, 0x65, 0xcd, 0x1d, // created
        0x90, 0x0e, 0x92, 0x65, 0, 0, 0, 0, 0, 0, 0, 0, // modified
        2, 0, 0, 0, b'h', b'i', // text
    ];
    assert_eq!(bytes(Format::Raw), raw);
}

/// A page encoded from borrowed notes equals one that owns them.
#[test]
fn borrowed_pages_equal_owned_ones() {
    let page = NotePage { total: 12, notes: (0..5).map(wire::seeded::note).collect() };
    let [protobuf, json] = encoded(|format, out| format.encode_page(page.total, page.notes.iter(), out));
    assert_eq!(protobuf, prost::Message::encode_to_vec(&page));
    assert_eq!(json, serde_json::to_vec(&page).unwrap());
}
