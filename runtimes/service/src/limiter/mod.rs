//! The two gates of a server: connections at accept, requests in flight. Engine-neutral, and nothing here does I/O.
//!
//! # What is in flight in a server with one thread
//!
//! A shard does one thing at a time, so two requests are never worked on at once; what there can be several of is requests
//! that *wait*. Where they wait decides who sees them. Bytes in a socket's buffer are not seen at all before the shard asks
//! the kernel what is ready. From then on the shard has a batch before it: everything that this one answer brought. That is a
//! **turn**: it begins when the shard picks up what is ready and ends when it asks again.
//!
//! A request is in flight from the beginning of the turn that picked it up until that turn has ended *and* its reply is with
//! the kernel, whichever comes last. So the number in flight is the depth of the queue that the shard works through, and by
//! Little's law depth times service time is how long the last one waits. What arrives meanwhile waits one turn more at the
//! most, in the socket's buffer; bounding the turn bounds both. What comes during a turn and is read in it, because its socket
//! was to be looked at anyway, counts in that turn: a burst of new connections is such a case. Counting replies that are not
//! yet flushed, which is what a server with a thread a request would do, would count nothing here: an engine by readiness
//! writes each reply at once.
//!
//! Engines with a loop of their own say where turns begin ([`crate::Handler::turn`]). In an async runtime nobody sees that, but
//! its run queue is first in, first out: a task that the first request of a turn wakes runs behind all that were ready with
//! that request ([`crate::Tasks::turns`]).
//!
//! # What the algorithms see
//!
//! One [`Sample`] a turn: how many requests it brought, how long the last admitted one was in it, and what one of them takes by
//! itself. A turn of few requests says nothing about a limit that it did not come near, and is left out.

mod aimd;
mod arguments;
mod fixed;
mod gate;
mod gradient2;
mod vegas;

pub use arguments::{LimitRequests, UnknownAlgorithm};
pub(crate) use gate::{Admitted, Connections, Gate};

use aimd::Aimd;
use fixed::Fixed;
use gradient2::Gradient2;
use vegas::Vegas;

/// What one turn showed. Times in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Requests that were in flight at most, refused ones included: what wanted to be.
    pub(crate) wanted: f64,
    /// From the beginning of the turn to the end of the last admitted request.
    pub(crate) latency: f64,
    /// The share of that which one request took: what its latency would be without a queue.
    pub(crate) alone: f64,
}

/// Bounds of every adaptive limit. Below two a shard would wait for a system call after each request; the upper one is far
/// beyond what a turn of one thread holds.
const LOWEST: f64 = 2.0;
const HIGHEST: f64 = 10_000.0;

/// Where adaptive limits begin.
const INITIAL: f64 = 20.0;

/// A limit on requests in flight, and what moves it.
#[derive(Clone, Debug)]
pub(crate) enum Algorithm {
    Fixed(Fixed),
    Aimd(Aimd),
    Vegas(Vegas),
    Gradient2(Gradient2),
}

impl Algorithm {
    /// The algorithm that was asked for, for one of `shards` shards.
    fn new(asked: LimitRequests, shards: u64) -> Algorithm {
        match asked {
            LimitRequests::Fixed(requests) => Algorithm::Fixed(Fixed::share(requests, shards)),
            LimitRequests::Aimd { latency } => Algorithm::Aimd(Aimd::new(latency.as_nanos() as f64)),
            LimitRequests::Vegas => Algorithm::Vegas(Vegas::new()),
            LimitRequests::Gradient2 => Algorithm::Gradient2(Gradient2::new()),
        }
    }

    /// Requests that may be in flight now.
    fn limit(&self) -> u64 {
        match self {
            Algorithm::Fixed(fixed) => fixed.limit(),
            Algorithm::Aimd(aimd) => aimd.limit() as u64,
            Algorithm::Vegas(vegas) => vegas.limit() as u64,
            Algorithm::Gradient2(gradient) => gradient.limit() as u64,
        }
    }

    /// Whether samples change anything: otherwise nobody needs to read a clock.
    fn is_adaptive(&self) -> bool {
        !matches!(self, Algorithm::Fixed(_))
    }

    fn update(&mut self, sample: Sample) {
        match self {
            Algorithm::Fixed(_) => {}
            Algorithm::Aimd(aimd) => aimd.update(sample),
            Algorithm::Vegas(vegas) => vegas.update(sample),
            Algorithm::Gradient2(gradient) => gradient.update(sample),
        }
    }
}

/// Whether a turn came near enough to `limit` to say something about it: half of it.
fn is_telling(sample: Sample, limit: f64) -> bool {
    sample.wanted * 2.0 >= limit
}

#[cfg(test)]
mod tests;
