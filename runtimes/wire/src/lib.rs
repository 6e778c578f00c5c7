//! Messages, formats and framings; no I/O.
//!
//! Three choices, independent of each other: *what* is said ([`message`]: the note service; [`data`]: what codecs are compared
//! with), in which *format* a message becomes bytes ([`Format`]), and in which *protocol* those bytes are delimited on a connection
//! ([`Protocol`]). Servers use [`frame`], [`http1`] and [`websocket`] through the crate `service`; the load generator uses
//! [`client`]. Nothing here knows a socket, a clock or a thread, so that everything can be tested and fuzzed with slices.

pub mod client;
pub mod data;
pub mod event;
pub mod format;
pub mod frame;
mod generated;
pub mod http1;
pub mod limits;
pub mod message;
mod record;
pub mod seeded;
mod status;
pub mod traceparent;
pub mod websocket;

pub use format::Format;
pub use record::Record;
pub use status::Status;

use std::fmt;
use std::str::FromStr;

/// How messages are delimited on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A fixed binary header with length and correlation id, see [`frame`].
    Frame,
    /// HTTP/1.1 with keep-alive and pipelining, see [`http1`].
    Http1,
    /// WebSocket messages after an HTTP handshake, see [`websocket`].
    WebSocket,
}

impl Protocol {
    /// Every protocol, in the order in which they are listed to people.
    pub const ALL: [Protocol; 3] = [Protocol::Frame, Protocol::Http1, Protocol::WebSocket];

    /// The name used in arguments, scenarios and result rows.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Frame => "frame",
            Protocol::Http1 => "http1",
            Protocol::WebSocket => "websocket",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Protocol {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|known| known.name() == name);
        found.ok_or_else(|| UnknownName::new("protocol", name, &Self::ALL.map(Self::name)))
    }
}

/// A name that is none of the known ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{seen}`, expected one of: {}", .expected.join(", "))]
pub struct UnknownName {
    /// What was being named: `protocol` or `format`.
    pub what: &'static str,
    /// The name seen.
    pub seen: String,
    /// The names that would have been right.
    pub expected: Vec<&'static str>,
}

impl UnknownName {
    fn new(what: &'static str, seen: &str, expected: &[&'static str]) -> Self {
        Self { what, seen: seen.to_owned(), expected: expected.to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names survive the way to text and back, and a wrong one is answered with the right ones.
    #[test]
    fn names() {
        for protocol in Protocol::ALL {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
        }
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        let error = "grpc".parse::<Protocol>().unwrap_err();
        assert_eq!(error.to_string(), "unknown protocol `grpc`, expected one of: frame, http1, websocket");
        let error = "JSON".parse::<Format>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown format `JSON`, expected one of: raw, json, json-sonic, json-simd, protobuf, protobuf-buffa, msgpack, msgpack-array, rkyv"
        );
    }
}
