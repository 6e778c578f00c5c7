//! The formats' reference for protobuf: `protobuf` by prost, schemas in `proto/`.

use std::borrow::Cow;

use prost::Message;

use super::{Codec, Scratch, Stop};
use crate::Record;
use crate::message::Note;

/// Key of `NotePage.notes`: field 2, length-delimited (protobuf.dev, "Encoding": `(field << 3) | 2`).
const PAGE_NOTES_KEY: u8 = (2 << 3) | 2;

/// Key of `AddNote.text`: field 1, length-delimited.
const ADD_NOTE_TEXT_KEY: u8 = (1 << 3) | 2;

/// How prost begins what it says.
const PREFIX: &str = "failed to decode Protobuf message: ";

pub(super) struct Prost;

/// A page's scalar fields. Encoded messages may be concatenated, so this followed by the notes is a page.
#[derive(Clone, Copy, PartialEq, Message)]
struct PageHead {
    #[prost(uint64, tag = "1")]
    total: u64,
}

/// The fields of a note that a client compares; the times are skipped as unknown ones.
#[derive(Clone, PartialEq, Message)]
struct IdAndText {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    text: String,
    #[prost(message, optional, tag = "3")]
    created: Option<()>,
    #[prost(message, optional, tag = "4")]
    modified: Option<()>,
}

impl Codec for Prost {
    fn encode<R: Record>(record: &R, out: &mut Vec<u8>) {
        record.encode(out).expect("a Vec grows as needed");
    }

    fn decode<R: Record>(body: &[u8], _: &mut Scratch) -> Result<R, Stop> {
        let mut record = R::default();
        merge(&mut record, body)?;
        Ok(record)
    }

    fn encode_add_note(text: &str, out: &mut Vec<u8>) {
        if !text.is_empty() {
            out.push(ADD_NOTE_TEXT_KEY);
            prost::encode_length_delimiter(text.len(), out).expect("a Vec grows as needed");
            out.extend_from_slice(text.as_bytes());
        }
    }

    fn decode_add_note<'a>(body: &'a [u8], scratch: &'a mut Scratch) -> Result<Cow<'a, str>, Stop> {
        scratch.add.clear();
        merge(&mut scratch.add, body)?;
        Ok(Cow::Borrowed(&scratch.add.text))
    }

    fn encode_page<'a>(total: u64, notes: impl Iterator<Item = &'a Note> + Clone, out: &mut Vec<u8>) {
        PageHead { total }.encode(out).expect("a Vec grows as needed");
        for note in notes {
            out.push(PAGE_NOTES_KEY);
            note.encode_length_delimited(out).expect("a Vec grows as needed");
        }
    }

    fn id_and_text<'a>(body: &'a [u8], scratch: &'a mut Scratch) -> Result<(u64, Cow<'a, str>), Stop> {
        // The text's memory is lent to the message and taken back.
        let mut text = std::mem::take(&mut scratch.add.text);
        text.clear();
        let mut note = IdAndText { text, ..IdAndText::default() };
        let merged = merge(&mut note, body);
        scratch.add.text = note.text;
        merged?;
        if note.created.is_none() || note.modified.is_none() {
            return Err(Stop::at(body.len(), "it lacks its times"));
        }
        Ok((note.id, Cow::Borrowed(&scratch.add.text)))
    }
}

/// Reads what is known of a message that prost or buffa refused: prost knows field and offset.
pub(super) fn explain<R: Record>(body: &[u8], stop: Stop) -> Stop {
    merge(&mut R::default(), body).err().unwrap_or(stop)
}

/// prost reads from a cursor, so where it stops is known.
fn merge(message: &mut impl Message, body: &[u8]) -> Result<(), Stop> {
    let mut rest = body;
    message.merge(&mut rest).map_err(|error| stop(body.len() - rest.len(), &error.to_string()))
}

/// prost says `Message.field: Message.field: reason`, from the innermost message to the outermost.
fn stop(offset: usize, says: &str) -> Stop {
    let mut reason = says.strip_prefix(PREFIX).unwrap_or(says);
    let mut path: Vec<&str> = Vec::new();
    while let Some((step, rest)) = reason.split_once(": ")
        && let Some((_, field)) = step.split_once('.')
        && !step.contains(' ')
    {
        path.push(field);
        reason = rest;
    }
    path.reverse();
    Stop { field: path.join("."), offset: Some(offset), reason: reason.to_owned() }
}
