//! `--own-tables`: a table of file descriptors for each shard's thread.
//!
//! RLIMIT_NOFILE bounds a table, and unshare(2) with CLONE_FILES gives a thread a copy of the table of its own. From
//! then on a number means a descriptor in one thread's table only, so no descriptor may pass between shards: none does,
//! since a shard's sockets are born and die on its thread.

use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::Error;

/// What the shards need to part their tables.
#[derive(Debug)]
pub(crate) struct OwnTables {
    /// Every shard's listener. A copy in another shard's table would keep it listening after its own shard closed it.
    listeners: Vec<RawFd>,
    /// All have left the first shard's table, which is the one that the process started with (the admin thread has it too).
    parted: Barrier,
    /// One could not leave: its listener is still in use in the first shard's table.
    failed: AtomicBool,
}

impl OwnTables {
    pub(crate) fn new(listeners: &[TcpListener]) -> OwnTables {
        let parted = Barrier::new(listeners.len());
        OwnTables { listeners: listeners.iter().map(AsRawFd::as_raw_fd).collect(), parted, failed: false.into() }
    }

    /// To be called once by each shard's thread, before it opens anything; waits for the other shards.
    pub(crate) fn enter(&self, own: &TcpListener) -> Result<(), Error> {
        let own = own.as_raw_fd();
        let parted = if own == self.listeners[0] {
            Ok(())
        } else {
            // SAFETY: this thread has opened nothing yet, and what it uses of the copied descriptors, its listener and
            // its stop signal, it owns; the signal handlers' ends are open under the same numbers in every copy.
            unsafe { unshare_unsafe(UnshareFlags::FILES) }
        };
        self.failed.fetch_or(parted.is_err(), Ordering::SeqCst);
        self.parted.wait();
        if self.failed.load(Ordering::SeqCst) {
            return parted.map_err(|error| Error::system("unshare(CLONE_FILES)")(error.into()));
        }
        for &other in self.listeners.iter().filter(|&&listener| listener != own) {
            // SAFETY: in this thread's table the number is a copy that nothing uses: its owner has left this table.
            unsafe { rustix::io::close(other) };
        }
        Ok(())
    }
}
