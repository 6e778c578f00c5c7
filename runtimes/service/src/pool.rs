//! Output buffers for engines that must own them while the kernel writes from them.

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
pub fn read_buffer() -> Vec<u8> {
    Vec::with_capacity(4 << 10)
}

/// The buffer for the next read: twice as large, up to [`crate::READ_BYTES`], when the last read filled it.
#[must_use]
pub fn grown(buffer: Vec<u8>, read: usize) -> Vec<u8> {
    let capacity = buffer.capacity();
    if read < capacity || capacity >= crate::READ_BYTES {
        return buffer;
    }
    Vec::with_capacity((2 * capacity).min(crate::READ_BYTES))
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

    /// Buffers grow only when filled, and only so far.
    #[test]
    fn growth() {
        let mut buffer = grown(read_buffer(), 100);
        let first = buffer.capacity();
        for _ in 0..10 {
            let full = buffer.capacity();
            buffer = grown(buffer, full);
        }
        assert!(first < buffer.capacity() && buffer.capacity() == crate::READ_BYTES);
    }
}
