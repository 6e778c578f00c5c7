//! One client, several servers: requests in turn, failed ones asked again of another server, and a breaker for each server.
//!
//! One thread is one client: breakers are its own, as in a service that calls others. What is here is the plan and the tally;
//! the worker sends.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::breaker::{Ban, Breaker, State};
use super::recorder::{ErrorKind, Latencies};
use crate::result::Latency;

/// Most servers of one client.
pub const SERVERS: usize = 64;

/// Most times that a failed request is asked again.
pub const RETRIES: u8 = 8;

/// Most intervals that are kept: a day at 10 a second would not fit a report.
const MOMENTS: usize = 10_000;

/// How a client spreads its requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// The servers.
    pub servers: Vec<SocketAddr>,
    /// `None` for a client without breakers.
    pub ban: Option<Ban>,
    /// How long one attempt may take.
    pub attempt_timeout: Duration,
    /// How often a failed request is asked again, of whichever server is next.
    pub retries: u8,
    /// Length of the intervals in which traffic is counted.
    pub interval: Duration,
}

/// What a client saw of its servers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Requests that were due in the measured window.
    #[serde(default)]
    pub due: u64,
    /// The servers, in the order in which they were named.
    pub servers: Vec<ServerSeen>,
    /// The intervals, in order.
    pub moments: Vec<Moment>,
}

/// One server over the whole run, warm-up included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerSeen {
    /// Its address.
    pub address: String,
    /// Attempts.
    pub sent: u64,
    /// Right replies.
    pub completed: u64,
    /// Failed attempts, by kind.
    pub failed: BTreeMap<String, u64>,
    /// From an attempt's sending to its right reply.
    pub service_time: Latency,
    /// How often its breaker opened.
    pub bans: u32,
    /// State of its breaker at the end; closed without one.
    pub state: State,
    /// Seconds that it was not closed, as far as intervals tell.
    pub banned_seconds: f64,
}

/// One interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// End of the interval, seconds after the load began.
    pub at_seconds: f64,
    /// Each server, in order.
    pub servers: Vec<ServerAt>,
}

/// A server in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerAt {
    /// Attempts.
    pub sent: u64,
    /// Right replies.
    pub completed: u64,
    /// Failed attempts.
    pub failed: u64,
    /// State of its breaker at the end of the interval.
    pub state: State,
}

/// A request that waits to be asked again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Again {
    pub(crate) due: u64,
    pub(crate) attempt: u8,
    /// The server that failed it, which is not the next to be asked.
    pub(crate) failed_by: Option<usize>,
}

/// One server, as its client sees it.
pub(crate) struct Remote {
    pub(crate) address: SocketAddr,
    pub(crate) breaker: Option<Breaker>,
    /// Whose turn it is among its connections.
    pub(crate) turn: usize,
    sent: u64,
    completed: u64,
    failed: BTreeMap<ErrorKind, u64>,
    service: Latencies,
    now: ServerAt,
}

/// The state of a spread.
pub(crate) struct Spreading {
    pub(crate) servers: Vec<Remote>,
    pub(crate) retries: u8,
    pub(crate) timeout_ns: u64,
    pub(crate) again: VecDeque<Again>,
    /// Requests that were due in the measured window.
    pub(crate) due: u64,
    /// When time-outs are looked for next.
    pub(crate) next_look: u64,
    /// Whose turn it is.
    turn: usize,
    interval_ns: u64,
    began: u64,
    interval_end: u64,
    moments: Vec<Moment>,
}

/// How often time-outs are looked for: a twentieth of the shortest sensible one.
const LOOK_NS: u64 = 5_000_000;

impl Spreading {
    pub(crate) fn new(spread: &Spread) -> Self {
        let remote = |address: &SocketAddr| Remote {
            address: *address,
            breaker: spread.ban.map(Breaker::new),
            turn: 0,
            sent: 0,
            completed: 0,
            failed: BTreeMap::new(),
            service: Latencies::new(),
            now: ServerAt::default(),
        };
        Self {
            servers: spread.servers.iter().map(remote).collect(),
            retries: spread.retries,
            timeout_ns: spread.attempt_timeout.as_nanos() as u64,
            again: VecDeque::new(),
            due: 0,
            next_look: 0,
            turn: 0,
            interval_ns: spread.interval.as_nanos() as u64,
            began: 0,
            interval_end: u64::MAX,
            moments: Vec::new(),
        }
    }

    /// The load begins.
    pub(crate) fn begin(&mut self, start: u64) {
        (self.began, self.interval_end, self.next_look) = (start, start + self.interval_ns, start + LOOK_NS);
    }

    /// The server of connection `index`: connections are dealt out in turn.
    pub(crate) fn server_of(&self, index: usize) -> usize {
        index % self.servers.len()
    }

    /// The next server in turn whose breaker permits a request; the one to `avoid` only when there is no other.
    pub(crate) fn choose(&mut self, avoid: Option<usize>) -> Option<usize> {
        for _ in 0..self.servers.len() {
            let server = self.turn;
            self.turn = if server + 1 == self.servers.len() { 0 } else { server + 1 };
            if Some(server) != avoid && self.permits(server) {
                return Some(server);
            }
        }
        avoid.filter(|server| self.permits(*server))
    }

