//! One thread of the generator: its share of the connections on one epoll instance.
//!
//! Sockets are registered once, edge-triggered, for reading and writing, so that no request costs an
//! `epoll_ctl`. A request is one `send`, a reply one `recv` (a read shorter than the buffer has drained the
//! socket), and a turn of the loop one `epoll_pwait2` whose nanosecond time-out is the next due request.

mod own;
mod several;

use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::thread::CpuSet;

use wire::client::{EVENT, ExpectedEvent, Mismatch, Reply, Request, parse_reply};

use super::clock::Clock;
use super::connection::{Connection, Flight};
use super::pacing::{Arrivals, Pacing};
use super::recorder::{ErrorKind, Recorder, SLICES, SliceCount};
use super::spread::{Remote, Seen, Spreading};
use super::workload::Workload;
use super::{Error, Schedule, Spec, connect, opening};

/// Bytes of the shared read buffer. Larger than the replies of one turn of a connection, so that a read
/// that fills it is rare and the one that does not needs no second read.
const READ_BUFFER: usize = 256 * 1024;

/// Events taken per wait.
const EVENTS: usize = 512;

/// Requests sent per turn of the loop before replies are looked at, so that a burst of due requests does
/// not delay the time stamps of replies that are there already.
const SENDS_PER_TURN: usize = 64;

/// Requests that may wait for busy connections of one worker before they are refused and counted as
/// overrun: 16 MiB of due times. A server that falls behind this far is over its limit.
const BACKLOG_LIMIT: usize = 2_000_000;

/// Requests that a probe has out at a time: few enough that their replies fit the sockets, enough to keep both ends busy.
const PROBES_IN_FLIGHT: usize = 256;

/// Longest wait of the loop, so that a stop flag is seen in time.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// One worker's share of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// Its own arrivals.
    pub(crate) pacing: Pacing,
    /// Its place among the workers, 0 to 1, by which constant arrivals are shifted against theirs.
    pub(crate) phase: f64,
    /// Seed of Poisson arrivals.
    pub(crate) seed: u64,
    /// Requests in flight per connection at most.
    pub(crate) in_flight: u32,
    /// Share of the connections that send; the others stay idle.
    pub(crate) active_share: f64,
    /// Stop after this many requests even if time is left.
    pub(crate) request_limit: Option<u64>,
}

impl Task {
    /// Share `number` of `of` equal ones.
    pub(crate) fn of(spec: &Spec, number: usize, of: usize) -> Self {
        Self {
            pacing: spec.pacing.share(of),
            phase: number as f64 / of as f64,
            seed: spec.seed.wrapping_add(number as u64),
            in_flight: spec.in_flight,
            active_share: spec.active_share,
            request_limit: spec.request_limit.map(|limit| limit.div_ceil(of as u64)),
        }
    }
}

/// An error of the generator's own system call.
fn system(what: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::System { what, source: errno.into() }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// With a reset.
    Reset,
    /// Without a word: its peer still thinks that it is there.
    Silently,
}

/// An event that every connection is to hear.
struct Listening {
    expected: ExpectedEvent,
    /// When each connection heard it, nanoseconds on the clock; 0 for not yet.
    at: Vec<u64>,
    /// How many have.
    heard: usize,
    /// Bytes of their copies, framing included.
    bytes: u64,
}

/// What came of an event.
pub(crate) struct Heard {
    /// Connections that were to hear it, lost ones included.
    pub(crate) listeners: usize,
    /// When those heard it that did, nanoseconds on the clock.
    pub(crate) at: Vec<u64>,
    /// Bytes of their copies, framing included.
    pub(crate) bytes: u64,
}

/// What a worker leaves of one load.
pub(crate) struct Finished {
    pub(crate) recorder: Recorder,
    pub(crate) alive: u32,
    pub(crate) ended_early: Option<String>,
    pub(crate) ended_at: u64,
    pub(crate) spread: Option<Seen>,
}

