//! Events on their way to every user of a server: ordered on the admin address, handed to each shard, written by engines.
//!
//! The order does not come over a connection: a user could then make the server talk to all the others, and with several
//! shards only one would hear of it. It comes to the admin thread, which hands one [`Event`] to the inbox of each shard and
//! wakes its loop by a byte on the descriptor that signals arrive on as well. So a server that never pushes has nothing for
//! it: no thread, no descriptor, no byte in a connection.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use wire::message::Note;
use wire::{Format, Protocol, event};

/// Bytes of events that may wait for one connection whose socket is full. A slow reader costs this and its socket's buffer
/// at most; a further event ends it. Three events of the largest size fit.
pub const BACKLOG_BYTES: usize = 256 << 10;

/// Events that may wait for one shard. More orders are refused: whoever gives them faster than they are told gains nothing.
const INBOX_EVENTS: usize = 64;

/// The byte that says that an event is in the inbox. Another one (signal-hook writes `X`) is a signal to stop.
const PUSH: u8 = b'p';

/// How the message for each connection is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serialise {
    /// Once for the process: all connections are sent the same bytes.
    Once,
    /// Anew for each connection, as a server does that has something else to say to each.
    Each,
}

impl std::str::FromStr for Serialise {
    type Err = ();

    fn from_str(name: &str) -> Result<Serialise, ()> {
        match name {
            "once" => Ok(Serialise::Once),
            "each" => Ok(Serialise::Each),
            _ => Err(()),
        }
    }
}

/// An event for every connection of a shard.
#[derive(Debug)]
pub struct Event {
    protocol: Protocol,
    format: Format,
    note: Note,
    once: Option<Bytes>,
    length: usize,
}

impl Event {
    pub(crate) fn new(protocol: Protocol, format: Format, number: u32, bytes: usize, serialise: Serialise) -> Event {
        let note = event::event(number, bytes);
        let mut message = Vec::new();
        event::write(protocol, format, &note, &mut message);
        let length = message.len();
        let once = (serialise == Serialise::Once).then(|| message.into());
        Event { protocol, format, note, once, length }
    }

    /// The message that all connections share, where it was serialised once.
    #[must_use]
    pub fn shared(&self) -> Option<&Bytes> {
        self.once.as_ref()
    }

    /// Appends the message for one connection: serialised anew unless it was once.
    pub fn write(&self, out: &mut Vec<u8>) {
        match &self.once {
            Some(message) => out.extend_from_slice(message),
            None => event::write(self.protocol, self.format, &self.note, out),
        }
    }

    /// Length of the message.
    #[must_use]
    pub fn message_bytes(&self) -> usize {
        self.length
    }
}

/// What a shard is told from outside of its loop.
#[derive(Debug)]
pub enum Order {
    /// Stop: drain and return.
    Stop,
    /// Tell every connection this event.
    Push(Arc<Event>),
}

/// Events that wait for a shard, and the way to wake it.
#[derive(Debug)]
pub(crate) struct Inbox {
    events: Mutex<VecDeque<Arc<Event>>>,
    wake: UnixStream,
}

impl Inbox {
    /// An inbox whose shard is woken by writing to `wake`.
    pub(crate) fn new(wake: UnixStream) -> Inbox {
        Inbox { events: Mutex::default(), wake }
    }

    /// Hands an event to the shard; `false` when too many wait already.
    pub(crate) fn put(&self, event: &Arc<Event>) -> bool {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() >= INBOX_EVENTS {
            return false;
        }
        events.push_back(Arc::clone(event));
        // A byte an event fits the socket's buffer by far. A shard that has ended needs no waking.
        let _ = (&self.wake).write(&[PUSH]);
        true
    }

    fn take(&self) -> Option<Arc<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// A shard's orders: what the bytes on its `wake` descriptor mean.
#[derive(Debug)]
pub struct Orders {
    pub(crate) inbox: Arc<Inbox>,
    /// Events may be ordered at all.
    pub(crate) push: bool,
}

impl Orders {
    /// The orders behind bytes that were read from `wake`; no bytes at all, the end or an error, mean to stop.
    pub fn of<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = Order> + 'a {
        let ended = bytes.is_empty().then_some(Order::Stop);
        let told = bytes.iter().filter_map(|byte| match *byte {
            PUSH => self.inbox.take().map(Order::Push),
            _ => Some(Order::Stop),
        });
        ended.into_iter().chain(told)
    }

    /// Reads the orders that are there from `wake`, which does not block.
    pub fn read(&self, mut wake: impl Read) -> Vec<Order> {
        let mut orders = Vec::new();
        let mut bytes = [0; INBOX_EVENTS];
        loop {
            match wake.read(&mut bytes) {
                Ok(length) => {
                    orders.extend(self.of(&bytes[..length]));
                    if length < bytes.len() {
                        return orders;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return orders,
                Err(_) => {
                    orders.push(Order::Stop);
                    return orders;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events come out in their order, with the signal in its place; a full inbox refuses; the end of the descriptor stops.
    #[test]
    fn orders() {
        let (wake, written) = UnixStream::pair().unwrap();
        wake.set_nonblocking(true).unwrap();
        let inbox = Arc::new(Inbox::new(written.try_clone().unwrap()));
        let orders = Orders { inbox, push: true };
        let event = |number| Arc::new(Event::new(Protocol::Frame, Format::Raw, number, 8, Serialise::Each));
        assert!(orders.read(&wake).is_empty());
        assert!(orders.inbox.put(&event(1)) && orders.inbox.put(&event(2)));
        (&written).write_all(b"X").unwrap();
        let told = orders.read(&wake);
        assert!(matches!(&told[..], [Order::Push(a), Order::Push(b), Order::Stop] if (a.note.id, b.note.id) == (1, 2)));
        assert_eq!((0..100).filter(|_| orders.inbox.put(&event(3))).count(), INBOX_EVENTS);
        assert_eq!(orders.read(&wake).len(), INBOX_EVENTS);
        assert!(matches!(orders.of(&[]).collect::<Vec<_>>()[..], [Order::Stop]));
    }

    /// Once or for each, the message is the same; only who shares it differs.
    #[test]
    fn messages() {
        let of = |serialise| Event::new(Protocol::WebSocket, Format::Json, 5, 300, serialise);
        let (once, each) = (of(Serialise::Once), of(Serialise::Each));
        let mut message = Vec::new();
        each.write(&mut message);
        assert_eq!(once.shared().map(|shared| &shared[..]), Some(&message[..]));
        assert!(each.shared().is_none());
        assert_eq!((once.message_bytes(), each.message_bytes()), (message.len(), message.len()));
        let mut copied = Vec::new();
        once.write(&mut copied);
        assert_eq!(copied, message);
    }
}
