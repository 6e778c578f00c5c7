//! Provided buffers: memory that the kernel fills when data is there, so that an idle connection owns none.
//!
//! A ring of entries in memory shared with the kernel (io_uring_register(2), IORING_REGISTER_PBUF_RING): the kernel
//! takes buffers at its head, this side adds them at its tail.

use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::{BufRingEntry, IOU_PBUF_RING_INC};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

/// A group of buffers of one size.
///
/// Its memory is never unmapped: the kernel may write to it for as long as the ring exists, and the ring exists for as
/// long as its thread serves.
pub(crate) struct BufferRing {
    entries: NonNull<BufRingEntry>,
    count: u16,
    memory: NonNull<u8>,
    bytes: u32,
    /// Entries added so far, and those that the kernel has been shown.
    tail: u16,
    published: u16,
    /// Where the next data in each buffer is; empty unless buffers are consumed in pieces.
    offsets: Box<[u32]>,
}

impl BufferRing {
    /// Registers a group for `count` buffers (a power of two, at most 32,768) of `bytes` each, without any in it yet.
    ///
    /// `incremental`: a receive takes of a buffer what it needs, and the next goes on behind it (Linux 6.12).
    pub(crate) fn new(
        submitter: &Submitter<'_>,
        group: u16,
        (count, bytes): (u16, u32),
        incremental: bool,
    ) -> io::Result<BufferRing> {
        assert!(count.is_power_of_two() && bytes > 0, "checked with the arguments");
        let entries = map(usize::from(count) * size_of::<BufRingEntry>())?.cast::<BufRingEntry>();
        let memory = map(usize::from(count) * bytes as usize)?;
        let flags = if incremental { u16::try_from(IOU_PBUF_RING_INC).expect("a bit of 16") } else { 0 };
        // SAFETY: `entries` is page-aligned memory for `count` entries and is never unmapped.
        unsafe { submitter.register_buf_ring_with_flags(entries.as_ptr() as u64, count, group, flags)? };
        let offsets = if incremental { vec![0; usize::from(count)].into() } else { Box::default() };
        Ok(BufferRing { entries, count, memory, bytes, tail: 0, published: 0, offsets })
    }

