//! What an engine's socket has to be able to do.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsRawFd;

use bytes::Bytes;

use crate::{Pool, READ_BYTES};

/// An engine's connected socket. Buffers are passed by value and come back, as completions need it; engines that work by
/// readiness lose nothing by that. By shared reference, since a write may begin while a read waits: the two do not touch each
/// other, and no two reads, nor two writes, are under way at a time.
pub trait Socket: AsRawFd + 'static {
    /// Runs a task on the engine's runtime.
    fn spawn(task: impl Future<Output = ()> + 'static);

    /// Waits for bytes, with the buffer in hand. 0 bytes are the end.
    fn read(&self, buffer: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)>;

    /// Waits, with empty hands, until there is something to read: bytes, the end or an error.
    fn readable(&self) -> impl Future<Output = io::Result<()>>;

    /// Reads what is there; [`io::ErrorKind::WouldBlock`] when that is nothing. May instead wait where
    /// [`Socket::readable`] is never wrong.
    fn read_ready(&self, buffer: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)> {
        self.read(buffer)
    }

    /// Writes all of it, however long the peer takes.
    fn write_all(&self, bytes: Vec<u8>) -> impl Future<Output = (io::Result<()>, Vec<u8>)>;

    /// The same for bytes that other connections are sent as well.
    fn write_shared(&self, bytes: Bytes) -> impl Future<Output = io::Result<()>>;

    /// Waits for bytes without holding a buffer meanwhile, hands them to `take`, and says how many they were and whether
    /// more may be there. `filled` is what it said the last time.
    fn receive<T>(
        &self,
        buffers: &RefCell<Pool>,
        filled: bool,
        take: impl FnOnce(&[u8]) -> T,
    ) -> impl Future<Output = io::Result<Received<T>>> {
        let _ = filled;
        receive_when_readable(self, buffers, take)
    }
}

/// What [`Socket::receive`] brought.
#[derive(Debug)]
pub enum Received<T> {
    /// What `take` made of the bytes, and whether they filled the buffer.
    Bytes(T, bool),
    /// The peer has ended its side.
    End,
}

/// Readiness first, then a buffer from the pool: how [`Socket::receive`] works unless an engine has better.
///
/// # Errors
/// What waiting or reading failed with.
///
/// Not an `async fn`: that would keep each argument twice, as it came and as it is used, for as long as it waits.
#[expect(clippy::manual_async_fn, reason = "the size of what waits, see above")]
pub fn receive_when_readable<S: Socket + ?Sized, T>(
    socket: &S,
    buffers: &RefCell<Pool>,
    take: impl FnOnce(&[u8]) -> T,
) -> impl Future<Output = io::Result<Received<T>>> {
    async move {
        loop {
            socket.readable().await?;
            let buffer = buffers.borrow_mut().take_with_capacity(READ_BYTES);
            let (result, buffer) = socket.read_ready(buffer).await;
            let outcome = match result {
                Ok(0) => Some(Ok(Received::End)),
                Ok(length) => {
                    let received = Received::Bytes(take(&buffer[..length]), length == buffer.capacity());
                    // Given back before anything is written: the next connection reads into the same memory.
                    buffers.borrow_mut().give(buffer);
                    return Ok(received);
                }
                // Ready for nothing: an event that came late. Back to waiting, with empty hands.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => None,
                Err(error) => Some(Err(error)),
            };
            buffers.borrow_mut().give(buffer);
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
    }
}
