//! One request and its reply, for a server that this project did not write: HTTP/1.1, WebSocket messages or plain bytes.
//!
//! Such a server is taken as it is: it may answer in chunks, end a connection after so many requests, ping, and split
//! its messages. What a reply must say is what the user asked for. Parsing allocates nothing; a reply equal to the last
//! one that was found right is compared and not looked into.

use std::mem::MaybeUninit;

use super::{Error, Mismatch};
use crate::http1::has_token;
use crate::websocket::frame::{self as ws, Opcode, Parsed};
use crate::websocket::handshake;

/// Largest body or message that is accepted, in bytes.
pub const BODY_BYTES: usize = 16 << 20;

/// Largest head that is accepted, in bytes.
const HEAD_BYTES: usize = 64 << 10;

/// Headers of a reply at most; curl takes as many lines without a limit, servers send fewer than 30.
const HEADERS: usize = 100;

/// What framing may add to a body: chunks of one byte have five bytes of frame.
const WITH_FRAMING: usize = HEAD_BYTES + 6 * BODY_BYTES;

/// What the body of a reply must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Anything.
    Any,
    /// These bytes.
    Exactly(Vec<u8>),
    /// Anything with these bytes in it.
    Containing(Vec<u8>),
}

/// Where a reply of plain bytes ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// After this many bytes, at least one.
    Length(usize),
    /// Behind the first occurrence of these, which are not empty.
    Behind(Vec<u8>),
}

/// A request of HTTP/1.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest<'a> {
    /// `GET`, `POST`, ….
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Lines of headers, without their ends. `Host` and `Content-Length` are added where they are missing.
    pub headers: &'a [String],
    /// The body, often empty.
    pub body: &'a [u8],
}

/// A prepared request and what its reply must be.
#[derive(Clone, Debug)]
pub struct Exchange {
    spoken: Spoken,
    /// What a connection begins with; empty without a handshake.
    opening: Vec<u8>,
    /// The request, or the payload of the message.
    request: Vec<u8>,
    expected: Body,
    last_right: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Spoken {
    Http1 { without_body: bool, status: u16 },
    WebSocket { text: bool },
    Bytes { end: End },
}

/// How a body is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Plain,
    Chunked,
    Fragments,
}

/// A reply as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// HTTP's status; 200 where there is none.
    pub status: u16,
    /// The body as it was sent, chunks and frames included.
    body: &'a [u8],
    coding: Coding,
    /// The server ends the connection behind it.
    pub last: bool,
}

