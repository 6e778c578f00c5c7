//! A tokio stream as the service's tasks use it.

use std::cell::UnsafeCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use service::Socket;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::spawn_local;

/// A stream that a read and a write can wait for at the same time, as tokio's halves of one do: each borrows it for the moment
/// in which it is polled. The halves themselves would be an allocation more for each connection.
pub(crate) struct Stream(UnsafeCell<TcpStream>);

impl Stream {
    pub(crate) fn new(stream: TcpStream) -> Stream {
        Stream(stream.into())
    }

    /// The stream, for one poll. A `RefCell` would see to it that nobody else has it, for eight bytes more; tasks are aligned
    /// to 128, and those eight cost 128.
    fn with<T>(&self, poll: impl FnOnce(&mut TcpStream) -> T) -> T {
        // SAFETY: a stream stays on its thread, and what is done here are tokio's own polls, which return without calling
        // back (a waker only queues its task): so this reference is the only one for as long as it lives.
        poll(unsafe { &mut *self.0.get() })
    }

    /// One turn of an ordinary read.
    fn poll_read(&self, context: &mut Context<'_>, buffer: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        self.with(|stream| pin!(stream.read_buf(buffer)).poll(context))
    }

    /// Writes all of it, however long that takes. As small as what tokio's `write_all` is: a task has it while it waits.
    fn write<'a>(&'a self, mut rest: &'a [u8]) -> impl Future<Output = io::Result<()>> + 'a {
        poll_fn(move |context| {
            while !rest.is_empty() {
                match ready!(self.with(|stream| Pin::new(stream).poll_write(context, rest)))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    length => rest = &rest[length..],
                }
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.with(|stream| stream.as_raw_fd())
    }
}

// Functions that return an async block rather than async functions: those would keep each argument twice, as it came and as
// it is used, for as long as they wait.
#[expect(clippy::manual_async_fn, reason = "the size of what waits, see above")]
impl Socket for Stream {
    fn spawn(task: impl Future<Output = ()> + 'static) {
        drop(spawn_local(task));
    }

    fn read(&self, mut buffer: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)> {
        async move { (poll_fn(|context| self.poll_read(context, &mut buffer)).await, buffer) }
    }

    /// By the stream's one slot for a reader's waker. `TcpStream::readable`, in which any number of tasks may wait, would
    /// cost each task 150 bytes for a place in a list.
    fn readable(&self) -> impl Future<Output = io::Result<()>> {
        poll_fn(|context| self.with(|stream| stream.poll_read_ready(context)))
    }

    /// One turn of an ordinary read. After a short one tokio takes the socket for drained, where `try_read` would leave it
    /// ready, and so cost a read that finds nothing with each request.
    fn read_ready(&self, mut buffer: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)> {
        // Polled here and once, by nobody's waker: what waits afterwards is `readable`.
        let result = match self.poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        };
        std::future::ready((result, buffer))
    }

    fn write_all(&self, bytes: Vec<u8>) -> impl Future<Output = (io::Result<()>, Vec<u8>)> {
        async move { (self.write(&bytes).await, bytes) }
    }

    fn write_shared(&self, bytes: Bytes) -> impl Future<Output = io::Result<()>> {
        async move { self.write(&bytes).await }
    }
}
