//! Bytes of a connection in, bytes for it out.
//!
//! A [`Handler`] is one shard's state, a [`Connection`] what it remembers of one peer: nothing while idle, the bytes
//! of an unfinished request otherwise. The engine calls [`Handler::feed`] with what it read, writes what that
//! appended, and reports it with [`Handler::flushed`].
//!
//! Allocations per request for notes in the steady state, proven by `tests/allocations.rs`: none, but for JSON texts with
//! escapes (serde_json unescapes them into a buffer that grows by doubling: four for 26 bytes) and for what that test states of
//! simd-json and buffa. A record that is published is allocated. A request that arrives in pieces is collected in a buffer that lives until
//! it is whole.

mod desk;
mod frame;
mod http1;
mod notes;
mod websocket;

use std::borrow::Cow;
use std::sync::Arc;

use wire::data::Broadcast;
use wire::format::Scratch;
use wire::message::ListNotes;
use wire::{Format, Protocol, Status, event};

use crate::clock::Clock;
use crate::counters::{Counters, ErrorKind};
use crate::fault::Faults;
use crate::limiter::{Admitted, Connections, Gate, LimitRequests};
use crate::store::Store;
use crate::work::Work;

pub use desk::{Desk, Place};
pub use notes::page_of_query;

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
    /// Its requests in flight.
    admitted: Admitted,
    /// `100 Continue` has been sent for the pending request.
    continued: bool,
    /// The WebSocket handshake is over.
    upgraded: bool,
    /// Its last message is written, or it is too slow: it is told nothing more.
    closing: bool,
    /// It was ended for being slow, so what fails on it is no news.
    slow: bool,
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
    faults: Option<Box<Faults>>,
}

/// The parts that all protocols use.
#[derive(Debug)]
struct Parts {
    format: Format,
    store: Store,
    clock: Clock,
    scratch: Scratch,
    /// Payloads of WebSocket frames without their masks, one at a time.
    unmasked: Vec<u8>,
    counters: Arc<Counters>,
    connections: Connections,
    gate: Gate,
    work: Work,
}

/// What of a handler the server's arguments decide.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The first gate.
    pub(crate) connections: Connections,
    /// The second gate.
    pub(crate) gate: Gate,
    /// What every request costs beside its own work.
    pub(crate) work: Work,
    /// What goes wrong on purpose.
    pub(crate) faults: Option<Box<Faults>>,
}

impl Rules {
    /// Everyone is let in, nothing is added, nothing goes wrong.
    pub(crate) fn none() -> Rules {
        Rules { connections: Connections::new(u64::MAX), gate: Gate::open(), work: Work::none(), faults: None }
    }
}

