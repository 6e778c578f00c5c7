//! Opens a protocol on connected sockets, where it has a handshake: WebSocket's.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use wire::Protocol;
use wire::client::{OPENED, parse_reply};

use super::connect::ConnectError;
use super::workload::Workload;

/// Handshakes under way at a time, so that a server answers in batches and none waits long.
const AT_ONCE: usize = 256;

/// Longest answer: servers here send 129 bytes, or a refusal with a sentence.
const ANSWER_BYTES: usize = 4 << 10;

/// Sends what the protocol begins with on each socket, and waits for its answer; nothing where there is no handshake.
///
/// # Errors
/// On the first connection that is refused, or not answered within `timeout`.
pub(crate) fn open(
    target: SocketAddr,
    workload: &Workload,
    sockets: &[OwnedFd],
    timeout: Duration,
) -> Result<(), ConnectError> {
    let bytes = workload.opening(&target.to_string());
    if bytes.is_empty() {
        return Ok(());
    }
    let deadline = Instant::now() + timeout;
    let mut established = 0;
    let fail = |established, reason| ConnectError::Failed { target, wanted: sockets.len(), established, reason };
    for some in sockets.chunks(AT_ONCE) {
        for socket in some {
            // It fits the empty socket buffer of a new connection.
            let sent =
                send(socket, &bytes, SendFlags::NOSIGNAL).map_err(|errno| fail(established, errno.to_string()))?;
            if sent < bytes.len() {
                return Err(fail(
                    established,
                    format!("the socket took {sent} bytes of the handshake's {}", bytes.len()),
                ));
            }
        }
        for socket in some {
            answer(workload.protocol, socket, deadline).map_err(|reason| fail(established, reason))?;
            established += 1;
        }
    }
    Ok(())
}

/// Waits for the answer to a handshake; a sentence when it is not the right one.
fn answer(protocol: Protocol, socket: &OwnedFd, deadline: Instant) -> Result<(), String> {
    let mut bytes = vec![0; ANSWER_BYTES];
    let mut length = 0;
    loop {
        match recv(socket, &mut bytes[length..], RecvFlags::empty()) {
            Ok((_, 0)) => return Err(format!("the server ended the connection after {length} bytes of its handshake")),
            Ok((_, count)) => length += count,
            Err(Errno::AGAIN) => wait(socket, deadline)?,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.to_string()),
        }
        match parse_reply(protocol, &bytes[..length]) {
            Ok(Some(reply)) if reply.status == OPENED && reply.consumed == length => return Ok(()),
            Ok(Some(reply)) if reply.status == OPENED => {
                return Err("bytes behind the handshake that nobody asked for".to_owned());
            }
            Ok(Some(reply)) => {
                return Err(format!("status {}: {}", reply.status, String::from_utf8_lossy(reply.body).trim_end()));
            }
            Ok(None) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn wait(socket: &OwnedFd, deadline: Instant) -> Result<(), String> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err("no answer to the handshake in time".to_owned());
    }
    let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.to_string()),
    }
}
