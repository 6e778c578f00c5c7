//! A compio stream as the service's tasks use it.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use bytes::Bytes;
use compio::BufResult;
use compio::buf::{IntoInner, IoBuf};
use compio::io::{AsyncRead, AsyncReadManaged, AsyncWrite, AsyncWriteExt};
use compio::net::TcpStream;
use service::{Pool, Received, Socket};

pub(crate) struct Stream {
    pub(crate) stream: TcpStream,
    /// Whether the driver has a buffer ring, from which the kernel takes a buffer once there is something to put into it.
    /// On its other driver compio would take one when the read begins, and hold it.
    pub(crate) kernel_picks: bool,
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

// Functions that return an async block rather than async functions: those would keep each argument twice, as it came and as
// it is used, for as long as they wait. And by reference to the stream: by value compio adds a layer around each future.
#[expect(clippy::manual_async_fn, reason = "the size of what waits, see above")]
impl Socket for Stream {
    fn spawn(task: impl Future<Output = ()> + 'static) {
        compio::runtime::spawn(task).detach();
    }

    fn read(&self, buffer: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)> {
        async move {
            let BufResult(result, buffer) = (&self.stream).read(buffer).await;
            (result, buffer)
        }
    }

    /// One operation of the driver, begun anew for each wait, which is how compio does it as well.
    async fn readable(&self) -> io::Result<()> {
        self.stream.to_poll_fd()?.read_ready().await
    }

    fn write_all(&self, bytes: Vec<u8>) -> impl Future<Output = (io::Result<()>, Vec<u8>)> {
        write(&self.stream, bytes)
    }

    fn write_shared(&self, bytes: Bytes) -> impl Future<Output = io::Result<()>> {
        async move { write(&self.stream, bytes).await.0 }
    }

    fn receive<T>(
        &self,
        buffers: &RefCell<Pool>,
        filled: bool,
        take: impl FnOnce(&[u8]) -> T,
    ) -> impl Future<Output = io::Result<Received<T>>> {
        async move {
            if !self.kernel_picks {
                return service::receive_when_readable(self, buffers, take).await;
            }
            // Who sends more than a small buffer holds gets large ones, which the ring does not have.
            if !filled {
                match (&self.stream).read_managed(0).await {
                    Ok(Some(buffer)) => {
                        let filled = buffer.len() == crate::runtime::BUFFER_BYTES;
                        return Ok(Received::Bytes(take(&buffer), filled));
                    }
                    Ok(None) => return Ok(Received::End),
                    // Every buffer is in use at this moment (ENOBUFS): with a poll and a buffer of our own, then.
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
                    Err(error) => return Err(error),
                }
            }
            service::receive_when_readable(self, buffers, take).await
        }
    }
}

#[expect(clippy::manual_async_fn, reason = "the size of what waits, see above")]
fn write<B: IoBuf>(mut stream: &TcpStream, bytes: B) -> impl Future<Output = (io::Result<()>, B)> {
    async move {
        let BufResult(result, bytes) = stream.write(bytes).await;
        match result {
            Ok(sent) if sent == bytes.buf_len() => (Ok(()), bytes),
            // Boxed, since slow peers are few: a task is as large as the largest thing that it may wait for.
            Ok(sent) => Box::pin(write_rest(stream, bytes, sent)).await,
            Err(error) => (Err(error), bytes),
        }
    }
}

/// Writes what the first write left, which was not nothing.
async fn write_rest<B: IoBuf>(mut stream: &TcpStream, bytes: B, sent: usize) -> (io::Result<()>, B) {
    if sent == 0 {
        return (Err(io::ErrorKind::WriteZero.into()), bytes);
    }
    let BufResult(result, rest) = stream.write_all(bytes.slice(sent..)).await;
    (result, rest.into_inner())
}
