//! The messages that every format carries: those of the note service and those of the data sets.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::data::{Broadcast, Event, Presence, Samples};
use crate::format::{Archived, Raw, Viewed, archived};
use crate::message::{AddNote, ListNotes, Note, NotePage};

/// A message with all that the formats ask for: serde's and prost's derives, rkyv's archive, fixed fields, and a view by buffa.
pub trait Record:
    Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + prost::Message + Archived + Raw + Viewed + 'static
{
    /// The message's name in its schema.
    const NAME: &'static str;
}

/// The table: a record is its type, a message in `proto/` and an entry here.
macro_rules! records {
    ($($name:ident),* $(,)?) => {
        $(impl Record for $name {
            const NAME: &'static str = stringify!($name);
        })*
        archived!($($name),*);
    };
}

records!(AddNote, Broadcast, Event, ListNotes, Note, NotePage, Presence, Samples);
