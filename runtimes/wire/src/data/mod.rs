//! Data sets: what codecs are compared with.
//!
//! Each is a message with at least [`VARIANTS`] variants from a fixed seed, so that a branch predictor does not learn one by
//! heart and results of different days compare. A message is one Rust type here or in [`crate::message`], one message in
//! `proto/` and one JSON Schema in `schema/`; `tests/data.rs` holds them together.
//!
//! | set | what it stands for |
//! |---|---|
//! | `note`, `notes` | the note service's replies: one, and a page of 50 |
//! | `broadcast` | a content manager's rich record, of which a consumer requires four fields |
//! | `presence` | what hundreds of thousands of mostly idle users send |
//! | `metrics` | samples of the agent: many names, few bytes of value |
//! | `event-1k`, `event-10k` | a log record, flat and with frames of a stack |
//! | `text-16` to `text-256k` | one text, for what grows with size |

pub(crate) mod broadcast;
mod event;
mod metrics;
mod presence;
pub mod project;
mod random;
mod sizes;

pub use broadcast::{Author, Broadcast, Media, Reactions};
pub use event::{Attribute, Event, Frame};
pub use metrics::{Label, Samples, Series};
pub use presence::Presence;
pub use sizes::{Size, sizes};

pub(crate) use random::Random;

use crate::message::{AddNote, NotePage};
use crate::{Record, seeded};

/// Variants of every data set.
pub const VARIANTS: u32 = 50;

/// The JSON Schema of [`Broadcast`].
pub const BROADCAST_SCHEMA: &str = include_str!("../../schema/broadcast.schema.json");

/// The JSON Schema of its consumer, who requires four fields.
pub const REQUIRED_SCHEMA: &str = include_str!("../../schema/broadcast.required.schema.json");

/// Notes in a page of the set `notes`.
const PAGE_NOTES: u32 = 50;

/// Lengths of the texts in the size sweep, small ones first: the traffic of many users is small.
const TEXT_BYTES: [(&str, usize); 8] = [
    ("text-16", 16),
    ("text-64", 64),
    ("text-256", 256),
    ("text-1k", 1 << 10),
    ("text-4k", 4 << 10),
    ("text-16k", 16 << 10),
    ("text-64k", 64 << 10),
    ("text-256k", 256 << 10),
];

/// The names of the data sets, in the order in which they are listed to people.
pub const NAMES: [&str; 7 + TEXT_BYTES.len()] = {
    let mut names =
        ["note", "notes", "broadcast", "presence", "metrics", "event-1k", "event-10k", "", "", "", "", "", "", "", ""];
    let mut at = 0;
    while at < TEXT_BYTES.len() {
        names[7 + at] = TEXT_BYTES[at].0;
        at += 1;
    }
    names
};

/// A message in many variants.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSet<R> {
    /// The set's name in results.
    pub name: &'static str,
    /// At least [`VARIANTS`], always the same.
    pub variants: Vec<R>,
}

/// Something done with data sets whatever their type.
pub trait Visitor {
    /// Called once for each set, in the order in which they are listed to people.
    fn visit<R: Record>(&mut self, set: &DataSet<R>);
}

/// The JSON Schema of a data set's messages; `None` for a name that is not in [`NAMES`].
pub fn schema(set: &str) -> Option<&'static str> {
    match set {
        "note" => Some(include_str!("../../schema/note.schema.json")),
        "notes" => Some(include_str!("../../schema/notes.schema.json")),
        "broadcast" => Some(BROADCAST_SCHEMA),
        "presence" => Some(include_str!("../../schema/presence.schema.json")),
        "metrics" => Some(include_str!("../../schema/metrics.schema.json")),
        "event-1k" | "event-10k" => Some(include_str!("../../schema/event.schema.json")),
        text if NAMES.contains(&text) => Some(include_str!("../../schema/text.schema.json")),
        _ => None,
    }
}

/// Makes every data set and hands it to `visitor`.
pub fn each(visitor: &mut impl Visitor) {
    visitor.visit(&set("note", seeded::note));
    visitor.visit(&set("notes", |index| NotePage {
        total: u64::from(seeded::NOTES),
        notes: (0..PAGE_NOTES).map(|at| seeded::note((index * 19 + at) % seeded::NOTES)).collect(),
    }));
    visitor.visit(&set("broadcast", Broadcast::seeded));
    visitor.visit(&set("presence", Presence::seeded));
    visitor.visit(&set("metrics", Samples::seeded));
    visitor.visit(&set("event-1k", Event::flat));
    visitor.visit(&set("event-10k", Event::deep));
    for (name, bytes) in TEXT_BYTES {
        visitor.visit(&set(name, |index| AddNote { text: Random::new(index).text_of(bytes) }));
    }
}

fn set<R>(name: &'static str, variant: impl Fn(u32) -> R) -> DataSet<R> {
    DataSet { name, variants: (0..VARIANTS).map(variant).collect() }
}
