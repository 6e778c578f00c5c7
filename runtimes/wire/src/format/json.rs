//! The format `json`: the JSON mapping of proto3 by serde_json.
//!
//! As a gateway in front of a gRPC service would write it (protobuf.dev, "ProtoJSON Format"): 64-bit integers as
//! strings, since JavaScript's numbers cannot hold them; timestamps in RFC 3339. Numbers are accepted as well, and
//! unknown fields are skipped: a reader requires what it needs.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{DecodeError, Format};
use crate::message::Note;

#[derive(Serialize, Deserialize)]
struct AddNote<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
}

/// What a client checks in a reply to `AddNote`, borrowed; the times must be there but are not parsed.
#[derive(Deserialize)]
pub(crate) struct AddedNote<'a> {
    #[serde(with = "string_u64")]
    pub(crate) id: u64,
    #[serde(borrow)]
    pub(crate) text: Cow<'a, str>,
    pub(crate) created: &'a str,
    pub(crate) modified: &'a str,
}

pub(super) fn encode(message: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, message).expect("a Vec takes every byte and no map here has keys that are not strings");
}

pub(crate) fn decode<'a, M: Deserialize<'a>>(body: &'a [u8], message: &'static str) -> Result<M, DecodeError> {
    serde_json::from_slice(body).map_err(|error| DecodeError {
        format: Format::Json,
        message,
        reason: error.to_string(),
    })
}

pub(super) fn encode_add_note(text: &str, out: &mut Vec<u8>) {
    encode(&AddNote { text: Cow::Borrowed(text) }, out);
}

pub(super) fn decode_add_note(body: &[u8]) -> Result<Cow<'_, str>, DecodeError> {
    Ok(decode::<AddNote<'_>>(body, "AddNote")?.text)
}

pub(super) fn encode_page<'a>(total: u64, notes: impl Iterator<Item = &'a Note> + Clone, out: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct Page<I: Serialize> {
        #[serde(with = "string_u64")]
        total: u64,
        notes: I,
    }

    encode(&Page { total, notes: Notes(notes) }, out);
}

struct Notes<I>(I);

impl<'a, I: Iterator<Item = &'a Note> + Clone> Serialize for Notes<I> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

/// A `u64` written as a string, read from a string or a number.
pub(crate) mod string_u64 {
    use std::fmt;

    use serde::de::{self, Visitor};
    use serde::{Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref)] // the shape that serde's `with` asks for
    pub(crate) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(itoa::Buffer::new().format(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(Digits)
    }

    struct Digits;

    impl Visitor<'_> for Digits {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an unsigned 64-bit integer, as a string or a number")
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<u64, E> {
            Ok(value)
        }

        fn visit_str<E: de::Error>(self, value: &str) -> Result<u64, E> {
            value.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(value), &self))
        }
    }
}

/// A timestamp in RFC 3339.
pub(crate) mod rfc3339 {
    use std::fmt;

    use serde::de::{self, Visitor};
    use serde::ser::Error as _;
    use serde::{Deserializer, Serializer};

    use crate::message::Timestamp;

    pub(crate) fn serialize<S: Serializer>(value: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        let time = jiff::Timestamp::new(value.seconds, value.nanos).map_err(S::Error::custom)?;
        serializer.collect_str(&time)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        deserializer.deserialize_str(Text)
    }

    struct Text;

    impl Visitor<'_> for Text {
        type Value = Timestamp;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a timestamp in RFC 3339")
        }

        fn visit_str<E: de::Error>(self, value: &str) -> Result<Timestamp, E> {
            let time: jiff::Timestamp = value.parse().map_err(E::custom)?;
            // Before 1970 jiff counts both parts down from zero, protobuf's nanos count up from the second.
            Ok(match (time.as_second(), time.subsec_nanosecond()) {
                (seconds, nanos @ ..0) => Timestamp { seconds: seconds - 1, nanos: nanos + 1_000_000_000 },
                (seconds, nanos) => Timestamp { seconds, nanos },
            })
        }
    }
}
