//! Buffers for engines that must own them while the kernel reads or writes them.

/// Buffers kept, at most: as many connections as write at the same moment. More come and go with the allocator.
const KEPT: usize = 1_024;

/// Buffers that grew beyond this, by echoes or pages of a megabyte, are not kept.
const KEPT_BYTES: usize = 256 << 10;

/// Buffers that are handed out for a write and taken back after it, so that an idle connection owns none and a
/// request allocates none.
#[derive(Debug, Default)]
pub struct Pool(Vec<Vec<u8>>);

impl Pool {
    /// An empty buffer, with capacity if one was given back.
    pub fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    /// An empty buffer of at least this capacity.
    pub fn take_with_capacity(&mut self, capacity: usize) -> Vec<u8> {
        let mut buffer = self.take();
        buffer.reserve_exact(capacity);
        buffer
    }

    /// Takes a buffer back.
    pub fn give(&mut self, mut buffer: Vec<u8>) {
        if self.0.len() < KEPT && buffer.capacity() <= KEPT_BYTES {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

/// Capacity of a connection's first read buffer, and how it grows.
///
/// A completion needs a buffer to read into before there is anything to read, so these engines hold one for each
/// connection, idle ones included: 4 KiB hold the small requests that connected users send.
#[must_use]
pub(crate) fn read_buffer() -> Vec<u8> {
    Vec::with_capacity(4 << 10)
}

/// The buffer for the next read after this one was filled: twice as large, up to [`crate::READ_BYTES`].
#[must_use]
pub(crate) fn grown(buffer: Vec<u8>) -> Vec<u8> {
    let capacity = buffer.capacity();
    if capacity >= crate::READ_BYTES { buffer } else { Vec::with_capacity((2 * capacity).min(crate::READ_BYTES)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is given back comes again, empty; what is too large does not.
    #[test]
    fn reuse() {
        let mut pool = Pool::default();
        pool.give(Vec::from("abc"));
        let again = pool.take();
        assert!(again.is_empty() && again.capacity() >= 3);
        pool.give(Vec::with_capacity(KEPT_BYTES + 1));
        assert_eq!(pool.take().capacity(), 0);
    }

    /// Buffers grow by doubling, and only so far.
    #[test]
    fn growth() {
        let mut buffer = read_buffer();
        for _ in 0..10 {
            buffer = grown(buffer);
        }
        assert_eq!(buffer.capacity(), crate::READ_BYTES);
    }
}
