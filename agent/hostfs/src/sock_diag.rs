//! Streams the kernel's TCP sockets through netlink (`NETLINK_SOCK_DIAG`), one visit per socket.
//!
//! Used by the `tcpstat` collector ([`count_states`]) and by the census of connected users ([`Dumper`]).
//! `/proc/net/tcp` is never read: its text costs a formatted line per socket, and a walk restarts at every
//! read. Here half a million sockets pass through one 32 KiB buffer. The message layouts are the
//! netlink-packet-sock-diag crate's; its owned `SockDiagMessage` is left aside because it boxes every reply,
//! and only the header parser and the attribute iterator, which allocate nothing, are on the path.
//!
//! A netlink socket sees the network namespace in which it was opened, whatever its thread does later.
//! Reading needs no right; entering another namespace first does .
//!
//! Source: sock_diag(7), include/uapi/linux/inet_diag.h, netlink(7).

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use netlink_packet_core::{Emitable, NetlinkBuffer, NlasIterator, Parseable};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags};
use netlink_packet_sock_diag::{AF_INET, AF_INET6, IPPROTO_TCP, SOCK_DIAG_BY_FAMILY};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};

use crate::{Error, Result};

/// What the kernel fills at most in one dump reply (`NLMSG_GOODSIZE` grown to the reader's buffer, 32 KiB).
const BUFFER_BYTES: usize = 32 * 1024;

/// A dump is answered while it is asked for; a reader that waits this long has met a kernel bug.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a netlink header and of `struct inet_diag_msg`.
const NETLINK_HEADER: usize = 16;
const DIAG_HEADER: usize = 72;

/// Netlink message types and request flags, from netlink(7).
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x301;

/// `INET_DIAG_CGROUP_ID`: the cgroup v2 of the process that made the socket (Linux 5.9).
const ATTRIBUTE_CGROUP_ID: u16 = 21;

/// How error messages name the source.
const SOURCE: &str = "netlink:sock_diag";

/// IPv4 or IPv6; the kernel dumps one at a time. IPv4 connections to an IPv6 listener are in the IPv6 dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `AF_INET`.
    V4,
    /// `AF_INET6`.
    V6,
}

/// Both families, in the order in which they are dumped.
pub const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// A TCP state, as include/net/tcp_states.h numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of RFC 9293")]
pub enum State {
    Established = 1,
    SynSent = 2,
    SynRecv = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    TimeWait = 6,
    Close = 7,
    CloseWait = 8,
    LastAck = 9,
    Listen = 10,
    Closing = 11,
}

/// Every state, in the kernel's order.
pub const STATES: [State; 11] = [
    State::Established,
    State::SynSent,
    State::SynRecv,
    State::FinWait1,
    State::FinWait2,
    State::TimeWait,
    State::Close,
    State::CloseWait,
    State::LastAck,
    State::Listen,
    State::Closing,
];

impl State {
    /// The name as ss(8) and Prometheus exporters write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::SynSent => "syn_sent",
            Self::SynRecv => "syn_recv",
            Self::FinWait1 => "fin_wait1",
            Self::FinWait2 => "fin_wait2",
            Self::TimeWait => "time_wait",
            Self::Close => "close",
            Self::CloseWait => "close_wait",
            Self::LastAck => "last_ack",
            Self::Listen => "listen",
            Self::Closing => "closing",
        }
    }

    /// The state with this number; new kernels may add some, which are nobody's.
    pub fn from_number(number: u8) -> Option<Self> {
        STATES.get(usize::from(number).checked_sub(1)?).copied()
    }
}

/// One socket of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// TCP state; a request that has no socket yet is `SynRecv`.
    pub state: State,
    /// Local address, unspecified for a listener on all addresses.
    pub local: IpAddr,
    /// Local port.
    pub local_port: u16,
    /// Peer's address.
    pub remote: IpAddr,
    /// Peer's port, 0 for a listener.
    pub remote_port: u16,
    /// Bytes received and not read yet; for a listener the connections that wait for accept(2).
    pub receive_queue: u32,
    /// Bytes sent and not acknowledged yet; for a listener the backlog in force.
    pub send_queue: u32,
    /// Inode of the socket as `/proc/PID/fd` shows it; 0 when no process holds it (TIME_WAIT, orphans, waiting for accept).
    pub inode: u32,
    /// Id of the maker's cgroup v2 directory (its inode number); `None` before Linux 5.9 or without the cgroup.
    pub cgroup: Option<u64>,
}

/// Sockets per state with the bytes in their queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts {
    counts: [u64; STATES.len()],
    /// Sum of [`Entry::receive_queue`] over all sockets, listeners included.
    pub receive_queued: u64,
    /// Sum of [`Entry::send_queue`] over all sockets, listeners included.
    pub send_queued: u64,
}

impl StateCounts {
    /// Counts one socket.
    pub fn add(&mut self, entry: &Entry) {
        self.counts[entry.state as usize - 1] += 1;
        self.receive_queued += u64::from(entry.receive_queue);
        self.send_queued += u64::from(entry.send_queue);
    }

