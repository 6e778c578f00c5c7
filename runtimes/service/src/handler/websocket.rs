//! WebSocket: the handshake, then frames; messages are put together, answered, and control frames between them.
//!
//! The bytes that an engine read are not ours to change, so masks come off on the way into a buffer that the shard's
//! connections share: one pass, no allocation. Only messages in several frames are collected apart, in a buffer that lives
//! until they are whole.

use wire::frame::{self, Opcode};
use wire::websocket::frame::{self as ws, Frame, Parsed};
use wire::websocket::{CloseCode, handshake, is_close_code, text};
use wire::{Status, http1, limits};

use super::{Connection, Operation, Parts, Refusal, Step};

/// Longest message: the largest body and whichever head. What is longer ends the connection; a body beyond its own limit
/// within such a message is only refused.
const MESSAGE_BYTES: usize = limits::BODY_BYTES + 64;

/// Most frames of a message. Empty ones could otherwise go on for ever: they make no message too large.
const FRAGMENTS: u32 = 16_384;

/// A message of which more is to come. Boxed: connections have one only while it comes.
#[derive(Debug)]
pub(super) struct Fragments {
    opcode: ws::Opcode,
    count: u32,
    message: Vec<u8>,
}

/// Why a connection ends.
struct Closing {
    code: CloseCode,
    says: String,
}

impl Closing {
    fn new(code: CloseCode, says: impl Into<String>) -> Closing {
        Closing { code, says: says.into() }
    }
}

impl From<ws::Error> for Closing {
    fn from(error: ws::Error) -> Closing {
        Closing::new(error.code(), error.to_string())
    }
}

pub(super) fn step(shard: &mut Parts, connection: &mut Connection, bytes: &[u8], out: &mut Vec<u8>) -> Step {
    if !connection.upgraded {
        return open(shard, connection, bytes, out);
    }
    let collected = connection.fragments.as_ref().map_or(0, |fragments| fragments.message.len());
    // However full a message is, a control frame has room in it.
    let limit = MESSAGE_BYTES.saturating_sub(collected).max(ws::CONTROL_BYTES);
    let outcome = match ws::parse_client(bytes, limit) {
        Ok(Parsed::Whole(frame)) => take(shard, connection, &frame, out),
        Ok(Parsed::Partial { needed }) => return Step::Partial { needed },
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(step) => step,
        Err(Closing { code, says }) => {
            let status = if code == CloseCode::TooLarge { Status::TooLarge } else { Status::BadRequest };
            shard.counters.error(Refusal::new(status, "").kind);
            connection.fragments = None;
            ws::write_close(out, code, &says);
            Step::Last(bytes.len())
        }
    }
}

/// The opening handshake.
fn open(shard: &mut Parts, connection: &mut Connection, bytes: &[u8], out: &mut Vec<u8>) -> Step {
    match handshake::parse(bytes) {
        Ok(handshake::Parsed::Whole { key, consumed }) => {
            connection.upgraded = true;
            handshake::write_reply(out, key);
            Step::Served(consumed)
        }
        Ok(handshake::Parsed::Partial) => Step::Partial { needed: 0 },
        Err(error) => {
            let refusal = match error {
                handshake::Error::Method => Refusal::method("GET", error.to_string()),
                _ => Refusal::new(error.status(), error.to_string()),
            };
            shard.counters.error(refusal.kind);
            super::http1::refuse(out, shard.clock.date(), &refusal, http1::Persistence::Close, true);
            Step::Last(bytes.len())
        }
    }
}

/// Bytes of a message within which its head ends: a frame's header, or a text's line with its longest operation and room.
const HEAD_BYTES: usize = 32;

