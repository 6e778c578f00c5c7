//! Replies on their way: buffers that belong to the kernel until it says otherwise.

use bytes::Bytes;
use slab::Slab;

/// Bytes to be sent.
#[derive(Debug)]
pub(crate) enum Buffer {
    /// Of one connection: replies, and events that were serialised for it.
    Own(Vec<u8>),
    /// An event that other connections are sent from the same memory.
    Shared(Bytes),
}

impl Buffer {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Buffer::Own(bytes) => bytes,
            Buffer::Shared(bytes) => bytes,
        }
    }

    /// To be appended to: a shared buffer becomes a copy. That is rare, it takes a reply in the turn of an event.
    pub(crate) fn own(&mut self) -> &mut Vec<u8> {
        if let Buffer::Shared(bytes) = self {
            *self = Buffer::Own(bytes.to_vec());
        }
        match self {
            Buffer::Own(bytes) => bytes,
            Buffer::Shared(_) => unreachable!("it was made one's own"),
        }
    }
}

/// A reply or an event that is being collected or sent.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) buffer: Buffer,
    /// Bytes of events in it.
    pub(crate) told: usize,
    /// Events that go behind it: it is on its way already.
    pub(crate) behind: Vec<u8>,
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
        &self.buffer.bytes()[self.sent..]
    }

    /// Bytes of events that wait, here and behind it: at most so many, since replies may lie between.
    pub(crate) fn events_waiting(&self) -> usize {
        self.told.min(self.rest().len()) + self.behind.len()
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
    pub(crate) fn collect(&mut self, key: usize, buffer: Buffer) -> usize {
        let stage = Stage::Collecting;
        let index = self.all.insert(Sending {
            buffer,
            told: 0,
            behind: Vec::new(),
            sent: 0,
            key,
            stage,
            notices: 0,
            group: None,
        });
        self.collecting.push(index);
        index
    }
}
