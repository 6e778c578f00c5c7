//! Memory that decoders reuse from message to message.

use std::fmt;

use crate::limits;
use crate::message::AddNote;

/// Buffers of decoders that cannot read where the bytes lie, one for each connection handler. Their capacity is that of the
/// largest message so far, at most a few times [`crate::limits::MESSAGE_BYTES`].
#[derive(Default)]
pub struct Scratch {
    /// prost decodes into a message that owns its text.
    pub(super) add: AddNote,
    /// simd-json changes the bytes that it parses.
    bytes: Vec<u8>,
    /// Made when they are first needed: even empty ones allocate.
    simd: Option<simd_json::Buffers>,
}

impl Scratch {
    /// Calls with a copy of `body` that may be changed, and simd-json's buffers.
    pub(crate) fn with_simd<'a, T>(
        &'a mut self,
        body: &[u8],
        then: impl FnOnce(&'a mut [u8], &mut simd_json::Buffers) -> T,
    ) -> T {
        self.bytes.clear();
        self.bytes.extend_from_slice(body);
        let buffers =
            self.simd.get_or_insert_with(|| simd_json::Buffers::with_max_depth(0, usize::from(limits::NESTING)));
        then(&mut self.bytes, buffers)
    }
}

/// A copy starts with no memory: there is nothing to remember.
impl Clone for Scratch {
    fn clone(&self) -> Scratch {
        Scratch::default()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("bytes", &self.bytes.capacity()).finish_non_exhaustive()
    }
}
