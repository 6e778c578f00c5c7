//! What the formats through serde have in common: everything but their serializer and deserializer.

use std::borrow::Cow;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::{Codec, Scratch, Stop, string_u64};
use crate::Record;
use crate::message::{self, Note};

/// A format that serde's derives reach.
pub(super) trait WithSerde {
    /// Appends a message.
    fn write(message: &impl Serialize, out: &mut Vec<u8>);

    /// A message, which may borrow from the body or from the scratch memory.
    fn read<'a, M: Deserialize<'a>>(body: &'a [u8], scratch: &'a mut Scratch) -> Result<M, Stop>;

    /// Reads a body that was refused again, to say in which field and where. Slower, so only then.
    fn explain<M: DeserializeOwned>(body: &[u8], stop: Stop) -> Stop;
}

#[derive(Serialize, Deserialize)]
struct AddNote<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
}

/// What a client checks in a reply to `AddNote`; the times must be there but are not parsed.
#[derive(Deserialize)]
struct AddedNote<'a> {
    #[serde(with = "string_u64")]
    id: u64,
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(rename = "created")]
    _created: IgnoredAny,
    #[serde(rename = "modified")]
    _modified: IgnoredAny,
}

impl<F: WithSerde> Codec for F {
    fn encode<R: Record>(record: &R, out: &mut Vec<u8>) {
        F::write(record, out);
    }

    fn decode<R: Record>(body: &[u8], scratch: &mut Scratch) -> Result<R, Stop> {
        F::read(body, scratch).map_err(|stop| F::explain::<R>(body, stop))
    }

    fn encode_add_note(text: &str, out: &mut Vec<u8>) {
        F::write(&AddNote { text: Cow::Borrowed(text) }, out);
    }

    fn decode_add_note<'a>(body: &'a [u8], scratch: &'a mut Scratch) -> Result<Cow<'a, str>, Stop> {
        match F::read::<AddNote<'_>>(body, scratch) {
            Ok(add) => Ok(add.text),
            Err(stop) => Err(F::explain::<message::AddNote>(body, stop)),
        }
    }

    fn encode_page<'a>(total: u64, notes: impl Iterator<Item = &'a Note> + Clone, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct Page<I: Serialize> {
            #[serde(with = "string_u64")]
            total: u64,
            notes: I,
        }

        F::write(&Page { total, notes: Notes(notes) }, out);
    }

    fn id_and_text<'a>(body: &'a [u8], scratch: &'a mut Scratch) -> Result<(u64, Cow<'a, str>), Stop> {
        match F::read::<AddedNote<'_>>(body, scratch) {
            Ok(note) => Ok((note.id, note.text)),
            Err(stop) => Err(F::explain::<Note>(body, stop)),
        }
    }
}

struct Notes<I>(I);

impl<'a, I: Iterator<Item = &'a Note> + Clone> Serialize for Notes<I> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}
