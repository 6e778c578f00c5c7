//! The format `json-simd`: the same JSON by simd-json.
//!
//! It unescapes strings where they stand, so it needs bytes of its own: the copy is part of what it costs, and is made into
//! memory that is reused.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::with_serde::WithSerde;
use super::{Scratch, Stop, json};

pub(super) struct Simd;

impl WithSerde for Simd {
    fn write(message: &impl Serialize, out: &mut Vec<u8>) {
        simd_json::serde::to_writer(out, message)
            .expect("a Vec takes every byte and no map here has keys that are not strings");
    }

    fn read<'a, M: Deserialize<'a>>(body: &'a [u8], scratch: &'a mut Scratch) -> Result<M, Stop> {
        scratch
            .with_simd(body, |bytes, buffers| simd_json::serde::from_slice_with_buffers(bytes, buffers))
            .map_err(|error| Stop::at(error.index().min(body.len()), error))
    }

    fn explain<M: DeserializeOwned>(body: &[u8], stop: Stop) -> Stop {
        json::explain::<M>(body, stop)
    }
}
