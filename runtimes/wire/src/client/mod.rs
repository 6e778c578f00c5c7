//! The client's side: prepared requests, replies and the check of what they say.
//!
//! For the load generator, which must cost less than what it measures: a request is encoded once and then copied,
//! parsing a reply allocates nothing, and a reply equal to the last one that was fully checked is compared, not decoded.

mod check;
mod event;
pub mod exchange;
mod websocket;

use std::borrow::Cow;

use crate::data::Broadcast;
use crate::frame::Opcode;
use crate::http1;
use crate::message::{ListNotes, Note};
use crate::websocket::{frame as websocket_frame, handshake};
use crate::{Format, Protocol, Status, frame};

pub use check::Mismatch;
pub use event::ExpectedEvent;
pub use exchange::Exchange;

/// What to ask of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Send the payload, get it back.
    Echo {
        /// Any bytes, at most [`crate::limits::BODY_BYTES`].
        payload: Vec<u8>,
    },
    /// Add a note.
    AddNote {
        /// Its text, 1 to [`crate::limits::TEXT_BYTES`] bytes.
        text: String,
    },
    /// List a page of notes.
    ListNotes {
        /// Notes to skip.
        offset: u32,
        /// Most notes in the page, 0 for the default, at most [`crate::limits::PAGE_NOTES`].
        limit: u32,
    },
    /// Publish a broadcast of the data set: a rich record that the server takes in whole and sends back.
    Publish {
        /// Which one, see [`crate::data::Broadcast::seeded`].
        index: u32,
    },
}

/// A prepared request and what its reply must say.
#[derive(Clone, Debug)]
pub struct Request {
    protocol: Protocol,
    template: Vec<u8>,
    expected: check::Expected,
}

/// A reply, borrowed from the bytes it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Bytes that the reply took.
    pub consumed: usize,
    /// Correlation id; `None` with HTTP, where order says which request it answers, and in what is no answer to a request.
    pub id: Option<u32>,
    /// The status as HTTP numbers it, also for frames: 200 is success, 503 a limiter's refusal. With WebSocket also
    /// [`OPENED`], [`PONG`], and from 1000 on the code of a close frame, whose reason then is the body. [`EVENT`] is no
    /// reply at all.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
}

/// Status of the reply to an [`opening`].
pub const OPENED: u16 = 101;

/// Status of a WebSocket pong, whose body is that of its ping: its opcode, which is no status.
pub const PONG: u16 = 10;

/// Status of an event, which no request asked for: its opcode, which is no status. Its number is in place of the id.
pub const EVENT: u16 = crate::event::OPCODE as u16;

/// Appends what a client sends once on each connection before its first request, to be answered by a reply with status
/// [`OPENED`]. Nothing in protocols without a handshake.
pub fn opening(protocol: Protocol, host: &str, out: &mut Vec<u8>) {
    match protocol {
        Protocol::Frame | Protocol::Http1 => {}
        Protocol::WebSocket => handshake::write_request(out, host),
    }
}

