//! The protocol `websocket`: RFC 6455, version 13, without extensions.
//!
//! A connection begins as HTTP ([`handshake`]) and goes on in frames ([`frame`]). What is said in them is one request or
//! one reply a message, and the type of the message says how its head is written:
//!
//! * **binary**: a message of the protocol `frame`, header and body ([`crate::frame`]). Formats whose bodies are bytes.
//! * **text**: a head line, then the body ([`text`]): `7 add\n{"text":"hello"}` is answered by `7 200\n{"id":"1001",…}`.
//!   Formats of JSON, whose clients live where strings are easy and bytes are not.
//!
//! Why a head at all: one connection asks for different things and may have several requests under way, so that neither the
//! path of the handshake nor the order of replies can say what a message is about. Why no JSON envelope around the body: the
//! body stays byte for byte what the other protocols carry, so that the difference between two protocols is their framing,
//! and not a second codec pass over the same message.
//!
//! Pushed messages, which no request asked for, have room: opcodes from 128 on in binary heads, a word in place of the
//! status in text heads. Clients of today refuse both.

pub mod frame;
pub mod handshake;
pub mod text;

/// Why a side ends a connection (RFC 6455, 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// Done.
    Normal = 1000,
    /// What was sent is against the protocol.
    Protocol = 1002,
    /// A type of message that this endpoint does not take.
    Unsupported = 1003,
    /// Text that is not UTF-8.
    InvalidText = 1007,
    /// Against a rule of this endpoint: too many fragments.
    Policy = 1008,
    /// Too large a message.
    TooLarge = 1009,
}

/// Whether a peer may send this code: the registered ones and the private ranges, but none that only an endpoint itself
/// reports (1004 to 1006, 1015).
pub const fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