/// Refuses a whole message whose head alone is unmasked, when the second gate is full; `false` when that cannot be done.
/// Whether the rest would have been UTF-8, nobody looks.
fn shed(shard: &mut Parts, connection: &mut Connection, frame: &Frame<'_>, out: &mut Vec<u8>) -> bool {
    let mut head = [0; HEAD_BYTES];
    let head = &mut head[..frame.payload.len().min(HEAD_BYTES)];
    head.copy_from_slice(&frame.payload[..head.len()]);
    ws::apply_mask(frame.mask.unwrap_or_default(), head);
    let text_id = || {
        let end = head.iter().position(|byte| *byte == b'\n')?;
        text::parse(std::str::from_utf8(&head[..=end]).ok()?).ok().map(|message| message.id)
    };
    let (id, opcode) = match (frame.opcode, head.first_chunk::<{ frame::HEADER_BYTES }>()) {
        (ws::Opcode::Binary, Some(&[_, _, _, _, i0, i1, i2, i3, opcode, ..])) => {
            (u32::from_le_bytes([i0, i1, i2, i3]), opcode)
        }
        (ws::Opcode::Text, _) if shard.format.is_text() => match text_id() {
            Some(id) => (id, 0),
            None => return false,
        },
        _ => return false,
    };
    let Err(refusal) = shard.take_place(connection) else { return false };
    shard.counters.error(refusal.kind);
    let begun = ws::begin(out, frame.opcode, expected(0));
    if frame.opcode == ws::Opcode::Binary {
        super::frame::refuse(out, id, opcode, &refusal);
    } else {
        text::write_reply_head(out, id, refusal.status);
        out.extend_from_slice(refusal.says.as_bytes());
    }
    ws::finish(out, begun);
    true
}

