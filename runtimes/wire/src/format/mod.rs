//! Formats: messages to bytes and back.
//!
//! A format is one file here, one variant of [`Format`] with its line in [`TABLE`], and one line in `with_codec!`. Encoders
//! append to a buffer that the caller reuses; decoders of requests borrow where the format allows it.
//!
//! | name | library | field names on the wire | 64-bit integers | times |
//! |---|---|---|---|---|
//! | `raw` | none | no | 8 bytes | seconds, nanoseconds: 12 bytes |
//! | `json`, `json-sonic`, `json-simd` | serde_json, sonic-rs, simd-json | yes | strings of digits | RFC 3339 |
//! | `msgpack` | rmp-serde | yes | MessagePack integers | array of seconds, nanoseconds |
//! | `msgpack-array` | rmp-serde | no | MessagePack integers | array of seconds, nanoseconds |
//! | `protobuf`, `protobuf-buffa` | prost, buffa | numbers | varints | `google.protobuf.Timestamp` |
//! | `rkyv` | rkyv | no | 8 bytes, unaligned | 12 bytes, unaligned |
//!
//! The three JSON formats say the same, byte for byte as far as numbers with a fraction allow, and so do the two protobuf ones:
//! either end may use either library.

mod dialect;
mod error;
mod json;
mod json_simd;
mod json_sonic;
mod msgpack;
mod msgpack_array;
mod protobuf;
mod protobuf_buffa;
mod raw;
mod rkyv;
mod scratch;
mod with_serde;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::message::{AddNote, ListNotes, Note, NotePage};
use crate::{Record, UnknownName, limits};

pub use self::rkyv::Archived;
pub use error::{DecodeError, Stop};
pub use protobuf_buffa::Viewed;
pub use raw::{Raw, Reader as RawReader};
pub use scratch::Scratch;

pub(crate) use self::rkyv::{archived, stop as rkyv_stop};
pub(crate) use dialect::{rfc3339, string_u64};
pub(crate) use protobuf_buffa::{nested, repeated};
pub(crate) use raw::raw_fields;

/// How a message becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Fixed little-endian fields: what is left when there is no codec.
    Raw,
    /// proto3 JSON by serde_json: 64-bit integers as strings, RFC 3339 timestamps.
    Json,
    /// The same by sonic-rs.
    JsonSonic,
    /// The same by simd-json, which needs a copy of the bytes that it may change.
    JsonSimd,
    /// Protocol Buffers by prost.
    Protobuf,
    /// Protocol Buffers by buffa, through its borrowing views.
    ProtobufBuffa,
    /// MessagePack by rmp-serde, structs as maps with field names.
    Msgpack,
    /// MessagePack by rmp-serde, structs as arrays.
    MsgpackArray,
    /// Archives of rkyv: read where they lie, once they are validated.
    Rkyv,
}

/// What people need to know of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The format.
    pub format: Format,
    /// The name used in arguments, scenarios and result rows.
    pub name: &'static str,
    /// The media type of a body.
    pub content_type: &'static str,
    /// Whether bodies are UTF-8, and so may travel in text messages.
    pub text: bool,
    /// Whether a reader may skip fields that it does not know, so that producers can add some.
    pub skips_unknown: bool,
}

/// Every format, in the order in which they are listed to people.
pub const TABLE: [About; 9] = [
    about(Format::Raw, "raw", "application/octet-stream", false, false),
    about(Format::Json, "json", "application/json", true, true),
    about(Format::JsonSonic, "json-sonic", "application/json", true, true),
    about(Format::JsonSimd, "json-simd", "application/json", true, true),
    about(Format::Protobuf, "protobuf", "application/x-protobuf", false, true),
    about(Format::ProtobufBuffa, "protobuf-buffa", "application/x-protobuf", false, true),
    about(Format::Msgpack, "msgpack", "application/vnd.msgpack", false, true),
    about(Format::MsgpackArray, "msgpack-array", "application/vnd.msgpack", false, false),
    about(Format::Rkyv, "rkyv", "application/octet-stream", false, false),
];

const fn about(
    format: Format,
    name: &'static str,
    content_type: &'static str,
    text: bool,
    skips_unknown: bool,
) -> About {
    About { format, name, content_type, text, skips_unknown }
}

/// An expression with `$codec` standing for the format's codec: one branch, then code made for that codec.
macro_rules! with_codec {
    ($format:expr, $codec:ident => $then:expr) => {
        match $format {
            Format::Raw => with_codec!(raw::Fields, $codec, $then),
            Format::Json => with_codec!(json::SerdeJson, $codec, $then),
            Format::JsonSonic => with_codec!(json_sonic::Sonic, $codec, $then),
            Format::JsonSimd => with_codec!(json_simd::Simd, $codec, $then),
            Format::Protobuf => with_codec!(protobuf::Prost, $codec, $then),
            Format::ProtobufBuffa => with_codec!(protobuf_buffa::Buffa, $codec, $then),
            Format::Msgpack => with_codec!(msgpack::Named, $codec, $then),
            Format::MsgpackArray => with_codec!(msgpack_array::Array, $codec, $then),
            Format::Rkyv => with_codec!(rkyv::Archives, $codec, $then),
        }
    };
    ($type:ty, $codec:ident, $then:expr) => {{
        type $codec = $type;
        $then
    }};
}

/// What a format's file provides.
trait Codec {
    /// Appends a record.
    fn encode<R: Record>(record: &R, out: &mut Vec<u8>);

    /// A record.
    fn decode<R: Record>(body: &[u8], scratch: &mut Scratch) -> Result<R, Stop>;

    /// Appends an [`AddNote`] whose text stays where it is.
    fn encode_add_note(text: &str, out: &mut Vec<u8>);

