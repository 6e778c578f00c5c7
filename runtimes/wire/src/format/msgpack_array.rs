//! The format `msgpack-array`: MessagePack by rmp-serde, structs as arrays in the order of their fields.
//!
//! rmp-serde's default. Shorter by the names, and a schema format by that: a reader must know as many fields as came.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::with_serde::WithSerde;
use super::{Scratch, Stop, msgpack};

pub(super) struct Array;

impl WithSerde for Array {
    fn write(message: &impl Serialize, out: &mut Vec<u8>) {
        rmp_serde::encode::write(out, message).expect("a Vec takes every byte and lengths are known");
    }

    fn read<'a, M: Deserialize<'a>>(body: &'a [u8], _: &'a mut Scratch) -> Result<M, Stop> {
        msgpack::read(body)
    }

    fn explain<M: DeserializeOwned>(body: &[u8], stop: Stop) -> Stop {
        msgpack::explain::<M>(body, stop)
    }
}
