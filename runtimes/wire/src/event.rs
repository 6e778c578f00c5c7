//! Events: what a server tells its users though none of them asked.
//!
//! An event is a [`Note`] with a number, a text and its times, so every format has it already. Number and length decide
//! every byte of it: whoever hears one can tell that it is the right one, whole and in its place. The text is letters of
//! no meaning: what the talks' content manager sends is not known, so its size is the caller's choice.
//!
//! | protocol | an event is |
//! |---|---|
//! | `frame` | a frame with opcode [`OPCODE`], the event's number as id |
//! | `websocket`, binary | that frame as a message |
//! | `websocket`, text (format `json`) | `NUMBER event\n`, then the event |
//! | `http1` | impossible: a reply needs a request |

use crate::message::{Note, Timestamp};
use crate::websocket::{frame as ws, text};
use crate::{Format, Protocol, Status, frame};

/// Opcode of a frame that no request asked for. Those from here on are the server's.
pub const OPCODE: u8 = 128;

/// What stands in the place of the status in a text message.
pub const WORD: &str = "event";

/// Created of event 0: 2025-01-01T00:00:00Z; each further one is a second younger.
const EPOCH_SECONDS: i64 = 1_735_689_600;

/// Event `number`, whose text has `bytes` bytes, at most [`crate::limits::EVENT_BYTES`].
pub fn event(number: u32, bytes: usize) -> Note {
    // One byte a step of a multiplicative generator: events differ from each other from their first bytes on.
    let mut state = number ^ 0x9e37_79b9;
    let letters = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // The low bits of such a generator repeat soon; the top five do not.
        char::from(b'a' + u8::try_from((state >> 27) % 26).expect("below 26"))
    });
    let time = Timestamp { seconds: EPOCH_SECONDS + i64::from(number), nanos: 0 };
    Note { id: number.into(), text: letters.take(bytes).collect(), created: time, modified: time }
}

/// Whether a server can tell events in this protocol.
pub const fn is_told_in(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Frame | Protocol::WebSocket)
}

/// Appends the message that tells `event` (from [`event`]). Nothing where [`is_told_in`] says no.
pub fn write(protocol: Protocol, format: Format, event: &Note, out: &mut Vec<u8>) {
    match protocol {
        Protocol::Frame => write_frame(format, event, out),
        Protocol::WebSocket => {
            // Header and body of an event are longer than its text; a wrong guess moves the message by a few bytes.
            let opcode = if format.is_text() { ws::Opcode::Text } else { ws::Opcode::Binary };
            let begun = ws::begin(out, opcode, event.text.len() + frame::HEADER_BYTES);
            if opcode == ws::Opcode::Text {
                text::write_head(out, number(event), WORD);
                format.encode_note(event, out);
            } else {
                write_frame(format, event, out);
            }
            ws::finish(out, begun);
        }
        Protocol::Http1 => {}
    }
}

fn write_frame(format: Format, event: &Note, out: &mut Vec<u8>) {
    frame::write(out, number(event), OPCODE, Status::Ok.frame(), |out| format.encode_note(event, out));
}

fn number(event: &Note) -> u32 {
    u32::try_from(event.id).expect("an event's id is its number, which has 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{EVENT, ExpectedEvent, parse_reply};

    /// An event of every size, protocol and format comes out of the client's parser as itself; no other one passes for it.
    #[test]
    fn told_and_heard() {
        for protocol in [Protocol::Frame, Protocol::WebSocket] {
            assert!(is_told_in(protocol));
            for format in Format::ALL {
                for bytes in [1, 100, 128, 4_096, 65_535] {
                    let mut message = Vec::new();
                    write(protocol, format, &event(7, bytes), &mut message);
                    let reply = parse_reply(protocol, &message).unwrap().expect("a whole message");
                    assert_eq!((reply.status, reply.id, reply.consumed), (EVENT, Some(7), message.len()));
                    assert_eq!(
                        ExpectedEvent::new(format, 7, bytes).check(&reply),
                        Ok(()),
                        "{protocol} {format} {bytes}"
                    );
                    assert!(ExpectedEvent::new(format, 8, bytes).check(&reply).is_err());
                    assert!(ExpectedEvent::new(format, 7, bytes + 1).check(&reply).is_err());
                    assert_eq!(parse_reply(protocol, &message[..message.len() - 1]), Ok(None));
                }
            }
        }
        let mut nothing = Vec::new();
        write(Protocol::Http1, Format::Raw, &event(1, 1), &mut nothing);
        assert!(nothing.is_empty() && !is_told_in(Protocol::Http1));
    }

    /// Events are fixed, of the length asked for, and differ.
    #[test]
    fn fixed() {
        assert_eq!(event(3, 64), event(3, 64));
        assert_eq!(event(3, 64).text.len(), 64);
        assert_ne!(event(3, 64).text, event(4, 64).text);
    }
}
