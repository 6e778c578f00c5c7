//! A connection that users share, and their tries on it.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

/// One request of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Try {
    /// Ascends with the order in which tries were handed to connections.
    pub(super) serial: u64,
    /// When the user wanted it, nanoseconds on the clock.
    pub(super) due: u64,
    /// Further ones that the user would make.
    pub(super) left: u32,
}

/// A try that was sent and has no reply yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flight {
    pub(super) of: Try,
    /// Correlation id, where the framing has one.
    pub(super) id: u32,
    /// Which request of the deck.
    pub(super) card: usize,
    /// Its user has given up. The server does not know.
    pub(super) expired: bool,
}

/// A connection.
pub(super) struct Connection {
    /// `None` once it is lost.
    pub(super) socket: Option<OwnedFd>,
    /// Sent, in order.
    pub(super) flights: VecDeque<Flight>,
    /// Those that wait until fewer are in flight, in order.
    pub(super) waiting: VecDeque<Try>,
    /// The start of a reply whose rest has not come.
    pub(super) partial: Vec<u8>,
    /// Bytes that the socket would not take yet.
    pub(super) unsent: Vec<u8>,
}

/// Where a try is whose deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// It had its reply, or went down with its connection.
    Done,
    /// It was sent; its flight goes on without a user.
    Sent(Try),
    /// It was not sent, and will not be.
    Waiting(Try),
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket: Some(socket),
            flights: VecDeque::new(),
            waiting: VecDeque::new(),
            partial: Vec::new(),
            unsent: Vec::new(),
        }
    }

    /// Takes the flight that a reply answers: by id where the framing has one, else the oldest.
    pub(super) fn land(&mut self, id: Option<u32>) -> Option<Flight> {
        let place = match id {
            None => 0,
            Some(id) => self.flights.iter().position(|flight| flight.id == id)?,
        };
        self.flights.remove(place)
    }

    /// The deadline of try `serial` has passed. Both queues ascend by serial.
    pub(super) fn expire(&mut self, serial: u64) -> Expired {
        if let Ok(place) = self.flights.binary_search_by_key(&serial, |flight| flight.of.serial) {
            self.flights[place].expired = true;
            return Expired::Sent(self.flights[place].of);
        }
        match self.waiting.binary_search_by_key(&serial, |waiting| waiting.serial) {
            Ok(place) => self.waiting.remove(place).map_or(Expired::Done, Expired::Waiting),
            Err(_) => Expired::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows where a try is found when its deadline passes, and that it is found once.
    #[test]
    fn expiry() {
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut connection = Connection::new(socket.into());
        let of = |serial| Try { serial, due: 0, left: 1 };
        for serial in [3, 5] {
            connection.flights.push_back(Flight { of: of(serial), id: serial as u32, card: 0, expired: false });
        }
        connection.waiting.extend([of(8), of(9)]);
        assert_eq!(connection.expire(5), Expired::Sent(of(5)));
        assert_eq!(connection.expire(9), Expired::Waiting(of(9)));
        assert_eq!(connection.expire(9), Expired::Done);
        assert_eq!(connection.expire(4), Expired::Done);
        assert!(connection.land(Some(5)).unwrap().expired);
        assert_eq!(connection.land(Some(7)), None);
        assert_eq!(connection.land(None).unwrap().of, of(3));
        assert_eq!(connection.land(None), None);
    }
}
