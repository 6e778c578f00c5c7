//! Listeners, connections and their limits.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::Routes;

/// Connections at a time; a new one beyond it waits in the kernel's backlog. A Prometheus pair and a few
/// people need less than ten; each costs about 10 KiB here.
const CONNECTIONS: usize = 128;

/// Longest request head, in bytes: hyper's smallest, and far more than any scraper sends.
const HEAD_BYTES: usize = 8192;

/// Most headers of a request.
const HEADERS: usize = 64;

/// How long a connection may take for its next request, idle time included: more than the scrape interval of
/// one minute, so that Prometheus's connections stay.
const HEAD_TIMEOUT: Duration = Duration::from_secs(65);

/// How long a client may leave sent bytes unacknowledged, or its window shut, before the kernel drops it.
const STALL: Duration = Duration::from_secs(15);

/// How long open requests get after the signal to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// Pause after a failed accept, which is nearly always a lack of descriptors that only time can mend.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on `address`: `HOST:PORT`, or `:PORT` for every interface as in Go.
///
/// # Errors
/// When the address makes no sense or is taken.
pub fn bind(address: &str) -> anyhow::Result<StdListener> {
    let full = if address.starts_with(':') { format!("[::]{address}") } else { address.to_owned() };
    let listener =
        StdListener::bind(&full).with_context(|| format!("cannot listen on {address} (--web.listen-address)"))?;
    listener.set_nonblocking(true).context("cannot make the listener non-blocking")?;
    Ok(listener)
}

/// The sockets that a service manager opened for this process (sd_listen_fds(3)).
///
/// # Errors
/// When there is none, or one is no listening TCP socket.
pub fn inherited() -> anyhow::Result<Vec<StdListener>> {
    let mut passed = ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..passed.len() {
        let listener = passed.take_tcp_listener(index).with_context(|| format!("socket {index} of LISTEN_FDS"))?;
        listeners.extend(listener);
    }
    anyhow::ensure!(
        !listeners.is_empty(),
        "no socket was passed (--web.systemd-socket): LISTEN_FDS is set by systemd for the service of a .socket unit"
    );
    listeners.iter().try_for_each(|listener| listener.set_nonblocking(true)).context("cannot make it non-blocking")?;
    Ok(listeners)
}

/// The server.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
    routes: Arc<Routes>,
    connections: Arc<Semaphore>,
}

impl Server {
    /// A server of `routes` on bound listeners; must be called in a tokio runtime.
    ///
    /// # Errors
    /// When a listener cannot be registered.
    pub fn new(listeners: Vec<StdListener>, routes: Routes) -> anyhow::Result<Self> {
        let listeners = listeners.into_iter().map(TcpListener::from_std).collect::<Result<_, _>>()?;
        Ok(Self { listeners, routes: Arc::new(routes), connections: Arc::new(Semaphore::new(CONNECTIONS)) })
    }

    /// Serves until `stop` completes, then lets open requests end.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(());
        for listener in self.listeners {
            tokio::spawn(accept(listener, self.routes.clone(), self.connections.clone(), stopped.clone()));
        }
        drop(stopped);
        stop.await;
        let _ = stopping.send(());
        // Every connection task holds a receiver; when the last is gone, so are the connections.
        if tokio::time::timeout(DRAIN, stopping.closed()).await.is_err() {
            tracing::warn!("connections were still open {DRAIN:?} after the signal to stop");
        }
    }
}

async fn accept(
    listener: TcpListener,
    routes: Arc<Routes>,
    connections: Arc<Semaphore>,
    mut stopped: watch::Receiver<()>,
) {
    loop {
        let permit = connections.clone().acquire_owned().await.expect("the semaphore is never closed");
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (routes, stopped) = (routes.clone(), stopped.clone());
                tokio::spawn(async move {
                    serve_connection(stream, peer, routes, stopped).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, peer: SocketAddr, routes: Arc<Routes>, mut stopped: watch::Receiver<()>) {
    // A page is written at once and should leave at once.
    let _ = stream.set_nodelay(true);
    let stall = u32::try_from(STALL.as_millis()).expect("a few seconds");
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream.as_fd(), stall) {
        tracing::debug!(%peer, %error, "no TCP_USER_TIMEOUT");
    }
    let service = service_fn(move |request| {
        let routes = routes.clone();
        async move { Ok::<_, Infallible>(routes.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "connection ended");
    }
}
