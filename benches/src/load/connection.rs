//! One connection: its requests in flight, those that wait for it, and the bytes that were cut in two.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

/// A request that was sent and has no reply yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    /// Correlation id, where the framing has one.
    pub(crate) id: u32,
    /// Which request of the deck.
    pub(crate) card: u16,
    /// When it was due, nanoseconds on the run's clock.
    pub(crate) due: u64,
    /// When it was sent.
    pub(crate) sent: u64,
    /// How often it was asked before, of another server.
    pub(crate) attempt: u8,
}

/// State of one connection. Small, and without heap memory until it is used: a run holds many idle ones.
#[derive(Debug)]
pub(crate) struct Connection {
    /// `None` once it is lost.
    pub(crate) socket: Option<OwnedFd>,
    /// Sent, in order.
    pub(crate) flights: VecDeque<Flight>,
    /// Due times of requests that wait until fewer are in flight.
    pub(crate) waiting: VecDeque<u64>,
    /// The start of a reply whose rest has not come.
    pub(crate) partial: Vec<u8>,
    /// Bytes that the socket would not take yet.
    pub(crate) unsent: Vec<u8>,
    /// Nothing is read from it for now: a slow reader.
    pub(crate) deaf: bool,
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket: Some(socket), ..Self::gone() }
    }

    /// The place of a connection that is no more.
    pub(crate) fn gone() -> Self {
        Self {
            socket: None,
            flights: VecDeque::new(),
            waiting: VecDeque::new(),
            partial: Vec::new(),
            unsent: Vec::new(),
            deaf: false,
        }
    }

    /// Takes the flight that a reply answers: by id where the framing has one, else the oldest.
    pub(crate) fn land(&mut self, id: Option<u32>) -> Option<Flight> {
        match (self.flights.front(), id) {
            (None, _) => None,
            (Some(_), None) => self.flights.pop_front(),
            (Some(front), Some(id)) if front.id == id => self.flights.pop_front(),
            (Some(_), Some(id)) => {
                let position = self.flights.iter().position(|flight| flight.id == id)?;
                self.flights.remove(position)
            }
        }
    }
}
