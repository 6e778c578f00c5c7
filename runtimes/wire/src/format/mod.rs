//! Formats: messages to bytes and back.
//!
//! A format is one file here and one arm in each function below. Encoders append to a buffer that the caller
//! reuses and never allocate on their own account; decoders of requests borrow where the format allows it.

pub mod json;
pub mod protobuf;
pub mod raw;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::UnknownName;
use crate::message::{AddNote, ListNotes, Note, NotePage};

/// How a message becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Fixed little-endian fields: what is left when there is no codec.
    Raw,
    /// proto3 JSON by serde_json: 64-bit integers as strings, RFC 3339 timestamps.
    Json,
    /// Protocol Buffers by prost.
    Protobuf,
}

/// A body that is not the message that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a {message} in {format}: {reason}")]
pub struct DecodeError {
    /// The format that was expected.
    pub format: Format,
    /// The message that was expected.
    pub message: &'static str,
    /// What the codec said.
    pub reason: String,
}

impl Format {
    /// Every format, in the order in which they are listed to people.
    pub const ALL: [Format; 3] = [Format::Raw, Format::Json, Format::Protobuf];

    /// The name used in arguments, scenarios and result rows.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Json => "json",
            Format::Protobuf => "protobuf",
        }
    }

    /// The media type of a body in this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Raw => "application/octet-stream",
            Format::Json => "application/json",
            Format::Protobuf => "application/x-protobuf",
        }
    }

    /// Appends a request to add a note.
    pub fn encode_add_note(self, text: &str, out: &mut Vec<u8>) {
        match self {
            Format::Raw => raw::encode_add_note(text, out),
            Format::Json => json::encode_add_note(text, out),
            Format::Protobuf => protobuf::encode_add_note(text, out),
        }
    }

    /// The text of a request to add a note. Borrows from `body`; with protobuf from `scratch`, whose capacity is
    /// reused; allocates only for JSON texts with escapes.
    pub fn decode_add_note<'a>(self, body: &'a [u8], scratch: &'a mut AddNote) -> Result<Cow<'a, str>, DecodeError> {
        match self {
            Format::Raw => raw::decode_add_note(body).map(Cow::Borrowed),
            Format::Json => json::decode_add_note(body),
            Format::Protobuf => protobuf::decode_add_note(body, scratch).map(Cow::Borrowed),
        }
    }

    /// Appends a request for a page.
    pub fn encode_list_notes(self, request: ListNotes, out: &mut Vec<u8>) {
        match self {
            Format::Raw => raw::encode_list_notes(request, out),
            Format::Json => json::encode(&request, out),
            Format::Protobuf => protobuf::encode(&request, out),
        }
    }

    /// A request for a page.
    pub fn decode_list_notes(self, body: &[u8]) -> Result<ListNotes, DecodeError> {
        match self {
            Format::Raw => raw::decode_list_notes(body),
            Format::Json => json::decode(body, "ListNotes"),
            Format::Protobuf => protobuf::decode(body, "ListNotes"),
        }
    }

    /// Appends a note.
    pub fn encode_note(self, note: &Note, out: &mut Vec<u8>) {
        match self {
            Format::Raw => raw::encode_note(note, out),
            Format::Json => json::encode(note, out),
            Format::Protobuf => protobuf::encode(note, out),
        }
    }

    /// A note.
    pub fn decode_note(self, body: &[u8]) -> Result<Note, DecodeError> {
        match self {
            Format::Raw => raw::decode_note(body),
            Format::Json => json::decode(body, "Note"),
            Format::Protobuf => protobuf::decode(body, "Note"),
        }
    }

    /// Appends a page of notes that stay where they are: the bytes equal those of a [`NotePage`] that owns them.
    pub fn encode_page<'a>(self, total: u64, notes: impl Iterator<Item = &'a Note> + Clone, out: &mut Vec<u8>) {
        match self {
            Format::Raw => raw::encode_page(total, notes, out),
            Format::Json => json::encode_page(total, notes, out),
            Format::Protobuf => protobuf::encode_page(total, notes, out),
        }
    }

    /// A page of notes.
    pub fn decode_page(self, body: &[u8]) -> Result<NotePage, DecodeError> {
        match self {
            Format::Raw => raw::decode_page(body),
            Format::Json => json::decode(body, "NotePage"),
            Format::Protobuf => protobuf::decode(body, "NotePage"),
        }
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
