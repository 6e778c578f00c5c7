//! Operations and how their completions are told apart: a kind and an index in 64 bits.

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{DestinationSlot, Fd, Fixed};
use io_uring::{opcode, types};
use rustix::fd::RawFd;

/// Which operation a completion belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// On the listener.
    Accept,
    /// The descriptor of orders became readable.
    Wake,
    /// The pause after a failed accept is over.
    Retry,
    /// A peer's socket became readable.
    Readable(usize),
    /// A peer's receive.
    Receive(usize),
    /// A send, by its index among the sends.
    Send(usize),
    /// The end of a peer's writing, or of both directions.
    Shutdown(usize),
    /// Another ring of the thread has something to do.
    Other(usize),
    /// Cancelling and closing: nothing waits for their outcome.
    Forgotten,
}

impl Operation {
    const KIND_SHIFT: u32 = 56;

    pub(crate) const fn user_data(self) -> u64 {
        let (kind, index) = match self {
            Operation::Accept => (0, 0),
            Operation::Wake => (1, 0),
            Operation::Retry => (2, 0),
            Operation::Readable(key) => (3, key),
            Operation::Receive(key) => (4, key),
            Operation::Send(index) => (5, index),
            Operation::Shutdown(key) => (6, key),
            Operation::Other(index) => (7, index),
            Operation::Forgotten => (8, 0),
        };
        (kind << Operation::KIND_SHIFT) | index as u64
    }

    #[inline]
    pub(crate) const fn from_user_data(data: u64) -> Operation {
        let index = (data & ((1 << Operation::KIND_SHIFT) - 1)) as usize;
        match data >> Operation::KIND_SHIFT {
            0 => Operation::Accept,
            1 => Operation::Wake,
            2 => Operation::Retry,
            3 => Operation::Readable(index),
            4 => Operation::Receive(index),
            5 => Operation::Send(index),
            6 => Operation::Shutdown(index),
            7 => Operation::Other(index),
            _ => Operation::Forgotten,
        }
    }
}

/// Flags of receives and sends (linux/io_uring.h), which the io-uring crate keeps to itself.
pub(crate) const POLL_FIRST: u16 = 1;
pub(crate) const RECV_MULTISHOT: u16 = 2;

/// A connection's socket: a descriptor, or a slot of the ring's file table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Socket {
    Descriptor(RawFd),
    Slot(u32),
}

/// Builds an operation on either kind of socket.
macro_rules! on {
    ($socket:expr, $operation:ident ( $($argument:expr),* ) $(. $option:ident ( $value:expr ))*) => {
        match $socket {
            Socket::Descriptor(fd) => opcode::$operation::new(Fd(fd), $($argument),*) $(.$option($value))* .build(),
            Socket::Slot(slot) => opcode::$operation::new(Fixed(slot), $($argument),*) $(.$option($value))* .build(),
        }
    };
}

impl Socket {
    pub(crate) fn receive(self, key: usize, buffer: (*mut u8, u32), priority: u16, flags: i32) -> Entry {
        let (start, length) = buffer;
        on!(self, Recv(start, length).ioprio(priority).flags(flags)).user_data(Operation::Receive(key).user_data())
    }

    /// A receive into a buffer that the kernel takes from group 0.
    pub(crate) fn receive_provided(self, key: usize, priority: u16, flags: i32) -> Entry {
        self.receive(key, (std::ptr::null_mut(), 0), priority, flags).flags(Flags::BUFFER_SELECT)
    }

    pub(crate) fn readable(self, key: usize) -> Entry {
        let events = libc::POLLIN.cast_unsigned().into();
        on!(self, PollAdd(events)).user_data(Operation::Readable(key).user_data())
    }

    pub(crate) fn send(self, index: usize, bytes: &[u8], flags: i32) -> Entry {
        on!(self, Send(bytes.as_ptr(), length(bytes)).flags(flags)).user_data(Operation::Send(index).user_data())
    }

    pub(crate) fn send_zero_copy(self, index: usize, bytes: &[u8], flags: i32) -> Entry {
        on!(self, SendZc(bytes.as_ptr(), length(bytes)).flags(flags)).user_data(Operation::Send(index).user_data())
    }

    /// A send of what the group holds.
    pub(crate) fn send_bundle(self, index: usize, group: u16, flags: i32) -> Entry {
        on!(self, SendBundle(group).flags(flags)).user_data(Operation::Send(index).user_data())
    }

    /// Ends writing (SHUT_WR) or both directions (SHUT_RDWR). The kernel does this on a worker thread of the ring, always.
    pub(crate) fn shutdown(self, key: usize, how: i32) -> Entry {
        on!(self, Shutdown(how)).user_data(Operation::Shutdown(key).user_data())
    }

    pub(crate) fn close(self) -> Entry {
        on!(self, Close()).user_data(Operation::Forgotten.user_data())
    }
}

/// Accepts connections, into slots when `direct`: one, or with `multishot` one after another until it ends.
///
/// Connections are inherited by nobody, so descriptors are marked close-on-exec; slots cannot be inherited.
pub(crate) fn accept(listener: RawFd, direct: bool, multishot: bool) -> Entry {
    let flags = if direct { 0 } else { libc::SOCK_CLOEXEC };
    let entry = if multishot {
        opcode::AcceptMulti::new(Fd(listener)).allocate_file_index(direct).flags(flags).build()
    } else {
        let slot = direct.then(DestinationSlot::auto_target);
        let nobody = std::ptr::null_mut();
        opcode::Accept::new(Fd(listener), nobody, nobody.cast()).file_index(slot).flags(flags).build()
    };
    entry.user_data(Operation::Accept.user_data())
}

/// Asks the kernel to end an operation, which then completes with ECANCELED unless it was faster.
pub(crate) fn cancel(operation: Operation) -> Entry {
    opcode::AsyncCancel::new(operation.user_data()).build().user_data(Operation::Forgotten.user_data())
}

pub(crate) fn wake(descriptor: RawFd) -> Entry {
    opcode::PollAdd::new(Fd(descriptor), libc::POLLIN.cast_unsigned().into())
        .build()
        .user_data(Operation::Wake.user_data())
}

/// Polls an eventfd: each signal is a completion, without the counter being read.
pub(crate) fn other(index: usize, waker: RawFd) -> Entry {
    let events = libc::POLLIN.cast_unsigned().into();
    opcode::PollAdd::new(Fd(waker), events).multi(true).build().user_data(Operation::Other(index).user_data())
}

pub(crate) fn retry(after: &types::Timespec) -> Entry {
    opcode::Timeout::new(after).build().user_data(Operation::Retry.user_data())
}

fn length(bytes: &[u8]) -> u32 {
    // The kernel cuts a send to less than 2 GiB anyway; the rest goes with the next one.
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind and the largest index survive the way through the kernel.
    #[test]
    fn round_trip() {
        let largest = (1 << Operation::KIND_SHIFT) - 1;
        for operation in [
            Operation::Accept,
            Operation::Wake,
            Operation::Retry,
            Operation::Readable(0),
            Operation::Receive(largest),
            Operation::Send(7),
            Operation::Shutdown(1),
            Operation::Other(63),
            Operation::Forgotten,
        ] {
            assert_eq!(Operation::from_user_data(operation.user_data()), operation);
        }
    }
}
