//! Accepting: one operation for all connections where the kernel can, one for each otherwise, and pauses after failures.

use std::io;
use std::os::fd::RawFd;

use io_uring::{cqueue, types::Timespec};
use rustix::io::Errno;
use service::Handler;

use crate::operation::{self, Operation, Socket};
use crate::queue::Completion;
use crate::reactor::Reactor;

/// How long to leave accepting alone after it failed for want of descriptors or memory.
static PAUSE: Timespec = Timespec::new().nsec(10_000_000);

/// Free slots below which connections are accepted one at a time: an accept that finds no slot for its connection
/// drops it, and one for all may take as many as the listener's backlog holds before it can be stopped.
const FEW_SLOTS: usize = 4_096;

/// A ring's part in accepting.
pub(crate) struct Acceptor {
    /// `None` while another ring accepts, and at the end.
    listener: Option<RawFd>,
    state: State,
    multishot: bool,
    /// Places in the ring's file table, where connections are direct.
    slots: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    One,
    Many,
    /// Asked to end.
    Ending,
    Pausing,
}

impl Acceptor {
    pub(crate) fn new(multishot: bool, slots: Option<usize>) -> Acceptor {
        Acceptor { listener: None, state: State::Idle, multishot, slots }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Nothing is outstanding and nothing will be.
    pub(crate) fn has_ended(&self) -> bool {
        self.listener.is_none() && matches!(self.state, State::Idle | State::Pausing)
    }

    pub(crate) fn accepts(&self) -> bool {
        self.listener.is_some()
    }
}

impl Reactor<'_> {
    /// Slots that are free; without a file table, as many as there are descriptors.
    pub(crate) fn free_slots(&self) -> usize {
        self.acceptor.slots.map_or(usize::MAX, |slots| slots.saturating_sub(self.peers.len()))
    }

    /// Few slots are left: better that another ring accepts.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.free_slots() < FEW_SLOTS
    }

    pub(crate) fn start_accepting(&mut self, listener: RawFd) -> io::Result<()> {
        self.acceptor.listener = Some(listener);
        self.place_is_free()
    }

    /// Ends accepting here, once what is on its way has come.
    pub(crate) fn stop_accepting(&mut self) -> io::Result<()> {
        self.acceptor.listener = None;
        self.end_accept()
    }

    fn end_accept(&mut self) -> io::Result<()> {
        if matches!(self.acceptor.state, State::One | State::Many) {
            self.acceptor.state = State::Ending;
            self.push(&operation::cancel(Operation::Accept))?;
        }
        Ok(())
    }

    /// Accepts, if that is this ring's part, nothing is outstanding and there is a place.
    pub(crate) fn place_is_free(&mut self) -> io::Result<()> {
        let Some(listener) = self.acceptor.listener else { return Ok(()) };
        if self.acceptor.state != State::Idle || self.free_slots() == 0 {
            return Ok(());
        }
        let many = self.acceptor.multishot && !self.is_nearly_full();
        self.acceptor.state = if many { State::Many } else { State::One };
        self.push(&operation::accept(listener, self.acceptor.slots.is_some(), many))
    }

    pub(crate) fn accept_done(&mut self, handler: &mut Handler, completion: Completion) -> io::Result<()> {
        if !cqueue::more(completion.flags) {
            self.acceptor.state = State::Idle;
        }
        match completion.outcome() {
            Ok(number) => {
                let socket = match self.acceptor.slots {
                    Some(_) => Socket::Slot(u32::try_from(number).expect("a slot")),
                    None => Socket::Descriptor(RawFd::try_from(number).expect("a descriptor")),
                };
                self.admit(handler, socket)?;
                if self.acceptor.state == State::Many && self.is_nearly_full() {
                    self.end_accept()?;
                }
            }
            // Draining has shut the listener.
            Err(_) if self.acceptor.listener.is_none() => {}
            // The peer was gone before it was accepted: accept(2) says to go on.
            Err(Errno::CONNABORTED | Errno::INTR | Errno::AGAIN | Errno::CANCELED) => {}
            Err(_) => {
                handler.accept_failed();
                if self.acceptor.state == State::Idle {
                    self.acceptor.state = State::Pausing;
                    return self.push(&operation::retry(&PAUSE));
                }
            }
        }
        self.place_is_free()
    }

    pub(crate) fn accept_again(&mut self) -> io::Result<()> {
        self.acceptor.state = State::Idle;
        self.place_is_free()
    }
}