/// What came from a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The reply to the oldest request.
    Answer(Answer<'a>),
    /// To be answered by [`Exchange::pong`].
    Ping(&'a [u8]),
    /// Nothing to do about it.
    Nothing,
    /// The server ends the WebSocket, with this code (RFC 6455, 7.4) and reason.
    Closing(u16, &'a [u8]),
}

/// What stood at the start of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard<'a> {
    /// Bytes that it took.
    pub consumed: usize,
    /// What it was.
    pub event: Event<'a>,
}

impl Exchange {
    /// An HTTP request to `host`, whose reply must have this status and body.
    #[must_use]
    pub fn http1(request: &HttpRequest<'_>, host: &str, status: u16, expected: Body) -> Exchange {
        let HttpRequest { method, path, headers, body } = request;
        let mut bytes = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
        let named = |name: &str| headers.iter().any(|line| is_named(line, name));
        let line = |text: String, bytes: &mut Vec<u8>| bytes.extend_from_slice(format!("{text}\r\n").as_bytes());
        if !named("host") {
            line(format!("Host: {host}"), &mut bytes);
        }
        headers.iter().for_each(|header| line(header.clone(), &mut bytes));
        // A request without a body needs no length, except where a body is what the method is for (RFC 9110, 8.6).
        let wants_length = !body.is_empty() || ["POST", "PUT", "PATCH"].contains(method);
        if wants_length && !named("content-length") {
            line(format!("Content-Length: {}", body.len()), &mut bytes);
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        let without_body = *method == "HEAD";
        Self::of(Spoken::Http1 { without_body, status }, Vec::new(), bytes, expected)
    }

    /// A message over a WebSocket that is opened at `path`, with more `headers` where the server wants them.
    #[must_use]
    pub fn websocket(host: &str, path: &str, headers: &[String], message: Vec<u8>, expected: Body) -> Exchange {
        let mut opening = Vec::new();
        handshake::write_request_to(&mut opening, host, path, headers);
        let text = std::str::from_utf8(&message).is_ok();
        Self::of(Spoken::WebSocket { text }, opening, message, expected)
    }

    /// Bytes, answered by bytes.
    #[must_use]
    pub fn bytes(request: Vec<u8>, end: End, expected: Body) -> Exchange {
        Self::of(Spoken::Bytes { end }, Vec::new(), request, expected)
    }

    fn of(spoken: Spoken, opening: Vec<u8>, request: Vec<u8>, expected: Body) -> Exchange {
        Exchange { spoken, opening, request, expected, last_right: Vec::new() }
    }

    /// What is sent once on each connection, to be answered by 101; empty where there is no handshake.
    #[must_use]
    pub fn opening(&self) -> &[u8] {
        &self.opening
    }

    /// Appends the request. `id` only makes masks differ.
    pub fn write(&self, id: u32, out: &mut Vec<u8>) {
        match self.spoken {
            Spoken::Http1 { .. } | Spoken::Bytes { .. } => out.extend_from_slice(&self.request),
            Spoken::WebSocket { text } => {
                write_frame(if text { Opcode::Text } else { Opcode::Binary }, &self.request, id, out);
            }
        }
    }

    /// Appends the answer to a ping.
    pub fn pong(payload: &[u8], id: u32, out: &mut Vec<u8>) {
        write_frame(Opcode::Pong, payload, id, out);
    }

    /// Parses what stands at the start of `bytes`; `None` when more bytes are needed. Allocates nothing.
    ///
    /// # Errors
    /// Bytes that are no reply, or one that cannot be delimited: the connection is of no more use.
    pub fn parse<'a>(&self, bytes: &'a [u8]) -> Result<Option<Heard<'a>>, Error> {
        let heard = match &self.spoken {
            Spoken::Http1 { without_body, .. } => parse_http1(bytes, *without_body)?,
            Spoken::WebSocket { .. } => parse_websocket(bytes)?,
            Spoken::Bytes { end } => parse_bytes(bytes, end),
        };
        if heard.is_none() && bytes.len() > WITH_FRAMING {
            return Err(Error::Exchange("a reply of more than 16 MiB"));
        }
        Ok(heard)
    }

    /// Whether a reply is what it must be.
    ///
    /// # Errors
    /// How it differs.
    pub fn check(&mut self, answer: &Answer<'_>) -> Result<(), Mismatch> {
        if let Spoken::Http1 { status, .. } = self.spoken
            && status != answer.status
        {
            let start = &answer.body[..answer.body.len().min(120)];
            return Err(Mismatch::Status { status: answer.status, says: String::from_utf8_lossy(start).into_owned() });
        }
        if self.expected == Body::Any || (!self.last_right.is_empty() && self.last_right == answer.body) {
            return Ok(());
        }
        let mut decoded = Vec::new();
        let body = match answer.coding {
            Coding::Plain => answer.body,
            Coding::Chunked => {
                walk_chunks(answer.body, |chunk| decoded.extend_from_slice(chunk)).map_err(|_| Mismatch::NoBody)?;
                &decoded
            }
            Coding::Fragments => {
                walk_fragments(answer.body, |part| decoded.extend_from_slice(part)).map_err(|_| Mismatch::NoBody)?;
                &decoded
            }
        };
        check_body(&self.expected, body)?;
        self.last_right.clear();
        self.last_right.extend_from_slice(answer.body);
        Ok(())
    }
}

/// Whether a header's line has this name.
fn is_named(line: &str, name: &str) -> bool {
    line.split_once(':').is_some_and(|(seen, _)| seen.trim().eq_ignore_ascii_case(name))
}

fn write_frame(opcode: Opcode, payload: &[u8], id: u32, out: &mut Vec<u8>) {
    // Masks that cannot be foreseen protect proxies from scripts in browsers (RFC 6455, 10.3); there is none here.
    let mask = id.wrapping_mul(0x9e37_79b1).to_ne_bytes();
    ws::write_header(out, opcode, payload.len(), Some(mask));
    ws::append_masked(mask, payload, out);
}

