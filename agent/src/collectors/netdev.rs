//! `netdev`: traffic, errors and drops of network interfaces.
//!
//! The counters come over netlink from the agent's own network namespace, as node_exporter's do; from `net/dev` when
//! `--path.procfs` is a copy of a host's files rather than a procfs.

use std::net::IpAddr;
use std::sync::Arc;

use hostfs::link::{self, Counters, Link};
use hostfs::{address, attributes, net_dev};

use super::twice::Twice;
use crate::catalogue::{Metric, counter, gauge};
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::filter::Filter;
use crate::flags::{Setup, switch, text};

static ADDRESS: Metric = gauge("node_network_address_info")
    .labels(&["device", "address", "netmask", "scope"])
    .help("1 for each address of each interface, with --collector.netdev.address-info.")
    .source("netlink RTM_GETADDR")
    .answers("Which addresses does the host have?");

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[
        text("collector.netdev.device-include", "", "Interfaces to export"),
        text("collector.netdev.device-exclude", "", "Interfaces not to export"),
        switch("collector.netdev.netlink", true, "Ask netlink rather than read /proc/net/dev"),
        switch("collector.netdev.label-ifalias", false, "Add the label ifalias"),
        switch("collector.netdev.address-info", false, "Export the addresses of all interfaces"),
        switch("collector.netdev.enable-detailed-metrics", false, "Keep netlink's counters apart, under other names"),
    ],
    build,
};

/// An entry without its name.
const fn entry(name: &'static str, help: &'static str, question: &'static str) -> Metric {
    counter(name)
        .labels(&["device", "ifalias"])
        .help(help)
        .source("netlink RTM_GETLINK, or /proc/net/dev")
        .answers(question)
}

/// A family and its value; `None` where the source does not have it.
struct Row {
    metric: Metric,
    value: fn(&Counters) -> Option<u64>,
}

/// Makes the families of both tables, and the list of all of them for the catalogue.
macro_rules! tables {
    ($($table:ident { $($entry:ident $name:literal $help:literal $question:literal $value:expr;)* })*) => {
        $($(static $entry: Row = Row { metric: entry($name, $help, $question), value: $value };)*)*
        $(static $table: &[&Row] = &[$(&$entry),*];)*
        /// The catalogue entries of this collector.
        pub static METRICS: &[&Metric] = &[&ADDRESS, $($(&$entry.metric),*),*];
    };
}

