//! Network interfaces over rtnetlink (rtnetlink(7), include/uapi/linux/if_link.h).
//!
//! One dump answers what `/proc/net/dev` says, most of what the twenty files of `/sys/class/net/NAME` say, and what
//! both leave out, without text in between. A netlink socket stays in the network namespace in which it was opened.

use crate::Result;
use crate::netlink::{self, DUMP, Socket, each_attribute, number16, number32};

/// Bytes of `struct ifinfomsg`.
const INTERFACE_HEADER: usize = 16;

/// Message types, from rtnetlink(7).
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;

/// Attributes of an interface.
const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_TXQLEN: u16 = 13;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKMODE: u16 = 17;
const IFLA_IFALIAS: u16 = 20;
const IFLA_STATS64: u16 = 23;
const IFLA_GROUP: u16 = 27;
const IFLA_PROMISCUITY: u16 = 30;
const IFLA_CARRIER: u16 = 33;
const IFLA_CARRIER_CHANGES: u16 = 35;
const IFLA_CARRIER_UP_COUNT: u16 = 47;
const IFLA_CARRIER_DOWN_COUNT: u16 = 48;
const IFLA_ALLMULTI: u16 = 61;

/// Flags of an interface (netdevice(7)) that the kernel shows otherwise over netlink than in sysfs.
const IFF_UP: u32 = 1;
const IFF_RUNNING: u32 = 0x40;
const IFF_PROMISC: u32 = 0x100;
const IFF_ALLMULTI: u32 = 0x200;
const IFF_LOWER_UP: u32 = 0x1_0000;
const IFF_DORMANT: u32 = 0x2_0000;

/// How error messages name the source.
const SOURCE: &str = "netlink:route";

/// Longest hardware address (MAX_ADDR_LEN of the kernel).
const ADDRESS_BYTES: usize = 32;

/// A hardware address of any length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address {
    bytes: [u8; ADDRESS_BYTES],
    length: usize,
}

impl Address {
    fn new(value: &[u8]) -> Option<Self> {
        let mut bytes = [0; ADDRESS_BYTES];
        bytes.get_mut(..value.len())?.copy_from_slice(value);
        Some(Self { bytes, length: value.len() })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// An interface. What old kernels do not send is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Name, such as `eth0`.
    pub name: Vec<u8>,
    /// Number.
    pub index: u32,
    /// Number of the interface that this one is stacked on or paired with, its own if there is none.
    pub link: u32,
    /// Kind of hardware (`ARPHRD_*`).
    pub hardware: u16,
    /// Flags as `ip link` shows them (`IFF_*`), states such as `IFF_RUNNING` included.
    pub flags: u32,
    /// Hardware address.
    pub address: Address,
    /// Hardware address for broadcasts.
    pub broadcast: Address,
    /// Largest packet.
    pub mtu: Option<u32>,
    /// Packets that the send queue takes.
    pub queue_length: Option<u32>,
    /// Operational state (`IF_OPER_*` of RFC 2863).
    pub operational: Option<u8>,
    /// 1 when the link may become dormant.
    pub link_mode: Option<u8>,
    /// Group of the interface.
    pub group: Option<u32>,
    /// Whether there is a link, also when the interface is down.
    pub carrier: Option<u8>,
    /// Times that the link went up or down, and each of both.
    pub carrier_changes: Option<u32>,
    /// Times that the link went up.
    pub carrier_ups: Option<u32>,
    /// Times that the link went down.
    pub carrier_downs: Option<u32>,
    /// How many want all packets of the network, and all multicast packets.
    promiscuity: Option<u32>,
    all_multicast: Option<u32>,
    /// The administrator's description; empty without one.
    pub alias: Vec<u8>,
    /// Traffic.
    pub counters: Counters,
}

impl Link {
    /// Whether the administrator has switched the interface on.
    pub fn is_up(&self) -> bool {
        self.flags & IFF_UP != 0
    }

    /// Whether an interface that is on waits for something, such as authentication.
    pub fn is_dormant(&self) -> bool {
        self.flags & IFF_DORMANT != 0
    }

    /// The flags as `/sys/class/net/NAME/flags` has them: without states, and promiscuous when anyone wants it and
    /// not only the administrator. `None` before Linux 6.1, which does not tell.
    pub fn stored_flags(&self) -> Option<u32> {
        let wanted = |count: u32, flag| if count > 0 { flag } else { 0 };
        let states = IFF_RUNNING | IFF_LOWER_UP | IFF_DORMANT | IFF_PROMISC | IFF_ALLMULTI;
        Some(self.flags & !states | wanted(self.promiscuity?, IFF_PROMISC) | wanted(self.all_multicast?, IFF_ALLMULTI))
    }

    fn clear(&mut self) {
        let (mut name, mut alias) = (std::mem::take(&mut self.name), std::mem::take(&mut self.alias));
        name.clear();
        alias.clear();
        *self = Self { name, alias, ..Self::default() };
    }
}

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
#[derive(Debug, Default)]
pub struct Reader {
    socket: Option<Socket>,
    /// Kept for its memory; only the first `seen` are of the last dump.
    links: Vec<Link>,
    seen: usize,
}

impl Reader {
    /// Every interface of the network namespace in which the first call was made.
    ///
    /// # Errors
    /// The kernel's refusal, no answer within two seconds, or a reply that is not in the documented layout.
    pub fn read(&mut self) -> Result<&[Link]> {
        let Self { socket, links, seen } = self;
        *seen = 0;
        let open = match socket {
            Some(open) => open,
            // NETLINK_ROUTE is number 0.
            None => socket.insert(Socket::open(None, SOURCE)?),
        };
        let visit = &mut |kind, payload: &[u8]| visit(links, seen, kind, payload);
        if let Err(error) = open.ask(RTM_GETLINK, DUMP, &[0; INTERFACE_HEADER], visit) {
            // What is left of the failed dump would be the next one's first reply.
            *socket = None;
            *seen = 0;
            return Err(error);
        }
        Ok(self.last())
    }

