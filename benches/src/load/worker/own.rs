//! Replies of a server of one's own: what the lab's servers never do, and others may.

use std::mem;

use wire::client::Exchange;
use wire::client::exchange::{Answer, Event};

use super::super::connect;
use super::super::connection::Connection;
use super::super::pacing::Pacing;
use super::super::recorder::ErrorKind;
use super::Worker;

impl Worker {
    /// Takes everything whole at the start of `bytes`, from connection `index`; how many bytes it was.
    pub(super) fn take_heard(&mut self, index: usize, bytes: &[u8]) -> Result<usize, (ErrorKind, String)> {
        let mut used = 0;
        let now = self.clock.now();
        while used < bytes.len() {
            let exchange = self.workload.exchange.as_ref().expect("only such a workload gets here");
            let heard = match exchange.parse(&bytes[used..]) {
                Ok(Some(heard)) => heard,
                Ok(None) => break,
                Err(error) => return Err((ErrorKind::Protocol, error.to_string())),
            };
            used += heard.consumed;
            match heard.event {
                Event::Nothing => {}
                Event::Ping(payload) => self.pong(index, payload),
                Event::Closing(code, reason) => {
                    let reason = String::from_utf8_lossy(reason);
                    return Err((ErrorKind::Closed, format!("the server closed a WebSocket with {code} {reason}")));
                }
                Event::Answer(answer) => {
                    self.answered(index, &answer, now)?;
                    if answer.last {
                        self.reopen(index)?;
                        // What stands behind the last reply is none.
                        return Ok(bytes.len());
                    }
                }
            }
        }
        Ok(used)
    }

    fn answered(&mut self, index: usize, answer: &Answer<'_>, now: u64) -> Result<(), (ErrorKind, String)> {
        let Some(flight) = self.connections[index].land(None) else {
            return Err((ErrorKind::WrongReply, "a reply that no request asked for".to_owned()));
        };
        let exchange = self.workload.exchange.as_mut().expect("only such a workload gets here");
        let checked = exchange.check(answer);
        self.record(index, flight, checked, answer.status, now);
        Ok(())
    }

    fn pong(&mut self, index: usize, payload: &[u8]) {
        self.outgoing.clear();
        self.next_id = self.next_id.wrapping_add(1);
        Exchange::pong(payload, self.next_id, &mut self.outgoing);
        self.flush(index);
    }

    /// Opens connection `index` again, whose server closes it behind a reply: nginx does so after keepalive_requests.
    /// Requests that were sent behind that one are asked again, and still count from when they were due.
    fn reopen(&mut self, index: usize) -> Result<(), (ErrorKind, String)> {
        let source = (!self.sources.is_empty()).then(|| self.sources[index % self.sources.len()]);
        let refused = |said: String| (ErrorKind::Reset, format!("opening a connection again: {said}"));
        // Bytes that are sent before it is established wait in `unsent` for it to become writable.
        let socket = connect::begin(self.target, source).map_err(|errno| refused(errno.to_string()))?;
        self.watch(index, &socket).map_err(|error| refused(error.to_string()))?;
        let old = mem::replace(&mut self.connections[index], Connection::new(socket));
        let mut waiting = old.waiting;
        if self.task.pacing != Pacing::Closed {
            self.backlog += old.flights.len();
            old.flights.iter().rev().for_each(|flight| waiting.push_front(flight.due));
        }
        self.connections[index].waiting = waiting;
        self.recorder.reopened += 1;
        Ok(())
    }
}
