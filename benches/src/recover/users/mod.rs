//! Users with patience: open loop over shared connections, deadlines, further tries, and the storm in which all come at once.
//!
//! A wish comes up, whatever became of earlier ones (Poisson). It becomes a try on the next connection in turn, at once or once
//! fewer than the allowed number are in flight there. When its deadline passes, its user gives up, which the server cannot know:
//! the reply is still made and is work for nobody. A user who tries again does so at once after a deadline, and after the
//! `Retry-After` second, give or take a half, after a refusal.
//!
//! Memory is bounded by rate × (1 + retries) × deadline tries, all three of which have bounds.

mod connection;
mod tally;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::mem;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use wire::client::parse_reply;

use self::connection::{Connection, Expired, Flight, Try};
use self::tally::{Event, Tally};
use super::plan::PlannedPhase;
use super::result::{Phase, Tick};
use crate::load::{Arrivals, Clock, Latencies, Pacing, Workload, connect, opening};
use crate::stats::SplitMix64;

/// Bytes of the shared read buffer.
const READ_BUFFER: usize = 256 << 10;

/// Events taken per wait.
const EVENTS: usize = 512;

/// Tries begun per turn of the loop before replies are looked at.
const TRIES_PER_TURN: usize = 64;

/// Longest wait of the loop, so that Ctrl-C is seen in time.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// How long connecting may take in all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a refusal's `Retry-After` says, in nanoseconds.
const RETRY_AFTER: u64 = 1_000_000_000;

/// Who the users are.
pub(super) struct Spec {
    pub(super) target: SocketAddr,
    pub(super) connections: usize,
    pub(super) in_flight: usize,
    /// The limit, requests per second.
    pub(super) limit: f64,
    pub(super) deadline: Duration,
    pub(super) retries: u32,
    pub(super) seed: u64,
}

/// What became of a story.
pub(super) struct Told {
    pub(super) phases: Vec<Phase>,
    pub(super) ticks: Vec<Tick>,
    pub(super) lag: Latencies,
    pub(super) storm: Option<Storm>,
}

/// What is known of a storm beside the ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storm {
    pub(super) cut_off: usize,
    pub(super) strangers: usize,
    pub(super) connect_seconds: f64,
}

/// Why a story could not be told to its end, in a sentence.
pub(super) type Broken = String;

/// The users of one story.
pub(super) struct Users {
    spec: Spec,
    workload: Workload,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    alive: usize,
    next_connection: usize,
    next_card: usize,
    next_serial: u64,
    next_id: u32,
    /// When whose deadline passes: in the order of the tries, since patience is the same for all.
    deadlines: VecDeque<(u64, usize, u64)>,
    /// When who tries again after a refusal, and how often after that.
    again: BinaryHeap<Reverse<(u64, u32)>>,
    random: SplitMix64,
    tally: Tally,
    outgoing: Vec<u8>,
    wrong: Option<String>,
}

fn system(what: &'static str) -> impl Fn(Errno) -> Broken {
    move |errno| format!("load generator: {what}: {}", std::io::Error::from(errno))
}

