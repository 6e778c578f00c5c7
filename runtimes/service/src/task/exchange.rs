//! What a connection's task does: read, let the handler answer, write.
//!
//! A task waits most of its life, and there is one for each connected user: what it is made of is the memory that a user
//! costs. So everything lives once, in the [`Session`], the steps borrow it by one reference, and what is rare is boxed.
//! That reference is shared, since events are written while a read waits (see `push`).

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use super::{Idle, Received, Socket, Tasks};
use crate::pool::{grown, read_buffer};
use crate::sockets::end_writing;
use crate::{Connection, Handler, Next};

/// A connection, its socket, and what it shares with the others.
pub(super) struct Session<S> {
    pub(super) socket: S,
    pub(super) connection: Cell<Connection>,
    pub(super) tasks: Rc<Tasks>,
    /// The buffer that waits, where idle connections are naive.
    pub(super) waiting: Cell<Vec<u8>>,
    /// Whether the last read filled its buffer.
    pub(super) filled: Cell<bool>,
    /// Replies are being written: no event may come between their bytes.
    pub(super) replying: Cell<bool>,
    /// An event is being written: no reply may.
    pub(super) pushing: Cell<bool>,
}

impl<S: Socket> Session<S> {
    /// Serves until the peer ends the connection, the handler does, or something fails.
    pub(super) async fn until_closed(&self) -> io::Result<()> {
        'open: loop {
            let Some((mut next, mut out)) = self.receive().await? else { return Ok(()) };
            loop {
                // All of it: while the peer does not take its replies, nothing is read from it.
                if !out.is_empty() {
                    self.event_written().await;
                    self.replying.set(true);
                    let (result, written) = self.socket.write_all(out).await;
                    self.replying.set(false);
                    result?;
                    self.with(|handler, connection| handler.flushed(connection, written.len(), true));
                    out = written;
                }
                self.tasks.outputs.borrow_mut().give(out);
                match next {
                    Next::Read => break,
                    Next::Close => break 'open,
                    Next::Again => (next, out) = self.feed(&[]),
                }
            }
        }
        // Out here nothing of the loop is alive: what is, at two awaits, shares its memory with nothing else.
        Box::pin(self.linger()).await
    }

    /// Waits until no event is half written. The task itself writes it, so its end needs no waker.
    fn event_written(&self) -> impl Future<Output = ()> {
        poll_fn(|_| if self.pushing.get() { Poll::Pending } else { Poll::Ready(()) })
    }

    /// Handler and connection together.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Handler, &mut Connection) -> T) -> T {
        let mut connection = self.connection.take();
        let done = work(&mut self.tasks.handler.borrow_mut(), &mut connection);
        self.connection.set(connection);
        done
    }

    /// Lets the handler answer; the replies stand in a buffer of the pool.
    fn feed(&self, bytes: &[u8]) -> (Next, Vec<u8>) {
        let mut out = self.tasks.outputs.borrow_mut().take();
        let next = self.with(|handler, connection| handler.feed(connection, bytes, &mut out));
        if let Some(waker) = self.tasks.turn_end.take() {
            waker.wake();
        }
        (next, out)
    }

    /// What the handler makes of the bytes that come next; `None` at the end.
    async fn receive(&self) -> io::Result<Option<(Next, Vec<u8>)>> {
        if self.tasks.idle == Idle::Naive {
            let length = self.read().await?;
            let buffer = self.waiting.take();
            let answer = (length > 0).then(|| self.feed(&buffer[..length]));
            self.waiting.set(buffer);
            return Ok(answer);
        }
        let take = |bytes: &[u8]| self.feed(bytes);
        Ok(match self.socket.receive(&self.tasks.inputs, self.filled.get(), take).await? {
            Received::Bytes(answer, filled) => {
                self.filled.set(filled);
                Some(answer)
            }
            Received::End => None,
        })
    }

    /// Reads into the buffer that waits, which grows with what comes; how many bytes there are.
    async fn read(&self) -> io::Result<usize> {
        if self.filled.get() {
            self.waiting.set(grown(self.waiting.take()));
        }
        loop {
            let (result, returned) = self.socket.read(self.emptied()).await;
            let capacity = returned.capacity();
            self.waiting.set(returned);
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(length) => {
                    self.filled.set(length == capacity);
                    return Ok(length);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The buffer that waits, to be read into.
    fn emptied(&self) -> Vec<u8> {
        let mut buffer = self.waiting.take();
        buffer.clear();
        buffer
    }

    /// Counts the end of the connection.
    pub(super) fn closed(&self, failed: bool) {
        self.tasks.handler.borrow_mut().closed(self.connection.take(), failed);
        self.forgotten();
    }

    /// To be called before the socket is closed: after that its descriptor's number may be another one's.
    pub(super) fn forgotten(&self) {
        self.tasks.sockets.borrow_mut().remove(&self.socket);
    }

    /// Tells a connection that there are too many.
    pub(super) async fn refuse(&self) {
        let mut out = Vec::new();
        self.tasks.handler.borrow_mut().refusal(&mut out);
        // It fits the empty socket buffer: this does not wait. Whether the peer still listens is its own affair.
        let _ = self.socket.write_all(out).await;
        end_writing(&self.socket);
    }

    /// After a refusal: no more writing, and reading only so that the peer finds the refusal rather than a reset.
    async fn linger(&self) -> io::Result<()> {
        end_writing(&self.socket);
        self.waiting.set(read_buffer());
        loop {
            let length = self.read().await?;
            if length == 0 || !self.with(|_, connection| connection.discard(length)) {
                return Ok(());
            }
        }
    }
}
