//! Bodies that were made to hurt: bounded memory, no panic, and an error that says where.
//!
//! An allocator of this binary's own keeps the peak of each thread's live bytes.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use wire::data::Broadcast;
use wire::format::{DecodeError, Scratch};
use wire::limits::{BODY_BYTES, MESSAGE_BYTES};
use wire::message::{AddNote, ListNotes, Note, NotePage};
use wire::{Format, Record};

struct Peak;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn live(change: isize) {
    let now = LIVE.get() + change;
    LIVE.set(now);
    PEAK.set(PEAK.get().max(now));
}

fn signed(bytes: usize) -> isize {
    isize::try_from(bytes).expect("a layout fits an isize")
}

// SAFETY: every call goes to the system allocator unchanged; counting touches thread-locals without destructors.
unsafe impl GlobalAlloc for Peak {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        live(signed(layout.size()));
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        live(-signed(layout.size()));
        // SAFETY: the caller's promises are handed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new may be there at once.
        live(signed(size));
        live(-signed(layout.size()));
        // SAFETY: the caller's promises are handed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Peak = Peak;

/// Bytes of memory that a byte of a body may take while it is decoded, at most. The worst are empty notes in protobuf: 2 bytes become a
/// note of 72, in a list that doubles and so is there two and a half times.
const AMPLIFICATION: usize = 130;

/// Bytes that may be reserved on a peer's word alone: serde's caution ends at 1 MiB for a list.
const RESERVED: usize = (1 << 20) + (64 << 10);

/// Formats that read JSON.
const JSON: [Format; 3] = [Format::Json, Format::JsonSonic, Format::JsonSimd];

/// Formats that read protobuf.
const PROTOBUF: [Format; 2] = [Format::Protobuf, Format::ProtobufBuffa];

/// Decodes within the bound on memory.
fn decode<R: Record>(format: Format, body: &[u8]) -> Result<R, DecodeError> {
    let mut scratch = Scratch::default();
    let before = LIVE.get();
    PEAK.set(before);
    let result = format.decode(body, &mut scratch);
    let peak = usize::try_from(PEAK.get() - before).unwrap();
    let bound = body.len() * AMPLIFICATION + RESERVED;
    assert!(peak <= bound, "{format} {}: {peak} bytes for a body of {}", R::NAME, body.len());
    result
}

/// On a stack as small as a server's thread may have.
fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(512 << 10).spawn(test).unwrap().join().unwrap();
}

/// A body with one byte too many is not looked at.
#[test]
fn oversized() {
    let body = vec![b' '; MESSAGE_BYTES + 1];
    for format in Format::ALL {
        let error = decode::<Note>(format, &body).unwrap_err();
        assert_eq!(error.offset, Some(MESSAGE_BYTES));
        assert!(error.to_string().ends_with("4194305 bytes, at most 4194304 are decoded (MESSAGE_BYTES)"), "{error}");
    }
}

/// Every prefix of a record is refused with the offset at which it ends; only protobuf may take one for a shorter message.
#[test]
fn truncated() {
    let record = Broadcast::seeded(2);
    for format in Format::ALL {
        let mut body = Vec::new();
        format.encode(&record, &mut body);
        for end in 0..body.len() {
            match decode::<Broadcast>(format, &body[..end]) {
                Ok(shorter) => assert!(PROTOBUF.contains(&format) && shorter != record, "{format}, {end} bytes"),
                Err(error) => {
                    assert!(error.offset.is_some_and(|offset| offset <= end) || format == Format::Rkyv, "{error}");
                }
            }
        }
    }
}

