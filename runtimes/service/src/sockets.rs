//! The open sockets of a shard, so that draining can end the reads that wait on them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::task::{Poll, Waker};

use rustix::net::Shutdown;

/// Descriptors of open connections, for engines whose tasks own them.
///
/// Ending reads (shutdown(2) with SHUT_RD) is how every engine drains: what has arrived is still read and answered,
/// then the read returns 0 as if the peer had closed, and the connection ends by its usual path.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// A bit for each descriptor: the kernel gives out the lowest free number, so that they lie dense.
    open: Vec<u64>,
    count: usize,
    waits_for_last: Option<Waker>,
    /// Reading has been ended: sockets that come later were accepted before the listener went.
    ending: bool,
}

impl Sockets {
    /// Remembers a socket until [`Sockets::remove`]. Ends its reading if the others' has been ended.
    pub(crate) fn insert(&mut self, socket: &impl AsRawFd) {
        let fd = socket.as_raw_fd();
        if self.ending {
            // SAFETY: borrowed from the caller's socket, which is open.
            end(unsafe { BorrowedFd::borrow_raw(fd) }, Shutdown::Read);
        }
        let (word, bit) = place(fd);
        if word >= self.open.len() {
            self.open.resize(word + 1, 0);
        }
        self.open[word] |= bit;
        self.count += 1;
    }

    /// Forgets a socket. To be called before it is closed.
    pub(crate) fn remove(&mut self, socket: &impl AsRawFd) {
        let (word, bit) = place(socket.as_raw_fd());
        self.open[word] &= !bit;
        self.count -= 1;
        if self.count == 0
            && let Some(waker) = self.waits_for_last.take()
        {
            waker.wake();
        }
    }

    /// Waits until no socket is open. Works in any runtime, since it needs nothing but a waker.
    pub(crate) async fn last_closed(sockets: &RefCell<Sockets>) {
        poll_fn(|context| {
            let mut sockets = sockets.borrow_mut();
            if sockets.count == 0 {
                return Poll::Ready(());
            }
            sockets.waits_for_last = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Ends reading on every socket, and on those that are yet to be inserted.
    pub(crate) fn end_reading(&mut self) {
        self.ending = true;
        for (word, bits) in (0..).step_by(64).zip(&self.open) {
            for fd in (word..word + 64).filter(|fd| bits & place(*fd).1 != 0) {
                // SAFETY: an engine removes a descriptor before its socket is closed, so this one is open.
                end(unsafe { BorrowedFd::borrow_raw(fd) }, Shutdown::Read);
            }
        }
    }
}

/// Ends writing on a socket: its peer reads the end behind what was written before.
pub(crate) fn end_writing(socket: &impl AsRawFd) {
    // SAFETY: borrowed from the caller's socket, which is open.
    end(unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }, Shutdown::Write);
}

/// Ends both directions of a socket: whatever waits on it comes to its end.
pub(crate) fn end_both(socket: &impl AsRawFd) {
    // SAFETY: borrowed from the caller's socket, which is open.
    end(unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }, Shutdown::Both);
}

/// The word of a descriptor's bit, and the bit.
fn place(fd: RawFd) -> (usize, u64) {
    let fd = usize::try_from(fd).expect("an open descriptor is not negative");
    (fd / 64, 1 << (fd % 64))
}

/// Ends one direction of a socket. A socket whose peer has gone has nothing to end: no error is of interest.
fn end(socket: BorrowedFd<'_>, direction: Shutdown) {
    let _ = rustix::net::shutdown(socket, direction);
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
        sockets.insert(&server);
        sockets.end_reading();
        let mut text = String::new();
        server.read_to_string(&mut text).unwrap();
        assert_eq!(text, "arrived");
        sockets.remove(&server);
        assert_eq!(sockets.count, 0);
        // One that comes later finds its reading ended at once.
        let mut late = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        sockets.insert(&late);
        assert_eq!(late.read(&mut [0; 1]).unwrap(), 0);
    }
}
