//! A monoio stream as the service's tasks use it.

use std::cell::UnsafeCell;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use bytes::Bytes;
use monoio::buf::IoBuf;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt, Split};
use monoio::net::TcpStream;
use service::Socket;

/// A stream that a read and a write can wait for at the same time, as the halves do into which monoio splits one; those would
/// be an allocation more for each connection.
pub(crate) struct Stream(UnsafeCell<TcpStream>);

impl Stream {
    pub(crate) fn new(stream: TcpStream) -> Stream {
        /// What the SAFETY comments below rest on is monoio's promise for this type.
        const fn may_be_split<T: Split>() {}
        const { may_be_split::<TcpStream>() };
        Stream(stream.into())
    }

    async fn write<B: IoBuf>(&self, bytes: B) -> (io::Result<()>, B) {
        // SAFETY: one write at a time (`Socket`), beside at most one read: monoio's `Split` says that a stream may be used by
        // a reader and a writer at once, and its own halves do it in this way. A stream never leaves its thread.
        let (result, bytes) = unsafe { &mut *self.0.get() }.write_all(bytes).await;
        (result.map(|_| ()), bytes)
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        // SAFETY: the descriptor is set when the stream is made; reads and writes do not change it.
        unsafe { &*self.0.get() }.as_raw_fd()
    }
}

impl Socket for Stream {
    fn spawn(task: impl Future<Output = ()> + 'static) {
        drop(monoio::spawn(task));
    }

    async fn read(&self, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        // SAFETY: as in `write`, with the parts exchanged.
        unsafe { &mut *self.0.get() }.read(buffer).await
    }

    /// On the ring one operation more for each read. On epoll monoio keeps readiness until a read finds nothing, which
    /// here never happens: so it has to ask the kernel with poll(2), twice for each request.
    async fn readable(&self) -> io::Result<()> {
        // SAFETY: as in `read`: this is the reader.
        unsafe { &*self.0.get() }.readable(false).await
    }

    async fn write_all(&self, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        self.write(bytes).await
    }

    async fn write_shared(&self, bytes: Bytes) -> io::Result<()> {
        self.write(bytes).await.0
    }
}