    /// Sockets in `state`.
    pub fn count(&self, state: State) -> u64 {
        self.counts[state as usize - 1]
    }

    /// Sockets in all states.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Counts the TCP sockets of `family` in the calling thread's network namespace by state.
///
/// # Errors
/// The kernel's refusal, a reply that is not in the documented layout, or `deadline` passing first
/// ([`io::ErrorKind::TimedOut`]).
pub fn count_states(family: Family, deadline: Option<Instant>) -> Result<StateCounts> {
    let mut counts = StateCounts::default();
    Dumper::open()?.tcp(family, &STATES, deadline, |entry| counts.add(entry))?;
    Ok(counts)
}

/// A netlink socket with its buffer.
#[derive(Debug)]
pub struct Dumper {
    socket: OwnedFd,
    buffer: Box<[u8]>,
    sequence: u32,
}

impl Dumper {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// The kernel's refusal, such as `EPROTONOSUPPORT` without the inet_diag module.
    pub fn open() -> Result<Self> {
        Ok(Self { socket: open_socket().map_err(failed)?, buffer: vec![0; BUFFER_BYTES].into(), sequence: 0 })
    }

    /// Opens a socket in the calling thread's present network namespace in place of the old one; keeps the buffer.
    ///
    /// # Errors
    /// As [`Dumper::open`].
    pub fn reopen(&mut self) -> Result<()> {
        self.socket = open_socket().map_err(failed)?;
        Ok(())
    }

    /// Calls `visit` for every TCP socket of `family` in one of `states`, and returns how many there were.
    ///
    /// The kernel does not freeze the table: sockets that come or go meanwhile may be seen or not.
    ///
    /// # Errors
    /// As [`count_states`].
    pub fn tcp(
        &mut self,
        family: Family,
        states: &[State],
        deadline: Option<Instant>,
        mut visit: impl FnMut(&Entry),
    ) -> Result<u64> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = request(family, states, self.sequence);
        rustix::net::send(&self.socket, &request, SendFlags::empty()).map_err(|errno| failed(errno.into()))?;
        let mut seen = 0;
        loop {
            let (length, whole) = rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::TRUNC)
                .map_err(|errno| failed(errno.into()))?;
            if whole > length {
                return Err(failed(io::Error::other(format!(
                    "a reply of {whole} bytes, {BUFFER_BYTES} expected at most"
                ))));
            }
            match parse(&self.buffer[..length], self.sequence, &mut visit)? {
                Progress::More(count) => seen += count,
                Progress::Done(count) => return Ok(seen + count),
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                // What the kernel still had to say would be the next dump's first reply.
                self.reopen()?;
                return Err(failed(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("the deadline passed after {seen} sockets"),
                )));
            }
        }
    }
}

fn open_socket() -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(REPLY_TIMEOUT))?;
    Ok(socket)
}

fn failed(source: io::Error) -> Error {
    Error::read(Path::new(SOURCE), source)
}

/// A dump request as bytes.
fn request(family: Family, states: &[State], sequence: u32) -> Vec<u8> {
    let (number, socket_id) = match family {
        Family::V4 => (AF_INET, SocketId::new_v4()),
        Family::V6 => (AF_INET6, SocketId::new_v6()),
    };
    let mask = states.iter().fold(0, |mask, &state| mask | 1 << (state as u32));
    let body = InetRequest {
        family: number,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::from_bits_retain(mask),
        socket_id,
    };
    let length = NETLINK_HEADER + body.buffer_len();
    let mut bytes = vec![0; length];
    let mut header = NetlinkBuffer::new(&mut bytes);
    header.set_length(u32::try_from(length).expect("a request of less than 100 bytes"));
    header.set_message_type(SOCK_DIAG_BY_FAMILY);
    header.set_flags(NLM_F_REQUEST_DUMP);
    header.set_sequence_number(sequence);
    body.emit(&mut bytes[NETLINK_HEADER..]);
    bytes
}

/// What one datagram of a dump said.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// So many sockets, and more to come.
    More(u64),
    /// So many sockets, and the dump is over.
    Done(u64),
}

/// Walks the messages of one datagram. Replies to other requests, unknown families and unknown states are passed over.
fn parse(mut datagram: &[u8], sequence: u32, visit: &mut impl FnMut(&Entry)) -> Result<Progress> {
    let mut seen = 0;
    while !datagram.is_empty() {
        let message =
            NetlinkBuffer::new_checked(datagram).map_err(|_| Error::format(Path::new(SOURCE), 0, datagram))?;
        let length = message.length() as usize;
        if message.sequence_number() == sequence {
            let payload = &datagram[NETLINK_HEADER..length];
            match message.message_type() {
                NLMSG_DONE => return Ok(Progress::Done(seen)),
                NLMSG_ERROR => return Err(failed(kernel_error(payload))),
                SOCK_DIAG_BY_FAMILY => {
                    if let Some(entry) = parse_entry(payload)? {
                        visit(&entry);
                        seen += 1;
                    }
                }
                _ => {}
            }
        }
        // Messages are aligned to four bytes.
        datagram = datagram.get((length + 3) & !3..).unwrap_or(&[]);
    }
    Ok(Progress::More(seen))
}

