//! Requests over several servers: chosen in turn among those that are permitted, timed out one by one, asked again.

use std::mem;

use wire::client::Mismatch;

use super::super::connect;
use super::super::connection::{Connection, Flight};
use super::super::pacing::Arrivals;
use super::super::recorder::ErrorKind;
use super::super::spread::Again;
use super::{SENDS_PER_TURN, Worker};

impl Worker {
    /// Hands out what is due and what has to be asked again; when there is something to do next.
    pub(super) fn issue_spread(&mut self, arrivals: &mut Arrivals, now: u64) -> u64 {
        self.look_after_servers(now);
        for _ in 0..SENDS_PER_TURN {
            if !self.ask_again() {
                if arrivals.next() > now {
                    break;
                }
                let due = arrivals.take();
                let counts = u64::from(self.in_window(due));
                self.recorder.due += counts;
                self.spread.iter_mut().for_each(|spread| spread.due += counts);
                self.dispatch(Again { due, attempt: 0, failed_by: None }, true);
            }
        }
        self.next_for_servers(arrivals.next())
    }

    /// When the servers have to be looked after again, at the latest at `other`.
    pub(super) fn next_for_servers(&self, other: u64) -> u64 {
        let Some(spread) = &self.spread else { return other };
        if spread.again.is_empty() { other.min(spread.next_look) } else { self.clock.now() }
    }

    /// Asks one request again, if one waits for that.
    pub(super) fn ask_again(&mut self) -> bool {
        let again = self.spread.as_mut().and_then(|spread| spread.again.pop_front());
        again.is_some_and(|again| {
            self.dispatch(again, false);
            true
        })
    }

    /// Whether requests wait to be asked again.
    pub(super) fn has_to_ask_again(&self) -> bool {
        self.spread.as_ref().is_some_and(|spread| !spread.again.is_empty())
    }

    /// Fails attempts whose time is over, and keeps the intervals.
    pub(super) fn look_after_servers(&mut self, now: u64) {
        let Some(spread) = &mut self.spread else { return };
        if now < spread.next_look {
            return;
        }
        let timeout = spread.timeout_ns;
        let late = |flight: &Flight| now.saturating_sub(flight.sent) >= timeout;
        let over: Vec<usize> = (0..self.connections.len())
            .filter(|index| self.connections[*index].flights.front().is_some_and(late))
            .collect();
        for index in over {
            self.lose(index, ErrorKind::Timeout, || format!("no reply within {} ms", timeout / 1_000_000));
        }
        if let Some(spread) = &mut self.spread {
            spread.tick(now);
        }
    }

    /// Sends a request to the next server that is permitted.
    fn dispatch(&mut self, request: Again, prompt: bool) {
        let Some(server) = self.spread.as_mut().and_then(|spread| spread.choose(request.failed_by)) else {
            return self.recorder.error(ErrorKind::Banned, 1, || "every server is banned".to_owned());
        };
        let index = self.connection_to(server);
        if self.connections[index].socket.is_none()
            && let Err(said) = self.connect_again(index)
        {
            // Out of ports or descriptors: the client's own trouble, and no reason to ban.
            return self.recorder.error(ErrorKind::Reset, 1, || said);
        }
        let connection = &mut self.connections[index];
        if connection.flights.len() >= self.task.in_flight as usize {
            self.backlog += 1;
            connection.waiting.push_back(request.due);
            return;
        }
        self.outgoing.clear();
        let mut flight = self.deal(request.due);
        flight.sent = self.clock.now();
        flight.due = request.due.min(flight.sent);
        flight.attempt = request.attempt;
        if prompt && self.in_window(request.due) {
            self.recorder.lag.record(flight.sent - flight.due);
        }
        self.connections[index].flights.push_back(flight);
        self.attempted(index);
        self.flush(index);
    }

    /// Counts an attempt on connection `index`.
    pub(super) fn attempted(&mut self, index: usize) {
        if let Some(spread) = &mut self.spread {
            let server = spread.server_of(index);
            spread.sent(server);
        }
    }