tables! {
    // As /proc/net/dev shows them: some are sums (net/core/net-procfs.c).
    LEGACY {
    RX_BYTES "node_network_receive_bytes_total" "Bytes received." "How much traffic comes in?" |c| Some(c.rx_bytes);
    RX_COMPRESSED "node_network_receive_compressed_total" "Compressed packets received." "Does the link compress?" |c| Some(c.rx_compressed);
    RX_DROP "node_network_receive_drop_total" "Packets received and dropped for want of memory or of interest." "Does the host lose packets that reached it?"
        |c| Some(c.rx_dropped.wrapping_add(c.rx_missed_errors));
    RX_ERRS "node_network_receive_errs_total" "Bad packets received." "Is the cable, the port or the driver bad?" |c| Some(c.rx_errors);
    RX_FIFO "node_network_receive_fifo_total" "Packets lost because the receive queue was full." "Is the receive queue too short?" |c| Some(c.rx_fifo_errors);
    RX_FRAME "node_network_receive_frame_total" "Packets received with wrong framing, length or checksum." "Is the link bad?"
        |c| Some(c.rx_frame_errors.wrapping_add(c.rx_length_errors).wrapping_add(c.rx_over_errors).wrapping_add(c.rx_crc_errors));
    RX_MULTICAST "node_network_receive_multicast_total" "Multicast packets received." "How much of the traffic is multicast?" |c| Some(c.multicast);
    RX_NOHANDLER "node_network_receive_nohandler_total" "Packets received that nothing on the host wanted." "Does unwanted traffic reach the host?" |c| c.rx_nohandler;
    RX_PACKETS "node_network_receive_packets_total" "Packets received." "How many packets come in?" |c| Some(c.rx_packets);
    TX_BYTES "node_network_transmit_bytes_total" "Bytes sent." "How much traffic goes out?" |c| Some(c.tx_bytes);
    TX_CARRIER "node_network_transmit_carrier_total" "Packets not sent because of the link." "Does the link fail while sending?"
        |c| Some(c.tx_carrier_errors.wrapping_add(c.tx_aborted_errors).wrapping_add(c.tx_heartbeat_errors).wrapping_add(c.tx_window_errors));
    TX_COLLS "node_network_transmit_colls_total" "Collisions while sending." "Is a link half duplex?" |c| Some(c.collisions);
    TX_COMPRESSED "node_network_transmit_compressed_total" "Compressed packets sent." "Does the link compress?" |c| Some(c.tx_compressed);
    TX_DROP "node_network_transmit_drop_total" "Packets dropped before being sent." "Are the send queues full?" |c| Some(c.tx_dropped);
    TX_ERRS "node_network_transmit_errs_total" "Packets that could not be sent." "Is the link or the driver bad?" |c| Some(c.tx_errors);
    TX_FIFO "node_network_transmit_fifo_total" "Packets lost because the device's send queue ran empty or full." "Does the device keep up?" |c| Some(c.tx_fifo_errors);
    TX_PACKETS "node_network_transmit_packets_total" "Packets sent." "How many packets go out?" |c| Some(c.tx_packets);
    }

    // What the sums above hold, and what is named otherwise, with --collector.netdev.enable-detailed-metrics.
    DETAILED {
    MULTICAST "node_network_multicast_total" "Multicast packets received." "How much of the traffic is multicast?" |c| Some(c.multicast);
    COLLISIONS "node_network_collisions_total" "Collisions while sending." "Is a link half duplex?" |c| Some(c.collisions);
    RX_ERRORS "node_network_receive_errors_total" "Bad packets received." "Is the cable, the port or the driver bad?" |c| Some(c.rx_errors);
    RX_DROPPED "node_network_receive_dropped_total" "Packets received and dropped by the host." "Does the host lose packets that reached it?" |c| Some(c.rx_dropped);
    RX_LENGTH "node_network_receive_length_errors_total" "Packets received with a wrong length." "Do the sizes of frames agree on both ends?" |c| Some(c.rx_length_errors);
    RX_OVER "node_network_receive_over_errors_total" "Packets lost because a ring buffer overflowed." "Is the ring buffer too short?" |c| Some(c.rx_over_errors);
    RX_CRC "node_network_receive_crc_errors_total" "Packets received with a wrong checksum." "Is the cable bad?" |c| Some(c.rx_crc_errors);
    RX_FRAME_ERRORS "node_network_receive_frame_errors_total" "Packets received with wrong framing." "Is the link bad?" |c| Some(c.rx_frame_errors);
    RX_FIFO_ERRORS "node_network_receive_fifo_errors_total" "Packets lost because the receive queue was full." "Is the receive queue too short?" |c| Some(c.rx_fifo_errors);
    RX_MISSED "node_network_receive_missed_errors_total" "Packets that the device dropped because the host was slow." "Does the host fetch packets fast enough?" |c| Some(c.rx_missed_errors);
    TX_ERRORS "node_network_transmit_errors_total" "Packets that could not be sent." "Is the link or the driver bad?" |c| Some(c.tx_errors);
    TX_DROPPED "node_network_transmit_dropped_total" "Packets dropped before being sent." "Are the send queues full?" |c| Some(c.tx_dropped);
    TX_ABORTED "node_network_transmit_aborted_errors_total" "Packets whose sending was broken off." "Does the link fail while sending?" |c| Some(c.tx_aborted_errors);
    TX_CARRIER_ERRORS "node_network_transmit_carrier_errors_total" "Packets not sent because the carrier was lost." "Does the link fail while sending?" |c| Some(c.tx_carrier_errors);
    TX_FIFO_ERRORS "node_network_transmit_fifo_errors_total" "Packets lost because the device's send queue ran empty or full." "Does the device keep up?" |c| Some(c.tx_fifo_errors);
    TX_HEARTBEAT "node_network_transmit_heartbeat_errors_total" "Packets with heartbeat or signal quality errors." "Is an old half-duplex link bad?" |c| Some(c.tx_heartbeat_errors);
    TX_WINDOW "node_network_transmit_window_errors_total" "Packets with late collisions." "Is an old half-duplex link too long?" |c| Some(c.tx_window_errors);
    }
}

/// Families of [`LEGACY`] that have the same name and value in both forms.
static BOTH: [&Row; 7] =
    [&RX_BYTES, &RX_COMPRESSED, &RX_NOHANDLER, &RX_PACKETS, &TX_BYTES, &TX_COMPRESSED, &TX_PACKETS];

enum Source {
    Netlink(Arc<Twice<link::Reader>>),
    File(net_dev::Reader),
}

/// An interface of the last scrape.
#[derive(Default)]
struct Interface {
    name: Vec<u8>,
    alias: Vec<u8>,
    counters: Counters,
}

struct Netdev {
    source: Source,
    filter: Filter,
    detailed: bool,
    /// Where interfaces have their names from for the addresses, when those are asked for.
    addresses: Option<Arc<Twice<link::Reader>>>,
    /// Below which aliases are found, when they are asked for.
    aliases: Option<std::path::PathBuf>,
    /// Kept for its memory; only the first `seen` are of this scrape.
    interfaces: Vec<Interface>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let source = if setup.roots.has_live_proc() && setup.is_on("collector.netdev.netlink") {
        Source::Netlink(setup.links.clone())
    } else {
        Source::File(net_dev::Reader::new(&setup.roots))
    };
    Ok(Box::new(Netdev {
        source,
        filter: setup.filter("collector.netdev.device-include", "collector.netdev.device-exclude")?,
        detailed: setup.is_on("collector.netdev.enable-detailed-metrics"),
        addresses: setup.is_on("collector.netdev.address-info").then(|| setup.links.clone()),
        aliases: setup.is_on("collector.netdev.label-ifalias").then(|| setup.roots.sys("class/net")),
        interfaces: Vec::new(),
    }))
}