    /// The text of an [`AddNote`], borrowed where the format allows it.
    fn decode_add_note<'a>(body: &'a [u8], scratch: &'a mut Scratch) -> Result<Cow<'a, str>, Stop>;

    /// Appends a [`NotePage`] whose notes stay where they are.
    fn encode_page<'a>(total: u64, notes: impl Iterator<Item = &'a Note> + Clone, out: &mut Vec<u8>);

    /// Id and text of a [`Note`] that is whole, borrowed where the format allows it.
    fn id_and_text<'a>(body: &'a [u8], scratch: &'a mut Scratch) -> Result<(u64, Cow<'a, str>), Stop>;
}

impl Format {
    /// Every format, in the order of [`TABLE`].
    pub const ALL: [Format; TABLE.len()] = {
        let mut all = [Format::Raw; TABLE.len()];
        let mut at = 0;
        while at < TABLE.len() {
            all[at] = TABLE[at].format;
            at += 1;
        }
        all
    };

    /// The format's line in [`TABLE`].
    pub const fn about(self) -> About {
        TABLE[self as usize]
    }

    /// The name used in arguments, scenarios and result rows.
    pub const fn name(self) -> &'static str {
        self.about().name
    }

    /// The media type of a body in this format.
    pub const fn content_type(self) -> &'static str {
        self.about().content_type
    }

    /// Whether bodies are UTF-8, and so travel in WebSocket's text messages.
    pub const fn is_text(self) -> bool {
        self.about().text
    }

    /// Appends a record.
    pub fn encode<R: Record>(self, record: &R, out: &mut Vec<u8>) {
        with_codec!(self, C => C::encode(record, out));
    }

    /// A record. `scratch` is memory that decoders reuse.
    ///
    /// # Errors
    /// What is wrong, with the field and the offset where the library knows them, and for a body over
    /// [`limits::MESSAGE_BYTES`].
    pub fn decode<R: Record>(self, body: &[u8], scratch: &mut Scratch) -> Result<R, DecodeError> {
        self.sized::<R>(body)?;
        with_codec!(self, C => C::decode(body, scratch)).map_err(|stop| self.failed::<R>(stop))
    }

    /// Appends a request to add a note.
    pub fn encode_add_note(self, text: &str, out: &mut Vec<u8>) {
        with_codec!(self, C => C::encode_add_note(text, out));
    }

    /// The text of a request to add a note. Borrows from `body`, or from `scratch`, whose capacity is reused; allocates
    /// only for JSON texts with escapes.
    ///
    /// # Errors
    /// As [`Format::decode`].
    pub fn decode_add_note<'a>(self, body: &'a [u8], scratch: &'a mut Scratch) -> Result<Cow<'a, str>, DecodeError> {
        self.sized::<AddNote>(body)?;
        with_codec!(self, C => C::decode_add_note(body, scratch)).map_err(|stop| self.failed::<AddNote>(stop))
    }

    /// Appends a request for a page.
    pub fn encode_list_notes(self, request: ListNotes, out: &mut Vec<u8>) {
        self.encode(&request, out);
    }

    /// A request for a page.
    ///
    /// # Errors
    /// As [`Format::decode`].
    pub fn decode_list_notes(self, body: &[u8]) -> Result<ListNotes, DecodeError> {
        self.decode(body, &mut Scratch::default())
    }

    /// Appends a note.
    pub fn encode_note(self, note: &Note, out: &mut Vec<u8>) {
        self.encode(note, out);
    }

    /// A note.
    ///
    /// # Errors
    /// As [`Format::decode`].
    pub fn decode_note(self, body: &[u8]) -> Result<Note, DecodeError> {
        self.decode(body, &mut Scratch::default())
    }

    /// Id and text of a note that is whole; its times must be there and are not looked at. Borrows as
    /// [`Format::decode_add_note`] does.
    ///
    /// # Errors
    /// As [`Format::decode`].
    pub fn id_and_text<'a>(self, body: &'a [u8], scratch: &'a mut Scratch) -> Result<(u64, Cow<'a, str>), DecodeError> {
        self.sized::<Note>(body)?;
        with_codec!(self, C => C::id_and_text(body, scratch)).map_err(|stop| self.failed::<Note>(stop))
    }

    /// Appends a page of notes that stay where they are: the bytes equal those of a [`NotePage`] that owns them.
    pub fn encode_page<'a>(self, total: u64, notes: impl Iterator<Item = &'a Note> + Clone, out: &mut Vec<u8>) {
        with_codec!(self, C => C::encode_page(total, notes, out));
    }

    /// A page of notes.
    ///
    /// # Errors
    /// As [`Format::decode`].
    pub fn decode_page(self, body: &[u8]) -> Result<NotePage, DecodeError> {
        self.decode(body, &mut Scratch::default())
    }

    fn sized<R: Record>(self, body: &[u8]) -> Result<(), DecodeError> {
        if body.len() <= limits::MESSAGE_BYTES {
            return Ok(());
        }
        let reason = format!("{} bytes, at most {} are decoded (MESSAGE_BYTES)", body.len(), limits::MESSAGE_BYTES);
        Err(self.failed::<R>(Stop { field: String::new(), offset: Some(limits::MESSAGE_BYTES), reason }))
    }

    fn failed<R: Record>(self, stop: Stop) -> DecodeError {
        DecodeError::new(self, R::NAME, stop)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|known| known.name() == name);
        found.ok_or_else(|| UnknownName::new("format", name, &Self::ALL.map(Self::name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table's order is that of the variants, which `about` relies on.
    #[test]
    fn the_table_is_in_order() {
        for (at, line) in TABLE.iter().enumerate() {
            assert_eq!(line.format as usize, at, "{}", line.name);
            assert_eq!(line.format.about(), *line);
        }
    }
}
