//! How serde's formats write what they have no type for.
//!
//! Formats for people (JSON) follow proto3's JSON mapping (protobuf.dev, "ProtoJSON Format"): 64-bit integers as strings, since
//! JavaScript's numbers cannot hold them, and timestamps in RFC 3339. Numbers are accepted as well. Binary formats
//! (MessagePack) write integers as they are and a time as an array of seconds and nanoseconds.

/// A `u64`: a string of digits for people, an integer otherwise.
pub(crate) mod string_u64 {
    use std::fmt;

    use serde::de::{self, Visitor};
    use serde::{Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref)] // the shape that serde's `with` asks for
    pub(crate) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(itoa::Buffer::new().format(*value))
        } else {
            serializer.serialize_u64(*value)
        }
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

/// A timestamp: RFC 3339 for people, `[seconds, nanoseconds]` otherwise.
pub(crate) mod rfc3339 {
    use std::fmt::{self, Write as _};

    use serde::de::{self, Visitor};
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::message::Timestamp;

    pub(crate) fn serialize<S: Serializer>(value: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return (value.seconds, value.nanos).serialize(serializer);
        }
        let time = jiff::Timestamp::new(value.seconds, value.nanos).map_err(S::Error::custom)?;
        // Not collect_str: only serde_json's writes in place, the other serializers' make a String first.
        let mut text = Stack { bytes: [0; 40], length: 0 };
        write!(text, "{time}").map_err(S::Error::custom)?;
        serializer.serialize_str(text.as_str())
    }

    /// Text on the stack: the longest that jiff writes for a timestamp has 37 bytes.
    struct Stack {
        bytes: [u8; 40],
        length: usize,
    }

    impl Stack {
        fn as_str(&self) -> &str {
            std::str::from_utf8(&self.bytes[..self.length]).expect("whole strs were copied")
        }
    }

    impl fmt::Write for Stack {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let end = self.length + text.len();
            self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
            self.length = end;
            Ok(())
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_str(Text);
        }
        let (seconds, nanos) = <(i64, i32)>::deserialize(deserializer)?;
        Ok(Timestamp { seconds, nanos })
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
