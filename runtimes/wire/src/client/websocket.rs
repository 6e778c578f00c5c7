//! The client's side of WebSocket: requests with a mask each, replies of either kind of head.

use std::mem::MaybeUninit;

use super::{EVENT, Error, OPENED, Operation, PONG, Reply};
use crate::websocket::frame::{self as ws, Opcode, Parsed};
use crate::websocket::{handshake, text};
use crate::{Format, Protocol, event, frame, http1, limits};

/// Longest message of a server: the largest reply and whichever head.
const MESSAGE_BYTES: usize = limits::REPLY_BODY_BYTES + 64;

/// Headers in the answer to a handshake at most.
const HEADERS: usize = 32;

/// A request's message, not yet in a frame: the frame's mask is made anew for each copy.
pub(super) fn encode(format: Format, operation: &Operation) -> Vec<u8> {
    match (format.is_text(), operation) {
        // Text must be UTF-8, an echo may be anything.
        (true, Operation::Echo { payload }) if std::str::from_utf8(payload).is_err() => {
            super::encode_frame(format, operation)
        }
        (true, _) => {
            let mut out = vec![b'0'; text::ID_DIGITS];
            out.push(b' ');
            out.extend_from_slice(text::name(operation.opcode()).as_bytes());
            out.push(b'\n');
            operation.encode_body(format, &mut out);
            out
        }
        (false, _) => super::encode_frame(format, operation),
    }
}

/// Appends a message in a frame, with its id and a mask that differs from copy to copy.
///
/// The RFC wants masks that nobody can foresee (10.3), to protect proxies from scripts in browsers. Here both ends are
/// ours, so a mix of the id has to do: what counts is that the server has to take it off.
pub(super) fn write(message: &[u8], id: u32, out: &mut Vec<u8>) {
    let mask = id.wrapping_mul(0x9e37_79b1).to_ne_bytes();
    let text = is_text(message);
    let opcode = if text { Opcode::Text } else { Opcode::Binary };
    ws::write_header(out, opcode, message.len(), Some(mask));
    let start = out.len();
    out.extend_from_slice(message);
    if text {
        let mut rest = id;
        for digit in out[start..start + text::ID_DIGITS].iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).expect("a digit");
            rest /= 10;
        }
    } else {
        out[start + frame::ID_OFFSET..start + frame::ID_OFFSET + 4].copy_from_slice(&id.to_le_bytes());
    }
    ws::apply_mask(mask, &mut out[start..]);
}

/// Text templates begin with the zeros of an id and a space; a binary one has its opcode, which is no space, there.
fn is_text(message: &[u8]) -> bool {
    message.get(text::ID_DIGITS) == Some(&b' ')
}

pub(super) fn wire_bytes(message: &[u8]) -> usize {
    let mut header = Vec::new();
    ws::write_header(&mut header, Opcode::Binary, message.len(), Some([0; 4]));
    header.len() + message.len()
}

/// A handshake's answer begins with a letter that, as the start of a frame, would have a reserved bit: so nothing has to
/// be remembered to tell them apart.
pub(super) fn parse_reply(bytes: &[u8]) -> Result<Option<Reply<'_>>, Error> {
    if bytes.first() == Some(&b'H') {
        return parse_opening(bytes);
    }
    let frame = match ws::parse_server(bytes, MESSAGE_BYTES)? {
        Parsed::Whole(frame) => frame,
        Parsed::Partial { .. } => return Ok(None),
    };
    if !frame.fin {
        return Err(Error::Message("a message in several frames, which these servers do not send"));
    }
    let other = |status, body| Reply { consumed: frame.consumed, id: None, status, body };
    let reply = match (frame.opcode, frame.payload) {
        (Opcode::Binary, payload) => match super::parse_reply(Protocol::Frame, payload)? {
            Some(reply) if reply.consumed == payload.len() => reply,
            _ => return Err(Error::Message("a binary message whose head names another length")),
        },
        (Opcode::Text, payload) => parse_text(payload)?,
        (Opcode::Close, [high, low, reason @ ..]) => other(u16::from_be_bytes([*high, *low]), reason),
        // 1005 is what an endpoint reports when no code came (7.4.1).
        (Opcode::Close, payload) => other(1005, payload),
        (Opcode::Pong, payload) => other(PONG, payload),
        (Opcode::Ping | Opcode::Continuation, _) => {
            return Err(Error::Message("a ping or a continuation, which these servers do not send"));
        }
    };
    Ok(Some(Reply { consumed: frame.consumed, ..reply }))
}

fn parse_text(payload: &[u8]) -> Result<Reply<'_>, Error> {
    let text = std::str::from_utf8(payload).map_err(|_| Error::Message("a text message that is not UTF-8"))?;
    let message = text::parse(text).map_err(|_| Error::Message("a text message without `ID STATUS`"))?;
    let status = match message.word {
        event::WORD => EVENT,
        word => word.parse().map_err(|_| Error::Message("a status that is neither a number nor an event"))?,
    };
    Ok(Reply { consumed: payload.len(), id: Some(message.id), status, body: message.body.as_bytes() })
}

