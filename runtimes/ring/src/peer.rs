//! One connection: what is remembered of it, and what it does with received bytes.

use service::{Connection, Handler, Next};

use crate::operation::Socket;

/// Bytes of a receive buffer where none are provided: the small requests that connected users send fit.
pub(crate) const CHUNK_BYTES: usize = 4 << 10;

/// A receive buffer that one connection owns while its receive is outstanding.
pub(crate) type Chunk = [u8; CHUNK_BYTES];

/// No send.
pub(crate) const NONE: u32 = u32::MAX;

/// A connection. Idle, it owns no memory but this (and the receive's buffer, where none are provided).
pub(crate) struct Peer {
    pub(crate) connection: Connection,
    /// Bytes that arrived while replies were not taken: served once they are.
    pub(crate) held: Option<Box<Held>>,
    pub(crate) chunk: Option<Box<Chunk>>,
    pub(crate) socket: Socket,
    /// Its send, by index, or `NONE`.
    pub(crate) sending: u32,
    pub(crate) next: Next,
    pub(crate) receiving: Receiving,
    /// The receive was asked to end.
    pub(crate) cancelling: bool,
    /// The end of its writing is outstanding.
    pub(crate) shutting: bool,
    /// Writing was shut down; what still comes is thrown away.
    pub(crate) lingers: bool,
    /// Nothing more will be received.
    pub(crate) ended: bool,
    /// A receive or a send failed.
    pub(crate) failed: bool,
    /// It was over the limit: it gets a sentence and is closed.
    pub(crate) refused: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) bytes: Vec<u8>,
}

/// Which operation waits for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiving {
    Nothing,
    Readable,
    Receive,
}

impl Peer {
    pub(crate) fn new(socket: Socket, connection: Option<Connection>) -> Peer {
        let refused = connection.is_none();
        Peer {
            connection: connection.unwrap_or_default(),
            held: None,
            chunk: None,
            socket,
            sending: NONE,
            next: if refused { Next::Close } else { Next::Read },
            receiving: Receiving::Nothing,
            cancelling: false,
            shutting: false,
            lingers: false,
            ended: false,
            failed: false,
            refused,
        }
    }

    /// Does with received bytes what is to be done now: serves, keeps or discards them. Appends replies to `out`;
    /// `blocked`: earlier replies are not yet with the kernel.
    #[inline]
    pub(crate) fn take(&mut self, handler: &mut Handler, bytes: &[u8], out: &mut Vec<u8>, blocked: bool) {
        match self.next {
            Next::Close => self.ended |= !self.connection.discard(bytes.len()),
            Next::Again => self.hold(bytes),
            Next::Read if blocked || self.held.is_some() => self.hold(bytes),
            Next::Read => self.next = handler.feed(&mut self.connection, bytes, out),
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.held.get_or_insert_default().bytes.extend_from_slice(bytes);
    }

    /// Whether received bytes are served as they come.
    #[inline]
    pub(crate) fn can_serve(&self) -> bool {
        self.next == Next::Read && self.held.is_none() && !self.failed
    }

    /// Whether its replies are behind: until they are taken, nothing more is received.
    pub(crate) fn is_behind(&self) -> bool {
        self.held.is_some() || self.next == Next::Again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The state of an idle connection is a few dozen bytes.
    #[test]
    fn size() {
        assert_eq!(size_of::<Peer>(), 88);
    }
}