    fn permits(&self, server: usize) -> bool {
        self.servers[server].breaker.as_ref().is_none_or(Breaker::permits)
    }

    /// An attempt is sent.
    pub(crate) fn sent(&mut self, server: usize) {
        let remote = &mut self.servers[server];
        remote.sent += 1;
        remote.now.sent += 1;
        remote.breaker.iter_mut().for_each(Breaker::sent);
    }

    /// Its reply was right, after so many nanoseconds.
    pub(crate) fn succeeded(&mut self, server: usize, nanoseconds: u64) {
        let remote = &mut self.servers[server];
        remote.completed += 1;
        remote.now.completed += 1;
        remote.service.record(nanoseconds);
        remote.breaker.iter_mut().for_each(Breaker::succeeded);
    }

    /// It failed; whether that banned the server.
    pub(crate) fn failed(&mut self, server: usize, kind: ErrorKind) -> bool {
        let remote = &mut self.servers[server];
        *remote.failed.entry(kind).or_default() += 1;
        remote.now.failed += 1;
        remote.breaker.as_mut().is_some_and(Breaker::failed)
    }

    /// Keeps the intervals that have ended.
    pub(crate) fn tick(&mut self, now: u64) {
        while now >= self.interval_end && self.moments.len() < MOMENTS {
            let at_seconds = (self.interval_end - self.began) as f64 / 1e9;
            let servers = self.servers.iter_mut().map(|remote| {
                let state = remote.breaker.as_ref().map_or(State::Closed, Breaker::state);
                ServerAt { state, ..std::mem::take(&mut remote.now) }
            });
            self.moments.push(Moment { at_seconds, servers: servers.collect() });
            self.interval_end += self.interval_ns;
        }
        self.next_look = now + LOOK_NS;
    }

    /// What was seen.
    pub(crate) fn seen(&self) -> Seen {
        let interval = self.interval_ns as f64 / 1e9;
        let seen = self.servers.iter().enumerate().map(|(place, remote)| {
            let not_closed = self.moments.iter().filter(|moment| moment.servers[place].state != State::Closed).count();
            ServerSeen {
                address: remote.address.to_string(),
                sent: remote.sent,
                completed: remote.completed,
                failed: remote.failed.iter().map(|(kind, count)| (kind.name().to_owned(), *count)).collect(),
                service_time: remote.service.summary(),
                bans: remote.breaker.as_ref().map_or(0, Breaker::bans),
                state: remote.breaker.as_ref().map_or(State::Closed, Breaker::state),
                banned_seconds: not_closed as f64 * interval,
            }
        });
        Seen { due: self.due, servers: seen.collect(), moments: self.moments.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spreading(ban: Option<Ban>) -> Spreading {
        let servers = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"].map(|text| text.parse().unwrap()).to_vec();
        let (attempt_timeout, interval) = (Duration::from_millis(100), Duration::from_millis(250));
        Spreading::new(&Spread { servers, ban, attempt_timeout, retries: 1, interval })
    }

    /// Servers have their turn, a banned one has none, and where all are banned there is nobody.
    #[test]
    fn turns_skip_the_banned() {
        let second = Duration::from_secs(60);
        let mut spread = spreading(Some(Ban { failures: 2, first: second, longest: second }));
        let turns = |spread: &mut Spreading| [(); 4].map(|()| spread.choose(None));
        assert_eq!(turns(&mut spread), [Some(0), Some(1), Some(2), Some(0)]);
        assert!(!spread.failed(1, ErrorKind::Timeout) && spread.failed(1, ErrorKind::Protocol));
        assert_eq!(turns(&mut spread), [Some(2), Some(0), Some(2), Some(0)]);
        assert_eq!([spread.choose(Some(2)), spread.choose(Some(0))], [Some(0), Some(2)]);
        for server in [0, 2] {
            spread.failed(server, ErrorKind::Timeout);
            spread.failed(server, ErrorKind::Timeout);
        }
        assert_eq!(spread.choose(None), None);
        let mut careless = spreading(None);
        (0..9).for_each(|_| assert!(!careless.failed(0, ErrorKind::Timeout)));
        assert_eq!(careless.choose(None), Some(0));
        careless.servers.truncate(1);
        careless.turn = 0;
        assert_eq!(careless.choose(Some(0)), Some(0), "better than nobody");
    }

    /// Intervals hold what happened in them, and a late tick fills those that passed without a turn.
    #[test]
    fn intervals() {
        let mut spread = spreading(None);
        spread.begin(1_000);
        spread.sent(0);
        spread.succeeded(0, 5_000);
        spread.tick(1_000 + 100_000_000);
        spread.sent(1);
        spread.failed(1, ErrorKind::Timeout);
        spread.tick(1_000 + 600_000_000);
        let seen = spread.seen();
        assert_eq!(seen.moments.len(), 2);
        assert_eq!(seen.moments[0].servers[1], ServerAt { sent: 1, failed: 1, ..ServerAt::default() });
        assert_eq!(seen.moments[1].servers[0], ServerAt::default());
        assert_eq!((seen.servers[0].completed, seen.servers[1].failed["timeout"]), (1, 1));
    }
}
