//! Opens the connections of a worker: non-blocking, a bounded number at a time.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};

/// Connections in their handshake at a time. Below the smallest usual accept queue (128), so that no SYN is
/// dropped and retried after a second, which would look like a slow server.
const IN_HANDSHAKE: usize = 100;

/// Why connections could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kernel or the server refused.
    #[error("only {established} of {wanted} connections to {target} could be opened: {reason}")]
    Failed {
        /// The server.
        target: SocketAddr,
        /// Connections that this worker was to open.
        wanted: usize,
        /// Connections that were established by then.
        established: usize,
        /// What the kernel said, and the knob where there is one.
        reason: String,
    },
}

/// Opens `count` connections to `target` within `timeout`, TCP_NODELAY set, from the addresses of `sources` in turn, or
/// from the one that the kernel chooses when there is none.
///
/// # Errors
/// On the first connection that fails: a run with fewer users than asked answers another question.
pub(crate) fn open(
    target: SocketAddr,
    sources: &[IpAddr],
    count: usize,
    timeout: Duration,
) -> Result<Vec<OwnedFd>, ConnectError> {
    let deadline = Instant::now() + timeout;
    let mut established = Vec::with_capacity(count);
    let mut pending: Vec<OwnedFd> = Vec::with_capacity(IN_HANDSHAKE);
    let fail = |established: usize, reason: String| ConnectError::Failed { target, wanted: count, established, reason };
    while established.len() < count {
        while pending.len() < IN_HANDSHAKE && established.len() + pending.len() < count {
            let place = established.len() + pending.len();
            let source = (!sources.is_empty()).then(|| sources[place % sources.len()]);
            pending.push(begin(target, source).map_err(|errno| fail(established.len(), explain(errno)))?);
        }
        if Instant::now() > deadline {
            return Err(fail(established.len(), format!("no answer within {:.1} s", timeout.as_secs_f64())));
        }
        for index in ready(&pending).map_err(|errno| fail(established.len(), explain(errno)))?.into_iter().rev() {
            let socket = pending.swap_remove(index);
            let answer = sockopt::socket_error(&socket).and_then(|pending_error| pending_error);
            answer.map_err(|errno| fail(established.len(), explain(errno)))?;
            established.push(socket);
        }
    }
    Ok(established)
}

/// Starts one handshake; the socket takes bytes once it is established.
pub(crate) fn begin(target: SocketAddr, source: Option<IpAddr>) -> Result<OwnedFd, Errno> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(source) = source {
        choose_port_late(&socket)?;
        bind(&socket, &SocketAddr::new(source, 0))?;
    }
    match connect(&socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

/// IP_BIND_ADDRESS_NO_PORT (Linux 4.2, ip(7)): bind(2) fixes the address alone and connect(2) chooses the port, which then
/// needs to be free for this peer only. Without it an address has as many connections as ports, to all peers together.
fn choose_port_late(socket: &OwnedFd) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    let length = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the option's value is an int that lives through the call, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)) }
}

/// Makes the kernel forget a connection without a packet when it is closed (TCP_REPAIR, tcp(7), needs CAP_NET_ADMIN), as
/// if the peer's machine had lost power. Where that is refused, the close is the usual one.
pub(crate) fn forget(socket: &OwnedFd) {
    let on: libc::c_int = 1;
    let length = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the option's value is an int that lives through the call, and its size is given.
    unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_REPAIR, (&raw const on).cast(), length);
    }
}

/// Positions of the sockets whose handshake ended, ascending; waits at most 50 ms.
fn ready(pending: &[OwnedFd]) -> Result<Vec<usize>, Errno> {
    let mut polled: Vec<_> = pending.iter().map(|socket| PollFd::new(socket, PollFlags::OUT)).collect();
    match poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 50_000_000 })) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(errno),
    }
    Ok(polled.iter().enumerate().filter(|(_, p)| !p.revents().is_empty()).map(|(index, _)| index).collect())
}

/// What a failed connect means and which knob moves it.
fn explain(errno: Errno) -> String {
    let knobs: BTreeMap<i32, &str> = BTreeMap::from([
        (Errno::MFILE.raw_os_error(), "raise RLIMIT_NOFILE (`ulimit -n`) or ask for fewer connections"),
        (
            Errno::ADDRNOTAVAIL.raw_os_error(),
            "no free local port: widen net.ipv4.ip_local_port_range, or use more source addresses",
        ),
        (Errno::CONNREFUSED.raw_os_error(), "nothing listens there"),
    ]);
    let said = io::Error::from(errno);
    match knobs.get(&errno.raw_os_error()) {
        Some(knob) => format!("{said} ({knob})"),
        None => said.to_string(),
    }
}
