//! Which tasks are told events, and the events that some of them have yet to write.
//!
//! There is one log of events for all of a shard's connections, and a place in it for each: an event is kept as long as
//! somebody has not written it, whoever is slow has a place further back and no copy. Exists with `--push` only: what it
//! keeps of a connection (its task's waker, its place) is memory that other servers do not need.

use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::task::Waker;

use slab::Slab;

use crate::push::{BACKLOG_BYTES, Event};

/// The connections of a shard as an audience.
#[derive(Debug, Default)]
pub(super) struct Audience {
    listeners: Slab<Listener>,
    events: VecDeque<Told>,
    /// Number of the first event of `events`, counted from the first one that the shard ever told.
    first: u64,
    /// Listeners that were woken and have not run since.
    woken: usize,
    /// Who waits until all have run.
    waits: Option<Waker>,
}

/// One connection.
#[derive(Debug)]
struct Listener {
    waker: Waker,
    descriptor: RawFd,
    /// The event that it has to write next, counted as in [`Audience::first`].
    next: u64,
    /// Bytes of the events that it has to write.
    behind: usize,
    woken: bool,
    /// It had too much to write and is being ended.
    slow: bool,
}

/// An event, and how many have yet to write it.
#[derive(Debug)]
struct Told {
    event: Arc<Event>,
    left: usize,
}

impl Audience {
    /// Adds the connection whose task has this waker; its place here.
    pub(super) fn join(&mut self, waker: &Waker, descriptor: RawFd) -> usize {
        let (waker, next) = (waker.clone(), self.first + self.events.len() as u64);
        self.listeners.insert(Listener { waker, descriptor, next, behind: 0, woken: false, slow: false })
    }

    /// Tells everybody an event: wakes their tasks. Returns the descriptors of those who have too much to write already;
    /// they are told nothing more.
    pub(super) fn tell(&mut self, event: Arc<Event>) -> Vec<RawFd> {
        let mut slow = Vec::new();
        let mut left = 0;
        for (_, listener) in self.listeners.iter_mut().filter(|(_, listener)| !listener.slow) {
            if listener.behind > 0 && listener.behind + event.message_bytes() > BACKLOG_BYTES {
                listener.slow = true;
                forget(&mut self.events, self.first, listener.next);
                slow.push(listener.descriptor);
                continue;
            }
            listener.behind += event.message_bytes();
            left += 1;
            self.woken += usize::from(!listener.woken);
            listener.woken = true;
            listener.waker.wake_by_ref();
        }
        self.events.push_back(Told { event, left });
        self.trim();
        slow
    }

    /// The event that a connection has to write next.
    pub(super) fn next(&self, place: usize) -> Option<Arc<Event>> {
        let listener = &self.listeners[place];
        if listener.slow {
            return None;
        }
        let index = usize::try_from(listener.next - self.first).expect("fewer events than fit memory");
        self.events.get(index).map(|told| Arc::clone(&told.event))
    }

    /// A connection has written the event that was [`Audience::next`], or cannot take it.
    pub(super) fn passed(&mut self, place: usize) {
        let listener = &mut self.listeners[place];
        if listener.slow {
            return;
        }
        let told = &mut self.events[usize::try_from(listener.next - self.first).expect("it was found there")];
        listener.next += 1;
        listener.behind -= told.event.message_bytes();
        told.left -= 1;
        self.trim();
    }

    /// A connection's task runs.
    pub(super) fn runs(&mut self, place: usize) {
        if std::mem::take(&mut self.listeners[place].woken) {
            self.has_run();
        }
    }

    /// Removes a connection; whether it was too slow.
    pub(super) fn leave(&mut self, place: usize) -> bool {
        let listener = self.listeners.remove(place);
        if !listener.slow {
            forget(&mut self.events, self.first, listener.next);
            self.trim();
        }
        if listener.woken {
            self.has_run();
        }
        listener.slow
    }

    /// Whether all that were woken have run; if not, `waker` is woken when they have.
    pub(super) fn have_run(&mut self, waker: &Waker) -> bool {
        if self.woken > 0 {
            self.waits = Some(waker.clone());
        }
        self.woken == 0
    }

    fn has_run(&mut self) {
        self.woken -= 1;
        if self.woken == 0
            && let Some(waker) = self.waits.take()
        {
            waker.wake();
        }
    }

    /// Lets go of the events that everybody has written.
    fn trim(&mut self) {
        while self.events.front().is_some_and(|told| told.left == 0) {
            self.events.pop_front();
            self.first += 1;
        }
    }
}

/// One connection less has yet to write the events from `next` on.
fn forget(events: &mut VecDeque<Told>, first: u64, next: u64) {
    let index = usize::try_from(next - first).expect("fewer events than fit memory");
    events.range_mut(index..).for_each(|told| told.left -= 1);
}

#[cfg(test)]
mod tests {
    use wire::{Format, Protocol};

    use super::*;
    use crate::push::Serialise;

    fn event(number: u32, bytes: usize) -> Arc<Event> {
        Arc::new(Event::new(Protocol::Frame, Format::Raw, number, bytes, Serialise::Each))
    }

    /// Each connection is told the events that come after it joined, in order; what all have written is let go.
    #[test]
    fn places() {
        let mut audience = Audience::default();
        let (early, waker) = (audience.join(Waker::noop(), 3), Waker::noop());
        assert!(audience.tell(event(1, 10)).is_empty());
        let late = audience.join(waker, 4);
        assert!(audience.tell(event(2, 20)).is_empty());
        assert!(audience.next(early).is_some_and(|event| event.message_bytes() == 12 + 36 + 10));
        assert!(audience.next(late).is_some_and(|event| event.message_bytes() == 12 + 36 + 20));
        assert!(!audience.have_run(waker));
        audience.runs(early);
        audience.runs(early);
        audience.runs(late);
        assert!(audience.have_run(waker));
        audience.passed(late);
        assert!(audience.next(late).is_none());
        assert_eq!(audience.events.len(), 2);
        audience.passed(early);
        assert_eq!(audience.events.len(), 1);
        // Who leaves does not hold up the rest.
        assert!(!audience.leave(early));
        assert!(audience.events.is_empty());
        assert!(audience.tell(event(3, 1)).is_empty());
        audience.passed(late);
        assert!(audience.events.is_empty() && audience.first == 3);
        audience.leave(late);
        // Nobody listens: nothing is kept.
        audience.tell(event(4, 1));
        assert!(audience.events.is_empty() && audience.have_run(waker));
    }

    /// Whoever has too much to write is named once and told nothing more; the others go on.
    #[test]
    fn too_slow() {
        let mut audience = Audience::default();
        let (slow, quick) = (audience.join(Waker::noop(), 3), audience.join(Waker::noop(), 4));
        let mut named = Vec::new();
        for number in 0..10 {
            named.extend(audience.tell(event(number, 60_000)));
            assert!(audience.next(quick).is_some());
            audience.passed(quick);
        }
        assert_eq!(named, [3]);
        assert!(audience.next(slow).is_none() && audience.events.is_empty());
        assert!(audience.leave(slow) && !audience.leave(quick));
        assert_eq!(audience.woken, 0);
    }
}