    /// Registers the group once more, empty, after it was unregistered.
    pub(crate) fn register_again(&mut self, submitter: &Submitter<'_>, group: u16) -> io::Result<()> {
        (self.tail, self.published) = (0, 0);
        // SAFETY: the same memory as in `new`, never unmapped; the kernel has given up the group, so nobody reads the tail.
        unsafe {
            AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()).store(0, Ordering::Release);
            submitter.register_buf_ring_with_flags(self.entries.as_ptr() as u64, self.count, group, 0)
        }
    }

    /// Adds every buffer, to be received into.
    pub(crate) fn stock(&mut self) {
        for id in 0..self.count {
            self.add(id, self.bytes);
        }
        self.publish();
    }

    /// Bytes that all buffers hold together.
    pub(crate) fn capacity(&self) -> usize {
        usize::from(self.count) * self.bytes as usize
    }

    /// What a receive of `length` bytes left in buffer `id`, until [`BufferRing::consumed`].
    ///
    /// A buffer that the kernel never handed out, or more than fits it, is an error of the kernel: it panics.
    #[inline]
    pub(crate) fn filled(&self, id: u16, length: usize) -> &[u8] {
        let offset = self.offsets.get(usize::from(id)).copied().unwrap_or(0) as usize;
        assert!(
            id < self.count && offset + length <= self.bytes as usize,
            "the kernel filled {length} bytes of buffer {id}"
        );
        // SAFETY: within the mapping by the line above; mapped memory is initialised; the kernel has handed these bytes
        // over and writes to them again only after `consumed` and `publish`, which need `&mut self`.
        unsafe {
            std::slice::from_raw_parts(self.memory.as_ptr().add(usize::from(id) * self.bytes as usize + offset), length)
        }
    }

    /// Gives back what a receive filled. `more`: the kernel goes on to fill the same buffer behind it.
    #[inline]
    pub(crate) fn consumed(&mut self, id: u16, length: usize, more: bool) {
        if let Some(offset) = self.offsets.get_mut(usize::from(id)) {
            if more {
                *offset += u32::try_from(length).expect("at most the buffer");
                return;
            }
            *offset = 0;
        }
        self.add(id, self.bytes);
    }

    /// Copies bytes into the buffers and adds those that it took, to be sent. To be called only while the kernel has
    /// none of them, and with at most [`BufferRing::capacity`] bytes.
    pub(crate) fn fill(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.capacity(), "{} bytes for {}", bytes.len(), self.capacity());
        for (id, piece) in (0..self.count).zip(bytes.chunks(self.bytes as usize)) {
            // SAFETY: a piece is at most a buffer, so this is within the mapping; the kernel has no buffer of this group.
            unsafe {
                let start = self.memory.as_ptr().add(usize::from(id) * self.bytes as usize);
                ptr::copy_nonoverlapping(piece.as_ptr(), start, piece.len());
            }
            self.add(id, u32::try_from(piece.len()).expect("at most a buffer"));
        }
        self.publish();
    }

    fn add(&mut self, id: u16, length: u32) {
        let index = usize::from(self.tail & (self.count - 1));
        // SAFETY: `index` is below `count`, so both pointers are within their mappings; the entry at the tail is not the
        // kernel's until it is published, since there are as many entries as buffers. The tail itself lies in the
        // first entry's last field, which setting address, length and id does not touch.
        unsafe {
            let entry = &mut *self.entries.as_ptr().add(index);
            entry.set_addr(self.memory.as_ptr().add(usize::from(id) * self.bytes as usize) as u64);
            entry.set_len(length);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel what was added.
    #[inline]
    pub(crate) fn publish(&mut self) {
        if self.published == self.tail {
            return;
        }
        // SAFETY: the tail is a u16 in the mapped first entry, aligned, and written by this thread only; the kernel reads
        // it, hence the atomic store, which orders the entries before it.
        unsafe {
            let tail = BufRingEntry::tail(self.entries.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
        self.published = self.tail;
    }
}

/// Zeroed memory of its own pages.
fn map(bytes: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: a new anonymous mapping, at an address that the kernel chooses, aliases nothing.
    let start =
        unsafe { mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)? };
    Ok(NonNull::new(start.cast()).expect("a mapping is not at zero"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use io_uring::{IoUring, cqueue, opcode, squeue::Flags, types::Fd};

    use super::*;

    /// Receives once into a provided buffer: its number, the length and whether the buffer goes on.
    fn receive(ring: &mut IoUring, socket: &UnixStream) -> (u16, usize, bool) {
        let entry = opcode::Recv::new(Fd(socket.as_raw_fd()), ptr::null_mut(), 0).build().flags(Flags::BUFFER_SELECT);
        // SAFETY: it points to provided buffers only, and those are never unmapped.
        unsafe { ring.submission().push(&entry).unwrap() };
        ring.submit_and_wait(1).unwrap();
        let completion = ring.completion().next().unwrap();
        let flags = completion.flags();
        (
            cqueue::buffer_select(flags).unwrap(),
            usize::try_from(completion.result()).unwrap(),
            cqueue::buffer_more(flags),
        )
    }

    /// Through a socket pair on a real ring: what was sent is what is found, in whole buffers and in pieces of them, and
    /// buffers come round many times.
    #[test]
    fn received_bytes_are_found() {
        for incremental in [false, true] {
            let mut ring = IoUring::new(4).unwrap();
            let mut buffers = match BufferRing::new(&ring.submitter(), 0, (4, 64), incremental) {
                // A kernel before 6.12.
                Err(error) if incremental && error.kind() == io::ErrorKind::InvalidInput => continue,
                made => made.unwrap(),
            };
            buffers.stock();
            let (mut client, server) = UnixStream::pair().unwrap();
            for round in 0..100_u8 {
                let sent = vec![round; 1 + usize::from(round) % 20];
                client.write_all(&sent).unwrap();
                let mut received = Vec::new();
                while received.len() < sent.len() {
                    let (id, length, more) = receive(&mut ring, &server);
                    received.extend_from_slice(buffers.filled(id, length));
                    assert!(incremental || !more);
                    buffers.consumed(id, length, more);
                    buffers.publish();
                }
                assert_eq!(received, sent, "round {round}, incremental: {incremental}");
            }
        }
    }

    /// A bundle sends what a group was filled with, in order; the group can be filled again, also after it was
    /// registered anew with bytes left in it.
    #[test]
    fn a_group_is_sent() {
        let mut ring = IoUring::new(4).unwrap();
        let mut group = BufferRing::new(&ring.submitter(), 1, (4, 16), false).unwrap();
        assert_eq!(group.capacity(), 64);
        let (client, mut server) = UnixStream::pair().unwrap();
        for round in 0..10_u8 {
            if round == 5 {
                group.fill(&[0xff; 40]);
                ring.submitter().unregister_buf_ring(1).unwrap();
                group.register_again(&ring.submitter(), 1).unwrap();
            }
            let sent: Vec<u8> = (0..50).map(|index| index + round).collect();
            group.fill(&sent);
            let entry = opcode::SendBundle::new(Fd(client.as_raw_fd()), 1).flags(libc::MSG_WAITALL).build();
            // SAFETY: it points to provided buffers only, and those are never unmapped.
            unsafe { ring.submission().push(&entry).unwrap() };
            ring.submit_and_wait(1).unwrap();
            let length: i32 = ring.completion().map(|completion| completion.result()).sum();
            assert_eq!(length, 50);
            let mut received = [0; 50];
            io::Read::read_exact(&mut server, &mut received).unwrap();
            assert_eq!(received[..], sent[..]);
        }
    }
}
