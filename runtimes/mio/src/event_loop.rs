//! One shard's loop: wait for events, accept, drive the peers that can move.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream, UnixStream};
use mio::{Events, Interest, Poll, Token};
use service::{Error, Event, Order, Shard};
use slab::Slab;

use crate::peer::{Buffers, Peer, Progress, Pushed};

/// Peers have the tokens from 0.
const LISTENER: Token = Token(usize::MAX - 1);
const WAKE: Token = Token(usize::MAX - 2);

/// Events taken from the kernel at once.
const EVENTS: usize = 1_024;

/// Connections accepted in a row before the peers have their turn.
const ACCEPT_BATCH: usize = 256;

/// Places of peers that an event is written to in a row before the others have their turn: a millisecond or two.
const PUSH_BATCH: usize = 256;

/// How long to leave accept(2) alone after it failed for want of descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(10);

pub(crate) fn run(shard: Shard) -> Result<(), Error> {
    let Shard { listener, wake, orders, handler, life } = shard;
    let mut poll = Poll::new().map_err(Error::system("epoll_create"))?;
    let mut listener = TcpListener::from_std(listener);
    let registry = poll.registry();
    registry.register(&mut listener, LISTENER, Interest::READABLE).map_err(Error::system("epoll_ctl"))?;
    let mut wake = UnixStream::from_std(wake);
    registry.register(&mut wake, WAKE, Interest::READABLE).map_err(Error::system("epoll_ctl"))?;
    let mut state = Loop {
        listener: Some(listener),
        peers: Slab::new(),
        buffers: Buffers::new(handler),
        more: Vec::new(),
        pushing: VecDeque::new(),
    };
    let mut events = Events::with_capacity(EVENTS);
    let mut accept = Accept::Wait;
    life.ready(None);

    while state.listener.is_some() || !state.peers.is_empty() {
        let timeout = match accept {
            _ if !state.more.is_empty() || !state.pushing.is_empty() => Some(Duration::ZERO),
            Accept::More => Some(Duration::ZERO),
            Accept::Failed => Some(ACCEPT_RETRY),
            Accept::Wait => None,
        };
        if let Err(error) = poll.poll(&mut events, timeout) {
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(Error::system("epoll_wait")(error));
        }
        state.buffers.handler.turn();
        // Those that had more to do when their turns were over: edges do not come twice.
        for key in std::mem::take(&mut state.more) {
            state.drive(key, true);
        }
        let mut stopping = false;
        let mut acceptable = accept != Accept::Wait;
        for event in &events {
            match event.token() {
                LISTENER => acceptable = true,
                WAKE => {
                    for order in orders.read(&mut wake) {
                        match order {
                            Order::Stop => stopping = true,
                            Order::Push(event) => state.pushing.push_back((event, 0)),
                        }
                    }
                }
                Token(key) => state.drive(key, event.is_read_closed() || event.is_error()),
            }
        }
        if acceptable {
            accept = state.accept(poll.registry());
        }
        state.push();
        if stopping {
            life.draining();
            // Who is in the queue has connected and may have sent: they are served before the listener goes.
            while state.accept(poll.registry()) == Accept::More {}
            state.listener = None;
            accept = Accept::Wait;
            state.end_reading();
        }
    }
    Ok(())
}

struct Loop {
    /// `None` when draining.
    listener: Option<TcpListener>,
    peers: Slab<Peer>,
    buffers: Buffers,
    /// Peers whose turns were over before they had nothing to do.
    more: Vec<usize>,
    /// Events to be told, in their order, and the key from which on peers have yet to be told the first.
    pushing: VecDeque<(Arc<Event>, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Accept {
    /// The queue is empty: an edge will come.
    Wait,
    /// There may be more in it.
    More,
    /// The kernel could not: try again after a while.
    Failed,
}

impl Loop {
    fn accept(&mut self, registry: &mio::Registry) -> Accept {
        let Some(listener) = &self.listener else { return Accept::Wait };
        for _ in 0..ACCEPT_BATCH {
            match listener.accept() {
                Ok((stream, _)) => {
                    if let Err(error) = admit(stream, registry, &mut self.peers, &mut self.buffers) {
                        self.buffers.handler.accept_failed();
                        eprintln!("warning: a connection could not be registered: {error}");
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Accept::Wait,
                    // The peer was gone before it was accepted: accept(2) says to go on.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    _ => {
                        self.buffers.handler.accept_failed();
                        return Accept::Failed;
                    }
                },
            }
        }
        Accept::More
    }

    /// Lets a peer read, be served and write. An event may be older than the end of its peer: then the key is free, or
    /// belongs to a newer peer, for which a spurious turn does no harm.
    fn drive(&mut self, key: usize, read_closed: bool) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let failed = match peer.drive(&mut self.buffers, read_closed) {
            Ok(Progress::Wait) => return,
            Ok(Progress::More) => return self.more.push(key),
            Ok(Progress::Ended) => false,
            Err(_) => true,
        };
        self.close(key, failed);
    }

    /// Closing the descriptor takes it out of epoll.
    fn close(&mut self, key: usize, failed: bool) {
        let peer = self.peers.remove(key);
        self.buffers.handler.closed(peer.connection, failed);
    }

    /// Tells the next peers the first event. Whoever connects meanwhile may be told or not.
    fn push(&mut self) {
        let Some((event, from)) = self.pushing.pop_front() else { return };
        let to = (from + PUSH_BATCH).min(self.peers.capacity());
        for key in from..to {
            let Some(peer) = self.peers.get_mut(key) else { continue };
            match peer.push(&event, &mut self.buffers) {
                Ok(Pushed::Taken) => {}
                // Counted already.
                Ok(Pushed::Slow) => self.close(key, false),
                Err(_) => self.close(key, true),
            }
        }
        if to < self.peers.capacity() {
            self.pushing.push_front((event, to));
        }
    }

    /// Ends reading on every peer, which comes back as an event, and by their usual path they end.
    fn end_reading(&mut self) {
        for (key, peer) in &self.peers {
            let _ = peer.stream.shutdown(Shutdown::Read);
            self.more.push(key);
        }
    }
}

/// Registers a connection once, for both directions. Edge-triggered, so that no epoll_ctl follows: whether it waits
/// to write is known here, and the kernel reports writability only after a write that fell short.
fn admit(
    mut stream: TcpStream,
    registry: &mio::Registry,
    peers: &mut Slab<Peer>,
    buffers: &mut Buffers,
) -> io::Result<()> {
    let Some(connection) = buffers.handler.admit() else {
        buffers.refuse(&stream);
        return Ok(());
    };
    let entry = peers.vacant_entry();
    let interest = Interest::READABLE | Interest::WRITABLE;
    if let Err(error) = registry.register(&mut stream, Token(entry.key()), interest) {
        buffers.handler.closed(connection, true);
        return Err(error);
    }
    entry.insert(Peer::new(stream, connection));
    Ok(())
}
