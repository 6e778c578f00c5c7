//! Bytes of a connection in, bytes for it out.
//!
//! A [`Handler`] is one shard's state, a [`Connection`] what it remembers of one peer: nothing while idle, the bytes
//! of an unfinished request otherwise. The engine calls [`Handler::feed`] with what it read, writes what that
//! appended, and reports it with [`Handler::flushed`].
//!
//! Allocations per request in the steady state, proven by `tests/allocations.rs`: none, but for JSON texts with
//! escapes (serde_json unescapes them into a buffer that grows by doubling: four for 26 bytes). A request that arrives in pieces is collected in a buffer that lives until it is whole.

mod frame;
mod http1;
mod websocket;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wire::message::{AddNote, ListNotes};
use wire::{Format, Protocol, Status, limits};

use crate::clock::Clock;
use crate::counters::{Counters, ErrorKind};
use crate::store::Store;

/// Bytes that an engine reads at once. 64 KiB hold every request of the usual scenarios whole, and stay in the second-level cache.
pub const READ_BYTES: usize = 64 << 10;

/// Output beyond which no further request is served until it is flushed. Small requests for large pages could
/// otherwise turn one read of 64 KiB into 60 MB of replies.
const OUTPUT_BYTES: usize = 256 << 10;

/// Bytes read and thrown away after a refusal, so that the peer reads it rather than a reset (RFC 9112, 9.6).
const LINGER_BYTES: u32 = 2 << 20;

/// What the engine does next with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Write the output; read on.
    Read,
    /// Write the output, all of it, and then feed an empty slice before reading on: requests are waiting.
    Again,
    /// Write the output, shut down writing, then read and [`Connection::discard`] until the peer closes.
    Close,
}

/// What is remembered of one connection. It holds no memory between requests.
#[derive(Debug, Default)]
pub struct Connection {
    /// The start of a request that is not whole, or requests behind [`Next::Again`].
    pending: Vec<u8>,
    /// Bytes that `pending` must hold before parsing it again makes sense. Below 4 GiB, as every limit is.
    needed: u32,
    /// Requests answered since the last flush.
    unflushed: u32,
    /// `100 Continue` has been sent for the pending request.
    continued: bool,
    /// The WebSocket handshake is over.
    upgraded: bool,
    /// The start of a WebSocket message that comes in several frames.
    fragments: Option<Box<websocket::Fragments>>,
    discarded: u32,
}

impl Connection {
    /// Counts bytes that came after [`Next::Close`]; `false` when it is enough and the connection may be reset.
    pub fn discard(&mut self, bytes: usize) -> bool {
        self.discarded = self.discarded.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.discarded <= LINGER_BYTES
    }
}

/// One shard: what turns requests into replies, and counts.
#[derive(Debug)]
pub struct Handler {
    protocol: Protocol,
    shard: Parts,
}

/// The parts that all protocols use.
#[derive(Debug)]
struct Parts {
    format: Format,
    store: Store,
    clock: Clock,
    scratch: AddNote,
    /// Payloads of WebSocket frames without their masks, one at a time.
    unmasked: Vec<u8>,
    counters: Arc<Counters>,
    connections: Limit,
    in_flight: u64,
    in_flight_max: u64,
}

/// Connections over all shards.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    open: Arc<AtomicU64>,
    max: u64,
}

impl Limit {
    pub(crate) fn new(max: u64) -> Limit {
        Limit { open: Arc::default(), max }
    }
}

