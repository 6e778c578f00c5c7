//! The gates themselves: who is let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::time::{ClockId, clock_gettime};

use super::{Algorithm, LimitRequests, Sample};
use crate::counters::Counters;

/// The first gate: connections over all shards.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    open: Arc<AtomicU64>,
    limit: u64,
}

impl Connections {
    pub(crate) fn new(limit: u64) -> Connections {
        Connections { open: Arc::default(), limit }
    }

    /// Takes a place; `false` when there is none.
    pub(crate) fn take(&self) -> bool {
        let taken = self.open.fetch_add(1, Ordering::Relaxed) < self.limit;
        if !taken {
            self.give_back();
        }
        taken
    }

    pub(crate) fn give_back(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }
}

/// What a connection remembers of its requests in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// Requests whose reply is not with the kernel. Sixteen bits: `OUTPUT_BYTES` of the smallest replies are half as many.
    pub(crate) unflushed: u16,
    /// The turn of the latest of them. It comes round after 65,536 turns: whoever then still has replies that nobody takes is
    /// counted in the wrong turn once.
    pub(crate) turn: u16,
}

/// The second gate: requests in flight in one shard.
#[derive(Debug)]
pub(crate) struct Gate {
    limit: u64,
    turn: u16,
    /// Requests admitted in this turn.
    admitted: u64,
    /// Requests refused in this turn.
    refused: u64,
    /// Requests of earlier turns whose reply is not with the kernel.
    earlier: u64,
    /// All requests whose reply is not with the kernel.
    unflushed: u64,
    limiter: Option<Box<Limiter>>,
}

/// What a gate has only when it limits.
#[derive(Debug)]
struct Limiter {
    algorithm: Algorithm,
    counters: Arc<Counters>,
    /// When the turn began, and when its last admitted request ended; nanoseconds, 0 before either. Adaptive limits only.
    began: u64,
    ended: u64,
}

impl Gate {
    /// A gate that lets everyone in.
    pub(crate) fn open() -> Gate {
        Gate { limit: u64::MAX, turn: 0, admitted: 0, refused: 0, earlier: 0, unflushed: 0, limiter: None }
    }

    /// The gate of one of `shards` shards.
    pub(crate) fn new(asked: Option<LimitRequests>, shards: u64, counters: &Arc<Counters>) -> Gate {
        let Some(asked) = asked else { return Gate::open() };
        let algorithm = Algorithm::new(asked, shards);
        let limit = algorithm.limit();
        counters.requests_limit.set(limit);
        let limiter = Limiter { algorithm, counters: Arc::clone(counters), began: 0, ended: 0 };
        Gate { limit, limiter: Some(Box::new(limiter)), ..Gate::open() }
    }

    /// Whether anyone can be refused.
    pub(crate) fn limits(&self) -> bool {
        self.limiter.is_some()
    }

    /// Requests in flight.
    pub(crate) fn in_flight(&self) -> u64 {
        self.earlier + self.admitted
    }

    /// Whether the next request will be refused: then nothing of it but its head need be looked at.
    pub(crate) fn is_full(&self) -> bool {
        self.in_flight() >= self.limit
    }

    /// Takes a place for a request; `false` when there is none.
    pub(crate) fn take(&mut self, of: &mut Admitted) -> bool {
        if self.is_full() || of.unflushed == u16::MAX {
            self.refused += 1;
            return false;
        }
        self.admitted += 1;
        self.unflushed += 1;
        *of = Admitted { unflushed: of.unflushed + 1, turn: self.turn };
        true
    }

    /// The replies of a connection are with the kernel, or never will be.
    pub(crate) fn flushed(&mut self, of: &mut Admitted) {
        let count = u64::from(of.unflushed);
        self.unflushed -= count;
        // Those of this turn keep their places until it ends.
        if of.turn != self.turn {
            self.earlier = self.earlier.saturating_sub(count);
        }
        of.unflushed = 0;
    }

    /// Before a batch of requests is served: when it is the first of its turn, that begins now.
    pub(crate) fn serving(&mut self) {
        if let Some(limiter) = &mut self.limiter
            && limiter.began == 0
            && limiter.algorithm.is_adaptive()
        {
            limiter.began = now();
        }
    }

    /// After a batch of requests was served, of which `admitted` had been let in before it.
    pub(crate) fn served(&mut self, admitted: u64) {
        if let Some(limiter) = &mut self.limiter
            && self.admitted > admitted
            && limiter.algorithm.is_adaptive()
        {
            limiter.ended = now();
        }
    }

    /// Requests admitted in this turn.
    pub(crate) fn admitted(&self) -> u64 {
        self.admitted
    }

    /// Requests whose reply is not with the kernel.
    #[cfg(test)]
    pub(crate) fn unflushed(&self) -> u64 {
        self.unflushed
    }

    /// Ends a turn and begins the next.
    pub(crate) fn turn(&mut self) {
        let Some(limiter) = &mut self.limiter else { return };
        if self.admitted + self.refused > 0 {
            let in_flight = self.earlier + self.admitted;
            limiter.counters.in_flight.set(in_flight);
            limiter.counters.admitted.add(self.admitted);
            limiter.counters.turns.add(1);
            if limiter.algorithm.is_adaptive() && self.admitted > 0 {
                let latency = limiter.ended.saturating_sub(limiter.began).max(1) as f64;
                let wanted = (in_flight + self.refused) as f64;
                limiter.algorithm.update(Sample { wanted, latency, alone: latency / self.admitted as f64 });
                self.limit = limiter.algorithm.limit();
                limiter.counters.requests_limit.set(self.limit);
            }
            (limiter.began, limiter.ended) = (0, 0);
        }
        self.earlier = self.unflushed;
        (self.admitted, self.refused) = (0, 0);
        self.turn = self.turn.wrapping_add(1);
    }
}

/// Nanoseconds on CLOCK_MONOTONIC (through the vDSO, some 25 ns a call).
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
