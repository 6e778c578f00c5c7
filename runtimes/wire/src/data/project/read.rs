//! Every way in which the formats here read the four fields.

use std::borrow::Cow;
use std::sync::LazyLock;

use buffa::view::{LazyMessageView, MessageView};
use prost::Message;
use rkyv::rancor::Error;
use serde::Deserialize;
use sonic_rs::{JsonValueTrait, LazyValue, PointerTree};

use super::{Required, digest};
use crate::Format;
use crate::data::Broadcast;
use crate::data::broadcast::ArchivedBroadcast;
use crate::format::{Scratch, rfc3339, string_u64};
use crate::generated::data::{BroadcastLazyView, BroadcastView, RequiredView};
use crate::message::Timestamp;

/// A way to read the four fields.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// The format of the bytes.
    pub format: Format,
    /// How: `full` decodes everything into a record of its own first.
    pub name: &'static str,
    /// Whether a message is refused whose *other* fields are broken: the lengths, the nesting and the text of all of it.
    pub validates: bool,
    /// The digest of the four fields; `None` for bytes that are refused.
    pub read: fn(&[u8], &mut Scratch) -> Option<u64>,
}

const fn reader(
    format: Format,
    name: &'static str,
    validates: bool,
    read: fn(&[u8], &mut Scratch) -> Option<u64>,
) -> Reader {
    Reader { format, name, validates, read }
}

/// The table. A reader without validation stands apart: its figures are never compared with those of one that validates.
pub const READERS: [Reader; 22] = [
    reader(Format::Raw, "full", true, |bytes, scratch| full(Format::Raw, bytes, scratch)),
    reader(Format::Json, "full", true, |bytes, scratch| full(Format::Json, bytes, scratch)),
    reader(Format::Json, "four-fields", true, |bytes, _| serde_json::from_slice(bytes).ok().map(four)),
    reader(Format::JsonSonic, "full", true, |bytes, scratch| full(Format::JsonSonic, bytes, scratch)),
    reader(Format::JsonSonic, "four-fields", true, |bytes, _| sonic_rs::from_slice(bytes).ok().map(four)),
    reader(Format::JsonSonic, "get-many", true, |bytes, _| pointers(&sonic_rs::get_many(bytes, &TREE).ok()?)),
    reader(Format::JsonSonic, "get-many-unchecked", false, get_many_unchecked),
    reader(Format::JsonSimd, "full", true, |bytes, scratch| full(Format::JsonSimd, bytes, scratch)),
    reader(Format::JsonSimd, "four-fields", true, simd_four_fields),
    reader(Format::Protobuf, "full", true, |bytes, scratch| full(Format::Protobuf, bytes, scratch)),
    reader(Format::Protobuf, "reader-schema", false, |bytes, _| Required::decode(bytes).ok().map(required)),
    reader(Format::ProtobufBuffa, "full", true, |bytes, scratch| full(Format::ProtobufBuffa, bytes, scratch)),
    reader(Format::ProtobufBuffa, "view", true, view),
    reader(Format::ProtobufBuffa, "reader-schema-view", false, reader_schema_view),
    reader(Format::ProtobufBuffa, "lazy-view", false, lazy_view),
    reader(Format::Msgpack, "full", true, |bytes, scratch| full(Format::Msgpack, bytes, scratch)),
    reader(Format::Msgpack, "four-fields", true, |bytes, _| rmp_serde::from_slice(bytes).ok().map(four)),
    reader(Format::MsgpackArray, "full", true, |bytes, scratch| full(Format::MsgpackArray, bytes, scratch)),
    reader(Format::Rkyv, "full", true, |bytes, scratch| full(Format::Rkyv, bytes, scratch)),
    reader(Format::Rkyv, "access", true, |bytes, _| rkyv::access::<ArchivedBroadcast, Error>(bytes).ok().map(archived)),
    reader(Format::Rkyv, "access-unchecked", false, access_unchecked),
    reader(Format::Raw, "in-order", false, raw_in_order),
];

/// The four fields by serde, which skips the others and on the way tokenizes them.
#[derive(Deserialize)]
struct FourFields<'a> {
    #[serde(with = "string_u64")]
    id: u64,
    #[serde(borrow)]
    content: Cow<'a, str>,
    #[serde(with = "rfc3339")]
    date: Timestamp,
    #[serde(borrow)]
    status: Cow<'a, str>,
}

