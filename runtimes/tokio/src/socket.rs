//! A tokio stream as the service's tasks use it.

use std::future::{poll_fn, ready};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

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

    fn read_ready(&mut self, mut buffer: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)> {
        ready((self.0.try_read_buf(&mut buffer), buffer))
    }

    fn write_all(&mut self, bytes: Vec<u8>) -> impl Future<Output = (io::Result<()>, Vec<u8>)> {
        async move { (self.0.write_all(&bytes).await, bytes) }
    }
}
