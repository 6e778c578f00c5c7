//! The format `json-sonic`: the same JSON by sonic-rs.
//!
//! Its SIMD code is chosen when it is compiled: without `-C target-cpu=native` it uses SSE2 on x86-64, which is what is measured
//! unless a result says otherwise. It skips what nobody knows by recursion without a limit (0.5.10), so that a body of brackets would
//! end the process: bodies are looked at first, which is part of what the format costs here.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::with_serde::WithSerde;
use super::{Scratch, Stop, json};
use crate::limits;

pub(super) struct Sonic;

impl WithSerde for Sonic {
    fn write(message: &impl Serialize, out: &mut Vec<u8>) {
        sonic_rs::to_writer(out, message)
            .expect("a Vec takes every byte and no map here has keys that are not strings");
    }

    fn read<'a, M: Deserialize<'a>>(body: &'a [u8], _: &'a mut Scratch) -> Result<M, Stop> {
        shallow(body)?;
        sonic_rs::from_slice(body).map_err(|error| {
            // Its message goes on for lines, with a piece of the body.
            let says = error.to_string();
            Stop::at(error.offset().min(body.len()), says.lines().next().unwrap_or_default())
        })
    }

    fn explain<M: DeserializeOwned>(body: &[u8], stop: Stop) -> Stop {
        json::explain::<M>(body, stop)
    }
}

/// Refuses nesting beyond [`limits::NESTING`]. Fewer brackets than that in all, which is a count without branches, cannot nest deeper.
fn shallow(body: &[u8]) -> Result<(), Stop> {
    let limit = usize::from(limits::NESTING);
    if body.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() <= limit {
        return Ok(());
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (offset, byte) in body.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return Err(Stop::at(offset, format!("nested deeper than {limit} (NESTING)")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Depth counts, not the number of brackets, and not those within texts.
    #[test]
    fn nesting() {
        let limit = usize::from(limits::NESTING);
        let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert_eq!(shallow(nested(limit).as_bytes()), Ok(()));
        assert_eq!(shallow(nested(limit + 1).as_bytes()).map_err(|stop| stop.offset), Err(Some(limit)));
        assert_eq!(shallow("[]".repeat(1_000).as_bytes()), Ok(()));
        assert_eq!(shallow(format!("[\"\\\"{}\"]", "[".repeat(1_000)).as_bytes()), Ok(()));
    }
}
