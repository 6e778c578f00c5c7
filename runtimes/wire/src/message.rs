//! The messages of the note service: add a note, list notes page by page.
//!
//! One type each for all formats. `proto/note.proto` states the same messages for people and for other languages;
//! a test compiles it and compares the bytes.

use prost::Message;
use serde::{Deserialize, Serialize};

use crate::format::{raw_fields, rfc3339, string_u64};
use crate::limits;

/// A point in time, as in `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Message, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Timestamp {
    /// Seconds since the Unix epoch.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds within the second, 0 to 999,999,999.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl Timestamp {
    /// Whether it has a form in RFC 3339: nanoseconds counted up, and the years 1 to 9999 but for the last day, which some
    /// time zones already have in the year 10000 (jiff's limit). Others decode from protobuf and raw; encoding them as
    /// JSON panics, so whoever hands on notes from elsewhere checks this.
    pub const fn is_valid(self) -> bool {
        matches!(self.seconds, -62_135_596_800..=253_402_207_200) && matches!(self.nanos, 0..=999_999_999)
    }
}

/// A note as the server keeps it.
#[derive(
    Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Message, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
#[serde(default)]
pub struct Note {
    /// Assigned by the server, from 1, ascending.
    #[prost(uint64, tag = "1")]
    #[serde(with = "string_u64")]
    pub id: u64,
    /// What was noted: 1 to [`limits::TEXT_BYTES`] bytes of UTF-8.
    #[prost(string, tag = "2")]
    pub text: String,
    /// When it was added. `required` makes it a plain field here; on the wire it is a message field like any other.
    #[prost(message, required, tag = "3")]
    #[serde(with = "rfc3339")]
    pub created: Timestamp,
    /// When its text last changed; equal to `created` at first.
    #[prost(message, required, tag = "4")]
    #[serde(with = "rfc3339")]
    pub modified: Timestamp,
}

/// Asks to add a note; the reply is the [`Note`].
#[derive(
    Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Message, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
#[serde(default)]
pub struct AddNote {
    /// What to note.
    #[prost(string, tag = "1")]
    pub text: String,
}

/// Asks for a page of notes in ascending order of id; the reply is a [`NotePage`].
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Message, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
#[serde(default)]
pub struct ListNotes {
    /// Notes to skip.
    #[prost(uint32, tag = "1")]
    pub offset: u32,
    /// Most notes in the page; 0 stands for [`limits::PAGE_NOTES_DEFAULT`].
    #[prost(uint32, tag = "2")]
    pub limit: u32,
}

impl ListNotes {
    /// The limit in force: the default for 0.
    pub const fn limit_or_default(self) -> u32 {
        if self.limit == 0 { limits::PAGE_NOTES_DEFAULT } else { self.limit }
    }
}

/// A page of notes.
#[derive(
    Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Message, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
#[serde(default)]
pub struct NotePage {
    /// Notes that the server holds, of which this is a page.
    #[prost(uint64, tag = "1")]
    #[serde(with = "string_u64")]
    pub total: u64,
    /// Ascending by id.
    #[prost(message, repeated, tag = "2")]
    pub notes: Vec<Note>,
}

raw_fields!(Timestamp { seconds: i64, nanos: i32 });
raw_fields!(ListNotes { offset: u32, limit: u32 });
raw_fields!(NotePage { total: u64, notes: Vec<Note> });
