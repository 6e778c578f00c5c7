//! Records of which the four fields are a given share and stand in a given place, and records with fields that nobody knows.

use std::collections::BTreeMap;

use prost::Message;
use serde::{Deserialize, Serialize};

use super::Required;
use crate::Format;
use crate::data::{Author, Broadcast, Media, Random, Reactions};
use crate::format::rfc3339;
use crate::message::Timestamp;

/// Bytes of a shaped record in protobuf, roughly: the size of the data set's larger records, the same for every share.
const SHAPED_BYTES: usize = 4 << 10;

/// Field number of the first unknown field: none of the schema's.
const UNKNOWN_FIELD: u32 = 101;

/// Shares of the four fields in a record, percent of its bytes in protobuf.
pub const SHARES: [usize; 4] = [1, 15, 50, 100];

/// Where the four fields stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Before all others, as the schema numbers them.
    First,
    /// With half of the others on either side.
    Middle,
    /// Behind all others.
    Last,
}

impl Position {
    /// Every position.
    pub const ALL: [Position; 3] = [Position::First, Position::Middle, Position::Last];

    /// The name used in benches.
    pub const fn name(self) -> &'static str {
        match self {
            Position::First => "first",
            Position::Middle => "middle",
            Position::Last => "last",
        }
    }
}

/// One half of the other fields.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase")]
struct Front {
    #[prost(string, tag = "5")]
    title: String,
    #[prost(message, required, tag = "6")]
    author: Author,
    #[prost(string, repeated, tag = "7")]
    tags: Vec<String>,
    #[prost(message, repeated, tag = "8")]
    media: Vec<Media>,
}

/// The other half.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(rename_all = "camelCase")]
struct Back {
    #[prost(message, required, tag = "9")]
    reactions: Reactions,
    #[prost(message, required, tag = "10")]
    #[serde(with = "rfc3339")]
    updated: Timestamp,
    #[prost(string, tag = "11")]
    locale: String,
    #[prost(double, tag = "12")]
    score: f64,
}

/// Variant `index` of a record of about 4 KiB of which the four fields are `share` percent: with 1 percent the text is empty, with
/// 100 there is little else, and in between the text grows as pictures go.
pub fn shaped(index: u32, share: usize) -> Broadcast {
    let mut random = Random::new(index);
    let mut record = Broadcast::bare(index, &mut random);
    let fixed = record.encoded_len();
    if share > 1 {
        // About 40 bytes of the four fields are not text.
        record.content = random.text_of((SHAPED_BYTES * share / 100).saturating_sub(40));
    }
    if share == 100 {
        return Broadcast {
            content: record.content,
            id: record.id,
            date: record.date,
            status: record.status,
            ..Broadcast::default()
        };
    }
    while record.encoded_len() < SHAPED_BYTES.max(fixed) {
        record.media.push(Media::seeded(&mut random));
    }
    record
}

/// The record with the four fields at `position`; `None` where the format fixes the order of fields.
pub fn encode(format: Format, record: &Broadcast, position: Position) -> Option<Vec<u8>> {
    if position == Position::First {
        let mut out = Vec::new();
        format.encode(record, &mut out);
        return Some(out);
    }
    let record = record.clone();
    let required = Required { id: record.id, content: record.content, date: record.date, status: record.status };
    let front = Front { title: record.title, author: record.author, tags: record.tags, media: record.media };
    let back =
        Back { reactions: record.reactions, updated: record.updated, locale: record.locale, score: record.score };
    let required = part(format, &required)?;
    let (front, back) = (part(format, &front)?, part(format, &back)?);
    let parts = match position {
        Position::First | Position::Middle => [front, required, back],
        Position::Last => [front, back, required],
    };
    join(format, &parts)
}

/// The record as a producer sends it whose schema has `count` fields more than the consumer's; `None` where the format has no
/// place for them.
pub fn with_unknown(format: Format, record: &Broadcast, count: u32) -> Option<Vec<u8>> {
    let mut random = Random::new(count);
    let added: Vec<Media> = (0..count).map(|_| Media::seeded(&mut random)).collect();
    let mut known = Vec::new();
    format.encode(record, &mut known);
    let unknown = match format {
        Format::Protobuf | Format::ProtobufBuffa => {
            let mut out = Vec::new();
            for (field, media) in (UNKNOWN_FIELD..).zip(&added) {
                prost::encoding::message::encode(field, media, &mut out);
            }
            out
        }
        Format::Json | Format::JsonSonic | Format::JsonSimd | Format::Msgpack => {
            let fields: BTreeMap<String, &Media> =
                (0..).zip(&added).map(|(at, media)| (format!("added{at:02}"), media)).collect();
            named(format, &fields)
        }
        Format::Raw | Format::MsgpackArray | Format::Rkyv => return None,
    };
    join(format, &[known, unknown])
}

/// A part of a record as a message of its own.
fn part<P: Serialize + Message>(format: Format, part: &P) -> Option<Vec<u8>> {
    match format {
        Format::Protobuf | Format::ProtobufBuffa => Some(part.encode_to_vec()),
        Format::Json | Format::JsonSonic | Format::JsonSimd | Format::Msgpack => Some(named(format, part)),
        Format::Raw | Format::MsgpackArray | Format::Rkyv => None,
    }
}

fn named(format: Format, fields: &impl Serialize) -> Vec<u8> {
    if format == Format::Msgpack {
        rmp_serde::to_vec_named(fields).expect("lengths are known")
    } else {
        serde_json::to_vec(fields).expect("keys are strings")
    }
}

/// Messages one behind the other as one message.
fn join(format: Format, parts: &[Vec<u8>]) -> Option<Vec<u8>> {
    match format {
        // protobuf.dev, "Encoding": concatenated messages are a merged one.
        Format::Protobuf | Format::ProtobufBuffa => Some(parts.concat()),
        Format::Json | Format::JsonSonic | Format::JsonSimd => {
            let inner: Vec<&[u8]> =
                parts.iter().map(|part| &part[1..part.len() - 1]).filter(|inner| !inner.is_empty()).collect();
            Some([b"{", &inner.join(&b","[..])[..], b"}"].concat())
        }
        Format::Msgpack => {
            let maps: Vec<(u16, &[u8])> = parts.iter().map(|part| map(part)).collect();
            let count: u16 = maps.iter().map(|(count, _)| count).sum();
            let mut out = vec![0xde];
            out.extend_from_slice(&count.to_be_bytes());
            for (_, entries) in maps {
                out.extend_from_slice(entries);
            }
            Some(out)
        }
        Format::Raw | Format::MsgpackArray | Format::Rkyv => None,
    }
}

/// Entries of a map and their bytes (MessagePack's specification: `fixmap` and `map 16`).
fn map(bytes: &[u8]) -> (u16, &[u8]) {
    match bytes {
        [0xde, high, low, entries @ ..] => (u16::from_be_bytes([*high, *low]), entries),
        [head, entries @ ..] => (u16::from(head & 0x0f), entries),
        [] => unreachable!("an encoded map has a head"),
    }
}
