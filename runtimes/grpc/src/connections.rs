//! One shard's connections, the same for all that is served: accept, hold, drain.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use service::{Desk, Error, Shard, last_of_queue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use wire::limits;

use crate::counted::Counted;
use crate::front::{Front, Serve};

/// Streams that a connection may have open at a time; the peer is told with SETTINGS. The value that gRPC servers commonly
/// have; RFC 9113 recommends no fewer than 100.
const STREAMS: u32 = 256;

/// How long an HTTP/1.1 client may take to send a head.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// How long a client may take to read that it is refused.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

/// Pause after an accept that failed, most likely for want of descriptors: it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Which versions of HTTP connections may speak. Always without TLS, and HTTP/2 with prior knowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// HTTP/2 only, as gRPC needs it.
    Http2,
    /// HTTP/2 or HTTP/1.1, told apart by the first bytes.
    Both,
}

/// Serves a shard until it is told to stop and every connection has ended. `front` is made within the runtime, from the
/// shard's desk.
pub fn run<S: Serve>(
    shard: Shard,
    versions: Versions,
    front: impl AsyncFnOnce(Arc<Desk>) -> Front<S>,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Error::system("epoll_create"))?.block_on(serve(shard, versions, front))
}

async fn serve<S: Serve>(
    shard: Shard,
    versions: Versions,
    front: impl AsyncFnOnce(Arc<Desk>) -> Front<S>,
) -> Result<(), Error> {
    let Shard { listener, wake, handler, life, .. } = shard;
    let set_up = || -> io::Result<_> {
        let queue = listener.try_clone()?;
        Ok((TcpListener::from_std(listener)?, UnixStream::from_std(wake)?, queue))
    };
    let (listener, mut wake, queue) = set_up().map_err(Error::system("setting up the listener"))?;
    let desk = Arc::new(handler.into_desk());
    let (stopping, stopped) = watch::channel(());
    let front = front(Arc::clone(&desk)).await;
    let mut connections = Connections { builder: builder(versions), front, desk, stopped, tasks: JoinSet::new() };
    life.ready(None);

    loop {
        tokio::select! {
            // Events are not told here, so the only order is to stop.
            _ = wake.read_u8() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connections.admit(stream),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    connections.desk.accept_failed();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.tasks.join_next() => {}
        }
    }

    life.draining();
    for stream in last_of_queue(&queue).map_err(Error::system("draining"))? {
        let set_up = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        connections.admit(set_up.map_err(Error::system("draining"))?);
    }
    connections.front.served().draining().await;
    // Nobody listens when all have ended already.
    let _ = stopping.send(());
    while connections.tasks.join_next().await.is_some() {}
    Ok(())
}

fn builder(versions: Versions) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(limits::HEAD_BYTES);
    let head_bytes = u32::try_from(limits::HEAD_BYTES).expect("a small number");
    builder.http2().max_concurrent_streams(STREAMS).max_header_list_size(head_bytes);
    match versions {
        Versions::Http2 => builder.http2_only(),
        Versions::Both => builder,
    }
}

struct Connections<S> {
    builder: auto::Builder<TokioExecutor>,
    front: Front<S>,
    desk: Arc<Desk>,
    stopped: watch::Receiver<()>,
    tasks: JoinSet<()>,
}

impl<S: Serve> Connections<S> {
    fn admit(&mut self, stream: TcpStream) {
        match self.desk.admit() {
            Ok(()) => {
                let (builder, front, stopped) = (self.builder.clone(), self.front.clone(), self.stopped.clone());
                self.tasks.spawn(hold(stream, builder, front, Arc::clone(&self.desk), stopped));
            }
            Err(refusal) => {
                let goodbye = goodbye(refusal.says());
                self.tasks.spawn(async move {
                    let _ = tokio::time::timeout(REFUSAL_PATIENCE, refuse(stream, goodbye)).await;
                });
            }
        }
    }
}

async fn hold<S: Serve>(
    stream: TcpStream,
    builder: auto::Builder<TokioExecutor>,
    front: Front<S>,
    desk: Arc<Desk>,
    mut stopped: watch::Receiver<()>,
) {
    let stream = TokioIo::new(Counted::new(stream, Arc::clone(&desk)));
    let mut connection = pin!(builder.serve_connection(stream, front));
    let ended = tokio::select! {
        // The connection first: what has arrived when the server is told to stop is read before it says so.
        biased;
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            // HTTP/2: GOAWAY, and streams that are open are answered. A connection that said nothing is closed.
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
            Ok(())
        }
    };
    desk.closed(ended.is_err());
}

/// Says goodbye, and lets the client read it: closing with unread bytes would reset the connection.
async fn refuse(mut stream: TcpStream, goodbye: Vec<u8>) -> io::Result<Infallible> {
    stream.write_all(&goodbye).await?;
    stream.shutdown().await?;
    let mut unread = [0; 1 << 10];
    loop {
        if stream.read(&mut unread).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// An HTTP/2 connection that begins and ends at once: empty SETTINGS, then GOAWAY with ENHANCE_YOUR_CALM and a reason. No
/// stream was looked at, so a client may try them elsewhere (RFC 9113, 6.5 and 6.8).
fn goodbye(says: &str) -> Vec<u8> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: u8 = 7;
    const ENHANCE_YOUR_CALM: u32 = 0xb;
    let length = u32::try_from(8 + says.len()).expect("a sentence");
    let mut bytes = SETTINGS.to_vec();
    bytes.extend_from_slice(&length.to_be_bytes()[1..]);
    bytes.extend_from_slice(&[GOAWAY, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&ENHANCE_YOUR_CALM.to_be_bytes());
    bytes.extend_from_slice(says.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frame headers as RFC 9113, 4.1 draws them: 24 bits of length, type, flags, stream 0.
    #[test]
    fn goodbye_is_two_frames() {
        let bytes = goodbye("full");
        assert_eq!(bytes[..9], [0, 0, 0, 4, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[9..18], [0, 0, 12, 7, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[18..], *b"\0\0\0\0\0\0\0\x0bfull");
    }
}
