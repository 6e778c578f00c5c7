//! Network interfaces and their counters over rtnetlink (rtnetlink(7), include/uapi/linux/if_link.h).
//!
//! One dump answers what `/proc/net/dev` says and what it leaves out (packets that no handler wanted), without text
//! in between. A netlink socket stays in the network namespace in which it was opened.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use netlink_packet_core::NetlinkBuffer;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use crate::{Error, Result};

/// What the kernel fills at most in one reply of a dump.
const BUFFER_BYTES: usize = 32 * 1024;

/// A dump is answered while it is asked for, unless another holds the lock of network configuration.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of a netlink header and of `struct ifinfomsg`.
const NETLINK_HEADER: usize = 16;
const INTERFACE_HEADER: usize = 16;

/// Message types and flags, from netlink(7) and rtnetlink(7).
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const NLM_F_REQUEST_DUMP: u16 = 0x301;

/// Attributes of an interface.
const IFLA_IFNAME: u16 = 3;
const IFLA_STATS64: u16 = 23;

/// How error messages name the source.
const SOURCE: &str = "netlink:route";

/// Counters of one interface: `struct rtnl_link_stats64`, whose fields Documentation/networking/statistics.rst explains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the kernel's structure")]
pub struct Counters {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
    pub multicast: u64,
    pub collisions: u64,
    pub rx_length_errors: u64,
    pub rx_over_errors: u64,
    pub rx_crc_errors: u64,
    pub rx_frame_errors: u64,
    pub rx_fifo_errors: u64,
    pub rx_missed_errors: u64,
    pub tx_aborted_errors: u64,
    pub tx_carrier_errors: u64,
    pub tx_fifo_errors: u64,
    pub tx_heartbeat_errors: u64,
    pub tx_window_errors: u64,
    pub rx_compressed: u64,
    pub tx_compressed: u64,
    /// `None` before Linux 4.6.
    pub rx_nohandler: Option<u64>,
}

/// Asks for the interfaces repeatedly.
#[derive(Debug)]
pub struct Reader {
    socket: Option<OwnedFd>,
    buffer: Box<[u8]>,
    sequence: u32,
}

impl Default for Reader {
    fn default() -> Self {
        Self { socket: None, buffer: vec![0; BUFFER_BYTES].into(), sequence: 0 }
    }
}

impl Reader {
    /// Calls `visit` with name and counters of every interface of the network namespace in which the first call was made.
    ///
    /// # Errors
    /// The kernel's refusal, no answer within two seconds, or a reply that is not in the documented layout.
    pub fn read(&mut self, visit: impl FnMut(&[u8], Counters)) -> Result<()> {
        let result = self.dump(visit);
        if result.is_err() {
            // What is left of the failed dump would be the next one's first reply.
            self.socket = None;
        }
        result
    }

    fn dump(&mut self, mut visit: impl FnMut(&[u8], Counters)) -> Result<()> {
        let socket = match &self.socket {
            Some(socket) => socket,
            None => self.socket.insert(open().map_err(failed)?),
        };
        self.sequence = self.sequence.wrapping_add(1);
        rustix::net::send(socket, &request(self.sequence), SendFlags::empty()).map_err(|error| failed(error.into()))?;
        loop {
            let (length, whole) = rustix::net::recv(socket, &mut self.buffer[..], RecvFlags::TRUNC)
                .map_err(|error| failed(error.into()))?;
            if whole > length {
                return Err(failed(io::Error::other(format!("a reply of {whole} bytes, at most {length} expected"))));
            }
            if parse(&self.buffer[..length], self.sequence, &mut visit)? {
                return Ok(());
            }
        }
    }
}

fn open() -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None, // NETLINK_ROUTE is number 0
    )?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(REPLY_TIMEOUT))?;
    Ok(socket)
}

fn failed(source: io::Error) -> Error {
    Error::read(Path::new(SOURCE), source)
}

/// A request for all interfaces: a netlink header and an empty `struct ifinfomsg`.
fn request(sequence: u32) -> [u8; NETLINK_HEADER + INTERFACE_HEADER] {
    let mut bytes = [0; NETLINK_HEADER + INTERFACE_HEADER];
    let mut header = NetlinkBuffer::new(&mut bytes[..]);
    header.set_length((NETLINK_HEADER + INTERFACE_HEADER) as u32);
    header.set_message_type(RTM_GETLINK);
    header.set_flags(NLM_F_REQUEST_DUMP);
    header.set_sequence_number(sequence);
    bytes
}