/// What a request asks for, whatever the protocol.
#[derive(Clone, Copy, Debug)]
enum Operation<'a> {
    Echo(&'a [u8]),
    AddNote(&'a [u8]),
    ListNotes(ListNotes),
}

/// Why a request is not served.
#[derive(Debug)]
struct Refusal {
    status: Status,
    kind: ErrorKind,
    says: Cow<'static, str>,
}

impl Refusal {
    fn new(status: Status, says: impl Into<Cow<'static, str>>) -> Refusal {
        let kind = match status {
            Status::NotFound | Status::MethodNotAllowed | Status::UpgradeRequired => ErrorKind::NotFound,
            Status::TooLarge | Status::HeadTooLarge => ErrorKind::TooLarge,
            Status::Busy => ErrorKind::BusyInFlight,
            _ => ErrorKind::BadRequest,
        };
        Refusal { status, kind, says: says.into() }
    }
}

/// How far one step of parsing got.
enum Step {
    /// A request took this many bytes and is answered.
    Served(usize),
    /// A request took this many bytes, is answered, and was the last.
    Last(usize),
    /// The request needs this many bytes in all; 0 when not known.
    Partial { needed: usize },
}

impl Handler {
    /// A handler for shard `shard` of `shards`, which answers at most `in_flight_max` requests between flushes.
    pub(crate) fn new(
        protocol: Protocol,
        format: Format,
        store: Store,
        counters: Arc<Counters>,
        connections: Limit,
        in_flight_max: u64,
    ) -> Handler {
        let shard = Parts {
            format,
            store,
            clock: Clock::new(),
            scratch: AddNote::default(),
            unmasked: Vec::new(),
            counters,
            connections,
            in_flight: 0,
            in_flight_max,
        };
        Handler { protocol, shard }
    }

    /// A handler of its own, without limits: for benches and tests of codecs and framings.
    pub fn alone(protocol: Protocol, format: Format) -> Handler {
        Handler::new(protocol, format, Store::new(0, 1), Arc::default(), Limit::new(u64::MAX), u64::MAX)
    }

    /// Admits an accepted connection; `None` when there are too many: write [`Handler::refusal`] and close it.
    pub fn admit(&mut self) -> Option<Connection> {
        let Limit { open, max } = &self.shard.connections;
        if open.fetch_add(1, Ordering::Relaxed) >= *max {
            open.fetch_sub(1, Ordering::Relaxed);
            self.shard.counters.error(ErrorKind::BusyConnections);
            return None;
        }
        self.shard.counters.accepted.add(1);
        Some(Connection::default())
    }

    /// What a connection over the limit is told.
    pub fn refusal(&mut self, out: &mut Vec<u8>) {
        let says = format!("{} connections are open, which is --max-connections", self.shard.connections.max);
        let refusal = Refusal::new(Status::Busy, says);
        self.shard.clock.tick();
        match self.protocol {
            Protocol::Frame => frame::refuse(out, 0, 0, &refusal),
            // A WebSocket is refused before it is one.
            Protocol::Http1 | Protocol::WebSocket => {
                http1::refuse(out, self.shard.clock.date(), &refusal, wire::http1::Persistence::Close, true);
            }
        }
    }

    /// Serves the requests that are whole with these bytes and appends their replies to `out`.
    ///
    /// A request within `bytes` is served from there, without a copy. Never fails: what is wrong is answered, and
    /// [`Next::Close`] returned where the rest cannot be delimited.
    pub fn feed(&mut self, connection: &mut Connection, bytes: &[u8], out: &mut Vec<u8>) -> Next {
        self.shard.counters.bytes_in.add(bytes.len() as u64);
        self.shard.clock.tick();
        if connection.pending.is_empty() {
            let (used, next) = self.serve(connection, bytes, out);
            if next != Next::Close {
                connection.pending.extend_from_slice(&bytes[used..]);
            }
            return next;
        }
        connection.pending.extend_from_slice(bytes);
        if connection.pending.len() < connection.needed as usize {
            return Next::Read;
        }
        let mut pending = std::mem::take(&mut connection.pending);
        let (used, next) = self.serve(connection, &pending, out);
        // An idle connection keeps no memory: what is used up is freed rather than cleared.
        if used < pending.len() && next != Next::Close {
            pending.drain(..used);
            connection.pending = pending;
        }
        next
    }

    fn serve(&mut self, connection: &mut Connection, bytes: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
        let mut used = 0;
        connection.needed = 0;
        while used < bytes.len() {
            if out.len() >= OUTPUT_BYTES {
                return (used, Next::Again);
            }
            let rest = &bytes[used..];
            let step = match self.protocol {
                Protocol::Frame => frame::step(&mut self.shard, connection, rest, out),
                Protocol::Http1 => http1::step(&mut self.shard, connection, rest, out),
                Protocol::WebSocket => websocket::step(&mut self.shard, connection, rest, out),
            };
            match step {
                Step::Served(length) => used += length,
                Step::Last(length) => return (used + length, Next::Close),
                Step::Partial { needed } => {
                    connection.needed = u32::try_from(needed).unwrap_or(u32::MAX);
                    return (used, Next::Read);
                }
            }
        }
        (used, Next::Read)
    }

    /// Notes that `bytes` of output are with the kernel, and with them, when `all` is set, every reply so far.
    pub fn flushed(&mut self, connection: &mut Connection, bytes: usize, all: bool) {
        self.shard.counters.bytes_out.add(bytes as u64);
        if all {
            self.shard.in_flight -= u64::from(connection.unflushed);
            connection.unflushed = 0;
        }
    }

    /// Ends a connection. `failed` when reading or writing did; an end amid a request is found out here.
    pub fn closed(&mut self, connection: Connection, failed: bool) {
        let Connection { pending, unflushed, fragments, .. } = connection;
        self.shard.in_flight -= u64::from(unflushed);
        self.shard.counters.closed.add(1);
        self.shard.connections.open.fetch_sub(1, Ordering::Relaxed);
        if failed {
            self.shard.counters.error(ErrorKind::Io);
        } else if !pending.is_empty() || fragments.is_some() {
            self.shard.counters.error(ErrorKind::Truncated);
        }
    }

    /// Counts a failed accept(2).
    pub fn accept_failed(&mut self) {
        self.shard.counters.error(ErrorKind::Accept);
    }
}

impl Parts {
    /// Takes a place among the requests in flight.
    fn take_place(&mut self, connection: &mut Connection) -> Result<(), Refusal> {
        self.counters.requests.add(1);
        if self.in_flight >= self.in_flight_max {
            let says =
                format!("{} requests are in flight, which is this shard's share of --max-in-flight", self.in_flight);
            return Err(Refusal::new(Status::Busy, says));
        }
        self.in_flight += 1;
        connection.unflushed += 1;
        Ok(())
    }

    /// Does what is asked for and appends the reply's body.
    fn perform(&mut self, operation: Operation<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match operation {
            Operation::Echo(payload) => {
                out.extend_from_slice(payload);
                Ok(())
            }
            Operation::AddNote(body) => {
                let text = self.format.decode_add_note(body, &mut self.scratch)?;
                if text.is_empty() {
                    return Err(Refusal::new(Status::BadRequest, "the note has no text"));
                }
                if text.len() > limits::TEXT_BYTES {
                    let says = format!("a text of {} bytes, the limit is {}", text.len(), limits::TEXT_BYTES);
                    return Err(Refusal::new(Status::TooLarge, says));
                }
                let note = self.store.add(&text, self.clock.now());
                self.format.encode_note(note, out);
                Ok(())
            }
            Operation::ListNotes(request) => {
                if request.limit > limits::PAGE_NOTES {
                    let says = format!("limit {}, at most {} notes a page", request.limit, limits::PAGE_NOTES);
                    return Err(Refusal::new(Status::BadRequest, says));
                }
                self.format.encode_page(self.store.total(), self.store.page(request), out);
                Ok(())
            }
        }
    }
}

impl From<wire::format::DecodeError> for Refusal {
    fn from(error: wire::format::DecodeError) -> Refusal {
        Refusal::new(Status::BadRequest, error.to_string())
    }
}

#[cfg(test)]
mod tests;
