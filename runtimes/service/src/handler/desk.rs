//! A shard for servers whose library frames the messages itself, as HTTP/2 libraries do: notes, limits and counters.

use std::sync::{Arc, Mutex, PoisonError};

use wire::message::{ListNotes, Note, NotePage};

use super::{Handler, Refusal, notes};
use crate::clock::Clock;
use crate::counters::{Counters, ErrorKind};
use crate::limiter::{Admitted, Connections, Gate};
use crate::store::Store;
use crate::work::Work;

/// What a [`Handler`] has beside its parsers. Shared by the tasks of one shard, which run on one thread: the counters have
/// one writer, and nobody waits for the locks, which are here because such libraries ask for services that are `Sync`.
#[derive(Debug)]
pub struct Desk {
    notes: Mutex<(Store, Clock)>,
    counters: Arc<Counters>,
    connections: Connections,
    gate: Mutex<Gate>,
    work: Work,
}

/// A request's place among those in flight, to be given back with [`Desk::end`].
#[derive(Debug)]
#[must_use]
pub struct Place(Admitted);

impl Handler {
    /// Takes the parsers away, and with them what goes wrong on purpose: faults are made of bytes.
    pub fn into_desk(self) -> Desk {
        let shard = self.shard;
        Desk {
            notes: Mutex::new((shard.store, shard.clock)),
            counters: shard.counters,
            connections: shard.connections,
            gate: Mutex::new(shard.gate),
            work: shard.work,
        }
    }
}

impl Desk {
    /// Admits an accepted connection, or says why not.
    pub fn admit(&self) -> Result<(), Refusal> {
        if !self.connections.take() {
            self.counters.error(ErrorKind::BusyConnections);
            return Err(Refusal::too_many(&self.connections));
        }
        self.counters.accepted.add(1);
        Ok(())
    }

    /// Ends a connection. `failed` when reading or writing did.
    pub fn closed(&self, failed: bool) {
        self.counters.closed.add(1);
        self.connections.give_back();
        if failed {
            self.counters.error(ErrorKind::Io);
        }
    }

    /// Counts a failed accept(2).
    pub fn accept_failed(&self) {
        self.counters.error(ErrorKind::Accept);
    }

    /// Counts bytes that a connection gave.
    pub fn received(&self, bytes: usize) {
        self.counters.bytes_in.add(bytes as u64);
    }

    /// Counts bytes that the kernel took.
    pub fn sent(&self, bytes: usize) {
        self.counters.bytes_out.add(bytes as u64);
    }

    /// Takes a place among the requests in flight, and does the work that every request costs (`--service-time`).
    pub fn begin(&self) -> Result<Place, Refusal> {
        self.counters.requests.add(1);
        let mut admitted = Admitted::default();
        if !self.gate.lock().unwrap_or_else(PoisonError::into_inner).take(&mut admitted) {
            self.counters.error(ErrorKind::BusyInFlight);
            return Err(Refusal::full());
        }
        self.work.perform();
        Ok(Place(admitted))
    }

    /// Gives back the place of a request whose reply is with the connection, or never will be. Each is a turn of its own:
    /// where a library has the loop, nobody sees what was ready together, so only fixed limits mean something here.
    #[expect(clippy::needless_pass_by_value, reason = "a place is given back once")]
    pub fn end(&self, place: Place) {
        let mut admitted = place.0;
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        gate.turn();
        gate.flushed(&mut admitted);
    }

    /// Counts a request that went wrong.
    pub fn error(&self, kind: ErrorKind) {
        self.counters.error(kind);
    }

    /// Adds a note.
    pub fn add(&self, text: &str) -> Result<Note, Refusal> {
        let mut guard = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let (store, clock) = &mut *guard;
        clock.tick();
        notes::add(store, text, clock.now()).cloned()
    }

    /// Lists a page of notes.
    pub fn list(&self, request: ListNotes) -> Result<NotePage, Refusal> {
        notes::check_page(request)?;
        let guard = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let store = &guard.0;
        Ok(NotePage { total: store.total(), notes: store.page(request).cloned().collect() })
    }
}

#[cfg(test)]
mod tests {
    use wire::{Format, Protocol, Status, limits};

    use super::*;

    fn desk() -> Desk {
        Handler::alone(Protocol::Http1, Format::Json).into_desk()
    }

    /// Notes come back as they were added, behind the seeded ones, and what is too much is refused with its measure.
    #[test]
    fn notes_and_limits() {
        let desk = desk();
        let added = desk.add("one more").unwrap();
        assert_eq!((added.id, added.text.as_str()), (1_001, "one more"));
        let page = desk.list(ListNotes { offset: 999, limit: 2 }).unwrap();
        assert_eq!((page.total, page.notes[1].id), (1_001, 1_001));
        assert_eq!(desk.add("").unwrap_err().status(), Status::BadRequest);
        let refused = desk.add(&"x".repeat(limits::TEXT_BYTES + 1)).unwrap_err();
        assert_eq!((refused.status(), refused.says()), (Status::TooLarge, "a text of 4097 bytes, the limit is 4096"));
        assert_eq!(desk.list(ListNotes { offset: 0, limit: 101 }).unwrap_err().status(), Status::BadRequest);
    }

    /// A place that is given back can be taken again, and no sooner.
    #[test]
    fn places() {
        let limit = "fixed:2".parse().unwrap();
        let desk = Handler::alone_limited(Protocol::Http1, Format::Json, limit).into_desk();
        let first = desk.begin().unwrap();
        let second = desk.begin().unwrap();
        assert_eq!(desk.begin().unwrap_err().status(), Status::Busy);
        desk.end(first);
        let third = desk.begin().unwrap();
        assert!(desk.begin().is_err());
        desk.end(second);
        desk.end(third);
        let _both = [desk.begin().unwrap(), desk.begin().unwrap()];
        assert!(desk.begin().is_err());
    }

    /// The same for connections.
    #[test]
    fn connections() {
        let mut desk = desk();
        desk.connections = Connections::new(1);
        desk.admit().unwrap();
        assert_eq!(desk.admit().unwrap_err().says(), "1 connections are open, which is --limit-connections");
        desk.closed(false);
        desk.admit().unwrap();
    }
}
