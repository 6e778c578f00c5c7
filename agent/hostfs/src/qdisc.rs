//! Queueing disciplines of network interfaces over rtnetlink (rtnetlink(7), include/uapi/linux/gen_stats.h).

use rustix::net::netdevice;

use crate::Result;
use crate::netlink::{self, DUMP, Socket, each_attribute, number32, number64};

/// Bytes of `struct tcmsg`.
const TRAFFIC_HEADER: usize = 20;

/// Message types, from rtnetlink(7).
const RTM_NEWQDISC: u16 = 36;
const RTM_GETQDISC: u16 = 38;

/// Parent of an interface's outermost discipline.
const TC_H_ROOT: u32 = u32::MAX;

/// Attributes of a discipline and, nested in the second, of its statistics.
const TCA_KIND: u16 = 1;
const TCA_STATS2: u16 = 7;
const TCA_STATS_BASIC: u16 = 1;
const TCA_STATS_QUEUE: u16 = 3;
const TCA_STATS_PKT64: u16 = 8;

/// How error messages name the source.
const SOURCE: &str = "netlink:route";

/// An interface's outermost queueing discipline since it was attached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Root {
    /// Interface.
    pub device: Vec<u8>,
    /// `fq_codel`, `mq`, `noqueue`.
    pub kind: Vec<u8>,
    /// Bytes sent.
    pub bytes: u64,
    /// Packets sent.
    pub packets: u64,
    /// Packets dropped.
    pub drops: u32,
    /// Packets queued again because the device was busy.
    pub requeues: u32,
    /// Times that a packet had to wait for the discipline's limit.
    pub overlimits: u32,
    /// Packets waiting now.
    pub queued_packets: u32,
    /// Bytes waiting now.
    pub queued_bytes: u32,
}

/// Asks the calling thread's network namespace for the outermost discipline of every interface.
///
/// # Errors
/// The kernel's refusal, no answer within two seconds, or a reply that is not in the documented layout.
pub fn read() -> Result<Vec<Root>> {
    // NETLINK_ROUTE is number 0.
    let mut socket = Socket::open(None, SOURCE)?;
    let mut found = Vec::new();
    socket.ask(RTM_GETQDISC, DUMP, &[0; TRAFFIC_HEADER], &mut |kind, payload| visit(&mut found, kind, payload))?;
    let mut roots = Vec::with_capacity(found.len());
    for (index, mut root) in found {
        // An interface that went since the dump has no name, and no line.
        if let Ok(name) = netdevice::index_to_name(&socket.fd, index) {
            root.device = name.into_bytes();
            roots.push(root);
        }
    }
    Ok(roots)
}

fn visit(found: &mut Vec<(u32, Root)>, kind: u16, payload: &[u8]) -> Option<()> {
    if kind == RTM_NEWQDISC {
        found.extend(discipline(payload)?);
    }
    Some(())
}

/// A message's discipline if it is an outermost one; `None` when the message is malformed.
fn discipline(payload: &[u8]) -> Option<Option<(u32, Root)>> {
    let attributes = payload.get(TRAFFIC_HEADER..)?;
    let (index, parent) = (number32(payload, 4)?, number32(payload, 12)?);
    // node_exporter takes a parent of zero, which a discipline without one has, for the outermost too.
    if parent != TC_H_ROOT && parent != 0 {
        return Some(None);
    }
    let mut root = Root::default();
    each_attribute(attributes, &mut |kind, value| match kind {
        TCA_KIND => {
            root.kind = netlink::name(value);
            Some(())
        }
        TCA_STATS2 => each_attribute(value, &mut |kind, value| statistics(&mut root, kind, value)),
        _ => Some(()),
    })?;
    Some(Some((index, root)))
}

fn statistics(root: &mut Root, kind: u16, value: &[u8]) -> Option<()> {
    match kind {
        TCA_STATS_BASIC => {
            root.bytes = number64(value, 0)?;
            // The wider count, where the kernel sends one, stands.
            root.packets = root.packets.max(number32(value, 8)?.into());
        }
        TCA_STATS_PKT64 => root.packets = number64(value, 0)?,
        TCA_STATS_QUEUE => {
            root.queued_packets = number32(value, 0)?;
            root.queued_bytes = number32(value, 4)?;
            root.drops = number32(value, 8)?;
            root.requeues = number32(value, 12)?;
            root.overlimits = number32(value, 16)?;
        }
        _ => {}
    }
    Some(())
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

    /// A message as the kernel sends it for `fq_codel` at `parent`.
    fn message(parent: u32) -> Vec<u8> {
        let mut basic = 5_000_000_000_u64.to_ne_bytes().to_vec();
        basic.extend_from_slice(&7_u32.to_ne_bytes());
        basic.extend_from_slice(&[0; 4]);
        let queue: Vec<u8> = [1_u32, 2, 3, 4, 5].iter().flat_map(|number| number.to_ne_bytes()).collect();
        let mut nested = Vec::new();
        push_attribute(&mut nested, TCA_STATS_BASIC, &basic);
        push_attribute(&mut nested, TCA_STATS_QUEUE, &queue);
        push_attribute(&mut nested, 99, b"later kernels");
        let mut body = vec![0; TRAFFIC_HEADER];
        body[4..8].copy_from_slice(&2_u32.to_ne_bytes());
        body[12..16].copy_from_slice(&parent.to_ne_bytes());
        push_attribute(&mut body, TCA_KIND, b"fq_codel\0");
        push_attribute(&mut body, TCA_STATS2 | 0x8000, &nested);
        request(RTM_NEWQDISC, 0, 0, &body)
    }

    /// Numbers of an outermost discipline; inner ones are left out.
    #[test]
    fn roots_only() {
        let mut datagram = message(TC_H_ROOT);
        datagram.extend(message(0x1_0001));
        let mut found = Vec::new();
        let mut each = |kind, payload: &[u8]| visit(&mut found, kind, payload);
        assert!(!netlink::parse(SOURCE, &datagram, 0, &mut each).unwrap());
        let root = Root {
            kind: b"fq_codel".to_vec(),
            bytes: 5_000_000_000,
            packets: 7,
            drops: 3,
            requeues: 4,
            overlimits: 5,
            queued_packets: 1,
            queued_bytes: 2,
            device: Vec::new(),
        };
        assert_eq!(found, [(2, root)]);
    }

    /// Cut and changed datagrams give an error or fewer disciplines, never a panic.
    #[test]
    fn hostile_datagrams() {
        let bytes = message(TC_H_ROOT);
        for end in 0..bytes.len() {
            fuzz_datagram(&bytes[..end]);
            let mut changed = bytes.clone();
            changed[end] ^= 0xff;
            fuzz_datagram(&changed);
        }
    }

    /// The live kernel answers; every discipline it names has an interface and a kind.
    #[test]
    fn live() {
        for root in read().unwrap() {
            assert!(!root.device.is_empty() && !root.kind.is_empty(), "{root:?}");
        }
    }
}