/// The answer to the handshake: 101 with the right key, or a refusal in HTTP.
fn parse_opening(bytes: &[u8]) -> Result<Option<Reply<'_>>, Error> {
    let mut headers = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; HEADERS];
    let mut head = httparse::Response::new(&mut []);
    let window = &bytes[..bytes.len().min(limits::HEAD_BYTES)];
    let parser = httparse::ParserConfig::default();
    let parsed = parser.parse_response_with_uninit_headers(&mut head, window, &mut headers);
    match parsed {
        Ok(httparse::Status::Complete(consumed)) if head.code == Some(OPENED) => {
            if !handshake::is_answer(head.headers) {
                return Err(Error::Message("a handshake whose key, upgrade or connection is wrong"));
            }
            Ok(Some(Reply { consumed, id: None, status: OPENED, body: &[] }))
        }
        // Not 101, not whole or not HTTP: as in plain HTTP.
        _ => {
            let reply = http1::parse_reply(bytes)?;
            Ok(reply.map(|http1::Reply { status, body, consumed }| Reply { consumed, id: None, status, body }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Request, opening};

    /// Ids and masks differ from copy to copy, and the server's parser gets the same message out of each.
    #[test]
    fn requests() {
        for (format, message) in
            [(Format::Json, &b"0000000007 echo\nhi"[..]), (Format::Raw, b"\x02\0\0\0\x07\0\0\0\x01\0H\x01hi")]
        {
            let request = Request::new(Protocol::WebSocket, format, &Operation::Echo { payload: b"hi".to_vec() }, "");
            let mut out = Vec::new();
            request.write(7, &mut out);
            assert_eq!(request.wire_bytes(), out.len());
            let Ok(Parsed::Whole(frame)) = ws::parse_client(&out, 100) else { panic!("{out:?}") };
            let mut payload = frame.payload.to_vec();
            ws::apply_mask(frame.mask.unwrap(), &mut payload);
            assert_eq!(payload, message);
            assert_eq!(frame.opcode, if format == Format::Json { Opcode::Text } else { Opcode::Binary });
            let mut other = Vec::new();
            request.write(8, &mut other);
            assert_ne!(out[2..6], other[2..6], "one mask for all");
        }
        let any = Operation::Echo { payload: vec![0xff] };
        let mut out = Vec::new();
        Request::new(Protocol::WebSocket, Format::Json, &any, "").write(1, &mut out);
        assert_eq!(out[0], 0x82, "what is no text goes as bytes");
    }

    /// What a server may send, and what it may not.
    #[test]
    fn replies() {
        let of = |bytes: &[u8]| {
            parse_reply(bytes).map(|reply| reply.map(|reply| (reply.id, reply.status, reply.body.to_vec())))
        };
        assert_eq!(of(b"\x81\x087 200\nh"), Ok(None));
        assert_eq!(of(b"\x81\x087 200\nhi"), Ok(Some((Some(7), 200, b"hi".to_vec()))));
        assert_eq!(of(b"\x88\x05\x03\xf1bye"), Ok(Some((None, 1009, b"bye".to_vec()))));
        assert_eq!(of(b"\x88\x00"), Ok(Some((None, 1005, vec![]))));
        assert_eq!(of(b"\x8a\x02hi"), Ok(Some((None, PONG, b"hi".to_vec()))));
        assert!(matches!(of(b"\x81\x060 event"), Err(Error::Message(_))));
        assert!(matches!(of(b"\x81\x080 eight\n"), Err(Error::Message(_))));
        assert_eq!(of(b"\x81\x0a0 event\nhi"), Ok(Some((Some(0), EVENT, b"hi".to_vec()))));
        assert!(matches!(of(b"\x89\x00"), Err(Error::Message(_))));
        assert!(matches!(of(b"\x01\x00"), Err(Error::Message(_))));
        assert!(matches!(of(b"\x81\x80\0\0\0\0"), Err(Error::WebSocket(ws::Error::Masked))));
        let mut request = Vec::new();
        opening(Protocol::WebSocket, "x", &mut request);
        let Ok(handshake::Parsed::Whole { key, consumed }) = handshake::parse(&request) else { panic!("{request:?}") };
        assert_eq!(consumed, request.len());
        let mut answer = Vec::new();
        handshake::write_reply(&mut answer, key);
        assert_eq!(of(&answer), Ok(Some((None, OPENED, vec![]))));
        assert_eq!(of(&answer[..answer.len() - 1]), Ok(None));
        let wrong = String::from_utf8(answer).unwrap().replace("s3pPLM", "xxxxxx");
        assert!(matches!(of(wrong.as_bytes()), Err(Error::Message(_))));
    }
}
