//! Memory of pages that were sent, for the next ones.
//!
//! A page of 100 KiB that is allocated and freed at each scrape costs the kernel some thirty page faults each time,
//! since the C library gives so large a piece back at once.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;

/// Pages kept for reuse: one being written, and one that a slow client still reads.
const KEPT: usize = 2;

type Store = Mutex<Vec<Vec<u8>>>;

/// Gives buffers out and takes them back.
#[derive(Debug, Default)]
pub(super) struct Pages {
    store: Arc<Store>,
}

/// A page on loan; its memory goes back when the last reader is done.
struct Loan {
    bytes: Vec<u8>,
    home: Weak<Store>,
}

impl Pages {
    /// An empty buffer, with memory of an earlier page when one has come back.
    pub(super) fn take(&self) -> Vec<u8> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// A finished page, to be shared and read.
    pub(super) fn lend(&self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Loan { bytes, home: Arc::downgrade(&self.store) })
    }
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let Some(home) = self.home.upgrade() else { return };
        let mut store = home.lock().unwrap_or_else(PoisonError::into_inner);
        if store.len() < KEPT {
            self.bytes.clear();
            store.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory comes back after the last reader, empty; more than a few buffers are not kept.
    #[test]
    fn reuse() {
        let pages = Pages::default();
        let page = pages.lend(vec![b'x'; 1000]);
        let reader = page.clone();
        drop(page);
        assert_eq!(pages.take().capacity(), 0, "still being read");
        drop(reader);
        let again = pages.take();
        assert!(again.is_empty() && again.capacity() >= 1000);
        let many: Vec<Bytes> = (0..10).map(|_| pages.lend(vec![0; 10])).collect();
        drop(many);
        assert_eq!(pages.store.lock().unwrap().len(), KEPT);
    }
}