fn check_body(expected: &Body, body: &[u8]) -> Result<(), Mismatch> {
    match expected {
        Body::Any => Ok(()),
        Body::Exactly(wanted) if wanted == body => Ok(()),
        Body::Exactly(wanted) => {
            let at = wanted.iter().zip(body).take_while(|(wanted, got)| wanted == got).count();
            Err(Mismatch::Body { at, got: body.len(), wanted: wanted.len() })
        }
        Body::Containing(part) if part.is_empty() || body.windows(part.len()).any(|window| window == part) => Ok(()),
        Body::Containing(part) => {
            let part = String::from_utf8_lossy(&part[..part.len().min(80)]).into_owned();
            Err(Mismatch::Part { part, got: body.len() })
        }
    }
}

fn parse_bytes<'a>(bytes: &'a [u8], end: &End) -> Option<Heard<'a>> {
    let consumed = match end {
        End::Length(length) => Some(*length).filter(|length| *length <= bytes.len()),
        End::Behind(delimiter) => {
            bytes.windows(delimiter.len()).position(|window| window == delimiter).map(|at| at + delimiter.len())
        }
    }?;
    Some(answer(consumed, 200, &bytes[..consumed], Coding::Plain, false))
}

fn answer(consumed: usize, status: u16, body: &[u8], coding: Coding, last: bool) -> Heard<'_> {
    Heard { consumed, event: Event::Answer(Answer { status, body, coding, last }) }
}

fn parse_http1(bytes: &[u8], without_body: bool) -> Result<Option<Heard<'_>>, Error> {
    let mut headers = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; HEADERS];
    let mut head = httparse::Response::new(&mut []);
    let window = &bytes[..bytes.len().min(HEAD_BYTES)];
    let parser = httparse::ParserConfig::default();
    let length = match parser.parse_response_with_uninit_headers(&mut head, window, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() >= HEAD_BYTES => {
            return Err(Error::Exchange("a head of more than 64 KiB"));
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(Error::Http1(crate::http1::ReplyError::Malformed(error))),
    };
    let status = head.code.unwrap_or(0);
    if status == 101 {
        return Err(Error::Exchange("the server left HTTP (101), which nobody asked for"));
    }
    if status < 200 {
        // 100 and 103 come before the reply itself (RFC 9110, 15.2).
        return Ok(Some(Heard { consumed: length, event: Event::Nothing }));
    }
    let framing = Framing::read(&head)?;
    let rest = &bytes[length..];
    let whole = |body_bytes: usize, coding| {
        rest.get(..body_bytes).map(|body| answer(length + body_bytes, status, body, coding, framing.last))
    };
    if without_body || status == 204 || status == 304 {
        return Ok(whole(0, Coding::Plain));
    }
    match (framing.chunked, framing.length) {
        (true, _) => Ok(walk_chunks(rest, |_| {})?.and_then(|length| whole(length, Coding::Chunked))),
        (false, Some(length)) if length > BODY_BYTES => Err(Error::Exchange("a body of more than 16 MiB")),
        (false, Some(length)) => Ok(whole(length, Coding::Plain)),
        (false, None) => Err(Error::Exchange(
            "a reply with neither Content-Length nor chunks ends with its connection, which would have to be opened anew \
             for each request",
        )),
    }
}

/// What the head says about the body and the connection.
struct Framing {
    chunked: bool,
    length: Option<usize>,
    last: bool,
}

impl Framing {
    fn read(head: &httparse::Response<'_, '_>) -> Result<Framing, Error> {
        let old = head.version == Some(0);
        let mut framing = Framing { chunked: false, length: None, last: old };
        for header in head.headers.iter() {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                let text = std::str::from_utf8(header.value).ok();
                let length = text.and_then(|text| text.trim().parse().ok());
                framing.length = Some(length.ok_or(Error::Exchange("a Content-Length that is no number"))?);
            } else if is("transfer-encoding") {
                if !header.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Error::Exchange("a transfer coding other than chunked"));
                }
                framing.chunked = true;
            } else if is("connection") {
                framing.last = has_token(header.value, "close") || (old && !has_token(header.value, "keep-alive"));
            }
        }
        Ok(framing)
    }
}

