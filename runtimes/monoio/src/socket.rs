//! A monoio stream as the service's tasks use it.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;
use service::Socket;

pub(crate) struct Stream(pub(crate) TcpStream);

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Socket for Stream {
    async fn read(&mut self, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        self.0.read(buffer).await
    }

    /// On the ring one operation more for each read. On epoll monoio keeps readiness until a read finds nothing, which
    /// here never happens: so it has to ask the kernel with poll(2), twice for each request.
    async fn readable(&mut self) -> io::Result<()> {
        self.0.readable(false).await
    }

    async fn write_all(&mut self, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let (result, bytes) = self.0.write_all(bytes).await;
        (result.map(|_| ()), bytes)
    }
}
