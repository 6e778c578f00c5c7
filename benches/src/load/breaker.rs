//! A circuit breaker for one server: closed while it answers, open (banned) after failures in a row, half open for a probe.
//!
//! The state machine is the crate failsafe's, the one of its kind whose permission and outcome are separate calls: here a
//! request is sent in one turn of the loop and its reply comes in another, so nothing could be wrapped in a closure or a
//! future. Ours is what it leaves to its user: one probe at a time, and what is shown of it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use failsafe::failure_policy::{ConsecutiveFailures, consecutive_failures};
use failsafe::{Instrument, StateMachine};
use serde::{Deserialize, Serialize};

/// When a server is banned, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ban {
    /// Failures in a row that ban it.
    pub failures: u32,
    /// How long, for the first time.
    pub first: Duration,
    /// How long at most: each ban after a failed probe lasts twice as long as the one before.
    pub longest: Duration,
}

/// State of a breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Requests pass.
    #[default]
    Closed,
    /// The server is banned.
    Open,
    /// One request is out to see whether it is well again.
    HalfOpen,
}

impl State {
    /// As rows and metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// What the state machine tells.
#[derive(Debug, Default)]
struct Seen {
    state: Cell<State>,
    bans: Cell<u32>,
}

/// Hears of the transitions.
struct Watcher(Rc<Seen>);

impl Instrument for Watcher {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        self.0.state.set(State::Open);
        self.0.bans.set(self.0.bans.get() + 1);
    }

    fn on_half_open(&self) {
        self.0.state.set(State::HalfOpen);
    }

    fn on_closed(&self) {
        self.0.state.set(State::Closed);
    }
}

/// Durations that double up to a longest one. The crate's own start at a second, which is longer than a test.
#[derive(Clone, Debug)]
struct Doubling {
    next: Duration,
    longest: Duration,
}

impl Iterator for Doubling {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = self.next.min(self.longest);
        self.next = now.saturating_mul(2);
        Some(now)
    }
}

/// The breaker of one server, of one client.
pub(crate) struct Breaker {
    machine: StateMachine<ConsecutiveFailures<Doubling>, Watcher>,
    seen: Rc<Seen>,
    probing: bool,
}

impl Breaker {
    pub(crate) fn new(ban: Ban) -> Self {
        let seen = Rc::new(Seen::default());
        let durations = Doubling { next: ban.first, longest: ban.longest };
        let machine = StateMachine::new(consecutive_failures(ban.failures, durations), Watcher(Rc::clone(&seen)));
        Self { machine, seen, probing: false }
    }

    /// Whether a request may be sent now; who is told so sends it, and says so.
    pub(crate) fn permits(&self) -> bool {
        // The machine would let everybody through while the first probe is out.
        !(self.probing && self.state() == State::HalfOpen) && self.machine.is_call_permitted()
    }

    /// A request is sent.
    pub(crate) fn sent(&mut self) {
        self.probing = self.state() == State::HalfOpen;
    }

    /// Its reply was right.
    pub(crate) fn succeeded(&mut self) {
        self.probing = false;
        self.machine.on_success();
    }

    /// It failed; whether that banned the server.
    pub(crate) fn failed(&mut self) -> bool {
        self.probing = false;
        let before = self.bans();
        self.machine.on_error();
        self.bans() > before
    }

    pub(crate) fn state(&self) -> State {
        self.seen.state.get()
    }

    /// How often it was banned.
    pub(crate) fn bans(&self) -> u32 {
        self.seen.bans.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Failures in a row ban, a success between them does not; after the ban one probe goes out, and its outcome decides.
    #[test]
    fn ban_and_probe() {
        let (first, longest) = (Duration::from_millis(5), Duration::from_millis(10));
        let mut breaker = Breaker::new(Ban { failures: 3, first, longest });
        assert!(!breaker.failed() && !breaker.failed());
        breaker.succeeded();
        assert!(!breaker.failed() && !breaker.failed() && breaker.failed());
        assert_eq!((breaker.state(), breaker.bans(), breaker.permits()), (State::Open, 1, false));
        std::thread::sleep(first * 2);
        assert!(breaker.permits());
        breaker.sent();
        assert_eq!((breaker.state(), breaker.permits()), (State::HalfOpen, false));
        assert!(breaker.failed(), "a failed probe bans again");
        assert_eq!((breaker.state(), breaker.bans()), (State::Open, 2));
        std::thread::sleep(longest * 2);
        assert!(breaker.permits());
        breaker.sent();
        breaker.succeeded();
        assert!(breaker.permits() && breaker.state() == State::Closed);
    }

    /// Bans double up to the longest.
    #[test]
    fn durations_double() {
        let durations = Doubling { next: Duration::from_millis(3), longest: Duration::from_millis(10) };
        let milliseconds: Vec<u128> = durations.take(5).map(|duration| duration.as_millis()).collect();
        assert_eq!(milliseconds, [3, 6, 10, 10, 10]);
    }
}
