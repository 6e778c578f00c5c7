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
//! others     their fields in order; a text or a list after its length u32, a bool as one byte
//! ```

use std::borrow::Cow;

use super::{Codec, Scratch, Stop};
use crate::Record;
use crate::message::{AddNote, Note, Timestamp};

/// Bytes of a note without its text.
const NOTE_FIXED_BYTES: usize = 8 + 12 + 12 + 4;

pub(super) struct Fields;

impl Codec for Fields {
    fn encode<R: Record>(record: &R, out: &mut Vec<u8>) {
        record.put(out);
    }

    fn decode<R: Record>(body: &[u8], _: &mut Scratch) -> Result<R, Stop> {
        let mut reader = Reader::new(body);
        let record = R::take(&mut reader)?;
        reader.end()?;
        Ok(record)
    }

    fn encode_add_note(text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(text.as_bytes());
    }

    fn decode_add_note<'a>(body: &'a [u8], _: &'a mut Scratch) -> Result<Cow<'a, str>, Stop> {
        let mut reader = Reader::new(body);
        reader.field = "text";
        reader.text(body.len()).map(Cow::Borrowed)
    }

    fn encode_page<'a>(total: u64, notes: impl Iterator<Item = &'a Note> + Clone, out: &mut Vec<u8>) {
        total.put(out);
        put_length(notes.clone().count(), out);
        for note in notes {
            note.put(out);
        }
    }

    fn id_and_text<'a>(body: &'a [u8], _: &'a mut Scratch) -> Result<(u64, Cow<'a, str>), Stop> {
        let mut reader = Reader::new(body);
        let (id, _, _, text) = reader.note_fields()?;
        reader.end()?;
        Ok((id, Cow::Borrowed(text)))
    }
}

/// A value with fixed fields.
pub trait Raw: Sized {
    /// The fewest bytes that one takes, at least 1: it bounds what is reserved for a list whose length a peer states.
    const MIN_BYTES: usize;

    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes a value from the front.
    ///
    /// # Errors
    /// Too few bytes, text that is not UTF-8, a bool that is neither 0 nor 1.
    fn take(reader: &mut Reader<'_>) -> Result<Self, Stop>;
}

/// Bytes that are being taken apart.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
    /// What is being read, for errors.
    pub(crate) field: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Reader<'a> {
        Reader { rest: body, length: body.len(), field: "" }
    }

    fn stop(&self, reason: String) -> Stop {
        Stop { field: self.field.to_owned(), offset: Some(self.length - self.rest.len()), reason }
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Stop> {
        let Some((bytes, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.stop(format!("{length} bytes, but {} are left", self.rest.len())));
        };
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        Ok(self.bytes(N)?.try_into().expect("bytes(N) returns N bytes"))
    }

    pub(crate) fn text(&mut self, length: usize) -> Result<&'a str, Stop> {
        let bytes = self.bytes(length)?;
        std::str::from_utf8(bytes).map_err(|error| {
            let mut stop = self.stop(error.to_string());
            stop.offset = stop.offset.map(|end| end - length + error.valid_up_to());
            stop
        })
    }

    fn note_fields(&mut self) -> Result<(u64, Timestamp, Timestamp, &'a str), Stop> {
        self.field = "id";
        let id = u64::take(self)?;
        self.field = "created";
        let created = Timestamp::take(self)?;
        self.field = "modified";
        let modified = Timestamp::take(self)?;
        self.field = "text";
        let length = u32::take(self)? as usize;
        Ok((id, created, modified, self.text(length)?))
    }

    fn end(&mut self) -> Result<(), Stop> {
        if self.rest.is_empty() {
            return Ok(());
        }
        self.field = "";
        Err(self.stop(format!("{} bytes too many", self.rest.len())))
    }
}

fn put_length(length: usize, out: &mut Vec<u8>) {
    let length = u32::try_from(length).expect("a message is far below 4 GiB: limits::MESSAGE_BYTES");
    out.extend_from_slice(&length.to_le_bytes());
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Raw for $number {
            const MIN_BYTES: usize = size_of::<$number>();

            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, Stop> {
                reader.array().map(<$number>::from_le_bytes)
            }
        }
    )*};
}

numbers!(i32, i64, u32, u64, f64);

impl Raw for bool {
    const MIN_BYTES: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Stop> {
        match reader.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(reader.stop(format!("{other} is no bool"))),
        }
    }
}

impl Raw for String {
    const MIN_BYTES: usize = 4;

    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Stop> {
        let length = u32::take(reader)? as usize;
        reader.text(length).map(str::to_owned)
    }
}

impl<T: Raw> Raw for Vec<T> {
    const MIN_BYTES: usize = 4;

    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for item in self {
            item.put(out);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Stop> {
        let count = u32::take(reader)? as usize;
        // The count is the peer's word: what is reserved for it is bounded by the bytes that came.
        let mut items = Vec::with_capacity(count.min(reader.rest.len() / T::MIN_BYTES));
        for _ in 0..count {
            items.push(T::take(reader)?);
        }
        Ok(items)
    }
}

/// By hand, in one piece: the note is the message whose distance to other formats is measured on connections.
impl Raw for Note {
    const MIN_BYTES: usize = NOTE_FIXED_BYTES;

    fn put(&self, out: &mut Vec<u8>) {
        let mut fixed = [0; NOTE_FIXED_BYTES];
        fixed[0..8].copy_from_slice(&self.id.to_le_bytes());
        fixed[8..16].copy_from_slice(&self.created.seconds.to_le_bytes());
        fixed[16..20].copy_from_slice(&self.created.nanos.to_le_bytes());
        fixed[20..28].copy_from_slice(&self.modified.seconds.to_le_bytes());
        fixed[28..32].copy_from_slice(&self.modified.nanos.to_le_bytes());
        let length = u32::try_from(self.text.len()).expect("a note's text is at most limits::TEXT_BYTES");
        fixed[32..36].copy_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&fixed);
        out.extend_from_slice(self.text.as_bytes());
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Stop> {
        let (id, created, modified, text) = reader.note_fields()?;
        Ok(Note { id, text: text.to_owned(), created, modified })
    }
}

/// The whole body is the text.
impl Raw for AddNote {
    const MIN_BYTES: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.text.as_bytes());
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Stop> {
        reader.field = "text";
        let text = reader.text(reader.rest.len())?.to_owned();
        Ok(AddNote { text })
    }
}

/// Implements [`Raw`] for a struct: its fields in the order given.
macro_rules! raw_fields {
    ($name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        impl $crate::format::Raw for $name {
            const MIN_BYTES: usize = 0 $(+ <$type as $crate::format::Raw>::MIN_BYTES)*;

            fn put(&self, out: &mut Vec<u8>) {
                $($crate::format::Raw::put(&self.$field, out);)*
            }

            fn take(reader: &mut $crate::format::RawReader<'_>) -> Result<Self, $crate::format::Stop> {
                Ok($name { $($field: {
                    reader.field = stringify!($field);
                    $crate::format::Raw::take(reader)?
                },)* })
            }
        }
    };
}
pub(crate) use raw_fields;
