//! Events: a send for each peer, some peers a turn.

use std::io;
use std::sync::Arc;

use rustix::net::Shutdown;
use service::{BACKLOG_BYTES, Event, Handler};

use crate::peer::NONE;
use crate::queue::SUBMISSIONS;
use crate::reactor::Reactor;
use crate::sends::{Buffer, Stage};

/// Places of peers that are told in a turn: as many sends as one system call submits.
const PUSH_BATCH: usize = SUBMISSIONS as usize;

impl Reactor<'_> {
    /// Queues the next sends of the first event; whether there is more to tell, so that the turn must not wait. Whoever
    /// connects meanwhile may be told or not.
    pub(crate) fn push_events(&mut self, handler: &mut Handler) -> io::Result<bool> {
        let Some((event, from)) = self.pushing.pop_front() else { return Ok(false) };
        let to = (from + PUSH_BATCH).min(self.peers.capacity());
        for key in from..to {
            if self.peers.contains(key) {
                self.push_event(handler, key, &event)?;
            }
        }
        if to < self.peers.capacity() {
            self.pushing.push_front((event, to));
        }
        Ok(!self.pushing.is_empty())
    }

    fn push_event(&mut self, handler: &mut Handler, key: usize, event: &Arc<Event>) -> io::Result<()> {
        let peer = &self.peers[key];
        if peer.refused || peer.failed || peer.ended || !handler.takes_events(&peer.connection) {
            return Ok(());
        }
        if peer.sending == NONE {
            let buffer = match event.shared() {
                Some(message) => Buffer::Shared(message.clone()),
                None => {
                    let mut out = self.outputs.take();
                    event.write(&mut out);
                    Buffer::Own(out)
                }
            };
            let index = self.collect(key, buffer);
            self.sends.all[index as usize].told = event.message_bytes();
            self.peers[key].sending = index;
            handler.pushed();
            return Ok(());
        }
        let sending = &mut self.sends.all[peer.sending as usize];
        if sending.stage == Stage::Collecting {
            event.write(sending.buffer.own());
            sending.told += event.message_bytes();
            handler.pushed();
            return Ok(());
        }
        let waiting = sending.events_waiting();
        if waiting == 0 || waiting + event.message_bytes() <= BACKLOG_BYTES {
            event.write(&mut sending.behind);
            handler.pushed();
            return Ok(());
        }
        let peer = &mut self.peers[key];
        handler.too_slow(&mut peer.connection);
        peer.failed = true;
        self.shutdown(key, Shutdown::Both)
    }
}
