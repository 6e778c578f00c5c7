//! The format `msgpack`: MessagePack by rmp-serde, structs as maps with the names of their fields.
//!
//! What people mean who compare MessagePack with JSON: it describes itself, so a reader may skip what it does not know.

use std::io::Cursor;

use rmp_serde::decode::ReadReader;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::with_serde::WithSerde;
use super::{Scratch, Stop};
use crate::limits;

/// What is said of bytes behind a message.
const TRAILING: &str = "there are bytes behind the message";

pub(super) struct Named;

impl WithSerde for Named {
    fn write(message: &impl Serialize, out: &mut Vec<u8>) {
        rmp_serde::encode::write_named(out, message).expect("a Vec takes every byte and lengths are known");
    }

    fn read<'a, M: Deserialize<'a>>(body: &'a [u8], _: &'a mut Scratch) -> Result<M, Stop> {
        read(body)
    }

    fn explain<M: DeserializeOwned>(body: &[u8], stop: Stop) -> Stop {
        explain::<M>(body, stop)
    }
}

/// rmp-serde reads structs from maps and from arrays. It stops where the value ends, so more is asked for: there must be none.
pub(super) fn read<'a, M: Deserialize<'a>>(body: &'a [u8]) -> Result<M, Stop> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(body);
    deserializer.set_max_depth(usize::from(limits::NESTING));
    let message = M::deserialize(&mut deserializer).map_err(|error| Stop::at(0, error))?;
    match IgnoredAny::deserialize(&mut deserializer) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(message),
        _ => Err(Stop::at(0, TRAILING)),
    }
}

/// The field at which rmp-serde stops, and the byte.
pub(super) fn explain<M: DeserializeOwned>(body: &[u8], stop: Stop) -> Stop {
    let mut deserializer = rmp_serde::Deserializer::new(Cursor::new(body));
    deserializer.set_max_depth(usize::from(limits::NESTING));
    match serde_path_to_error::deserialize::<_, M>(&mut deserializer) {
        Ok(_) if stop.reason == TRAILING => Stop { offset: Some(position(&deserializer, body)), ..stop },
        Ok(_) => stop,
        Err(error) => {
            let field = error.path().to_string();
            let field = if field == "." { String::new() } else { field };
            let offset = Some(position(&deserializer, body));
            Stop { field, offset, reason: error.into_inner().to_string() }
        }
    }
}

fn position(deserializer: &rmp_serde::Deserializer<ReadReader<Cursor<&[u8]>>>, body: &[u8]) -> usize {
    usize::try_from(deserializer.position()).unwrap_or(usize::MAX).min(body.len())
}
