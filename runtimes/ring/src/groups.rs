//! Groups of buffers to send from: a bundle sends all that is in a group, in order, with one operation.
//!
//! A group serves one connection at a time, since a bundle takes whatever the group holds. Idle connections have none.

use std::io;

use io_uring::Submitter;

use crate::buffers::BufferRing;

/// Groups, that is, connections whose replies can be on their way as bundles; the others send as usual.
const GROUPS: u16 = 256;

/// The first group's number; group 0 is received into.
const FIRST: u16 = 1;

/// Buffers of a group and their size: sixteen small replies or a page of notes.
const BUFFERS: (u16, u32) = (16, 1 << 10);

pub(crate) struct Groups {
    rings: Vec<BufferRing>,
    free: Vec<u16>,
}

impl Groups {
    pub(crate) fn new(submitter: &Submitter<'_>) -> io::Result<Groups> {
        let rings = (0..GROUPS).map(|group| BufferRing::new(submitter, FIRST + group, BUFFERS, false));
        Ok(Groups { rings: rings.collect::<io::Result<_>>()?, free: (0..GROUPS).rev().collect() })
    }

    /// A group that holds these bytes, if one is free and large enough.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Option<u16> {
        let group = *self.free.last()?;
        let ring = &mut self.rings[usize::from(group)];
        if bytes.len() > ring.capacity() {
            return None;
        }
        self.free.pop();
        ring.fill(bytes);
        Some(FIRST + group)
    }

    /// Takes a group back. `emptied`: all that it held was sent; otherwise it is registered anew, without the rest.
    pub(crate) fn give(&mut self, submitter: &Submitter<'_>, group: u16, emptied: bool) -> io::Result<()> {
        let index = group - FIRST;
        if !emptied {
            submitter.unregister_buf_ring(group)?;
            self.rings[usize::from(index)].register_again(submitter, group)?;
        }
        self.free.push(index);
        Ok(())
    }
}