impl Users {
    /// Users with their connections to the target.
    pub(super) fn connected(spec: Spec, workload: Workload) -> Result<Self, Broken> {
        // The default slack of 50 µs would be added to every due time.
        rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)).map_err(system("PR_SET_TIMERSLACK"))?;
        let random = SplitMix64(spec.seed);
        let mut users = Self {
            spec,
            workload,
            epoll: epoll::create(CreateFlags::CLOEXEC).map_err(system("epoll_create1"))?,
            connections: Vec::new(),
            alive: 0,
            next_connection: 0,
            next_card: 0,
            next_serial: 0,
            next_id: 1,
            deadlines: VecDeque::new(),
            again: BinaryHeap::new(),
            random,
            tally: Tally::new(0),
            outgoing: Vec::with_capacity(READ_BUFFER),
            wrong: None,
        };
        users.connect(users.spec.connections)?;
        Ok(users)
    }

    fn connect(&mut self, count: usize) -> Result<(), Broken> {
        let sockets =
            connect::open(self.spec.target, &[], count, CONNECT_TIMEOUT).map_err(|error| error.to_string())?;
        opening::open(self.spec.target, &self.workload, &sockets, CONNECT_TIMEOUT)
            .map_err(|error| error.to_string())?;
        for socket in sockets {
            let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            let place = EventData::new_u64(self.connections.len() as u64);
            epoll::add(&self.epoll, &socket, place, interest).map_err(system("epoll_ctl"))?;
            self.connections.push(Connection::new(socket));
            self.alive += 1;
        }
        Ok(())
    }

    /// Lives through `phases`. `server_cpu_us` reads the server's CPU clock.
    pub(super) fn live(
        mut self,
        phases: &[PlannedPhase],
        server_cpu_us: &mut dyn FnMut() -> Result<f64, Broken>,
        stop: &AtomicBool,
    ) -> Result<Told, Broken> {
        let mut buffer = vec![0; READ_BUFFER];
        let mut events = Vec::with_capacity(EVENTS);
        let mut from = Clock.now();
        self.tally = Tally::new(from);
        let mut storm = None;
        for (number, planned) in phases.iter().enumerate() {
            let cpu = server_cpu_us()?;
            self.tally.begin(planned, from);
            if planned.storm {
                storm = Some(self.storm()?);
            }
            let end = from + (planned.seconds * 1e9) as u64;
            let pacing = Pacing::Poisson(planned.factor * self.spec.limit);
            let mut arrivals = Arrivals::new(pacing, from, 0.0, self.spec.seed.wrapping_add(number as u64));
            loop {
                let now = Clock.now();
                if now >= end || self.wrong.is_some() || self.alive == 0 || stop.load(Ordering::Relaxed) {
                    break;
                }
                self.give_up(now);
                let next = self.wish(&mut arrivals, now).min(end);
                self.turn(next, &mut events, &mut buffer)?;
            }
            let now = Clock.now();
            self.tally.end(from, now, server_cpu_us()? - cpu);
            from = now.max(end);
            if let Some(wrong) = self.wrong.take() {
                return Err(wrong);
            }
            if self.alive == 0 {
                return Err(format!("the server closed all {} connections", self.connections.len()));
            }
        }
        let (phases, ticks, lag) = self.tally.finish();
        Ok(Told { phases, ticks, lag, storm })
    }

    /// Cuts everybody off, and lets them and as many strangers connect at once.
    fn storm(&mut self) -> Result<Storm, Broken> {
        let now = Clock.now();
        let cut_off = self.alive;
        for place in 0..self.connections.len() {
            if let Some(socket) = &self.connections[place].socket {
                // With a reset (SO_LINGER with zero seconds, socket(7)); where it cannot be set, the long way.
                let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
            }
            self.lose(place, now);
        }
        // Nothing refers to them any more: their tries are counted as lost, and closing took them out of epoll.
        self.connections.clear();
        self.deadlines.clear();
        let began = Instant::now();
        self.connect(2 * cut_off)?;
        Ok(Storm { cut_off, strangers: cut_off, connect_seconds: began.elapsed().as_secs_f64() })
    }

    /// Lets those give up whose deadline has passed, and those try again whose pause is over.
    fn give_up(&mut self, now: u64) {
        while let Some((_, place, serial)) = self.deadlines.pop_front_if(|(at, ..)| *at <= now) {
            let (event, of) = match self.connections[place].expire(serial) {
                Expired::Done => continue,
                Expired::Sent(of) => (Event::Late, of),
                Expired::Waiting(of) => (Event::Unsent, of),
            };
            self.tally.count(event, now);
            if of.left > 0 {
                self.begin(now, of.left - 1, now);
            }
        }
        while let Some(Reverse((at, left))) = self.again.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.again.pop();
            self.begin(at, left, now);
        }
    }

    /// Begins tries for the wishes that are due; when there is something to do next.
    fn wish(&mut self, arrivals: &mut Arrivals, now: u64) -> u64 {
        for _ in 0..TRIES_PER_TURN {
            if arrivals.next() > now {
                break;
            }
            let due = arrivals.take();
            self.tally.count(Event::Due, now);
            self.begin(due, self.spec.retries, now);
        }
        let deadline = self.deadlines.front().map_or(u64::MAX, |(at, ..)| *at);
        let again = self.again.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
        arrivals.next().min(deadline).min(again)
    }

    /// Begins a try that was due at `due` on the next connection in turn.
    fn begin(&mut self, due: u64, left: u32, now: u64) {
        let Some(place) = self.next_alive() else { return };
        let of = Try { serial: self.next_serial, due, left };
        self.next_serial += 1;
        self.tally.count(Event::Try, now);
        // From the moment at which it is handed over: deadlines ascend, and a try that the generator is late with does not
        // lose its patience to that.
        self.deadlines.push_back((now + self.spec.deadline.as_nanos() as u64, place, of.serial));
        let connection = &mut self.connections[place];
        if connection.flights.len() < self.spec.in_flight && connection.waiting.is_empty() {
            self.tally.lag.record(now.saturating_sub(due));
            self.send(place, of);
        } else {
            connection.waiting.push_back(of);
        }
    }

    fn next_alive(&mut self) -> Option<usize> {
        for _ in 0..self.connections.len() {
            let place = self.next_connection % self.connections.len();
            self.next_connection = place + 1;
            if self.connections[place].socket.is_some() {
                return Some(place);
            }
        }
        None
    }

    fn send(&mut self, place: usize, of: Try) {
        let card = self.next_card;
        self.next_card = (card + 1) % self.workload.deck.len();
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        self.connections[place].flights.push_back(Flight { of, id, card, expired: false });
        self.outgoing.clear();
        self.workload.deck[card].write(id, &mut self.outgoing);
        if self.connections[place].unsent.is_empty() {
            self.flush(place);
        } else {
            self.connections[place].unsent.extend_from_slice(&self.outgoing);
        }
    }

    /// Writes `outgoing`; what the socket does not take waits.
    fn flush(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        let Some(socket) = &connection.socket else { return };
        match send(socket, &self.outgoing, SendFlags::NOSIGNAL) {
            Ok(count) => connection.unsent.extend_from_slice(&self.outgoing[count..]),
            Err(Errno::AGAIN) => connection.unsent.extend_from_slice(&self.outgoing),
            Err(_) => self.lose(place, Clock.now()),
        }
    }

    /// One wait, until `until` at the latest, and everything that became ready.
    fn turn(&mut self, until: u64, events: &mut Vec<epoll::Event>, buffer: &mut [u8]) -> Result<(), Broken> {
        let wait = Duration::from_nanos(until.saturating_sub(Clock.now())).min(LONGEST_WAIT);
        let timeout = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(system("epoll_pwait2")(errno)),
        }
        for event in events.iter() {
            // Copies: the kernel packs this struct on x86-64.
            let (place, flags) = (event.data.u64() as usize, event.flags);
            if flags.contains(EventFlags::OUT) && !self.connections[place].unsent.is_empty() {
                let unsent = mem::take(&mut self.connections[place].unsent);
                self.outgoing = unsent;
                self.flush(place);
            }
            if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::ERR | EventFlags::HUP) {
                self.receive(place, buffer);
            }
        }
        Ok(())
    }

    /// Reads a socket until it is drained, and takes the replies.
    fn receive(&mut self, place: usize, buffer: &mut [u8]) {
        loop {
            let Some(socket) = &self.connections[place].socket else { return };
            let count = match recv(socket, &mut *buffer, RecvFlags::empty()) {
                Ok((_, count)) => count,
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => continue,
                Err(_) => 0,
            };
            if count == 0 {
                return self.lose(place, Clock.now());
            }
            let bytes = &buffer[..count];
            if self.connections[place].partial.is_empty() {
                let used = self.take_replies(place, bytes);
                self.connections[place].partial.extend_from_slice(&bytes[used..]);
            } else {
                let mut partial = mem::take(&mut self.connections[place].partial);
                partial.extend_from_slice(bytes);
                let used = self.take_replies(place, &partial);
                partial.drain(..used);
                self.connections[place].partial = partial;
            }
            self.refill(place);
            if count < buffer.len() {
                return;
            }
        }
    }

    /// Takes every whole reply at the start of `bytes`; how many bytes they were.
    fn take_replies(&mut self, place: usize, bytes: &[u8]) -> usize {
        let mut used = 0;
        let now = Clock.now();
        while used < bytes.len() && self.wrong.is_none() {
            let reply = match parse_reply(self.workload.protocol, &bytes[used..]) {
                Ok(Some(reply)) => reply,
                Ok(None) => break,
                Err(error) => {
                    self.wrong = Some(format!("bytes that are no reply: {error}"));
                    break;
                }
            };
            used += reply.consumed;
            let Some(flight) = self.connections[place].land(reply.id) else {
                // The first gate speaks before it is asked, and then closes.
                if reply.status != 503 {
                    self.wrong = Some(format!("a reply that no request asked for, status {}", reply.status));
                }
                continue;
            };
            match self.workload.deck[flight.card].check(&reply) {
                _ if reply.status == 503 && flight.expired => {}
                _ if reply.status == 503 => self.refused(flight.of, now),
                Err(mismatch) => self.wrong = Some(mismatch.to_string()),
                Ok(()) if flight.expired => self.tally.count(Event::Wasted, now),
                Ok(()) => self.tally.count(Event::Good(now.saturating_sub(flight.of.due)), now),
            }
        }
        used
    }

    /// A refused user tries again after the pause that the refusal asks for, spread over a second so that not all come back at
    /// the same moment.
    fn refused(&mut self, of: Try, now: u64) {
        self.tally.count(Event::Refused, now);
        if of.left > 0 {
            let at = now + RETRY_AFTER / 2 + (self.random.unit() * RETRY_AFTER as f64) as u64;
            self.again.push(Reverse((at, of.left - 1)));
        }
    }

    /// Sends what waits on a connection while it may have more in flight.
    fn refill(&mut self, place: usize) {
        while self.connections[place].flights.len() < self.spec.in_flight {
            let Some(of) = self.connections[place].waiting.pop_front() else { return };
            self.send(place, of);
        }
    }

    /// Drops a connection with all that is on it.
    fn lose(&mut self, place: usize, now: u64) {
        let connection = &mut self.connections[place];
        if connection.socket.take().is_none() {
            return;
        }
        self.alive -= 1;
        let flights = mem::take(&mut connection.flights).into_iter().filter(|flight| !flight.expired);
        let lost: Vec<Try> = flights.map(|flight| flight.of).chain(mem::take(&mut connection.waiting)).collect();
        connection.unsent.clear();
        for of in lost {
            self.tally.count(Event::Lost, now);
            if of.left > 0 {
                self.again.push(Reverse((now, of.left - 1)));
            }
        }
    }
}
