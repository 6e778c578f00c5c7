//! The seeds of the fuzz targets: small real messages in every format, and requests to publish one as the handler's target reads them.
//!
//! With UPDATE_GOLDENS set, writes them. Seeds that a person wrote, or that once crashed, are in the same folders under other names.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::path::{Path, PathBuf};

use wire::client::{self, Operation, Request};
use wire::data::{Broadcast, Event, Presence, Samples};
use wire::message::{ListNotes, NotePage};
use wire::{Format, Protocol, Record, seeded};

/// Series in the seed of metrics: a whole message of them is larger than libFuzzer's inputs are at first.
const SERIES: usize = 3;

/// Largest seed, as libFuzzer's README advises: a few kilobytes.
const SEED_BYTES: usize = 4 << 10;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Holds the file to the bytes, or writes them.
fn pin(target: &str, name: &str, bytes: &[u8]) {
    assert!(bytes.len() <= SEED_BYTES, "{target}/{name}: {} bytes", bytes.len());
    let path = corpus(target).join(name);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::create_dir_all(corpus(target)).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    let kept = std::fs::read(&path).unwrap_or_default();
    assert!(kept == bytes, "{} is out of date: run with UPDATE_GOLDENS=1", path.display());
}

fn pin_record<R: Record>(format: Format, name: &str, record: &R) {
    let mut bytes = Vec::new();
    format.encode(record, &mut bytes);
    pin(&format!("decode_{}", format.name().replace('-', "_")), name, &bytes);
}

/// Every record in every format; a format without its seeds, or without a target, fails here.
#[test]
fn decoders_begin_with_real_messages() {
    for format in Format::ALL {
        pin_record(format, "record-note", &seeded::note(7));
        pin_record(format, "record-list-notes", &ListNotes { offset: 300, limit: 20 });
        pin_record(format, "record-notes", &NotePage { total: 1_000, notes: (0..2).map(seeded::note).collect() });
        pin_record(format, "record-broadcast", &Broadcast::seeded(4));
        pin_record(format, "record-presence", &Presence::seeded(4));
        pin_record(format, "record-event", &Event::flat(4));
        let mut samples = Samples::seeded(4);
        samples.series.truncate(SERIES);
        pin_record(format, "record-metrics", &samples);
        let mut bytes = Vec::new();
        format.encode_add_note("a note with \"quotes\"", &mut bytes);
        let target = format!("decode_{}", format.name().replace('-', "_"));
        pin(&target, "record-add-note", &bytes);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/fuzz_targets/{target}.rs"));
        let source = std::fs::read_to_string(source).unwrap();
        assert!(source.contains(&format!("in the format `{format}`")), "{source}");
    }
}

/// The handler's inputs begin with the format (its position in the table) and where the bytes are cut (little-endian); then come
/// the bytes of a connection: here a record that is published between two other requests.
#[test]
fn the_handler_begins_with_a_published_record() {
    for format in Format::ALL {
        for protocol in Protocol::ALL {
            // All formats in frames, which add least; JSON in the other protocols too.
            if protocol != Protocol::Frame && format != Format::Json {
                continue;
            }
            let cut = 300_u16;
            let mut bytes = vec![format as u8];
            bytes.extend_from_slice(&cut.to_le_bytes());
            client::opening(protocol, "x", &mut bytes);
            let operations = [
                Operation::AddNote { text: "hi".to_owned() },
                Operation::Publish { index: 4 },
                Operation::ListNotes { offset: 5, limit: 1 },
            ];
            for (id, operation) in (7..).zip(&operations) {
                Request::new(protocol, format, operation, "x").write(id, &mut bytes);
            }
            pin("handler", &format!("publish-{protocol}-{format}"), &bytes);
        }
    }
}