/// Hands out the chunks at the start of `bytes` (RFC 9112, 7.1); the bytes that all of them take with the trailer, `None`
/// when more are needed.
fn walk_chunks<'a>(bytes: &'a [u8], mut each: impl FnMut(&'a [u8])) -> Result<Option<usize>, Error> {
    let (mut at, mut sum) = (0, 0);
    loop {
        let (head, size) = match httparse::parse_chunk_size(&bytes[at..]) {
            Ok(httparse::Status::Complete(parsed)) => parsed,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Error::Exchange("a chunk without its size in hexadecimal digits")),
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        sum = usize::saturating_add(sum, size);
        if sum > BODY_BYTES {
            return Err(Error::Exchange("chunks of more than 16 MiB"));
        }
        at += head;
        if size == 0 {
            return Ok(trailer(&bytes[at..]).map(|length| at + length));
        }
        let Some(chunk) = bytes.get(at..at + size) else { return Ok(None) };
        each(chunk);
        at += size;
        match bytes.get(at..at + 2) {
            None => return Ok(None),
            Some(end) if end == b"\r\n" => at += 2,
            Some(_) => return Err(Error::Exchange("a chunk that is longer than its size")),
        }
    }
}

/// Length of the trailer behind the last chunk: lines, then an empty one.
fn trailer(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"\r\n") {
        return Some(2);
    }
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn parse_websocket(bytes: &[u8]) -> Result<Option<Heard<'_>>, Error> {
    let Parsed::Whole(frame) = ws::parse_server(bytes, BODY_BYTES)? else { return Ok(None) };
    let heard = |event| Some(Heard { consumed: frame.consumed, event });
    Ok(match (frame.opcode, frame.payload) {
        (Opcode::Ping, payload) => heard(Event::Ping(payload)),
        (Opcode::Pong, _) => heard(Event::Nothing),
        (Opcode::Close, [high, low, reason @ ..]) => heard(Event::Closing(u16::from_be_bytes([*high, *low]), reason)),
        // 1005 is what an endpoint reports when no code came (RFC 6455, 7.4.1).
        (Opcode::Close, reason) => heard(Event::Closing(1005, reason)),
        (Opcode::Continuation, _) => return Err(Error::Exchange("a continuation of no message")),
        (_, payload) if frame.fin => Some(answer(frame.consumed, 200, payload, Coding::Plain, false)),
        _ => {
            walk_fragments(bytes, |_| {})?.map(|length| answer(length, 200, &bytes[..length], Coding::Fragments, false))
        }
    })
}