#[allow(clippy::needless_pass_by_value, reason = "the shape of a function that a result is mapped with")]
fn four(fields: FourFields<'_>) -> u64 {
    digest(fields.id, &fields.content, fields.date, &fields.status)
}

#[allow(clippy::needless_pass_by_value, reason = "as above")]
fn required(fields: Required) -> u64 {
    digest(fields.id, &fields.content, fields.date, &fields.status)
}

fn full(format: Format, bytes: &[u8], scratch: &mut Scratch) -> Option<u64> {
    let record: Broadcast = format.decode(bytes, scratch).ok()?;
    Some(digest(record.id, &record.content, record.date, &record.status))
}

fn simd_four_fields(bytes: &[u8], scratch: &mut Scratch) -> Option<u64> {
    scratch.with_simd(bytes, |bytes, buffers| {
        simd_json::serde::from_slice_with_buffers::<FourFields<'_>>(bytes, buffers).ok().map(four)
    })
}

/// The paths of the four fields for sonic-rs.
static TREE: LazyLock<PointerTree> = LazyLock::new(|| {
    let mut tree = PointerTree::new();
    for field in ["id", "content", "date", "status"] {
        tree.add_path(&[field]);
    }
    tree
});

fn pointers(found: &[Option<LazyValue<'_>>]) -> Option<u64> {
    let [Some(id), Some(content), Some(date), Some(status)] = found else { return None };
    let date: jiff::Timestamp = date.as_str()?.parse().ok()?;
    let date = Timestamp { seconds: date.as_second(), nanos: date.subsec_nanosecond() };
    Some(digest(id.as_str()?.parse().ok()?, content.as_str()?, date, status.as_str()?))
}

fn get_many_unchecked(bytes: &[u8], _: &mut Scratch) -> Option<u64> {
    // SAFETY: sonic-rs asks for well-formed JSON. The bytes that readers are given here come from an encoder of this crate, never from
    // a peer: the benches and tests that call this make them.
    let found = unsafe { sonic_rs::get_many_unchecked(bytes, &TREE) }.ok()?;
    pointers(&found)
}

fn view(bytes: &[u8], _: &mut Scratch) -> Option<u64> {
    let view = BroadcastView::decode_view(bytes).ok()?;
    let date = Timestamp { seconds: view.date.seconds, nanos: view.date.nanos };
    Some(digest(view.id, view.content, date, view.status))
}

fn reader_schema_view(bytes: &[u8], _: &mut Scratch) -> Option<u64> {
    let view = RequiredView::decode_view(bytes).ok()?;
    let date = Timestamp { seconds: view.date.seconds, nanos: view.date.nanos };
    Some(digest(view.id, view.content, date, view.status))
}

/// Nested messages stay bytes until somebody asks, and nobody asks for author and media. (buffa's own Timestamp has no lazy view.)
fn lazy_view(bytes: &[u8], _: &mut Scratch) -> Option<u64> {
    let view = BroadcastLazyView::decode_lazy(bytes).ok()?;
    let date = Timestamp { seconds: view.date.seconds, nanos: view.date.nanos };
    Some(digest(view.id, view.content, date, view.status))
}

fn archived(archive: &ArchivedBroadcast) -> u64 {
    let date = Timestamp { seconds: archive.date.seconds.to_native(), nanos: archive.date.nanos.to_native() };
    digest(archive.id.to_native(), archive.content.as_str(), date, archive.status.as_str())
}

fn access_unchecked(bytes: &[u8], _: &mut Scratch) -> Option<u64> {
    // SAFETY: rkyv asks for a valid archive. As with `get_many_unchecked`, the bytes come from an encoder of this crate.
    Some(archived(unsafe { rkyv::access_unchecked::<ArchivedBroadcast>(bytes) }))
}

/// Fixed fields have fixed places as long as the wanted ones come first.
fn raw_in_order(bytes: &[u8], _: &mut Scratch) -> Option<u64> {
    use crate::format::{Raw, RawReader};

    let mut reader = RawReader::new(bytes);
    let id = u64::take(&mut reader).ok()?;
    let length = u32::take(&mut reader).ok()? as usize;
    let content = reader.text(length).ok()?;
    let date = Timestamp::take(&mut reader).ok()?;
    let length = u32::take(&mut reader).ok()? as usize;
    Some(digest(id, content, date, reader.text(length).ok()?))
}