/// What is not the type that the schema says, and text that is none: the error names field and offset.
#[test]
fn wrong_types_and_broken_text() {
    let named = |format: Format, body: &[u8], field: &str| {
        let error = decode::<Broadcast>(format, body).unwrap_err();
        assert_eq!(error.field, field, "{error}");
        let offset = error.offset.unwrap_or_else(|| panic!("no offset: {error}"));
        assert!((1..=body.len()).contains(&offset), "{error}");
    };
    for format in JSON {
        named(format, br#"{"id":"7","date":5}"#, "date");
        named(format, br#"{"id":"7","date":"yesterday"}"#, "date");
        named(format, br#"{"id":"18446744073709551616"}"#, "id");
        named(format, br#"{"author":{"verified":"yes"}}"#, "author.verified");
        named(format, br#"{"media":[{"width":1},{"width":-1}]}"#, "media[1].width");
        named(format, b"{\"content\":\"\xff\"}", "content");
        named(format, br#"{"content":"\ud800"}"#, "content");
    }
    for format in PROTOBUF {
        named(format, &[0x18, 5], "date");
        named(format, &[0x12, 1, 0xff], "content");
        // media (8): width (3) as a text.
        named(format, &[0x42, 3, 0x1a, 1, b'x'], "media.width");
    }
    // {"author": {"verified": 5}}
    named(Format::Msgpack, b"\x81\xa6author\x81\xa8verified\x05", "author.verified");
    named(Format::Msgpack, b"\x81\xa7content\xa1\xff", "content");
    named(Format::MsgpackArray, &[0x92, 1, 0xa1, 0xff], "[1]");
    let mut raw = vec![0; 8];
    raw.extend_from_slice(&[2, 0, 0, 0, b'x', 0xff]);
    let error = decode::<Broadcast>(Format::Raw, &raw).unwrap_err();
    assert_eq!((error.field.as_str(), error.offset), ("content", Some(13)));
}

/// Lengths and counts that promise gigabytes reserve nothing for them.
#[test]
fn length_bombs() {
    let many = [0xff_u8; 4];
    let raw_page = [&[0; 8][..], &many].concat();
    assert_eq!(decode::<NotePage>(Format::Raw, &raw_page).unwrap_err().field, "id");
    let raw_note = [&[0; 32][..], &many].concat();
    assert_eq!(decode::<Note>(Format::Raw, &raw_note).unwrap_err().field, "text");
    for format in PROTOBUF {
        // text: 4 GiB; notes: a message of 4 GiB; a varint that does not end.
        assert!(decode::<Note>(format, &[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
        assert!(decode::<NotePage>(format, &[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
        assert!(decode::<Note>(format, &[0xff; 11]).is_err());
    }
    // A list of 2³² - 1 notes; a text of 4 GiB; a map of 2³² - 1 entries.
    for format in [Format::Msgpack, Format::MsgpackArray] {
        assert!(decode::<NotePage>(format, &[&[0x92, 1, 0xdd][..], &many].concat()).is_err());
        assert!(decode::<AddNote>(format, &[&[0x91, 0xdb][..], &many].concat()).is_err());
        assert!(decode::<Note>(format, &[&[0xdf][..], &many].concat()).is_err());
    }
    // Pointers and lengths of an archive may say anything.
    for fill in [0x00, 0x01, 0x7f, 0x80, 0xff] {
        for length in 0..200 {
            let body = vec![fill; length];
            let _ = decode::<NotePage>(Format::Rkyv, &body);
            let _ = decode::<Broadcast>(Format::Rkyv, &body);
        }
    }
}

/// A million brackets in a field that nobody knows, on a small stack: refused or skipped, never an overflow.
#[test]
fn deeply_nested() {
    on_small_stack(|| {
        let depth = 1_000_000;
        let mut nested = br#"{"unknown":"#.to_vec();
        nested.extend(std::iter::repeat_n(b'[', depth));
        nested.extend(std::iter::repeat_n(b']', depth));
        nested.push(b'}');
        for format in JSON {
            let _ = decode::<ListNotes>(format, &nested);
        }
        let mut nested = b"\x81\xa7unknown".to_vec();
        nested.extend(std::iter::repeat_n(0x91, depth));
        nested.push(0);
        for format in [Format::Msgpack, Format::MsgpackArray] {
            let error = decode::<ListNotes>(format, &nested).unwrap_err();
            assert!(error.reason.contains("depth"), "{error}");
        }
        // Groups, which nobody writes any more, nest without a length: start-group of field 12.
        let nested = vec![0x63; depth];
        for format in PROTOBUF {
            let error = decode::<ListNotes>(format, &nested).unwrap_err();
            assert!(error.reason.contains("recursion limit"), "{error}");
        }
    });
}

/// A million fields that nobody knows are skipped, or refused by a limit; the fields before them are not lost on the way.
#[test]
fn a_million_unknown_fields() {
    let million = 1_000_000;
    for format in PROTOBUF {
        let mut body = vec![0x10, 7];
        body.extend([0x98, 0x06, 0x01].repeat(million));
        match decode::<ListNotes>(format, &body) {
            Ok(request) => assert_eq!(request.limit, 7),
            Err(error) => assert!(error.reason.contains("unknown field limit"), "{error}"),
        }
    }
    let mut body = br#"{"limit":7"#.to_vec();
    body.extend(br#","":1"#.repeat(MESSAGE_BYTES / 5 - 10));
    body.push(b'}');
    for format in JSON {
        assert_eq!(decode::<ListNotes>(format, &body).unwrap().limit, 7, "{format}");
    }
    let mut body = vec![0xdf];
    body.extend_from_slice(&(1 + 1_000_000_u32).to_be_bytes());
    body.extend_from_slice(b"\xa5limit\x07");
    body.extend([0xa0, 0x01].repeat(million));
    assert_eq!(decode::<ListNotes>(Format::Msgpack, &body).unwrap().limit, 7);
}

/// A field that comes twice: refused by what serde derives, the last one counts in protobuf, as its specification says.
#[test]
fn duplicates() {
    for format in JSON {
        let error = decode::<ListNotes>(format, br#"{"limit":1,"limit":2}"#).unwrap_err();
        assert!(error.reason.contains("duplicate field `limit`"), "{error}");
    }
    let error = decode::<ListNotes>(Format::Msgpack, b"\x82\xa5limit\x01\xa5limit\x02").unwrap_err();
    assert!(error.reason.contains("duplicate field `limit`"), "{error}");
    for format in PROTOBUF {
        assert_eq!(decode::<ListNotes>(format, &[0x10, 1, 0x10, 2]).unwrap().limit, 2);
    }
}

/// The most memory for the fewest bytes: lists of empty messages that fill a body.
#[test]
fn amplification() {
    for format in PROTOBUF {
        let body = [0x12, 0x00].repeat(MESSAGE_BYTES / 2);
        match decode::<NotePage>(format, &body) {
            Ok(page) => assert_eq!(page.notes.len(), MESSAGE_BYTES / 2),
            Err(error) => assert!(error.reason.contains("memory limit"), "{error}"),
        }
    }
    for format in PROTOBUF {
        // media and tags of a broadcast, which a server's own check counts only once they are decoded.
        for empty in [[0x42, 0x00], [0x3a, 0x00]] {
            let _ = decode::<Broadcast>(format, &empty.repeat(BODY_BYTES / 2));
        }
    }
    let mut body = br#"{"notes":[{}"#.to_vec();
    body.extend(b",{}".repeat((MESSAGE_BYTES - 20) / 3));
    body.extend(b"]}");
    for format in JSON {
        // Notes without their fields are notes of empty fields: proto3's defaults.
        assert_eq!(decode::<NotePage>(format, &body).unwrap().notes.len(), (MESSAGE_BYTES - 20) / 3 + 1);
    }
    let count = MESSAGE_BYTES - 20;
    let mut body = b"\x81\xa5notes\xdd".to_vec();
    body.extend_from_slice(&u32::try_from(count).unwrap().to_be_bytes());
    body.extend(std::iter::repeat_n(0x80, count));
    let _ = decode::<NotePage>(Format::Msgpack, &body);
}