/// Hands out the parts of the message at the start of `bytes`; the bytes that it takes, control frames between its parts
/// included, `None` when more are needed.
fn walk_fragments<'a>(bytes: &'a [u8], mut each: impl FnMut(&'a [u8])) -> Result<Option<usize>, Error> {
    let (mut at, mut sum) = (0, 0);
    loop {
        let Parsed::Whole(frame) = ws::parse_server(&bytes[at..], BODY_BYTES)? else { return Ok(None) };
        let first = at == 0;
        at += frame.consumed;
        if frame.opcode.is_control() {
            continue;
        }
        if first == (frame.opcode == Opcode::Continuation) {
            return Err(Error::Exchange("a message within another's parts"));
        }
        sum += frame.payload.len();
        if sum > BODY_BYTES {
            return Err(Error::Exchange("a message of more than 16 MiB"));
        }
        each(frame.payload);
        if frame.fin {
            return Ok(Some(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(expected: Body) -> Exchange {
        let request = HttpRequest { method: "GET", path: "/x", headers: &["Accept: */*".to_owned()], body: &[] };
        Exchange::http1(&request, "h:1", 200, expected)
    }

    /// What stands at the start of `bytes`, checked: bytes consumed, whether the connection ends, and what was wrong.
    fn heard(exchange: &mut Exchange, bytes: &[u8]) -> Option<(usize, bool, Result<(), Mismatch>)> {
        for length in 0..bytes.len() {
            let early = exchange.parse(&bytes[..length]).unwrap();
            assert!(early.is_none_or(|heard| heard.consumed <= length), "{length} of {} bytes", bytes.len());
        }
        let Some(Heard { consumed, event: Event::Answer(answer) }) = exchange.parse(bytes).unwrap() else {
            return None;
        };
        Some((consumed, answer.last, exchange.check(&answer)))
    }

    /// The bytes of requests: headers are completed, not doubled, and only what has a body says how long it is.
    #[test]
    fn requests() {
        let written = |exchange: &Exchange| {
            let mut out = Vec::new();
            exchange.write(1, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(&get(Body::Any)), "GET /x HTTP/1.1\r\nHost: h:1\r\nAccept: */*\r\n\r\n");
        let headers = ["host: other".to_owned()];
        let post = HttpRequest { method: "POST", path: "/", headers: &headers, body: b"{}" };
        assert_eq!(
            written(&Exchange::http1(&post, "h:1", 201, Body::Any)),
            "POST / HTTP/1.1\r\nhost: other\r\nContent-Length: 2\r\n\r\n{}"
        );
        let mut out = Vec::new();
        let ask = Exchange::websocket("h:1", "/chat", &["Origin: http://o".to_owned()], b"hi".to_vec(), Body::Any);
        let opening = std::str::from_utf8(ask.opening()).unwrap();
        assert!(opening.starts_with("GET /chat HTTP/1.1\r\n") && opening.contains("\r\nOrigin: http://o\r\n"));
        ask.write(7, &mut out);
        let Ok(Parsed::Whole(frame)) = ws::parse_client(&out, 100) else { panic!("{out:?}") };
        assert_eq!((frame.opcode, frame.payload.len()), (Opcode::Text, 2));
    }

    /// Replies as servers write them: with a length, in chunks with a trailer, without a body, with an end.
    #[test]
    fn replies() {
        let mut any = get(Body::Exactly(b"hello".to_vec()));
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(heard(&mut any, plain), Some((plain.len(), false, Ok(()))));
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nA: b\r\n\r\n";
        assert_eq!(heard(&mut any, chunked), Some((chunked.len(), false, Ok(()))));
        let last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(heard(&mut any, last), Some((last.len(), true, Ok(()))));
        let old = b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nhell";
        let short = Err(Mismatch::Body { at: 4, got: 4, wanted: 5 });
        assert_eq!(heard(&mut any, old), Some((old.len(), true, short)));
        let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone";
        let says = Err(Mismatch::Status { status: 404, says: "none".to_owned() });
        assert_eq!(heard(&mut any, missing), Some((missing.len(), false, says)));
        let mut part = get(Body::Containing(b"ell".to_vec()));
        assert!(heard(&mut part, plain).is_some_and(|(_, _, checked)| checked.is_ok()));
        let interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        let event = part.parse(interim).unwrap().unwrap();
        assert_eq!((event.consumed, event.event), (interim.len(), Event::Nothing));
    }

    /// What cannot be delimited is an error that says so.
    #[test]
    fn undelimited() {
        for (bytes, wanted) in [
            (&b"HTTP/1.1 200 OK\r\n\r\nhello"[..], "ends with its connection"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "other than chunked"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n", "no number"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "more than 16 MiB"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxy\r\n", "hexadecimal"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "longer than its size"),
            (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "left HTTP"),
            (b"SSH-2.0-OpenSSH\r\n", "malformed"),
        ] {
            let said = get(Body::Any).parse(bytes).unwrap_err().to_string();
            assert!(said.contains(wanted), "{said}");
        }
    }

    /// Messages, whole and in parts with a ping between them, and what is no message.
    #[test]
    fn messages() {
        let mut ask = Exchange::websocket("h", "/", &[], b"hello".to_vec(), Body::Exactly(b"hello".to_vec()));
        assert_eq!(heard(&mut ask, b"\x81\x05hello"), Some((7, false, Ok(()))));
        let parts = b"\x01\x02he\x89\x01p\x80\x03llo";
        assert_eq!(heard(&mut ask, parts), Some((parts.len(), false, Ok(()))));
        let event = |bytes: &'static [u8]| ask.parse(bytes).map(|heard| heard.map(|heard| heard.event));
        assert_eq!(event(b"\x89\x01p"), Ok(Some(Event::Ping(b"p"))));
        assert_eq!(event(b"\x88\x05\x03\xe9bye"), Ok(Some(Event::Closing(1001, b"bye"))));
        assert_eq!(event(b"\x8a\x00"), Ok(Some(Event::Nothing)));
        assert!(event(b"\x80\x00").is_err() && event(b"\x01\x01a\x81\x01b").is_err());
    }

    /// Plain bytes end after a length or behind a delimiter.
    #[test]
    fn plain_bytes() {
        let mut ping = Exchange::bytes(b"PING\r\n".to_vec(), End::Length(7), Body::Exactly(b"+PONG\r\n".to_vec()));
        assert_eq!(heard(&mut ping, b"+PONG\r\n+PO"), Some((7, false, Ok(()))));
        let mut line = Exchange::bytes(b"x".to_vec(), End::Behind(b"\r\n".to_vec()), Body::Any);
        assert_eq!(heard(&mut line, b"+OK\r\n"), Some((5, false, Ok(()))));
        assert_eq!(heard(&mut line, b"+OK\r"), None);
    }
}