/// Walks the messages of one datagram; `true` when the dump is over. Replies to other requests are passed over.
fn parse(mut datagram: &[u8], sequence: u32, visit: &mut impl FnMut(&[u8], Counters)) -> Result<bool> {
    let malformed = |bytes: &[u8]| Error::format(Path::new(SOURCE), 0, bytes);
    while !datagram.is_empty() {
        let message = NetlinkBuffer::new_checked(datagram).map_err(|_| malformed(datagram))?;
        let length = message.length() as usize;
        if message.sequence_number() == sequence {
            let payload = &datagram[NETLINK_HEADER..length];
            match message.message_type() {
                NLMSG_DONE => return Ok(true),
                NLMSG_ERROR => {
                    let number = payload.first_chunk::<4>().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
                    return Err(failed(io::Error::from_raw_os_error(number.saturating_neg())));
                }
                RTM_NEWLINK => {
                    if let Some((name, counters)) = interface(payload).map_err(|()| malformed(payload))? {
                        visit(name, counters);
                    }
                }
                _ => {}
            }
        }
        // Messages are aligned to four bytes.
        datagram = datagram.get((length + 3) & !3..).unwrap_or(&[]);
    }
    Ok(false)
}

/// Name and counters of a message; `None` when the kernel left one out, `Err` when an attribute does not fit.
fn interface(payload: &[u8]) -> std::result::Result<Option<(&[u8], Counters)>, ()> {
    let (mut name, mut counters) = (None, None);
    let mut rest = payload.get(INTERFACE_HEADER..).ok_or(())?;
    // An attribute is its length with these four bytes, its type, its value, and padding to four bytes.
    while let Some((&[length_low, length_high, kind_low, kind_high], _)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([length_low, length_high]));
        let value = rest.get(4..length).ok_or(())?;
        match u16::from_ne_bytes([kind_low, kind_high]) {
            IFLA_IFNAME => name = Some(value.strip_suffix(b"\0").unwrap_or(value)),
            IFLA_STATS64 => counters = Some(read_counters(value).ok_or(())?),
            _ => {}
        }
        rest = rest.get((length + 3) & !3..).unwrap_or(&[]);
    }
    Ok(name.zip(counters))
}

fn read_counters(bytes: &[u8]) -> Option<Counters> {
    let number = |index: usize| Some(u64::from_ne_bytes(*bytes.get(index * 8..)?.first_chunk::<8>()?));
    Some(Counters {
        rx_packets: number(0)?,
        tx_packets: number(1)?,
        rx_bytes: number(2)?,
        tx_bytes: number(3)?,
        rx_errors: number(4)?,
        tx_errors: number(5)?,
        rx_dropped: number(6)?,
        tx_dropped: number(7)?,
        multicast: number(8)?,
        collisions: number(9)?,
        rx_length_errors: number(10)?,
        rx_over_errors: number(11)?,
        rx_crc_errors: number(12)?,
        rx_frame_errors: number(13)?,
        rx_fifo_errors: number(14)?,
        rx_missed_errors: number(15)?,
        tx_aborted_errors: number(16)?,
        tx_carrier_errors: number(17)?,
        tx_fifo_errors: number(18)?,
        tx_heartbeat_errors: number(19)?,
        tx_window_errors: number(20)?,
        rx_compressed: number(21)?,
        tx_compressed: number(22)?,
        rx_nohandler: number(23),
    })
}

/// Parses one datagram of a dump with sequence number 0, for fuzzing: whatever the bytes, it must return.
#[doc(hidden)]
pub fn fuzz_datagram(bytes: &[u8]) -> usize {
    let mut interfaces = 0;
    let _ = parse(bytes, 0, &mut |_, _| interfaces += 1);
    interfaces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The live namespace has a loopback interface whose counters rise with traffic; a second dump works too.
    #[test]
    fn live_loopback() {
        let mut reader = Reader::default();
        let loopback = |reader: &mut Reader| {
            let mut found = None;
            reader
                .read(|name, counters| {
                    if name == b"lo" {
                        found = Some(counters)
                    }
                })
                .unwrap();
            found.expect("every network namespace has lo")
        };
        let before = loopback(&mut reader);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&[0; 1000], socket.local_addr().unwrap()).unwrap();
        let after = loopback(&mut reader);
        assert!(after.rx_bytes >= before.rx_bytes + 1000, "{before:?} {after:?}");
        assert!(after.rx_nohandler.is_some());
    }

    /// Cut and changed datagrams give an error or fewer interfaces, never a panic.
    #[test]
    fn hostile_datagrams() {
        let mut bytes = request(0).to_vec();
        bytes[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
        bytes.extend_from_slice(&[7, 0, 3, 0, b'l', b'o', 0, 0]);
        bytes.extend_from_slice(&[196, 0, 23, 0]);
        bytes.extend_from_slice(&[1; 192]);
        let length = u32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(fuzz_datagram(&bytes), 1);
        for end in 0..bytes.len() {
            fuzz_datagram(&bytes[..end]);
            let mut changed = bytes.clone();
            changed[end] ^= 0xff;
            fuzz_datagram(&changed);
        }
    }
}
