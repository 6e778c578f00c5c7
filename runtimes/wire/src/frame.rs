//! The protocol `frame`: a fixed header, then the body.
//!
//! Little-endian, the same in both directions; [`HEADER_BYTES`] long, so that a parser needs no search:
//!
//! ```text
//! offset  size  field
//!      0     4  length   of the body in bytes, without this header; at most limits::BODY_BYTES in requests
//!      4     4  id       chosen by the client, repeated by the reply: several requests can be under way
//!      8     1  opcode   1 echo, 2 add note, 3 list notes, 4 publish; repeated by the reply; 128 an event (see `event`)
//!      9     1  status   0 in requests; in replies 0 ok, 1 bad request, 2 unknown opcode, 3 too large, 4 busy
//!     10     1  magic    0x48: something else is no frame, and is refused before its length is believed
//!     11     1  version  1
//! ```
//!
//! Replies come in the order of their requests. The body of a reply whose status is not 0 is a sentence in UTF-8.

use crate::Status;
use crate::limits;

/// Length of the header.
pub const HEADER_BYTES: usize = 12;

/// Offset of the correlation id, for clients that patch it into a prepared frame.
pub const ID_OFFSET: usize = 4;

const MAGIC: u8 = 0x48;
const VERSION: u8 = 1;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// Send the body back.
    Echo = 1,
    /// Add the note in the body.
    AddNote = 2,
    /// List the page that the body names.
    ListNotes = 3,
    /// Take in the broadcast in the body and send it back.
    Publish = 4,
}

impl Opcode {
    /// The opcode with this number.
    pub const fn from_byte(byte: u8) -> Option<Opcode> {
        match byte {
            1 => Some(Opcode::Echo),
            2 => Some(Opcode::AddNote),
            3 => Some(Opcode::ListNotes),
            4 => Some(Opcode::Publish),
            _ => None,
        }
    }
}

/// A frame, borrowed from the bytes it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Correlation id.
    pub id: u32,
    /// The opcode's byte; [`Opcode::from_byte`] may not know it.
    pub opcode: u8,
    /// The status byte.
    pub status: u8,
    /// The body.
    pub body: &'a [u8],
    /// Bytes that the frame took: header and body.
    pub consumed: usize,
}

/// What a prefix of a connection's bytes holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A whole frame.
    Whole(Frame<'a>),
    /// The start of one. It will need `needed` bytes in all; 0 while the header itself is incomplete.
    Partial {
        /// Bytes of the whole frame, header included, or 0 when not yet known.
        needed: usize,
    },
}

/// Bytes that are no frame. What follows them on the connection cannot be delimited: it has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Magic or version differ.
    #[error("no frame: magic {magic:#04x} version {version}, expected magic {MAGIC:#04x} version {VERSION}")]
    NotAFrame {
        /// Byte 10.
        magic: u8,
        /// Byte 11.
        version: u8,
    },
    /// The length is over the limit.
    #[error("a body of {length} bytes, the limit is {limit}")]
    TooLarge {
        /// Correlation id of the request, so that the refusal can name it.
        id: u32,
        /// Length in the header.
        length: usize,
        /// The limit.
        limit: usize,
    },
}

impl Error {
    /// The status with which to refuse.
    pub const fn status(self) -> Status {
        match self {
            Error::NotAFrame { .. } => Status::BadRequest,
            Error::TooLarge { .. } => Status::TooLarge,
        }
    }

    /// The id to refuse with: 0 when the header cannot be believed.
    pub const fn id(self) -> u32 {
        match self {
            Error::NotAFrame { .. } => 0,
            Error::TooLarge { id, .. } => id,
        }
    }
}

/// Parses a request at the start of `bytes`.
pub fn parse_request(bytes: &[u8]) -> Result<Parsed<'_>, Error> {
    parse(bytes, limits::BODY_BYTES)
}

/// Parses a reply at the start of `bytes`.
pub fn parse_reply(bytes: &[u8]) -> Result<Parsed<'_>, Error> {
    parse(bytes, limits::REPLY_BODY_BYTES)
}

fn parse(bytes: &[u8], limit: usize) -> Result<Parsed<'_>, Error> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Ok(Parsed::Partial { needed: 0 });
    };
    let [l0, l1, l2, l3, i0, i1, i2, i3, opcode, status, magic, version] = *header;
    if (magic, version) != (MAGIC, VERSION) {
        return Err(Error::NotAFrame { magic, version });
    }
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let id = u32::from_le_bytes([i0, i1, i2, i3]);
    if length > limit {
        return Err(Error::TooLarge { id, length, limit });
    }
    let needed = HEADER_BYTES + length;
    match bytes.get(HEADER_BYTES..needed) {
        Some(body) => Ok(Parsed::Whole(Frame { id, opcode, status, body, consumed: needed })),
        None => Ok(Parsed::Partial { needed }),
    }
}

/// Appends a frame whose body `fill` appends.
pub fn write(out: &mut Vec<u8>, id: u32, opcode: u8, status: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = begin(out, id, opcode, status);
    fill(out);
    finish(out, start);
}

/// Appends a header whose length [`finish`] patches once the body stands behind it; returns where it starts.
pub fn begin(out: &mut Vec<u8>, id: u32, opcode: u8, status: u8) -> usize {
    let start = out.len();
    let mut header = [0, 0, 0, 0, 0, 0, 0, 0, opcode, status, MAGIC, VERSION];
    header[ID_OFFSET..ID_OFFSET + 4].copy_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&header);
    start
}

/// Writes the length of everything behind the header that starts at `start`.
pub fn finish(out: &mut [u8], start: usize) {
    let length = u32::try_from(out.len() - start - HEADER_BYTES).expect("bodies are far below 4 GiB");
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}
