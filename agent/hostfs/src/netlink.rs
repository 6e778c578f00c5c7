//! Questions over netlink and the attributes of their answers, for the readers of small tables (netlink(7)).

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use netlink_packet_core::NetlinkBuffer;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use crate::{Error, Result};

/// What the kernel fills at most in one reply of a dump.
const BUFFER_BYTES: usize = 32 * 1024;

/// A dump is answered while it is asked for, unless another holds the lock of network configuration.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of a netlink header.
const HEADER: usize = 16;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// Flags of a request whose answer ends with an acknowledgement, and of one that is answered with all there is.
pub(crate) const ACKNOWLEDGED: u16 = 0x5;
pub(crate) const DUMP: u16 = 0x301;

/// A socket in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(crate) struct Socket {
    pub fd: OwnedFd,
    source: &'static str,
    buffer: Vec<u8>,
    sequence: u32,
}

impl Socket {
    /// Opens a socket of `protocol`, which `source` names in errors.
    pub(crate) fn open(protocol: Option<Protocol>, source: &'static str) -> Result<Self> {
        let open = || {
            let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
            sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, Some(REPLY_TIMEOUT))?;
            Ok(fd)
        };
        let fd = open().map_err(|error: rustix::io::Errno| failed(source, error.into()))?;
        Ok(Self { fd, source, buffer: vec![0; BUFFER_BYTES], sequence: 0 })
    }

    /// Sends `body` and visits type and payload of each message of the answer, which `visit` refuses with `None`.
    pub(crate) fn ask(
        &mut self,
        kind: u16,
        flags: u16,
        body: &[u8],
        visit: &mut dyn FnMut(u16, &[u8]) -> Option<()>,
    ) -> Result<()> {
        self.sequence += 1;
        let request = request(kind, flags, self.sequence, body);
        let refused = |error: rustix::io::Errno| failed(self.source, error.into());
        rustix::net::send(&self.fd, &request, SendFlags::empty()).map_err(refused)?;
        loop {
            let (length, whole) =
                rustix::net::recv(&self.fd, &mut self.buffer[..], RecvFlags::TRUNC).map_err(refused)?;
            if whole > length {
                let text = format!("a reply of {whole} bytes, at most {length} expected");
                return Err(failed(self.source, io::Error::other(text)));
            }
            if parse(self.source, &self.buffer[..length], self.sequence, visit)? {
                return Ok(());
            }
        }
    }
}

fn failed(source: &str, error: io::Error) -> Error {
    Error::read(Path::new(source), error)
}

/// A message.
pub(crate) fn request(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes.extend_from_slice(body);
    let length = bytes.len() as u32;
    let mut header = NetlinkBuffer::new(&mut bytes);
    header.set_length(length);
    header.set_message_type(kind);
    header.set_flags(flags);
    header.set_sequence_number(sequence);
    bytes
}

/// Walks the messages of one datagram; `true` when the answer is over. Other requests' answers are passed over.
pub(crate) fn parse(
    source: &str,
    mut datagram: &[u8],
    sequence: u32,
    visit: &mut dyn FnMut(u16, &[u8]) -> Option<()>,
) -> Result<bool> {
    let malformed = |bytes: &[u8]| Error::format(Path::new(source), 0, bytes);
    while !datagram.is_empty() {
        let message = NetlinkBuffer::new_checked(datagram).map_err(|_| malformed(datagram))?;
        let length = message.length() as usize;
        if message.sequence_number() == sequence {
            let payload = datagram.get(HEADER..length).ok_or_else(|| malformed(datagram))?;
            match message.message_type() {
                NLMSG_DONE => return Ok(true),
                NLMSG_ERROR => {
                    let number = number32(payload, 0).ok_or_else(|| malformed(payload))?.cast_signed();
                    let refusal = || failed(source, io::Error::from_raw_os_error(number.saturating_neg()));
                    return if number == 0 { Ok(true) } else { Err(refusal()) };
                }
                kind => visit(kind, payload).ok_or_else(|| malformed(payload))?,
            }
        }
        // Messages are aligned to four bytes.
        datagram = datagram.get((length + 3) & !3..).unwrap_or(&[]);
    }
    Ok(false)
}

/// Visits attributes: length with these four bytes, type, value, padding to four bytes. `None` when one does not fit.
pub(crate) fn each_attribute(mut rest: &[u8], visit: &mut dyn FnMut(u16, &[u8]) -> Option<()>) -> Option<()> {
    while let Some((&[length_low, length_high, kind_low, kind_high], _)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([length_low, length_high]));
        let value = rest.get(4..length)?;
        // The upper two bits say that a value is nested or in network order.
        visit(u16::from_ne_bytes([kind_low, kind_high]) & 0x3fff, value)?;
        rest = rest.get((length + 3) & !3..).unwrap_or(&[]);
    }
    Some(())
}

/// Appends an attribute. Values are the caller's own and short.
pub(crate) fn push_attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// A name without the NUL that the kernel ends it with.
pub(crate) fn name(value: &[u8]) -> Vec<u8> {
    value.strip_suffix(b"\0").unwrap_or(value).to_vec()
}

pub(crate) fn number16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(crate) fn number32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(crate) fn number64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}
