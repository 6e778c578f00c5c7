//! Addresses of network interfaces over rtnetlink (rtnetlink(7), include/uapi/linux/if_addr.h).

use std::net::IpAddr;

use crate::Result;
use crate::netlink::{self, DUMP, Socket, each_attribute, number32};

/// Bytes of `struct ifaddrmsg`.
const ADDRESS_HEADER: usize = 8;

/// Message types, from rtnetlink(7).
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;

/// The address of the other end where there is one, and the interface's own.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// How error messages name the source.
const SOURCE: &str = "netlink:route";

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Number of the interface.
    pub interface: u32,
    /// The interface's own address.
    pub address: IpAddr,
    /// Bits of the network's part.
    pub prefix_length: u8,
}

/// Asks the calling thread's network namespace for the addresses of every interface.
///
/// # Errors
/// The kernel's refusal, no answer within two seconds, or a reply that is not in the documented layout.
pub fn read() -> Result<Vec<Address>> {
    // NETLINK_ROUTE is number 0.
    let mut socket = Socket::open(None, SOURCE)?;
    let mut found = Vec::new();
    socket.ask(RTM_GETADDR, DUMP, &[0; ADDRESS_HEADER], &mut |kind, payload| visit(&mut found, kind, payload))?;
    Ok(found)
}

fn visit(found: &mut Vec<Address>, kind: u16, payload: &[u8]) -> Option<()> {
    if kind == RTM_NEWADDR {
        found.extend(parse(payload)?);
    }
    Some(())
}

/// A message's address; `Some(None)` when it is of another family than IPv4 and IPv6, `None` when it is malformed.
fn parse(payload: &[u8]) -> Option<Option<Address>> {
    let (prefix_length, interface) = (*payload.get(1)?, number32(payload, 4)?);
    let (mut local, mut other) = (None, None);
    each_attribute(payload.get(ADDRESS_HEADER..)?, &mut |kind, value| {
        match kind {
            IFA_LOCAL => local = address(value),
            IFA_ADDRESS => other = address(value),
            _ => {}
        }
        Some(())
    })?;
    Some(local.or(other).map(|address| Address { interface, address, prefix_length }))
}

fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
        _ => None,
    }
}

/// Parses one datagram, for fuzzing: whatever the bytes, it must return.
#[doc(hidden)]
pub fn fuzz_datagram(bytes: &[u8]) -> usize {
    let mut found = Vec::new();
    let _ = netlink::parse(SOURCE, bytes, 0, &mut |kind, payload| visit(&mut found, kind, payload));
    found.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{push_attribute, request};

    /// The live namespace has a loopback interface with its address.
    #[test]
    fn live_loopback() {
        let found = read().unwrap();
        let loopback = found.iter().find(|found| found.address == IpAddr::from([127, 0, 0, 1]));
        assert_eq!(loopback.map(|found| (found.interface, found.prefix_length)), Some((1, 8)), "{found:?}");
    }

    /// A tunnel's own address wins over its peer's; other families are passed over; cut messages are survived.
    #[test]
    fn messages() {
        let mut body = vec![2, 32, 0, 0, 7, 0, 0, 0];
        push_attribute(&mut body, IFA_ADDRESS, &[10, 0, 0, 2]);
        push_attribute(&mut body, IFA_LOCAL, &[10, 0, 0, 1]);
        let expected = Address { interface: 7, address: IpAddr::from([10, 0, 0, 1]), prefix_length: 32 };
        assert_eq!(parse(&body), Some(Some(expected)));
        assert_eq!(parse(&[200, 32, 0, 0, 7, 0, 0, 0]), Some(None));
        let bytes = request(RTM_NEWADDR, 0, 0, &body);
        assert_eq!(fuzz_datagram(&bytes), 1);
        for end in 0..bytes.len() {
            fuzz_datagram(&bytes[..end]);
        }
    }
}
