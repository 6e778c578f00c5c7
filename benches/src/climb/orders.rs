//! What the supervisor tells a holder on stdin and hears on its stdout: JSON lines, one order, then its answer.
//!
//! A holder is a generator process of the fleet: it opens connections when told, keeps them, and offers load when told.
//! Times are nanoseconds on CLOCK_MONOTONIC, which all processes of a box share: one epoch for the whole fleet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub enum Order {
    /// Hold this many connections in all; answered by [`Answer::Opened`] for every slice and for the last one.
    Open {
        /// Connections in all, those opened before included.
        upto: u32,
    },
    /// Ask one request on a random share of the connections; answered by [`Answer::Probed`].
    Probe {
        /// 0 to 1.
        share: f64,
        /// Seed of the choice.
        seed: u64,
    },
    /// Offer load; answered by [`Answer::Loaded`].
    Load(Load),
    /// Do what users do beside talking; answered by [`Answer::Lived`].
    Live(Live),
    /// Say how many connections are alive; answered by [`Answer::Alive`].
    Count,
    /// Reset all connections and end.
    Leave,
}

/// A holder's part of a load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// When load begins.
    pub start_ns: u64,
    /// When the measured window begins.
    pub window_start_ns: u64,
    /// When it ends, and with it the load.
    pub window_end_ns: u64,
    /// `constant` or `poisson`.
    pub arrivals: String,
    /// Requests per second of this holder.
    pub rate: f64,
    /// Shift of constant arrivals against the other holders', 0 to 1.
    pub phase: f64,
    /// Share of the connections that send.
    pub active_share: f64,
    /// Requests in flight per connection at most.
    pub in_flight: u32,
    /// Seed of Poisson arrivals.
    pub seed: u64,
}

/// What users do beside talking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// Which.
    pub event: Event,
    /// When it begins, nanoseconds on the shared clock.
    pub at_ns: u64,
    /// Seed of who is chosen.
    pub seed: u64,
}

/// An event in the life of connected users.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// A share of the users is cut off at once and comes back at once; over when each has had a right reply again.
    Storm {
        /// 0 to 1.
        share: f64,
    },
    /// A share of the users vanishes without a word, as if its power had failed, and comes back on new connections; the
    /// server still holds the old ones.
    Vanish {
        /// 0 to 1.
        share: f64,
    },
    /// Users leave and others come, one at a time, at a rate; each newcomer asks one request.
    Churn {
        /// Per second, of this holder.
        per_second: f64,
        /// For how long.
        seconds: f64,
    },
    /// A share of the users asks and does not read the replies.
    StopReading {
        /// 0 to 1.
        share: f64,
        /// Requests of each of them at most.
        requests: u32,
    },
    /// They read again, and all replies must be right.
    ReadAgain,
    /// The servers will tell an event: every user has to hear it once. Answered at once, so that nobody is told who does not
    /// listen yet.
    Listen {
        /// The event's number.
        number: u32,
        /// Bytes of its text.
        bytes: u32,
    },
    /// It was told; over when every user has heard it. Times count from `at_ns`, when the servers were to begin.
    Hear,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// Connections that were opened so far and are served: each slice ends with a verified reply on its last one.
    Opened {
        /// In all.
        opened: u32,
        /// Whether the order is done.
        done: bool,
    },
    /// A probe is over.
    Probed {
        /// Connections that were asked.
        asked: u32,
        /// Right replies.
        right: u32,
        /// The first wrong one in words.
        example: Option<String>,
    },
    /// A load is over.
    Loaded(Box<Loaded>),
    /// An event is over.
    Lived {
        /// Users that took part.
        affected: u32,
        /// Requests that they asked.
        asked: u64,
        /// Right replies.
        right: u64,
        /// From the event, or from a newcomer's due time, to its right reply; from the order to the moment at which a user
        /// heard what was told (histogram as in [`Loaded`]).
        served_again: String,
        /// Bytes of the events that were heard, their framing included.
        heard_bytes: u64,
        /// The first wrong reply in words.
        example: Option<String>,
    },
    /// Connections alive.
    Alive {
        /// Alive now.
        alive: u32,
        /// Lost so far.
        lost: u32,
        /// Why the first one was lost.
        example: Option<String>,
    },
    /// It cannot go on.
    Failed {
        /// Value seen, value needed, knob.
        reason: String,
    },
}

/// What one holder measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// Requests of the window with the right reply, whenever it came.
    pub completed: u64,
    /// Right replies that came within the window.
    pub answered: u64,
    /// Requests sent, warm-up included.
    pub sent: u64,
    /// Bytes of these requests, framing included.
    pub sent_bytes: u64,
    /// Bytes that came from the server meanwhile, framing included.
    pub received_bytes: u64,
    /// Errors by kind.
    pub errors: BTreeMap<String, u64>,
    /// The first error in words.
    pub example: Option<String>,
    /// Why the load ended before its time.
    pub ended_early: Option<String>,
    /// Histogram of response times (HDR V2, deflated, base64, nanoseconds).
    pub response: String,
    /// Histogram of service times.
    pub service: String,
    /// Histogram of the generator's own lateness.
    pub lag: String,
}