/// Bytes that are no reply: the connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a frame, or too large.
    #[error(transparent)]
    Frame(#[from] frame::Error),
    /// A frame that no request asked for, and that is no event.
    #[error("opcode {0} in a frame of the server's own, which is no event")]
    UnknownOpcode(u8),
    /// A frame with a status that this client does not know.
    #[error("unknown status {0} in a frame")]
    UnknownStatus(u8),
    /// Not HTTP, or not to be delimited.
    #[error(transparent)]
    Http1(#[from] http1::ReplyError),
    /// No WebSocket frame, or one that servers must not send.
    #[error(transparent)]
    WebSocket(#[from] websocket_frame::Error),
    /// A WebSocket message that is no reply.
    #[error("no reply: {0}")]
    Message(&'static str),
    /// A reply of a server of one's own that cannot be delimited, see [`exchange`].
    #[error("{0}")]
    Exchange(&'static str),
}

impl Request {
    /// Encodes a request. `host` is what HTTP's `Host` header says; frames do not use it.
    pub fn new(protocol: Protocol, format: Format, operation: &Operation, host: &str) -> Request {
        let template = match protocol {
            Protocol::Frame => encode_frame(format, operation),
            Protocol::Http1 => encode_http1(format, operation, host),
            Protocol::WebSocket => websocket::encode(format, operation),
        };
        Request { protocol, template, expected: check::Expected::new(format, operation) }
    }

    /// Appends the request's bytes, with `id` as correlation id where the protocol has one.
    pub fn write(&self, id: u32, out: &mut Vec<u8>) {
        match self.protocol {
            Protocol::Frame => {
                let at = out.len() + frame::ID_OFFSET;
                out.extend_from_slice(&self.template);
                out[at..at + 4].copy_from_slice(&id.to_le_bytes());
            }
            Protocol::Http1 => out.extend_from_slice(&self.template),
            Protocol::WebSocket => websocket::write(&self.template, id, out),
        }
    }

    /// Bytes of one request on the wire.
    pub fn wire_bytes(&self) -> usize {
        match self.protocol {
            Protocol::Frame | Protocol::Http1 => self.template.len(),
            Protocol::WebSocket => websocket::wire_bytes(&self.template),
        }
    }

    /// Whether the reply says what it must: status 200, and the payload, the added note, or exactly the seeded notes
    /// of the page. Decodes only when the body differs from the last one found right.
    pub fn check(&mut self, reply: &Reply<'_>) -> Result<(), Mismatch> {
        if reply.status != 200 {
            return Err(Mismatch::status(reply));
        }
        self.expected.check(reply.body)
    }
}

/// Parses the reply at the start of `bytes`; `None` when more bytes are needed. Allocates nothing.
pub fn parse_reply(protocol: Protocol, bytes: &[u8]) -> Result<Option<Reply<'_>>, Error> {
    match protocol {
        Protocol::Frame => match frame::parse_reply(bytes)? {
            frame::Parsed::Whole(frame) => {
                let status = match frame.opcode {
                    crate::event::OPCODE => EVENT,
                    opcode @ crate::event::OPCODE.. => return Err(Error::UnknownOpcode(opcode)),
                    _ => Status::from_frame(frame.status).ok_or(Error::UnknownStatus(frame.status))?.http(),
                };
                let (consumed, body) = (frame.consumed, frame.body);
                Ok(Some(Reply { consumed, id: Some(frame.id), status, body }))
            }
            frame::Parsed::Partial { .. } => Ok(None),
        },
        Protocol::Http1 => {
            let reply = http1::parse_reply(bytes)?;
            Ok(reply.map(|http1::Reply { status, body, consumed }| Reply { consumed, id: None, status, body }))
        }
        Protocol::WebSocket => websocket::parse_reply(bytes),
    }
}

fn encode_frame(format: Format, operation: &Operation) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(&mut out, 0, operation.opcode() as u8, 0, |out| operation.encode_body(format, out));
    out
}

impl Operation {
    fn opcode(&self) -> Opcode {
        match self {
            Operation::Echo { .. } => Opcode::Echo,
            Operation::AddNote { .. } => Opcode::AddNote,
            Operation::ListNotes { .. } => Opcode::ListNotes,
            Operation::Publish { .. } => Opcode::Publish,
        }
    }

    /// The body as protocols carry it that name the operation in a head of their own.
    fn encode_body(&self, format: Format, out: &mut Vec<u8>) {
        match self {
            Operation::Echo { payload } => out.extend_from_slice(payload),
            Operation::AddNote { text } => format.encode_add_note(text, out),
            Operation::ListNotes { offset, limit } => {
                format.encode_list_notes(ListNotes { offset: *offset, limit: *limit }, out);
            }
            Operation::Publish { index } => format.encode(&Broadcast::seeded(*index), out),
        }
    }
}

fn encode_http1(format: Format, operation: &Operation, host: &str) -> Vec<u8> {
    let (line, content_type, body) = match operation {
        Operation::Echo { payload } => {
            (Cow::Borrowed("POST /echo"), "application/octet-stream", Some(Cow::Borrowed(payload.as_slice())))
        }
        Operation::AddNote { text } => {
            let mut body = Vec::new();
            format.encode_add_note(text, &mut body);
            (Cow::Borrowed("POST /demo/notes"), format.content_type(), Some(Cow::Owned(body)))
        }
        Operation::Publish { index } => {
            let mut body = Vec::new();
            format.encode(&Broadcast::seeded(*index), &mut body);
            (Cow::Borrowed("POST /demo/content"), format.content_type(), Some(Cow::Owned(body)))
        }
        Operation::ListNotes { offset, limit } => {
            (Cow::Owned(format!("GET /demo/notes?offset={offset}&limit={limit}")), format.content_type(), None)
        }
    };
    let mut out = format!("{line} HTTP/1.1\r\nHost: {host}\r\n").into_bytes();
    match body {
        Some(body) => {
            let head = format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n", body.len());
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(&body);
        }
        None => out.extend_from_slice(format!("Accept: {content_type}\r\n\r\n").as_bytes()),
    }
    out
}

/// The seeded notes of a page.
fn seeded_page(request: ListNotes) -> Vec<Note> {
    let end = request.offset.saturating_add(request.limit_or_default()).min(crate::seeded::NOTES);
    (request.offset..end).map(crate::seeded::note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Timestamp;
    use crate::{limits, seeded};

    /// A frame reply with this body, as a server would write it.
    fn checked(request: &mut Request, status: Status, body: &[u8]) -> Result<(), Mismatch> {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, 7, Opcode::Echo as u8, status.frame(), |out| out.extend_from_slice(body));
        let reply = parse_reply(Protocol::Frame, &bytes).unwrap().unwrap();
        assert_eq!((reply.id, reply.consumed), (Some(7), bytes.len()));
        request.check(&reply)
    }

    /// The id is patched into each copy of a frame; HTTP requests are the same each time.
    #[test]
    fn write_patches_the_id() {
        let operation = Operation::Echo { payload: b"hi".to_vec() };
        let request = Request::new(Protocol::Frame, Format::Raw, &operation, "");
        let mut out = Vec::new();
        request.write(1, &mut out);
        request.write(0xa1b2_c3d4, &mut out);
        let frames = [[2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0x48, 1], [2, 0, 0, 0, 0xd4, 0xc3, 0xb2, 0xa1, 1, 0, 0x48, 1]];
        assert_eq!(out, [&frames[0][..], b"hi", &frames[1], b"hi"].concat());
        assert_eq!(request.wire_bytes() * 2, out.len());

        let request =
            Request::new(Protocol::Http1, Format::Json, &Operation::ListNotes { offset: 5, limit: 10 }, "a:1");
        let mut out = Vec::new();
        request.write(9, &mut out);
        let text = "GET /demo/notes?offset=5&limit=10 HTTP/1.1\r\nHost: a:1\r\nAccept: application/json\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }

    /// Right replies pass, in every format, twice (decoded, then compared); each wrong one is told as what it is.
    #[test]
    fn checks() {
        for format in Format::ALL {
            let encoded = |note: &Note| {
                let mut body = Vec::new();
                format.encode_note(note, &mut body);
                body
            };
            let mut add = Request::new(Protocol::Frame, format, &Operation::AddNote { text: "a \"b\"".to_owned() }, "");
            let time = Timestamp { seconds: 1_704_067_200, nanos: 5 };
            let note = Note { id: 1_001, text: "a \"b\"".to_owned(), created: time, modified: time };
            assert_eq!(checked(&mut add, Status::Ok, &encoded(&note)), Ok(()));
            let other = Note { text: "b".to_owned(), ..note.clone() };
            assert!(matches!(checked(&mut add, Status::Ok, &encoded(&other)), Err(Mismatch::Added(_))));
            let seeded = Note { id: 3, ..note.clone() };
            assert!(matches!(checked(&mut add, Status::Ok, &encoded(&seeded)), Err(Mismatch::Added(_))));
            assert!(matches!(checked(&mut add, Status::Busy, b"later"), Err(Mismatch::Status { status: 503, .. })));
            assert!(matches!(checked(&mut add, Status::Ok, b"\xff{"), Err(Mismatch::Decode(_))));

            let page = |total: u64, notes: &[Note]| {
                let mut body = Vec::new();
                format.encode_page(total, notes.iter(), &mut body);
                body
            };
            let mut list = Request::new(Protocol::Frame, format, &Operation::ListNotes { offset: 998, limit: 4 }, "");
            let known = seeded_page(ListNotes { offset: 998, limit: 4 });
            assert_eq!(known.len(), 2);
            let right = page(1_000, &known);
            assert_eq!(checked(&mut list, Status::Ok, &right), Ok(()));
            assert_eq!(checked(&mut list, Status::Ok, &right), Ok(()));
            assert_eq!(
                checked(&mut list, Status::Ok, &page(1_001, &[&known[..], std::slice::from_ref(&note)].concat())),
                Ok(())
            );
            let wrong = [
                page(999, &known),
                page(1_000, &known[..1]),
                page(1_000, &[known[1].clone(), known[0].clone()]),
                page(1_002, &[&known[..], &[note.clone(), note.clone()]].concat()),
                page(1_001, &[&known[..], &[seeded::note(5)]].concat()),
            ];
            for body in wrong {
                assert!(matches!(checked(&mut list, Status::Ok, &body), Err(Mismatch::Page(_))));
            }
            // And the right one is still right after wrong ones.
            assert_eq!(checked(&mut list, Status::Ok, &right), Ok(()));
        }
        let mut echo = Request::new(Protocol::Frame, Format::Raw, &Operation::Echo { payload: b"abc".to_vec() }, "");
        assert_eq!(checked(&mut echo, Status::Ok, b"abc"), Ok(()));
        let error = checked(&mut echo, Status::Ok, b"abd").unwrap_err();
        assert_eq!(error.to_string(), "the echo differs from byte 2 on (3 bytes, 3 were sent)");
        assert!(checked(&mut echo, Status::Ok, b"").is_err());
    }

    /// Bytes of replies that cannot be are errors, shorter ones are not yet.
    #[test]
    fn replies() {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, 7, 1, 9, |_| {});
        assert_eq!(parse_reply(Protocol::Frame, &bytes), Err(Error::UnknownStatus(9)));
        assert_eq!(parse_reply(Protocol::Frame, &bytes[..11]), Ok(None));
        let limit = limits::REPLY_BODY_BYTES;
        bytes[..4].copy_from_slice(&u32::try_from(limit + 1).unwrap().to_le_bytes());
        let error = parse_reply(Protocol::Frame, &bytes).unwrap_err();
        assert_eq!(error, Error::Frame(frame::Error::TooLarge { id: 7, length: limit + 1, limit }));
        assert!(parse_reply(Protocol::Frame, b"HTTP/1.1 400 Bad Request").is_err());
    }
}
