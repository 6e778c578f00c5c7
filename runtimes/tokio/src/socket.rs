//! A tokio stream as the service's tasks use it.

use std::future::{poll_fn, ready};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use service::Socket;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Stream(pub(crate) TcpStream);

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

// Functions that return an async block rather than async functions: those would keep each argument twice, as it came and as
// it is used, for as long as they wait.
#[expect(clippy::manual_async_fn, reason = "the size of what waits, see above")]
impl Socket for Stream {
    fn read(&mut self, mut buffer: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)> {
        async move { (self.0.read_buf(&mut buffer).await, buffer) }
    }

    /// By the stream's one slot for a reader's waker. `TcpStream::readable`, in which any number of tasks may wait, would
    /// cost each task 150 bytes for a place in a list.
    fn readable(&mut self) -> impl Future<Output = io::Result<()>> {
        poll_fn(|context| self.0.poll_read_ready(context))
    }

    /// One turn of an ordinary read. After a short one tokio takes the socket for drained, where `try_read` would leave it
    /// ready, and so cost a read that finds nothing with each request.
    fn read_ready(&mut self, mut buffer: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)> {
        // Polled here and once, by nobody's waker: what waits afterwards is `readable`.
        let read = pin!(self.0.read_buf(&mut buffer)).poll(&mut Context::from_waker(Waker::noop()));
        let result = match read {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        };
        ready((result, buffer))
    }

    fn write_all(&mut self, bytes: Vec<u8>) -> impl Future<Output = (io::Result<()>, Vec<u8>)> {
        async move { (self.0.write_all(&bytes).await, bytes) }
    }
}