/// A worker with its connections. It can grow, and be given one load after the other.
pub(crate) struct Worker {
    target: SocketAddr,
    sources: Vec<IpAddr>,
    timeout: Duration,
    task: Task,
    clock: Clock,
    workload: Workload,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    alive: usize,
    backlog: usize,
    /// Connections that send, spread evenly over all, and whose turn it is among them.
    active: usize,
    next_active: usize,
    next_card: usize,
    next_id: u32,
    recorder: Recorder,
    outgoing: Vec<u8>,
    /// Several servers, where there are.
    spread: Option<Box<Spreading>>,
    /// The window, for what is recorded.
    window: (u64, u64),
    /// Length of its slices in nanoseconds.
    slice: u64,
    /// Whether due requests are still issued.
    issuing: bool,
    /// The event that the server is about to tell; an event at any other time is an error.
    listening: Option<Listening>,
}

impl Worker {
    /// A worker of the calling thread, without connections.
    pub(crate) fn new(spec: &Spec, task: Task, workload: &Workload) -> Result<Self, Error> {
        // The default slack of 50 µs would be added to every due time.
        rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)).map_err(system("PR_SET_TIMERSLACK"))?;
        Ok(Self {
            target: spec.target,
            sources: spec.sources.clone(),
            timeout: spec.timeout,
            task,
            clock: Clock,
            workload: workload.clone(),
            epoll: epoll::create(CreateFlags::CLOEXEC).map_err(system("epoll_create1"))?,
            connections: Vec::new(),
            alive: 0,
            backlog: 0,
            active: 0,
            next_active: 0,
            next_card: 0,
            next_id: 1,
            recorder: Recorder::new(),
            outgoing: Vec::with_capacity(READ_BUFFER),
            spread: spec.spread.as_ref().map(|spread| Box::new(Spreading::new(spread))),
            window: (u64::MAX, u64::MAX),
            slice: u64::MAX,
            issuing: true,
            listening: None,
        })
    }

    /// Pins the calling thread to a CPU.
    pub(crate) fn pin(cpu: usize) -> Result<(), Error> {
        let mut set = CpuSet::new();
        set.set(cpu);
        rustix::thread::sched_setaffinity(None, &set).map_err(system("sched_setaffinity"))
    }

    /// New connections on which requests can be sent: with the protocol's handshake behind them where there is one.
    fn connect(&self, count: usize) -> Result<Vec<OwnedFd>, Error> {
        if let Some(spread) = &self.spread {
            return self.connect_to_all(spread, count);
        }
        let sockets = connect::open(self.target, &self.sources, count, self.timeout)?;
        opening::open(self.target, &self.workload, &sockets, self.timeout)?;
        Ok(sockets)
    }

    /// New connections to all servers, dealt out in turn.
    fn connect_to_all(&self, spread: &Spreading, count: usize) -> Result<Vec<OwnedFd>, Error> {
        let servers = spread.servers.len();
        let share = |number: usize| count / servers + usize::from(number < count % servers);
        let open = |(number, server): (usize, &Remote)| -> Result<std::vec::IntoIter<OwnedFd>, Error> {
            Ok(connect::open(server.address, &self.sources, share(number), self.timeout)?.into_iter())
        };
        let mut parts = spread.servers.iter().enumerate().map(open).collect::<Result<Vec<_>, _>>()?;
        Ok((0..count).filter_map(|place| parts[place % servers].next()).collect())
    }

    /// Opens `count` more connections and registers them.
    pub(crate) fn grow(&mut self, count: usize) -> Result<(), Error> {
        for socket in self.connect(count)? {
            self.watch(self.connections.len(), &socket)?;
            self.connections.push(Connection::new(socket));
            self.alive += 1;
        }
        Ok(())
    }

    /// Registers the socket of connection `index`.
    fn watch(&self, index: usize, socket: &OwnedFd) -> Result<(), Error> {
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, socket, EventData::new_u64(index as u64), interest).map_err(system("epoll_ctl"))
    }

    /// Ends the connections of `indices` as `how` says, without counting them as lost: they left.
    pub(crate) fn leave(&mut self, indices: &[usize], how: Leave) {
        for index in indices {
            let Some(socket) = mem::replace(&mut self.connections[*index], Connection::gone()).socket else { continue };
            self.alive -= 1;
            match how {
                // SO_LINGER with zero seconds (socket(7)). Where it fails, the connection ends the long way.
                Leave::Reset => drop(rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO))),
                Leave::Silently => connect::forget(&socket),
            }
        }
    }

    /// Opens connections in the places of `indices`, which have left.
    pub(crate) fn come_back(&mut self, indices: &[usize]) -> Result<(), Error> {
        let sockets = self.connect(indices.len())?;
        for (index, socket) in indices.iter().zip(sockets) {
            self.watch(*index, &socket)?;
            self.connections[*index] = Connection::new(socket);
            self.alive += 1;
        }
        Ok(())
    }

    /// Sends up to `requests` requests on each connection of `indices` and reads none of the replies, until
    /// [`hear`](Self::hear). How many requests the sockets took.
    pub(crate) fn ignore(&mut self, indices: &[usize], requests: usize) -> usize {
        self.window = (0, u64::MAX);
        let mut sent = 0;
        for index in indices {
            self.connections[*index].deaf = true;
            for _ in 0..requests {
                let connection = &self.connections[*index];
                if connection.socket.is_none() || !connection.unsent.is_empty() {
                    break;
                }
                self.send(*index, self.clock.now(), false);
                sent += 1;
            }
        }
        sent
    }

    /// Reads from the connections of `indices` again, until all their replies are there; how many were right.
    pub(crate) fn hear(&mut self, indices: &[usize], turn: &mut Turn, stop: &AtomicBool) -> Result<usize, Error> {
        self.window = (0, u64::MAX);
        let before = self.recorder.completed;
        let deadline = self.clock.now() + self.timeout.as_nanos() as u64;
        for index in indices {
            self.connections[*index].deaf = false;
            // Edges that came meanwhile do not come again.
            self.resume(*index);
            self.receive(*index, &mut turn.buffer);
        }
        let outstanding = |worker: &Self| indices.iter().any(|index| !worker.connections[*index].flights.is_empty());
        while outstanding(self) && self.clock.now() < deadline && !stop.load(Ordering::Relaxed) {
            self.turn(turn, deadline)?;
        }
        Ok((self.recorder.completed - before) as usize)
    }

    /// Every connection is to hear event `number` from now on, once.
    pub(crate) fn listen(&mut self, number: u32, bytes: usize) {
        let expected = ExpectedEvent::new(self.workload.format, number, bytes);
        let at = vec![0; self.connections.len()];
        self.listening = Some(Listening { expected, at, heard: 0, bytes: 0 });
    }

    /// Waits until every connection has heard what [`listen`](Self::listen) announced, or until nothing more can be hoped
    /// for; a connection that heard something else is lost.
    pub(crate) fn heard(&mut self, turn: &mut Turn, stop: &AtomicBool) -> Result<Heard, Error> {
        let deadline = self.clock.now() + self.timeout.as_nanos() as u64;
        let waits = |worker: &Self| worker.listening.as_ref().is_some_and(|listening| listening.heard < worker.alive);
        while waits(self) && self.clock.now() < deadline && !stop.load(Ordering::Relaxed) {
            self.turn(turn, deadline)?;
        }
        let Some(Listening { mut at, bytes, .. }) = self.listening.take() else {
            return Ok(Heard { listeners: 0, at: Vec::new(), bytes: 0 });
        };
        let listeners = at.len();
        at.retain(|at| *at > 0);
        Ok(Heard { listeners, at, bytes })
    }

    /// Connections that were opened, lost ones included.
    pub(crate) fn opened(&self) -> usize {
        self.connections.len()
    }

    /// Connections that are alive.
    pub(crate) fn alive(&self) -> usize {
        self.alive
    }

    /// Readable when a connection has something to say.
    pub(crate) fn events(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Takes everything that the connections have to say, without waiting: how a holder sees who is lost.
    pub(crate) fn look(&mut self, turn: &mut Turn) -> Result<(), Error> {
        // Every connection has its turn even if all have something to say; whoever talks on waits for the next look.
        for _ in 0..=self.connections.len() / EVENTS {
            self.turn(turn, 0)?;
            if turn.events.len() < EVENTS {
                break;
            }
        }
        Ok(())
    }

    /// Looks after the connections until `until`, nanoseconds on the clock.
    pub(crate) fn wait_until(&mut self, until: u64, turn: &mut Turn, stop: &AtomicBool) -> Result<(), Error> {
        while self.clock.now() < until && !stop.load(Ordering::Relaxed) {
            self.turn(turn, until)?;
        }
        Ok(())
    }

    /// What was recorded since the last load.
    pub(crate) fn recorded(&self) -> &Recorder {
        &self.recorder
    }

    /// Closes every connection with a reset, which leaves no TIME_WAIT at either end.
    pub(crate) fn reset_all(&mut self) {
        let all: Vec<usize> = (0..self.connections.len()).collect();
        self.leave(&all, Leave::Reset);
    }

    /// Sends one request on each connection of `asked`, [`PROBES_IN_FLIGHT`] at a time, and waits for the replies: how
    /// many were right. What it records is gone with the next load.
    pub(crate) fn probe(
        &mut self,
        asked: impl Iterator<Item = usize>,
        turn: &mut Turn,
        stop: &AtomicBool,
    ) -> Result<usize, Error> {
        self.window = (0, u64::MAX);
        self.issuing = false;
        let before = self.recorder.completed;
        let opened = self.opened();
        let mut asked = asked.filter(|index| *index < opened).peekable();
        while asked.peek().is_some() {
            let group: Vec<usize> = asked.by_ref().take(PROBES_IN_FLIGHT).collect();
            for index in &group {
                if self.connections[*index].socket.is_some() {
                    self.send(*index, self.clock.now(), false);
                }
            }
            let deadline = self.clock.now() + self.timeout.as_nanos() as u64;
            let outstanding = |worker: &Self| group.iter().any(|index| !worker.connections[*index].flights.is_empty());
            while outstanding(self) && self.clock.now() < deadline && !stop.load(Ordering::Relaxed) {
                self.turn(turn, deadline)?;
            }
        }
        Ok((self.recorder.completed - before) as usize)
    }

    /// Offers the load of `schedule`, then waits for the replies that are still out.
    pub(crate) fn drive(
        &mut self,
        task: Task,
        schedule: Schedule,
        turn: &mut Turn,
        stop: &AtomicBool,
    ) -> Result<Finished, Error> {
        self.task = task;
        self.recorder = Recorder::new();
        self.active = ((self.connections.len() as f64 * task.active_share).ceil() as usize).min(self.connections.len());
        self.next_active = 0;
        self.issuing = true;
        self.window = (schedule.window_start, schedule.window_end);
        self.spread.iter_mut().for_each(|spread| spread.begin(schedule.start));
        self.slice = schedule.slice();
        let mut arrivals = Arrivals::new(task.pacing, schedule.start, task.phase, task.seed);
        let mut early = None;
        if task.pacing == Pacing::Closed {
            (0..self.active).for_each(|turn| self.refill(self.active_index(turn)));
        }
        loop {
            let now = self.clock.now();
            early = early.or_else(|| self.reason_to_end(stop));
            if now >= schedule.window_end || early.is_some() {
                break;
            }
            let next = self.issue_due(&mut arrivals, now);
            self.turn(turn, next.min(schedule.window_end))?;
        }
        let ended_at = self.clock.now();
        // What comes from now on comes too late to have been achieved.
        self.window.1 = self.window.1.min(ended_at);
        let alive = u32::try_from(self.alive).unwrap_or(u32::MAX);
        self.issuing = false;
        self.drain(turn, stop)?;
        Ok(Finished {
            recorder: mem::replace(&mut self.recorder, Recorder::new()),
            alive,
            ended_early: early,
            ended_at,
            spread: self.spread.as_ref().map(|spread| spread.seen()),
        })
    }

    /// Why the load should end before its time.
    fn reason_to_end(&self, stop: &AtomicBool) -> Option<String> {
        if stop.load(Ordering::Relaxed) {
            Some("interrupted".to_owned())
        } else if self.alive == 0 && self.spread.is_none() {
            Some(format!("the server closed all {} connections", self.connections.len()))
        } else if self.task.request_limit.is_some_and(|limit| self.recorder.sent >= limit) {
            Some("the limit on requests was reached".to_owned())
        } else {
            None
        }
    }

    /// Hands out the requests that are due, in turn over the connections; when the next one is.
    fn issue_due(&mut self, arrivals: &mut Arrivals, now: u64) -> u64 {
        if self.spread.is_some() {
            return self.issue_spread(arrivals, now);
        }
        for _ in 0..SENDS_PER_TURN {
            if arrivals.next() > now {
                break;
            }
            let due = arrivals.take();
            self.recorder.due += u64::from(self.in_window(due));
            let Some(index) = self.next_alive() else { break };
            if self.connections[index].flights.len() < self.task.in_flight as usize
                && self.connections[index].waiting.is_empty()
            {
                self.send(index, due, true);
            } else if self.backlog < BACKLOG_LIMIT {
                self.backlog += 1;
                self.connections[index].waiting.push_back(due);
            } else {
                self.recorder.error(ErrorKind::Overrun, 1, || format!("more than {BACKLOG_LIMIT} requests wait"));
            }
        }
        arrivals.next()
    }

    /// The next active connection in turn that is not lost.
    fn next_alive(&mut self) -> Option<usize> {
        for _ in 0..self.active {
            let index = self.active_index(self.next_active);
            self.next_active = if self.next_active + 1 == self.active { 0 } else { self.next_active + 1 };
            if self.connections[index].socket.is_some() && !self.connections[index].deaf {
                return Some(index);
            }
        }
        None
    }

    /// The connection that is number `turn` of the active ones. They lie evenly among all, so that those that send are
    /// as old, on average, as those that do not.
    fn active_index(&self, turn: usize) -> usize {
        turn * self.connections.len() / self.active
    }

    /// Sends one request that was due at `due`; `prompt` when nothing but the generator itself delayed it.
    fn send(&mut self, index: usize, due: u64, prompt: bool) {
        self.outgoing.clear();
        let mut flight = self.deal(due);
        flight.sent = self.clock.now();
        // Closed loop has no due time but the moment of sending.
        flight.due = due.min(flight.sent);
        if prompt && self.in_window(due) {
            self.recorder.lag.record(flight.sent - flight.due);
        }
        self.connections[index].flights.push_back(flight);
        self.flush(index);
    }

    /// Writes the next request of the deck to the outgoing bytes.
    fn deal(&mut self, due: u64) -> Flight {
        let card = self.next_card;
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let before = self.outgoing.len();
        if let Some(exchange) = &self.workload.exchange {
            exchange.write(id, &mut self.outgoing);
        } else {
            self.next_card = if card + 1 == self.workload.deck.len() { 0 } else { card + 1 };
            self.workload.deck[card].write(id, &mut self.outgoing);
        }
        self.recorder.sent += 1;
        self.recorder.sent_bytes += (self.outgoing.len() - before) as u64;
        Flight { id, card: card as u16, due, sent: due, attempt: 0 }
    }

    /// Sends what may be in flight on a connection: the requests that wait for it, or in closed loop new ones.
    fn refill(&mut self, index: usize) {
        let closed = self.task.pacing == Pacing::Closed;
        let free = (self.task.in_flight as usize).saturating_sub(self.connections[index].flights.len());
        if !self.issuing && closed {
            return;
        }
        self.outgoing.clear();
        let now = self.clock.now();
        for _ in 0..free {
            let due = if closed { Some(now) } else { self.connections[index].waiting.pop_front() };
            let Some(due) = due else { break };
            self.backlog -= usize::from(!closed);
            let flight = Flight { sent: now, ..self.deal(due) };
            self.connections[index].flights.push_back(flight);
            self.attempted(index);
        }
        if !self.outgoing.is_empty() {
            self.flush(index);
        }
    }

    /// Gives the outgoing bytes to the socket; what it does not take waits for it to become writable.
    fn flush(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        let Some(socket) = &connection.socket else { return };
        if !connection.unsent.is_empty() {
            connection.unsent.extend_from_slice(&self.outgoing);
            return;
        }
        match send(socket, &self.outgoing, SendFlags::NOSIGNAL) {
            Ok(count) if count == self.outgoing.len() => {}
            Ok(count) => connection.unsent.extend_from_slice(&self.outgoing[count..]),
            Err(Errno::AGAIN) => connection.unsent.extend_from_slice(&self.outgoing),
            Err(errno) => self.lose(index, ErrorKind::Reset, || format!("send: {errno}")),
        }
    }

    /// Continues a send that the socket cut short.
    fn resume(&mut self, index: usize) {
        let mut unsent = mem::take(&mut self.connections[index].unsent);
        if unsent.is_empty() {
            return;
        }
        mem::swap(&mut self.outgoing, &mut unsent);
        self.flush(index);
    }

    /// One wait, until `until` at the latest, and everything that became ready.
    fn turn(&mut self, turn: &mut Turn, until: u64) -> Result<(), Error> {
        let wait = Duration::from_nanos(until.saturating_sub(self.clock.now())).min(LONGEST_WAIT);
        let timeout = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        turn.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut turn.events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::System { what: "epoll_pwait2", source: errno.into() }),
        }
        for event in &turn.events {
            // Copies: the kernel packs this struct on x86-64.
            let (index, flags) = (event.data.u64() as usize, event.flags);
            if flags.contains(EventFlags::OUT) {
                self.resume(index);
            }
            if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::ERR | EventFlags::HUP) {
                self.receive(index, &mut turn.buffer);
            }
        }
        Ok(())
    }

    /// Reads a socket until it is drained, and takes the replies.
    fn receive(&mut self, index: usize, buffer: &mut [u8]) {
        loop {
            let Connection { socket: Some(socket), deaf: false, .. } = &self.connections[index] else { return };
            match recv(socket, &mut *buffer, RecvFlags::empty()) {
                Ok((_, 0)) => {
                    return self.lose(index, ErrorKind::Closed, || "the server closed a connection".to_owned());
                }
                Ok((_, count)) => {
                    self.recorder.received_bytes += count as u64;
                    let landed = self.take_replies(index, &buffer[..count]);
                    if let Err((kind, said)) = landed {
                        return self.lose(index, kind, || said);
                    }
                    self.refill(index);
                    if count < buffer.len() {
                        return;
                    }
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(errno) => return self.lose(index, ErrorKind::Reset, || format!("recv: {errno}")),
            }
        }
    }

    /// Cuts replies from `bytes`, continuing one that was cut in two.
    fn take_replies(&mut self, index: usize, bytes: &[u8]) -> Result<(), (ErrorKind, String)> {
        if self.connections[index].partial.is_empty() {
            let used = self.take_whole_replies(index, bytes)?;
            self.connections[index].partial.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        let mut partial = mem::take(&mut self.connections[index].partial);
        partial.extend_from_slice(bytes);
        let used = self.take_whole_replies(index, &partial)?;
        partial.drain(..used);
        self.connections[index].partial = partial;
        Ok(())
    }

    /// Takes every whole reply at the start of `bytes`; how many bytes they were.
    fn take_whole_replies(&mut self, index: usize, bytes: &[u8]) -> Result<usize, (ErrorKind, String)> {
        if self.workload.exchange.is_some() {
            return self.take_heard(index, bytes);
        }
        let mut used = 0;
        let now = self.clock.now();
        while used < bytes.len() {
            let reply = match parse_reply(self.workload.protocol, &bytes[used..]) {
                Ok(Some(reply)) => reply,
                Ok(None) => break,
                Err(error) => return Err((ErrorKind::Protocol, error.to_string())),
            };
            used += reply.consumed;
            if reply.status == EVENT {
                self.take_event(index, &reply, now)?;
                continue;
            }
            let Some(flight) = self.connections[index].land(reply.id) else {
                return Err((ErrorKind::WrongReply, "a reply that no request asked for".to_owned()));
            };
            self.account(index, flight, &reply, now);
        }
        Ok(used)
    }

    /// Takes an event: the one that was announced, once.
    fn take_event(&mut self, index: usize, event: &Reply<'_>, now: u64) -> Result<(), (ErrorKind, String)> {
        let wrong = |said: String| (ErrorKind::WrongReply, said);
        let Some(listening) = &mut self.listening else {
            return Err(wrong("an event that nobody announced".to_owned()));
        };
        listening.expected.check(event).map_err(|mismatch| wrong(mismatch.to_string()))?;
        let at = &mut listening.at[index];
        if *at > 0 {
            return Err(wrong("an event that was heard already".to_owned()));
        }
        *at = now;
        listening.heard += 1;
        listening.bytes += event.consumed as u64;
        Ok(())
    }

    /// Checks a reply and records its times.
    fn account(&mut self, index: usize, flight: Flight, reply: &Reply<'_>, now: u64) {
        let request: &mut Request = &mut self.workload.deck[flight.card as usize];
        let checked = request.check(reply);
        self.record(index, flight, checked, reply.status, now);
    }

    /// Records the times of a reply that was right, or the error that it is.
    fn record(&mut self, index: usize, flight: Flight, checked: Result<(), Mismatch>, status: u16, now: u64) {
        let kind = if status == 503 { ErrorKind::Rejected } else { ErrorKind::WrongReply };
        if self.hear_of(index, &flight, &checked, kind, now) {
            return;
        }
        if let Err(mismatch) = checked {
            return self.recorder.error(kind, 1, || mismatch.to_string());
        }
        if self.in_window(now) {
            self.recorder.answered += 1;
            self.slice_at(now).answered += 1;
        }
        // Latencies in open loop are of the requests that were due in the window, whenever their reply comes; closed loop has
        // no due times, so they are of the replies that came in the window.
        let origin = if self.task.pacing == Pacing::Closed { now } else { flight.due };
        if self.in_window(origin) {
            let response = now.saturating_sub(flight.due);
            let slice = self.slice_at(origin);
            slice.completed += 1;
            slice.response_ns += response;
            self.recorder.completed += 1;
            self.recorder.response.record(response);
            self.recorder.service.record(now.saturating_sub(flight.sent));
        }
    }

    fn in_window(&self, time: u64) -> bool {
        (self.window.0..self.window.1).contains(&time)
    }

    /// The slice of the window that `time` is in.
    fn slice_at(&mut self, time: u64) -> &mut SliceCount {
        let slice = (time - self.window.0) / self.slice;
        &mut self.recorder.slices[(slice as usize).min(SLICES - 1)]
    }

    /// Drops a connection; its requests, sent or waiting, are errors of `kind`.
    fn lose(&mut self, index: usize, kind: ErrorKind, example: impl FnOnce() -> String) {
        let connection = &mut self.connections[index];
        if connection.socket.take().is_none() {
            return;
        }
        self.alive -= 1;
        self.backlog -= connection.waiting.len();
        if self.spread.is_some() {
            return self.lost_with(index, kind, example);
        }
        let lost = mem::take(&mut connection.flights).len() + mem::take(&mut connection.waiting).len();
        // A lost connection is an error even when nothing was in flight on it.
        self.recorder.error(kind, lost.max(1) as u64, example);
    }

    /// Waits for replies that are still out; those that do not come in time are time-outs.
    fn drain(&mut self, turn: &mut Turn, stop: &AtomicBool) -> Result<(), Error> {
        let deadline = self.clock.now() + self.timeout.as_nanos() as u64;
        let outstanding = |worker: &Self| {
            let waits = |c: &Connection| !c.deaf && (!c.flights.is_empty() || !c.waiting.is_empty());
            worker.alive > 0 && worker.connections.iter().any(waits)
        };
        while (outstanding(self) || self.has_to_ask_again())
            && self.clock.now() < deadline
            && !stop.load(Ordering::Relaxed)
        {
            self.look_after_servers(self.clock.now());
            while self.ask_again() {}
            self.turn(turn, self.next_for_servers(deadline))?;
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let now = self.clock.now();
        let timeout = self.timeout;
        for connection in self.connections.iter().filter(|connection| !connection.deaf) {
            let waiting = connection.waiting.iter().map(|due| (*due, None));
            let sent = connection.flights.iter().map(|flight| (flight.due, Some(flight.sent)));
            for (due, sent) in sent.chain(waiting) {
                // The time waited so far is a lower bound; leaving it out would hide the worst requests.
                if self.task.pacing != Pacing::Closed && (self.window.0..self.window.1).contains(&due) {
                    self.recorder.response.record(now - due);
                    sent.iter().for_each(|sent| self.recorder.service.record(now - sent));
                }
                self.recorder.error(ErrorKind::Timeout, 1, || {
                    format!("no reply within {:.1} s of the end of the load", timeout.as_secs_f64())
                });
            }
        }
        Ok(())
    }
}

/// Buffers of the loop, apart from the worker so that both can be borrowed.
pub(crate) struct Turn {
    events: Vec<epoll::Event>,
    buffer: Box<[u8]>,
}

impl Turn {
    pub(crate) fn new() -> Self {
        Self { events: Vec::with_capacity(EVENTS), buffer: vec![0; READ_BUFFER].into_boxed_slice() }
    }
}
