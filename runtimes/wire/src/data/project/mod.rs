//! Reading four fields out of many.
//!
//! The consumer of `broadcast` requires `id`, `content`, `date` and `status`; how cheaply can it have them? That depends on the format,
//! on how much of the message they are, on where they stand, and on whether the rest is looked at (`read.rs`). Messages for
//! that are made by `shape.rs`.

mod read;
mod shape;

pub use read::{READERS, Reader};
pub use shape::{Position, SHARES, encode, shaped, with_unknown};

use prost::Message;
use serde::{Deserialize, Serialize};

use crate::format::{rfc3339, string_u64};
use crate::message::Timestamp;

/// The fields that the consumer requires, under the names and numbers of [`super::Broadcast`].
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
pub struct Required {
    /// As in the whole record, and so are the others.
    #[prost(uint64, tag = "1")]
    #[serde(with = "string_u64")]
    pub id: u64,
    /// The text.
    #[prost(string, tag = "2")]
    pub content: String,
    /// When it was published.
    #[prost(message, required, tag = "3")]
    #[serde(with = "rfc3339")]
    pub date: Timestamp,
    /// What became of it.
    #[prost(string, tag = "4")]
    pub status: String,
}

/// What a reader found, in a number: readers that disagree are found out, and the compiler cannot leave the reading out.
fn digest(id: u64, content: &str, date: Timestamp, status: &str) -> u64 {
    let ends = [content, status].map(|text| text.len() as u64 + u64::from(text.bytes().last().unwrap_or(0)));
    id.rotate_left(7) ^ date.seconds.cast_unsigned() ^ ends[0].rotate_left(20) ^ ends[1].rotate_left(40)
}