/// What a whole frame brings.
fn take(shard: &mut Parts, connection: &mut Connection, frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<Step, Closing> {
    let is_message = frame.fin && frame.opcode != ws::Opcode::Continuation && connection.fragments.is_none();
    if is_message && shard.gate.is_full() && shed(shard, connection, frame, out) {
        return Ok(Step::Served(frame.consumed));
    }
    // Lent by the shard for this frame; a message within it borrows from it while the shard answers.
    let mut unmasked = std::mem::take(&mut shard.unmasked);
    unmasked.clear();
    ws::append_masked(frame.mask.unwrap_or_default(), frame.payload, &mut unmasked);
    let outcome = take_unmasked(shard, connection, frame, &unmasked, out);
    shard.unmasked = unmasked;
    outcome
}

fn take_unmasked(
    shard: &mut Parts,
    connection: &mut Connection,
    frame: &Frame<'_>,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<Step, Closing> {
    let served = Step::Served(frame.consumed);
    match frame.opcode {
        ws::Opcode::Ping => {
            ws::write_header(out, ws::Opcode::Pong, payload.len(), None);
            out.extend_from_slice(payload);
            return Ok(served);
        }
        ws::Opcode::Pong => return Ok(served),
        ws::Opcode::Close => {
            close(payload, out)?;
            connection.fragments = None;
            return Ok(Step::Last(frame.consumed));
        }
        ws::Opcode::Text | ws::Opcode::Binary | ws::Opcode::Continuation => {}
    }
    match (frame.opcode, connection.fragments.take()) {
        (ws::Opcode::Continuation, None) => {
            return Err(Closing::new(CloseCode::Protocol, "a continuation of nothing"));
        }
        (ws::Opcode::Continuation, Some(mut fragments)) => {
            fragments.message.extend_from_slice(payload);
            fragments.count += 1;
            if frame.fin {
                answer(shard, connection, fragments.opcode, &fragments.message, out)?;
            } else if fragments.count >= FRAGMENTS {
                return Err(Closing::new(CloseCode::Policy, format!("a message in more than {FRAGMENTS} frames")));
            } else {
                connection.fragments = Some(fragments);
            }
        }
        (_, Some(_)) => {
            return Err(Closing::new(CloseCode::Protocol, "a new message within one that has not ended"));
        }
        (opcode, None) if frame.fin => answer(shard, connection, opcode, payload, out)?,
        (opcode, None) => {
            connection.fragments = Some(Box::new(Fragments { opcode, count: 1, message: payload.to_vec() }));
        }
    }
    Ok(served)
}

/// Answers a close frame with its own code, as the RFC asks for (5.5.1).
fn close(payload: &[u8], out: &mut Vec<u8>) -> Result<(), Closing> {
    let (code, reason) = match payload {
        [] => (None, payload),
        [high, low, reason @ ..] => (Some(u16::from_be_bytes([*high, *low])), reason),
        [_] => return Err(Closing::new(CloseCode::Protocol, "a close code of one byte")),
    };
    if let Some(code) = code.filter(|code| !is_close_code(*code)) {
        return Err(Closing::new(CloseCode::Protocol, format!("{code} is no close code")));
    }
    if std::str::from_utf8(reason).is_err() {
        return Err(Closing::new(CloseCode::InvalidText, "the reason to close is not UTF-8"));
    }
    let code = &payload[..code.map_or(0, |_| 2)];
    ws::write_header(out, ws::Opcode::Close, code.len(), None);
    out.extend_from_slice(code);
    Ok(())
}

fn answer(
    shard: &mut Parts,
    connection: &mut Connection,
    opcode: ws::Opcode,
    message: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Closing> {
    if opcode == ws::Opcode::Binary {
        answer_binary(shard, connection, message, out);
        return Ok(());
    }
    let Ok(message) = std::str::from_utf8(message) else {
        return Err(Closing::new(CloseCode::InvalidText, "a text message that is not UTF-8"));
    };
    if !shard.format.is_text() {
        let says = format!("text is for JSON: send {} in binary messages", shard.format);
        return Err(Closing::new(CloseCode::Unsupported, says));
    }
    answer_text(shard, connection, message, out);
    Ok(())
}

/// A binary message is one of the protocol `frame`, and so is its reply. What is wrong with it is answered, not more: the
/// next message is delimited whatever this one says.
fn answer_binary(shard: &mut Parts, connection: &mut Connection, message: &[u8], out: &mut Vec<u8>) {
    let begun = ws::begin(out, ws::Opcode::Binary, expected(message.len()));
    let length = message.len();
    match frame::parse_request(message) {
        Ok(frame::Parsed::Whole(request)) if request.consumed == length => {
            super::frame::answer(shard, connection, &request, out);
        }
        Ok(frame::Parsed::Whole(frame::Frame { consumed: needed, .. }) | frame::Parsed::Partial { needed }) => {
            let says = format!("a message of {length} bytes, its head says {needed}");
            refuse_binary(shard, out, 0, &Refusal::new(Status::BadRequest, says));
        }
        Err(error) => refuse_binary(shard, out, error.id(), &Refusal::new(error.status(), error.to_string())),
    }
    ws::finish(out, begun);
}

fn refuse_binary(shard: &mut Parts, out: &mut Vec<u8>, id: u32, refusal: &Refusal) {
    shard.counters.error(refusal.kind);
    super::frame::refuse(out, id, 0, refusal);
}

fn answer_text(shard: &mut Parts, connection: &mut Connection, message: &str, out: &mut Vec<u8>) {
    let begun = ws::begin(out, ws::Opcode::Text, expected(message.len()));
    let (id, outcome) = match text::parse(message) {
        Ok(message) => {
            text::write_reply_head(out, message.id, Status::Ok);
            let outcome = shard
                .take_place(connection)
                .and_then(|()| operation(shard, &message))
                .and_then(|operation| shard.perform(operation, out));
            (message.id, outcome)
        }
        Err(error) => (0, Err(Refusal::new(Status::BadRequest, error.to_string()))),
    };
    if let Err(refusal) = outcome {
        shard.counters.error(refusal.kind);
        out.truncate(begun.payload_at());
        text::write_reply_head(out, id, refusal.status);
        out.extend_from_slice(refusal.says.as_bytes());
    }
    ws::finish(out, begun);
}

fn operation<'a>(shard: &mut Parts, message: &text::Message<'a>) -> Result<Operation<'a>, Refusal> {
    let body = message.body.as_bytes();
    match text::opcode(message.word) {
        Some(Opcode::Echo) => Ok(Operation::Echo(body)),
        Some(Opcode::AddNote) => Ok(Operation::AddNote(body)),
        Some(Opcode::ListNotes) => Ok(Operation::ListNotes(shard.format.decode(body, &mut shard.scratch)?)),
        Some(Opcode::Publish) => Ok(Operation::Publish(body)),
        None => {
            let word: String = message.word.escape_default().take(20).collect();
            let says = format!("unknown operation `{word}`: echo, add, list or publish");
            Err(Refusal::new(Status::NotFound, says))
        }
    }
}

/// A guess at a reply's length, for the room of its header: an echo is as long as its request, notes and pages mostly
/// need two bytes of length. A wrong guess costs moving the reply by a few bytes.
fn expected(request: usize) -> usize {
    request.max(126)
}