/// The error of an `NLMSG_ERROR` payload: a negative errno first.
fn kernel_error(payload: &[u8]) -> io::Error {
    match payload.first_chunk::<4>().map(|bytes| i32::from_ne_bytes(*bytes)) {
        Some(number) if number < 0 => io::Error::from_raw_os_error(number.saturating_neg()),
        _ => io::Error::other("an error message without an error"),
    }
}

fn parse_entry(payload: &[u8]) -> Result<Option<Entry>> {
    let malformed = || Error::format(Path::new(SOURCE), 0, payload);
    // The crate's address parser takes these two families and refuses the rest.
    if !matches!(payload.first(), Some(&AF_INET | &AF_INET6)) {
        return Ok(None);
    }
    let header = InetResponseHeader::parse(payload).map_err(|_| malformed())?;
    let Some(state) = State::from_number(header.state) else { return Ok(None) };
    let mut cgroup = None;
    for attribute in NlasIterator::new(payload.get(DIAG_HEADER..).unwrap_or(&[])) {
        let attribute = attribute.map_err(|_| malformed())?;
        if attribute.kind() == ATTRIBUTE_CGROUP_ID {
            cgroup = attribute.value().first_chunk::<8>().map(|bytes| u64::from_ne_bytes(*bytes));
        }
    }
    Ok(Some(Entry {
        state,
        local: header.socket_id.source_address,
        local_port: header.socket_id.source_port,
        remote: header.socket_id.destination_address,
        remote_port: header.socket_id.destination_port,
        receive_queue: header.recv_queue,
        send_queue: header.send_queue,
        inode: header.inode,
        cgroup,
    }))
}

/// Parses one datagram of a dump with sequence number 0, for fuzzing: whatever the bytes, it must return.
#[doc(hidden)]
pub fn fuzz_datagram(bytes: &[u8]) -> Option<StateCounts> {
    let mut counts = StateCounts::default();
    parse(bytes, 0, &mut |entry| counts.add(entry)).ok()?;
    Some(counts)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    /// A listener with a waiting connection, and an accepted one, are in the kernel's answer with ports and queues.
    #[test]
    fn sees_own_sockets() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let waiting = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();

        let mut entries = Vec::new();
        let mut dumper = Dumper::open().unwrap();
        let seen = dumper.tcp(Family::V4, &STATES, None, |entry| entries.push(entry.clone())).unwrap();
        assert_eq!(seen, entries.len() as u64);
        let listening: Vec<_> = entries.iter().filter(|e| e.local_port == port && e.state == State::Listen).collect();
        assert_eq!(listening.len(), 1);
        assert_eq!((listening[0].receive_queue, listening[0].remote_port), (1, 0));
        assert!(listening[0].send_queue >= 128, "backlog {}", listening[0].send_queue);
        assert_eq!(listening[0].local, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let users = entries.iter().filter(|e| e.local_port == port && e.state == State::Established);
        assert_eq!(users.clone().count(), 2, "one accepted, one waiting");
        assert!(users.clone().any(|e| e.remote_port == client.local_addr().unwrap().port()));
        assert_eq!(users.filter(|e| e.inode == 0).count(), 1, "the waiting one has no inode yet");
        drop((accepted, waiting));
    }

    /// A state mask is honoured, and a second dump over the same socket works.
    #[test]
    fn state_mask() {
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut dumper = Dumper::open().unwrap();
        for _ in 0..2 {
            let mut counts = StateCounts::default();
            dumper.tcp(Family::V4, &[State::Listen], None, |entry| counts.add(entry)).unwrap();
            assert!(counts.count(State::Listen) >= 1);
            assert_eq!(counts.total(), counts.count(State::Listen));
        }
        assert!(count_states(Family::V6, None).is_ok());
    }

    /// A datagram as Linux 6.18 sent it (a listener on 127.0.0.1:40551, backlog 128), whole, cut at every length, and with each byte changed.
    #[test]
    fn hostile_datagrams() {
        let mut datagram = Vec::new();
        datagram.extend_from_slice(&88u32.to_ne_bytes());
        datagram.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        datagram.extend_from_slice(&2u16.to_ne_bytes());
        datagram.extend_from_slice(&[0; 8]);
        datagram.extend_from_slice(&[AF_INET, 10, 0, 0, 0x9e, 0x67, 0, 0, 127, 0, 0, 1]);
        datagram.resize(16 + 60, 0);
        datagram.extend_from_slice(&128u32.to_ne_bytes());
        datagram.resize(88, 0);
        let counts = fuzz_datagram(&datagram).unwrap();
        assert_eq!((counts.count(State::Listen), counts.send_queued), (1, 128));
        for length in 1..datagram.len() {
            assert_eq!(fuzz_datagram(&datagram[..length]), None, "cut to {length}");
        }
        for at in 0..datagram.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = datagram.clone();
                changed[at] = value;
                fuzz_datagram(&changed);
            }
        }
    }
}