    /// The next connection to `server` with room for a request; the next one at all where none has.
    fn connection_to(&mut self, server: usize) -> usize {
        let spread = self.spread.as_mut().expect("only a client of several servers gets here");
        let servers = spread.servers.len();
        let count = (self.connections.len() - server).div_ceil(servers);
        let first = spread.servers[server].turn % count;
        let room = |turn: &usize| {
            let connection = &self.connections[server + ((first + turn) % count) * servers];
            connection.flights.len() < self.task.in_flight as usize && connection.waiting.is_empty()
        };
        let turn = (first + (0..count).find(room).unwrap_or(0)) % count;
        spread.servers[server].turn = turn + 1;
        server + turn * servers
    }

    /// Begins to connect in the place of a lost connection; what is sent meanwhile waits for it.
    fn connect_again(&mut self, index: usize) -> Result<(), String> {
        let spread = self.spread.as_ref().expect("only a client of several servers gets here");
        let address = spread.servers[spread.server_of(index)].address;
        let source = (!self.sources.is_empty()).then(|| self.sources[index % self.sources.len()]);
        let socket = connect::begin(address, source).map_err(|errno| format!("connecting to {address}: {errno}"))?;
        self.watch(index, &socket).map_err(|error| error.to_string())?;
        self.connections[index] = Connection::new(socket);
        self.alive += 1;
        Ok(())
    }

    /// Takes the outcome of an attempt before it is recorded; `true` when there is nothing to record, since the request is asked
    /// again.
    pub(super) fn hear_of(
        &mut self,
        index: usize,
        flight: &Flight,
        checked: &Result<(), Mismatch>,
        kind: ErrorKind,
        now: u64,
    ) -> bool {
        let Some(spread) = &mut self.spread else { return false };
        let server = spread.server_of(index);
        if checked.is_ok() {
            spread.succeeded(server, now.saturating_sub(flight.sent));
            return false;
        }
        let banned = spread.failed(server, kind);
        let again = self.may_ask_again(server, flight);
        if banned {
            self.leave_server(server);
        }
        again
    }

    /// Takes the requests of a lost connection: each attempt is a failure of its server, and is asked again or recorded.
    pub(super) fn lost_with(&mut self, index: usize, kind: ErrorKind, example: impl FnOnce() -> String) {
        let flights = mem::take(&mut self.connections[index].flights);
        let waiting = mem::take(&mut self.connections[index].waiting);
        let spread = self.spread.as_mut().expect("only a client of several servers gets here");
        let server = spread.server_of(index);
        // Those that were never sent are no failures.
        spread.again.extend(waiting.iter().map(|due| Again { due: *due, attempt: 0, failed_by: None }));
        let mut banned = false;
        for _ in 0..flights.len().max(1) {
            banned |= spread.failed(server, kind);
        }
        let given_up = flights.iter().filter(|flight| !self.may_ask_again(server, flight)).count();
        self.recorder.error(kind, given_up as u64, example);
        if banned {
            self.leave_server(server);
        }
    }

    /// Whether a failed request is asked again; it is put in line then.
    fn may_ask_again(&mut self, server: usize, flight: &Flight) -> bool {
        let Some(spread) = &mut self.spread else { return false };
        let again = flight.attempt < spread.retries;
        if again {
            let (due, attempt) = (flight.due, flight.attempt + 1);
            spread.again.push_back(Again { due, attempt, failed_by: Some(server) });
        }
        again
    }

    /// Closes all connections to a server that was banned: what is out on them is asked again of others, so that nothing of the
    /// time before the ban can be taken for the outcome of a probe.
    fn leave_server(&mut self, server: usize) {
        let servers = self.spread.as_ref().map_or(1, |spread| spread.servers.len());
        for index in (server..self.connections.len()).step_by(servers) {
            let connection = mem::replace(&mut self.connections[index], Connection::gone());
            self.alive -= usize::from(connection.socket.is_some());
            self.backlog -= connection.waiting.len();
            let unsent = connection.waiting.iter().map(|due| Again { due: *due, attempt: 0, failed_by: None });
            if let Some(spread) = &mut self.spread {
                spread.again.extend(unsent);
            }
            let given_up = connection.flights.iter().filter(|flight| !self.may_ask_again(server, flight)).count();
            self.recorder.error(ErrorKind::Banned, given_up as u64, || "its server was banned meanwhile".to_owned());
        }
    }
}
