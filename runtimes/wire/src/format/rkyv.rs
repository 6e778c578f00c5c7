//! The format `rkyv`: archives that are read where they lie.
//!
//! The zero-copy floor: encoding copies fields, decoding is one validation of bounds, UTF-8 and bools and then plain reads. Built
//! with rkyv's features `little_endian` (its default) and `unaligned`, since a body may begin at any address of a receive
//! buffer. The root is at the end of the body. There is no schema on the wire: both ends must have the same types.

use std::borrow::Cow;

use rkyv::rancor::{Error, Fallible, Source};
use rkyv::ser::{Allocator, Writer};
use rkyv::vec::{ArchivedVec, VecResolver};
use rkyv::{Archive, Place, Serialize};

use super::{Codec, Scratch, Stop};
use crate::Record;
use crate::message::{ArchivedAddNote, ArchivedNote, Note};

pub(super) struct Archives;

/// A record that rkyv can write and read; implemented by the table of records.
pub trait Archived: Sized {
    /// Appends the record's archive.
    fn archive(&self, out: &mut Vec<u8>);

    /// Whether these bytes are an archive of such a record, which may be read where it lies.
    fn is_archive(body: &[u8]) -> bool;

    /// Validates an archive and copies the record out of it.
    fn unarchive(body: &[u8]) -> Result<Self, Stop>;
}

/// Implements [`Archived`] by rkyv's derives. A macro, since the bounds of a blanket implementation would have to be repeated by
/// everything that is generic over records.
macro_rules! archived {
    ($($name:ident),*) => {$(
        impl $crate::format::Archived for $name {
            fn archive(&self, out: &mut Vec<u8>) {
                rkyv::api::high::to_bytes_in::<_, rkyv::rancor::Error>(self, out).expect("a Vec grows as needed");
            }

            fn is_archive(body: &[u8]) -> bool {
                rkyv::access::<rkyv::Archived<$name>, rkyv::rancor::Failure>(body).is_ok()
            }

            fn unarchive(body: &[u8]) -> Result<Self, $crate::format::Stop> {
                rkyv::from_bytes::<$name, rkyv::rancor::Error>(body).map_err(|error| $crate::format::rkyv_stop(&error))
            }
        }
    )*};
}
pub(crate) use archived;

impl Codec for Archives {
    fn encode<R: Record>(record: &R, out: &mut Vec<u8>) {
        record.archive(out);
    }

    fn decode<R: Record>(body: &[u8], _: &mut Scratch) -> Result<R, Stop> {
        R::unarchive(body)
    }

    fn encode_add_note(text: &str, out: &mut Vec<u8>) {
        #[derive(Archive, Serialize)]
        struct Add<'a> {
            #[rkyv(with = rkyv::with::AsOwned)]
            text: Cow<'a, str>,
        }

        rkyv::api::high::to_bytes_in::<_, Error>(&Add { text: Cow::Borrowed(text) }, out)
            .expect("a Vec grows as needed");
    }

    fn decode_add_note<'a>(body: &'a [u8], _: &'a mut Scratch) -> Result<Cow<'a, str>, Stop> {
        let add = rkyv::access::<ArchivedAddNote, Error>(body).map_err(|error| stop(&error))?;
        Ok(Cow::Borrowed(add.text.as_str()))
    }

    fn encode_page<'a>(total: u64, notes: impl Iterator<Item = &'a Note> + Clone, out: &mut Vec<u8>) {
        #[derive(Archive, Serialize)]
        struct Page<I: Archive> {
            total: u64,
            notes: I,
        }

        let left = notes.clone().count();
        let page = Page { total, notes: Notes { notes, left } };
        rkyv::api::high::to_bytes_in::<_, Error>(&page, out).expect("a Vec grows as needed");
    }

    fn id_and_text<'a>(body: &'a [u8], _: &'a mut Scratch) -> Result<(u64, Cow<'a, str>), Stop> {
        let note = rkyv::access::<ArchivedNote, Error>(body).map_err(|error| stop(&error))?;
        Ok((note.id.to_native(), Cow::Borrowed(note.text.as_str())))
    }
}

/// Notes that stay where they are, archived as a list of them.
#[derive(Clone)]
struct Notes<I> {
    notes: I,
    left: usize,
}

impl<'a, I: Iterator<Item = &'a Note>> Iterator for Notes<I> {
    type Item = &'a Note;

    fn next(&mut self) -> Option<&'a Note> {
        self.left = self.left.saturating_sub(1);
        self.notes.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a, I: Iterator<Item = &'a Note>> ExactSizeIterator for Notes<I> {}

impl<'a, I: Iterator<Item = &'a Note> + Clone> Archive for Notes<I> {
    type Archived = ArchivedVec<ArchivedNote>;
    type Resolver = VecResolver;

    fn resolve(&self, resolver: VecResolver, out: Place<Self::Archived>) {
        ArchivedVec::resolve_from_len(self.left, resolver, out);
    }
}

impl<'a, S, I> Serialize<S> for Notes<I>
where
    S: Fallible + Allocator + Writer + ?Sized,
    S::Error: Source,
    I: Iterator<Item = &'a Note> + Clone,
    Note: Serialize<S, Archived = ArchivedNote>,
{
    fn serialize(&self, serializer: &mut S) -> Result<VecResolver, S::Error> {
        ArchivedVec::serialize_from_iter::<Note, _, S>(self.clone(), serializer)
    }
}

/// rkyv's errors hold addresses of this process, which are nobody's business: only the fields on the way are passed on.
pub(crate) fn stop(error: &Error) -> Stop {
    let says = error.to_string();
    let mut path: Vec<&str> = says.split("field '").skip(1).filter_map(|rest| rest.split('\'').next()).collect();
    path.reverse();
    Stop { field: path.join("."), offset: None, reason: "not a valid archive".to_owned() }
}
