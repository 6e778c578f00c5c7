//! A tokio-uring stream as the service's tasks use it.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use bytes::Bytes;
use service::{Idle, Socket};
use tokio::io::unix::AsyncFd;
use tokio_uring::buf::{BoundedBuf, IoBuf};
use tokio_uring::net::TcpStream;

/// A stream, and when it waits with empty hands also its registration with epoll.
///
/// tokio-uring has no poll operation. But it waits for its ring in tokio's epoll, so readiness of sockets can come from
/// there at no further system call. Then sockets have O_NONBLOCK, which a ring answers with EAGAIN instead of waiting:
/// an event that came late must not leave a read, and with it a buffer, behind.
pub(crate) struct Stream {
    /// Before the stream, so that it goes first: epoll must not know a descriptor that is closed.
    readiness: Option<AsyncFd<RawFd>>,
    stream: TcpStream,
}

impl Stream {
    pub(crate) fn new(stream: TcpStream, idle: Idle) -> io::Result<Stream> {
        let readiness = match idle {
            Idle::Naive => None,
            Idle::Lean => {
                let fd = stream.as_raw_fd();
                // SAFETY: the stream owns the descriptor and outlives this borrow.
                rustix::io::ioctl_fionbio(unsafe { BorrowedFd::borrow_raw(fd) }, true)?;
                // SAFETY: the descriptor stays the stream's, which is neither replaced nor closed before this is dropped.
                Some(unsafe { AsyncFd::register(fd) }?)
            }
        };
        Ok(Stream { readiness, stream })
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

// Functions that return an async block rather than async functions: those would keep each argument twice, as it came and as
// it is used, for as long as they wait.
#[expect(clippy::manual_async_fn, reason = "the size of what waits, see above")]
impl Socket for Stream {
    fn spawn(task: impl Future<Output = ()> + 'static) {
        tokio_uring::spawn(task);
    }

    /// Boxed, as all reads and writes here are: their futures are larger than all else that a task holds, and where idle
    /// connections are lean, most tasks have none. That is two allocations more for each request.
    fn read(&self, buffer: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)> {
        Box::pin(self.read_in_the_end(buffer))
    }

    /// By the one slot for a reader's waker; `AsyncFd::readable` would cost each task a place in a list.
    fn readable(&self) -> impl Future<Output = io::Result<()>> {
        let readiness = self.readiness.as_ref().expect("asked only when idle connections are lean");
        poll_fn(|context| readiness.poll_read_ready(context).map_ok(drop))
    }

    fn read_ready(&self, buffer: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)> {
        Box::pin(self.read_what_is_there(buffer))
    }

    fn write_all(&self, bytes: Vec<u8>) -> impl Future<Output = (io::Result<()>, Vec<u8>)> {
        Box::pin(self.write(bytes))
    }

    fn write_shared(&self, bytes: Bytes) -> impl Future<Output = io::Result<()>> {
        async move { self.write(bytes).await.0 }
    }
}

impl Stream {
    async fn read_in_the_end(&self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        loop {
            let (result, returned) = self.stream.read(buffer).await;
            buffer = returned;
            match (result, &self.readiness) {
                (Err(error), Some(readiness)) if error.kind() == io::ErrorKind::WouldBlock => {
                    match poll_fn(|context| readiness.poll_read_ready(context)).await {
                        Ok(mut guard) => guard.clear_ready(),
                        Err(error) => return (Err(error), buffer),
                    }
                }
                (result, _) => return (result, buffer),
            }
        }
    }

    async fn read_what_is_there(&self, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        let readiness = self.readiness.as_ref().expect("asked only when idle connections are lean");
        let mut guard = match poll_fn(|context| readiness.poll_read_ready(context)).await {
            Ok(guard) => guard,
            Err(error) => return (Err(error), buffer),
        };
        let (result, buffer) = self.stream.read(buffer).await;
        // A short read emptied the socket: the next bytes come with an edge of their own (epoll(7)). What came after the
        // guard was taken is kept by tokio's tick, and the end of the stream is never cleared.
        let drained = match &result {
            Ok(length) => *length < buffer.capacity(),
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        if drained {
            guard.clear_ready();
        }
        (result, buffer)
    }

    #[expect(clippy::manual_async_fn, reason = "the size of what waits, see above")]
    fn write<B: IoBuf>(&self, bytes: B) -> impl Future<Output = (io::Result<()>, B)> {
        async move {
            let (result, bytes) = self.stream.write(bytes).submit().await;
            match result {
                Ok(sent) if sent == bytes.bytes_init() => (Ok(()), bytes),
                // Boxed, since slow peers are few: a task is as large as the largest thing that it may wait for.
                Ok(sent) => Box::pin(self.write_rest(bytes, sent)).await,
                Err(error) if goes_on(&error) => Box::pin(self.write_rest(bytes, 0)).await,
                Err(error) => (Err(error), bytes),
            }
        }
    }

    /// Writes what the first write left.
    async fn write_rest<B: IoBuf>(&self, mut bytes: B, mut sent: usize) -> (io::Result<()>, B) {
        while sent < bytes.bytes_init() {
            let (result, rest) = self.stream.write(bytes.slice(sent..)).submit().await;
            bytes = rest.into_inner();
            match (result, &self.readiness) {
                (Ok(0), _) => return (Err(io::ErrorKind::WriteZero.into()), bytes),
                (Ok(length), _) => sent += length,
                // The peer is slow, and the socket does not wait.
                (Err(error), Some(readiness)) if error.kind() == io::ErrorKind::WouldBlock => {
                    match poll_fn(|context| readiness.poll_write_ready(context)).await {
                        Ok(mut guard) => guard.clear_ready(),
                        Err(error) => return (Err(error), bytes),
                    }
                }
                (Err(error), _) if goes_on(&error) => {}
                (Err(error), _) => return (Err(error), bytes),
            }
        }
        (Ok(()), bytes)
    }
}

fn goes_on(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
