//! The format `json`: the JSON mapping of proto3 by serde_json.
//!
//! As a gateway in front of a gRPC service would write it. Unknown fields are skipped: a reader requires what it needs. A field
//! that comes twice is refused.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::with_serde::WithSerde;
use super::{Scratch, Stop};

pub(super) struct SerdeJson;

impl WithSerde for SerdeJson {
    fn write(message: &impl Serialize, out: &mut Vec<u8>) {
        serde_json::to_writer(out, message)
            .expect("a Vec takes every byte and no map here has keys that are not strings");
    }

    fn read<'a, M: Deserialize<'a>>(body: &'a [u8], _: &'a mut Scratch) -> Result<M, Stop> {
        serde_json::from_slice(body).map_err(|error| Stop::at(offset(body, &error), error))
    }

    fn explain<M: DeserializeOwned>(body: &[u8], stop: Stop) -> Stop {
        explain::<M>(body, stop)
    }
}

/// The field at which serde_json stops, and the byte; `stop` when serde_json does not stop at all.
pub(super) fn explain<M: DeserializeOwned>(body: &[u8], stop: Stop) -> Stop {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, M>(&mut deserializer) {
        Ok(_) => match deserializer.end() {
            Ok(()) => stop,
            Err(error) => Stop::at(offset(body, &error), error),
        },
        Err(error) => {
            let field = error.path().to_string();
            let field = if field == "." { String::new() } else { field };
            let error = error.into_inner();
            Stop { field, offset: Some(offset(body, &error)), reason: error.to_string() }
        }
    }
}

/// serde_json counts lines and columns from 1, columns in bytes.
fn offset(body: &[u8], error: &serde_json::Error) -> usize {
    let lines = body.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    let before: usize = lines.map(<[u8]>::len).sum();
    (before + error.column().saturating_sub(1)).min(body.len())
}
