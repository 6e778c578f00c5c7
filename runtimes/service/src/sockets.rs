//! The open sockets of a shard, so that draining can end the reads that wait on them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::task::{Poll, Waker};

use slab::Slab;

/// Descriptors of open connections, for engines whose tasks own them.
///
/// Ending reads (shutdown(2) with SHUT_RD) is how every engine drains: what has arrived is still read and answered,
/// then the read returns 0 as if the peer had closed, and the connection ends by its usual path.
#[derive(Debug, Default)]
pub struct Sockets {
    open: Slab<RawFd>,
    waits_for_last: Option<Waker>,
}

impl Sockets {
    /// Remembers a socket until [`Sockets::remove`]; returns its key.
    pub fn insert(&mut self, socket: &impl AsRawFd) -> usize {
        self.open.insert(socket.as_raw_fd())
    }

    /// Forgets a socket. To be called before it is closed.
    pub fn remove(&mut self, key: usize) {
        self.open.remove(key);
        if self.open.is_empty()
            && let Some(waker) = self.waits_for_last.take()
        {
            waker.wake();
        }
    }

    /// Waits until no socket is open. Works in any runtime, since it needs nothing but a waker.
    pub async fn last_closed(sockets: &RefCell<Sockets>) {
        poll_fn(|context| {
            let mut sockets = sockets.borrow_mut();
            if sockets.open.is_empty() {
                return Poll::Ready(());
            }
            sockets.waits_for_last = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Ends reading on every socket.
    pub fn end_reading(&self) {
        for (_, fd) in &self.open {
            // SAFETY: an engine removes a descriptor before its socket is closed, so this one is open.
            end_reading(unsafe { BorrowedFd::borrow_raw(*fd) });
        }
    }
}

/// Ends reading on one socket. A socket whose peer has gone has nothing to end: no error is of interest.
fn end_reading(socket: BorrowedFd<'_>) {
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Read);
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// What the kernel has to do for draining: data that arrived is read first, then the end.
    #[test]
    fn data_first_then_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"arrived").unwrap();
        server.peek(&mut [0; 1]).unwrap();
        let mut sockets = Sockets::default();
        let key = sockets.insert(&server);
        sockets.end_reading();
        let mut text = String::new();
        server.read_to_string(&mut text).unwrap();
        assert_eq!(text, "arrived");
        sockets.remove(key);
    }
}
