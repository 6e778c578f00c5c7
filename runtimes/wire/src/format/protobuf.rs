//! The format `protobuf`: Protocol Buffers by prost, schema in `proto/note.proto`.

use prost::Message;

use super::{DecodeError, Format};
use crate::message::{AddNote, Note};

/// Key of `NotePage.notes`: field 2, length-delimited (protobuf.dev, "Encoding": `(field << 3) | 2`).
const PAGE_NOTES_KEY: u8 = (2 << 3) | 2;

/// Key of `AddNote.text`: field 1, length-delimited.
const ADD_NOTE_TEXT_KEY: u8 = (1 << 3) | 2;

/// A page's scalar fields. Encoded messages may be concatenated, so this followed by the notes is a page.
#[derive(Clone, Copy, PartialEq, Message)]
struct PageHead {
    #[prost(uint64, tag = "1")]
    total: u64,
}

pub(super) fn encode(message: &impl Message, out: &mut Vec<u8>) {
    message.encode(out).expect("a Vec grows as needed");
}

pub(super) fn decode<M: Message + Default>(body: &[u8], message: &'static str) -> Result<M, DecodeError> {
    M::decode(body).map_err(|error| failed(message, &error))
}

pub(super) fn encode_add_note(text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        out.push(ADD_NOTE_TEXT_KEY);
        prost::encode_length_delimiter(text.len(), out).expect("a Vec grows as needed");
        out.extend_from_slice(text.as_bytes());
    }
}

pub(super) fn decode_add_note<'a>(body: &[u8], scratch: &'a mut AddNote) -> Result<&'a str, DecodeError> {
    scratch.clear();
    scratch.merge(body).map_err(|error| failed("AddNote", &error))?;
    Ok(&scratch.text)
}

/// Decodes into `scratch`, whose text keeps its capacity.
pub(crate) fn decode_note_into(body: &[u8], scratch: &mut Note) -> Result<(), DecodeError> {
    scratch.clear();
    scratch.merge(body).map_err(|error| failed("Note", &error))
}

pub(super) fn encode_page<'a>(total: u64, notes: impl Iterator<Item = &'a Note>, out: &mut Vec<u8>) {
    encode(&PageHead { total }, out);
    for note in notes {
        out.push(PAGE_NOTES_KEY);
        note.encode_length_delimited(out).expect("a Vec grows as needed");
    }
}

fn failed(message: &'static str, error: &prost::DecodeError) -> DecodeError {
    DecodeError { format: Format::Protobuf, message, reason: error.to_string() }
}