impl Collector for Netdev {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let Self { source, filter, interfaces, .. } = self;
        let mut seen = 0;
        let mut keep = |name: &[u8], counters: Counters| {
            if !filter.wants(name) {
                return;
            }
            if seen == interfaces.len() {
                interfaces.push(Interface::default());
            }
            let interface = &mut interfaces[seen];
            interface.name.clear();
            interface.name.extend_from_slice(name);
            interface.counters = counters;
            seen += 1;
        };
        match source {
            Source::Netlink(links) => {
                links.second(|links| links.last().iter().for_each(|link| keep(&link.name, link.counters)))?;
            }
            Source::File(reader) => {
                for interface in reader.read()?.interfaces() {
                    let interface = interface?;
                    keep(interface.name, counters(&interface));
                }
            }
        }
        if let Some(directory) = &self.aliases {
            for interface in &mut self.interfaces[..seen] {
                let path = directory.join(attributes::component(&interface.name)).join("ifalias");
                // An interface that has gone meanwhile has no alias.
                interface.alias = attributes::value(&path).unwrap_or_default();
            }
        }
        let families: (&[&Row], &[&Row]) = if self.detailed { (&BOTH, DETAILED) } else { (LEGACY, &[]) };
        for row in families.0.iter().chain(families.1) {
            let mut family = page.family(&row.metric);
            for interface in &self.interfaces[..seen] {
                let Some(value) = (row.value)(&interface.counters) else { continue };
                if self.aliases.is_some() {
                    family.sample(&[("device", &interface.name), ("ifalias", &interface.alias)], value);
                } else {
                    family.sample(&[("device", &interface.name)], value);
                }
            }
        }
        if let Some(links) = &self.addresses {
            links.second(|links| write_addresses(page, links.last()))??;
        }
        Ok(())
    }
}

/// All interfaces' addresses, wanted or not, as node_exporter shows them.
fn write_addresses(page: &mut Page, links: &[Link]) -> Result<(), Failure> {
    let addresses = address::read()?;
    let mut family = page.family(&ADDRESS);
    for found in addresses {
        let Some(link) = links.iter().find(|link| link.index == found.interface) else { continue };
        let (address, mut digits) = (found.address.to_string(), itoa::Buffer::new());
        let labels: [(&str, &[u8]); 4] = [
            ("device", &link.name),
            ("address", address.as_bytes()),
            ("netmask", digits.format(found.prefix_length).as_bytes()),
            ("scope", scope(found.address).as_bytes()),
        ];
        family.sample(&labels, 1u64);
    }
    Ok(())
}

/// How far an address reaches, in node_exporter's words.
fn scope(address: IpAddr) -> &'static str {
    let (link_local, interface_local, broadcast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local() || v4.octets()[..3] == [224, 0, 0], false, v4.is_broadcast()),
        IpAddr::V6(v6) => {
            let multicast_scope = v6.segments()[0] & 0xff0f;
            (v6.is_unicast_link_local() || multicast_scope == 0xff02, multicast_scope == 0xff01, false)
        }
    };
    if address.is_loopback() || link_local {
        "link-local"
    } else if interface_local {
        "interface-local"
    } else if address.is_unspecified() || address.is_multicast() || broadcast {
        ""
    } else {
        "global"
    }
}

/// The file's columns, some of which are sums already, in netlink's places.
fn counters(interface: &net_dev::Interface<'_>) -> Counters {
    let [rx_bytes, rx_packets, rx_errors, rx_dropped, rx_fifo_errors, rx_frame_errors, rx_compressed, multicast] =
        interface.receive;
    let [tx_bytes, tx_packets, tx_errors, tx_dropped, tx_fifo_errors, collisions, tx_carrier_errors, tx_compressed] =
        interface.transmit;
    Counters {
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        rx_fifo_errors,
        rx_frame_errors,
        rx_compressed,
        multicast,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
        tx_fifo_errors,
        collisions,
        tx_carrier_errors,
        tx_compressed,
        ..Counters::default()
    }
}

#[cfg(test)]
mod tests {
    use super::scope;

    /// One address of each kind.
    #[test]
    fn scopes() {
        for (address, expected) in [
            ("127.0.0.1", "link-local"),
            ("::1", "link-local"),
            ("169.254.1.1", "link-local"),
            ("fe80::1", "link-local"),
            ("ff02::1", "link-local"),
            ("ff01::1", "interface-local"),
            ("10.0.0.1", "global"),
            ("2001:db8::1", "global"),
            ("fd00::1", "global"),
            ("0.0.0.0", ""),
            ("255.255.255.255", ""),
            ("239.1.1.1", ""),
        ] {
            assert_eq!(scope(address.parse().unwrap()), expected, "{address}");
        }
    }
}
