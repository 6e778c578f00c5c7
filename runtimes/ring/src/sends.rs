//! Replies on their way: buffers that belong to the kernel until it says otherwise.

use slab::Slab;

/// A reply that is being collected or sent.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) buffer: Vec<u8>,
    /// Bytes of it that the kernel has taken.
    pub(crate) sent: usize,
    /// Whose it is.
    pub(crate) key: usize,
    pub(crate) stage: Stage,
    /// Notices of zero-copy sends that are to come: until then the kernel reads from the buffer.
    pub(crate) notices: u32,
    /// The group of provided buffers that it is sent from.
    pub(crate) group: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// This turn's replies are appended to it.
    Collecting,
    /// Tried once, at submission; only failure is told by a completion.
    Silent,
    /// Its completion is awaited.
    InFlight,
    /// All of it is sent; only notices are awaited.
    Done,
}

impl Sending {
    pub(crate) fn rest(&self) -> &[u8] {
        &self.buffer[self.sent..]
    }
}

/// The sends of a ring.
#[derive(Debug, Default)]
pub(crate) struct Sends {
    pub(crate) all: Slab<Sending>,
    /// Those that collect, to be pushed at the end of the turn.
    pub(crate) collecting: Vec<usize>,
    /// Those that were tried silently with the last submission.
    pub(crate) silent: Vec<usize>,
}

impl Sends {
    pub(crate) fn collect(&mut self, key: usize, buffer: Vec<u8>) -> usize {
        let stage = Stage::Collecting;
        let index = self.all.insert(Sending { buffer, sent: 0, key, stage, notices: 0, group: None });
        self.collecting.push(index);
        index
    }
}