/// What a request asks for, whatever the protocol.
#[derive(Clone, Copy, Debug)]
enum Operation<'a> {
    Echo(&'a [u8]),
    AddNote(&'a [u8]),
    ListNotes(ListNotes),
    Publish(&'a [u8]),
}

/// Why a request is not served.
#[derive(Debug)]
pub struct Refusal {
    status: Status,
    kind: ErrorKind,
    /// Methods that the path takes; empty but where the method was wrong.
    allow: &'static str,
    says: Cow<'static, str>,
}

impl Refusal {
    /// How it ends, in every protocol.
    pub fn status(&self) -> Status {
        self.status
    }

    /// A sentence: the value seen and the value needed.
    pub fn says(&self) -> &str {
        &self.says
    }

    /// No place among the requests in flight. A sentence that is always the same: refusing must be cheap.
    fn full() -> Refusal {
        let says = "too many requests are in flight (--limit-requests): try again in a second";
        Refusal { status: Status::Busy, kind: ErrorKind::BusyInFlight, allow: "", says: Cow::Borrowed(says) }
    }

    /// No place for a connection.
    fn too_many(connections: &Connections) -> Refusal {
        let says = format!("{} connections are open, which is --limit-connections", connections.limit());
        Refusal::new(Status::Busy, says)
    }

    fn new(status: Status, says: impl Into<Cow<'static, str>>) -> Refusal {
        let kind = match status {
            Status::NotFound | Status::MethodNotAllowed | Status::UpgradeRequired => ErrorKind::NotFound,
            Status::TooLarge | Status::HeadTooLarge => ErrorKind::TooLarge,
            Status::Busy => ErrorKind::BusyInFlight,
            _ => ErrorKind::BadRequest,
        };
        Refusal { status, kind, allow: "", says: says.into() }
    }

    /// Another method than the path takes.
    fn method(allow: &'static str, says: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { allow, ..Refusal::new(Status::MethodNotAllowed, says) }
    }
}

/// How far one step of parsing got.
pub(crate) enum Step {
    /// A request took this many bytes and is answered.
    Served(usize),
    /// A request took this many bytes, is answered, and was the last.
    Last(usize),
    /// The request needs this many bytes in all; 0 when not known.
    Partial { needed: usize },
}

impl Handler {
    /// The handler of one shard.
    pub(crate) fn new(
        protocol: Protocol,
        format: Format,
        store: Store,
        counters: Arc<Counters>,
        rules: Rules,
    ) -> Handler {
        let Rules { connections, gate, work, faults } = rules;
        let shard = Parts {
            format,
            store,
            clock: Clock::new(),
            scratch: Scratch::default(),
            unmasked: Vec::new(),
            counters,
            connections,
            gate,
            work,
        };
        Handler { protocol, shard, faults }
    }

    /// A handler of its own, without limits: for benches and tests of codecs and framings.
    pub fn alone(protocol: Protocol, format: Format) -> Handler {
        Handler::new(protocol, format, Store::new(0, 1), Arc::default(), Rules::none())
    }

    /// [`Handler::alone`] with the second gate.
    pub fn alone_limited(protocol: Protocol, format: Format, limit: LimitRequests) -> Handler {
        let counters = Arc::<Counters>::default();
        let rules = Rules { gate: Gate::new(Some(limit), 1, &counters), ..Rules::none() };
        Handler::new(protocol, format, Store::new(0, 1), counters, rules)
    }

    /// Admits an accepted connection; `None` when there are too many: write [`Handler::refusal`] and close it.
    pub fn admit(&mut self) -> Option<Connection> {
        if let Some(faults) = &self.faults {
            faults.accepting();
        }
        if !self.shard.connections.take() {
            self.shard.counters.error(ErrorKind::BusyConnections);
            return None;
        }
        self.shard.counters.accepted.add(1);
        Some(Connection::default())
    }

    /// What a connection over the limit is told.
    pub fn refusal(&mut self, out: &mut Vec<u8>) {
        let refusal = Refusal::too_many(&self.shard.connections);
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
        self.shard.gate.serving();
        let admitted = self.shard.gate.admitted();
        let next = self.feed_whole(connection, bytes, out);
        self.shard.gate.served(admitted);
        next
    }

    /// [`Handler::feed`] on what was kept of earlier bytes and these.
    fn feed_whole(&mut self, connection: &mut Connection, bytes: &[u8], out: &mut Vec<u8>) -> Next {
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
            let (start, requests) = (out.len(), self.shard.counters.requests.value());
            let mut step = match self.protocol {
                Protocol::Frame => frame::step(&mut self.shard, connection, rest, out),
                Protocol::Http1 => http1::step(&mut self.shard, connection, rest, out),
                Protocol::WebSocket => websocket::step(&mut self.shard, connection, rest, out),
            };
            if let Some(faults) = &mut self.faults
                && self.shard.counters.requests.value() != requests
            {
                step = faults.strike(self.protocol, step, out, start);
            }
            match step {
                Step::Served(length) => used += length,
                Step::Last(length) => {
                    connection.closing = true;
                    return (used + length, Next::Close);
                }
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
            self.shard.gate.flushed(&mut connection.admitted);
        }
    }

    /// Begins a turn: the engine has asked what is ready, and serves next what the answer was. Requests that are fed until
    /// the next turn are in flight together; see `limiter`. Where nothing is limited this need not be said.
    pub fn turn(&mut self) {
        self.shard.gate.turn();
    }

    /// Whether requests in flight are limited, so that turns matter.
    pub fn counts_turns(&self) -> bool {
        self.shard.gate.limits()
    }

    /// Whether a connection is told events: not before a WebSocket is opened, nor behind the last message of any.
    #[must_use]
    pub fn takes_events(&self, connection: &Connection) -> bool {
        let open = self.protocol != Protocol::WebSocket || connection.upgraded;
        open && !connection.closing && event::is_told_in(self.protocol)
    }

    /// Counts an event that is on its way to a connection; its bytes count when they are [`Handler::flushed`].
    pub fn pushed(&mut self) {
        self.shard.counters.pushed.add(1);
    }

    /// Counts a connection that has [`crate::BACKLOG_BYTES`] of events to read already: the engine ends it.
    pub fn too_slow(&mut self, connection: &mut Connection) {
        (connection.closing, connection.slow) = (true, true);
        self.shard.counters.error(ErrorKind::SlowReader);
    }

    /// Ends a connection. `failed` when reading or writing did; an end amid a request is found out here.
    pub fn closed(&mut self, connection: Connection, failed: bool) {
        let Connection { pending, mut admitted, fragments, slow, .. } = connection;
        self.shard.gate.flushed(&mut admitted);
        self.shard.counters.closed.add(1);
        self.shard.connections.give_back();
        if slow {
            // Counted already.
        } else if failed {
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
        if !self.gate.take(&mut connection.admitted) {
            return Err(Refusal::full());
        }
        self.work.perform();
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
                let note = notes::add(&mut self.store, &text, self.clock.now())?;
                self.format.encode_note(note, out);
                Ok(())
            }
            Operation::ListNotes(request) => {
                notes::check_page(request)?;
                self.format.encode_page(self.store.total(), self.store.page(request), out);
                Ok(())
            }
            Operation::Publish(body) => {
                // Taken in whole, as a producer's record is: every field decoded, and the same encoded again.
                let broadcast: Broadcast = self.format.decode(body, &mut self.scratch)?;
                broadcast.check().map_err(|broken| Refusal::new(Status::BadRequest, broken))?;
                self.format.encode(&broadcast, out);
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
