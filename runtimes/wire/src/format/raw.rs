//! The format `raw`: fixed little-endian fields, texts as they are.
//!
//! It stands for "no codec": what remains is copying, a length check and the UTF-8 check that every server of text
//! owes its store. The distance of another format to this one is what that format costs.
//!
//! ```text
//! AddNote    text: the whole body
//! ListNotes  offset u32 · limit u32
//! Note       id u64 · created seconds i64, nanos i32 · modified seconds i64, nanos i32 · text length u32 · text
//! NotePage   total u64 · count u32 · count times Note
//! ```

use super::{DecodeError, Format};
use crate::message::{ListNotes, Note, NotePage, Timestamp};

/// Bytes of a note without its text.
const NOTE_FIXED_BYTES: usize = 8 + 12 + 12 + 4;

pub(super) fn encode_add_note(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn decode_add_note(body: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(body).map_err(|error| failed("AddNote", &error.to_string()))
}

pub(super) fn encode_list_notes(request: ListNotes, out: &mut Vec<u8>) {
    out.extend_from_slice(&request.offset.to_le_bytes());
    out.extend_from_slice(&request.limit.to_le_bytes());
}

pub(super) fn decode_list_notes(body: &[u8]) -> Result<ListNotes, DecodeError> {
    let mut reader = Reader { rest: body, message: "ListNotes" };
    let request = ListNotes { offset: reader.u32()?, limit: reader.u32()? };
    reader.end()?;
    Ok(request)
}

pub(super) fn encode_note(note: &Note, out: &mut Vec<u8>) {
    let mut fixed = [0; NOTE_FIXED_BYTES];
    fixed[0..8].copy_from_slice(&note.id.to_le_bytes());
    fixed[8..16].copy_from_slice(&note.created.seconds.to_le_bytes());
    fixed[16..20].copy_from_slice(&note.created.nanos.to_le_bytes());
    fixed[20..28].copy_from_slice(&note.modified.seconds.to_le_bytes());
    fixed[28..32].copy_from_slice(&note.modified.nanos.to_le_bytes());
    let length = u32::try_from(note.text.len()).expect("a note's text is at most limits::TEXT_BYTES");
    fixed[32..36].copy_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&fixed);
    out.extend_from_slice(note.text.as_bytes());
}

pub(super) fn decode_note(body: &[u8]) -> Result<Note, DecodeError> {
    let mut reader = Reader { rest: body, message: "Note" };
    let note = reader.note()?;
    reader.end()?;
    Ok(note)
}

/// Id and text of a note, borrowed.
pub(crate) fn id_and_text(body: &[u8]) -> Result<(u64, &str), DecodeError> {
    let mut reader = Reader { rest: body, message: "Note" };
    let (id, _, _, text) = reader.note_fields()?;
    reader.end()?;
    Ok((id, text))
}

pub(super) fn encode_page<'a>(total: u64, notes: impl Iterator<Item = &'a Note> + Clone, out: &mut Vec<u8>) {
    out.extend_from_slice(&total.to_le_bytes());
    let count = u32::try_from(notes.clone().count()).expect("a page holds at most limits::PAGE_NOTES");
    out.extend_from_slice(&count.to_le_bytes());
    for note in notes {
        encode_note(note, out);
    }
}

pub(super) fn decode_page(body: &[u8]) -> Result<NotePage, DecodeError> {
    let mut reader = Reader { rest: body, message: "NotePage" };
    let total = reader.u64()?;
    let count = reader.u32()? as usize;
    // The count is the peer's word: what is reserved for it is bounded by the bytes that came.
    let mut notes = Vec::with_capacity(count.min(reader.rest.len() / NOTE_FIXED_BYTES));
    for _ in 0..count {
        notes.push(reader.note()?);
    }
    reader.end()?;
    Ok(NotePage { total, notes })
}

struct Reader<'a> {
    rest: &'a [u8],
    message: &'static str,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(|| {
            failed(self.message, &format!("a field of {length} bytes, but {} are left", self.rest.len()))
        })?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.bytes(N)?.try_into().expect("bytes(N) returns N bytes"))
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    fn timestamp(&mut self) -> Result<Timestamp, DecodeError> {
        let seconds = self.array().map(i64::from_le_bytes)?;
        let nanos = self.array().map(i32::from_le_bytes)?;
        Ok(Timestamp { seconds, nanos })
    }

    fn note_fields(&mut self) -> Result<(u64, Timestamp, Timestamp, &'a str), DecodeError> {
        let id = self.u64()?;
        let created = self.timestamp()?;
        let modified = self.timestamp()?;
        let length = self.u32()? as usize;
        let text =
            std::str::from_utf8(self.bytes(length)?).map_err(|error| failed(self.message, &error.to_string()))?;
        Ok((id, created, modified, text))
    }

    fn note(&mut self) -> Result<Note, DecodeError> {
        let (id, created, modified, text) = self.note_fields()?;
        Ok(Note { id, text: text.to_owned(), created, modified })
    }

    fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(failed(self.message, &format!("{} bytes too many", self.rest.len())))
    }
}

fn failed(message: &'static str, reason: &str) -> DecodeError {
    DecodeError { format: Format::Raw, message, reason: reason.to_owned() }
}