    /// The interfaces of the last dump, none after a failed one.
    pub fn last(&self) -> &[Link] {
        &self.links[..self.seen]
    }
}

/// Takes a message into the place after the `seen` ones; `None` when it is malformed.
fn visit(links: &mut Vec<Link>, seen: &mut usize, kind: u16, payload: &[u8]) -> Option<()> {
    if kind != RTM_NEWLINK {
        return Some(());
    }
    if *seen == links.len() {
        links.push(Link::default());
    }
    if fill(&mut links[*seen], payload)? {
        *seen += 1;
    }
    Some(())
}

/// Reads a message into `link`; `Some(false)` when it has no name or no counters, `None` when an attribute does not fit.
fn fill(link: &mut Link, payload: &[u8]) -> Option<bool> {
    link.clear();
    link.hardware = number16(payload, 2)?;
    link.index = number32(payload, 4)?;
    link.link = link.index;
    link.flags = number32(payload, 8)?;
    let mut counted = false;
    each_attribute(payload.get(INTERFACE_HEADER..)?, &mut |kind, value| {
        match kind {
            IFLA_ADDRESS => link.address = Address::new(value)?,
            IFLA_BROADCAST => link.broadcast = Address::new(value)?,
            IFLA_IFNAME => link.name.extend_from_slice(value.strip_suffix(b"\0").unwrap_or(value)),
            IFLA_MTU => link.mtu = Some(number32(value, 0)?),
            IFLA_LINK => link.link = number32(value, 0)?,
            IFLA_TXQLEN => link.queue_length = Some(number32(value, 0)?),
            IFLA_OPERSTATE => link.operational = Some(*value.first()?),
            IFLA_LINKMODE => link.link_mode = Some(*value.first()?),
            IFLA_IFALIAS => link.alias.extend_from_slice(value.strip_suffix(b"\0").unwrap_or(value)),
            IFLA_STATS64 => {
                link.counters = read_counters(value)?;
                counted = true;
            }
            IFLA_GROUP => link.group = Some(number32(value, 0)?),
            IFLA_PROMISCUITY => link.promiscuity = Some(number32(value, 0)?),
            IFLA_CARRIER => link.carrier = Some(*value.first()?),
            IFLA_CARRIER_CHANGES => link.carrier_changes = Some(number32(value, 0)?),
            IFLA_CARRIER_UP_COUNT => link.carrier_ups = Some(number32(value, 0)?),
            IFLA_CARRIER_DOWN_COUNT => link.carrier_downs = Some(number32(value, 0)?),
            IFLA_ALLMULTI => link.all_multicast = Some(number32(value, 0)?),
            _ => {}
        }
        Some(())
    })?;
    Some(counted && !link.name.is_empty())
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
    let (mut links, mut seen) = (Vec::new(), 0);
    let _ = netlink::parse(SOURCE, bytes, 0, &mut |kind, payload| visit(&mut links, &mut seen, kind, payload));
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::request;

    /// The live namespace has a loopback interface whose counters rise with traffic; a second dump works too, and says
    /// of every interface what sysfs says.
    #[test]
    fn live_loopback() {
        let mut reader = Reader::default();
        let loopback = |reader: &mut Reader| {
            reader.read().unwrap().iter().find(|link| link.name == b"lo").expect("every namespace has lo").clone()
        };
        let before = loopback(&mut reader).counters;
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&[0; 1000], socket.local_addr().unwrap()).unwrap();
        let link = loopback(&mut reader);
        assert!(link.counters.rx_bytes >= before.rx_bytes + 1000, "{before:?} {:?}", link.counters);
        assert!(link.counters.rx_nohandler.is_some());
        let file = |name: &str| std::fs::read_to_string(format!("/sys/class/net/lo/{name}")).unwrap().trim().to_owned();
        assert_eq!(link.index.to_string(), file("ifindex"));
        assert_eq!(link.link.to_string(), file("iflink"));
        assert_eq!(link.hardware.to_string(), file("type"));
        assert_eq!(link.mtu.unwrap().to_string(), file("mtu"));
        assert_eq!(link.queue_length.unwrap().to_string(), file("tx_queue_len"));
        assert_eq!(link.carrier_changes.unwrap().to_string(), file("carrier_changes"));
        assert_eq!(link.address.as_bytes(), [0; 6]);
        assert!(link.stored_flags().is_none_or(|flags| format!("{flags:#x}") == file("flags")));
    }

    /// Cut and changed datagrams give an error or fewer interfaces, never a panic.
    #[test]
    fn hostile_datagrams() {
        let mut body = vec![0; INTERFACE_HEADER];
        body.extend_from_slice(&[7, 0, 3, 0, b'l', b'o', 0, 0]);
        body.extend_from_slice(&[196, 0, 23, 0]);
        body.extend_from_slice(&[1; 192]);
        let bytes = request(RTM_NEWLINK, 0, 0, &body);
        assert_eq!(fuzz_datagram(&bytes), 1);
        for end in 0..bytes.len() {
            fuzz_datagram(&bytes[..end]);
            let mut changed = bytes.clone();
            changed[end] ^= 0xff;
            fuzz_datagram(&changed);
        }
    }
}
