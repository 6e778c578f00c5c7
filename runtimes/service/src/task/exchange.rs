//! What a connection's task does: read, let the handler answer, write.
//!
//! A task waits most of its life, and there is one for each connected user: what it is made of is the memory that a user
//! costs. So everything lives once, in the [`Session`], the steps borrow it by one reference, and what is rare is boxed.

use std::io;
use std::rc::Rc;

use super::{Idle, Received, Socket, Tasks};
use crate::pool::{grown, read_buffer};
use crate::sockets::end_writing;
use crate::{Connection, Next};

/// A connection, its socket, and what it shares with the others.
pub(super) struct Session<S> {
    pub(super) socket: S,
    pub(super) connection: Connection,
    pub(super) tasks: Rc<Tasks>,
    /// The buffer that waits, where idle connections are naive.
    pub(super) waiting: Vec<u8>,
    /// Whether the last read filled its buffer.
    pub(super) filled: bool,
}

impl<S: Socket> Session<S> {
    /// Serves until the peer ends the connection, the handler does, or something fails.
    pub(super) async fn until_closed(&mut self) -> io::Result<()> {
        'open: loop {
            let Some((mut next, mut out)) = self.receive().await? else { return Ok(()) };
            loop {
                // All of it: while the peer does not take its replies, nothing is read from it.
                if !out.is_empty() {
                    let (result, written) = self.socket.write_all(out).await;
                    result?;
                    self.tasks.handler.borrow_mut().flushed(&mut self.connection, written.len(), true);
                    out = written;
                }
                self.tasks.outputs.borrow_mut().give(out);
                match next {
                    Next::Read => break,
                    Next::Close => break 'open,
                    Next::Again => (next, out) = self.tasks.feed(&mut self.connection, &[]),
                }
            }
        }
        // Out here nothing of the loop is alive: what is, at two awaits, shares its memory with nothing else.
        Box::pin(self.linger()).await
    }

    /// What the handler makes of the bytes that come next; `None` at the end.
    async fn receive(&mut self) -> io::Result<Option<(Next, Vec<u8>)>> {
        if self.tasks.idle == Idle::Naive {
            let length = self.read().await?;
            return Ok((length > 0).then(|| self.tasks.feed(&mut self.connection, &self.waiting[..length])));
        }
        let take = |bytes: &[u8]| self.tasks.feed(&mut self.connection, bytes);
        Ok(match self.socket.receive(&self.tasks.inputs, self.filled, take).await? {
            Received::Bytes(answer, filled) => {
                self.filled = filled;
                Some(answer)
            }
            Received::End => None,
        })
    }

    /// Reads into the buffer that waits, which grows with what comes; how many bytes there are.
    async fn read(&mut self) -> io::Result<usize> {
        let empty = std::mem::take(&mut self.waiting);
        self.waiting = if self.filled { grown(empty) } else { empty };
        loop {
            self.waiting.clear();
            let (result, returned) = self.socket.read(std::mem::take(&mut self.waiting)).await;
            self.waiting = returned;
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(length) => {
                    self.filled = length == self.waiting.capacity();
                    return Ok(length);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells a connection that there are too many.
    pub(super) async fn refuse(&mut self) {
        let mut out = Vec::new();
        self.tasks.handler.borrow_mut().refusal(&mut out);
        // It fits the empty socket buffer: this does not wait. Whether the peer still listens is its own affair.
        let _ = self.socket.write_all(out).await;
        end_writing(&self.socket);
    }

    /// After a refusal: no more writing, and reading only so that the peer finds the refusal rather than a reset.
    async fn linger(&mut self) -> io::Result<()> {
        end_writing(&self.socket);
        self.waiting = read_buffer();
        loop {
            let length = self.read().await?;
            if length == 0 || !self.connection.discard(length) {
                return Ok(());
            }
        }
    }
}

impl Tasks {
    /// Lets the handler answer; the replies stand in a buffer of the pool.
    fn feed(&self, connection: &mut Connection, bytes: &[u8]) -> (Next, Vec<u8>) {
        let mut out = self.outputs.borrow_mut().take();
        let next = self.handler.borrow_mut().feed(connection, bytes, &mut out);
        if let Some(waker) = self.turn_end.take() {
            waker.wake();
        }
        (next, out)
    }
}
