//! Wireless interfaces, their networks and stations over generic netlink (include/uapi/linux/nl80211.h).

use std::path::Path;

use rustix::net::netlink::GENERIC;

use crate::netlink::{self, ACKNOWLEDGED, DUMP, Socket, each_attribute, number16, number32, number64, push_attribute};
use crate::{Error, Result};

/// The family that knows the others, its request and attributes (include/uapi/linux/genetlink.h).
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// Bytes of `struct genlmsghdr`.
const GENERIC_HEADER: usize = 4;

/// Requests of nl80211.
const GET_INTERFACE: u8 = 5;
const GET_STATION: u8 = 17;
const GET_SCAN: u8 = 32;

/// Attributes of nl80211.
const ATTR_IFINDEX: u16 = 3;
const ATTR_IFNAME: u16 = 4;
const ATTR_MAC: u16 = 6;
const ATTR_STA_INFO: u16 = 21;
const ATTR_WIPHY_FREQ: u16 = 38;
const ATTR_BSS: u16 = 47;

/// Attributes within `ATTR_BSS`, and the information element that names the network.
const BSS_BSSID: u16 = 1;
const BSS_INFORMATION_ELEMENTS: u16 = 6;
const BSS_STATUS: u16 = 9;
const ELEMENT_SSID: u8 = 0;

/// Attributes within `ATTR_STA_INFO`, and within its bit rates.
const STA_INFO_INACTIVE_TIME: u16 = 1;
const STA_INFO_RX_BYTES: u16 = 2;
const STA_INFO_TX_BYTES: u16 = 3;
const STA_INFO_SIGNAL: u16 = 7;
const STA_INFO_TX_BITRATE: u16 = 8;
const STA_INFO_RX_PACKETS: u16 = 9;
const STA_INFO_TX_PACKETS: u16 = 10;
const STA_INFO_TX_RETRIES: u16 = 11;
const STA_INFO_TX_FAILED: u16 = 12;
const STA_INFO_RX_BITRATE: u16 = 14;
const STA_INFO_CONNECTED_TIME: u16 = 16;
const STA_INFO_BEACON_LOSS: u16 = 18;
const STA_INFO_RX_BYTES64: u16 = 23;
const STA_INFO_TX_BYTES64: u16 = 24;
const RATE_INFO_BITRATE: u16 = 1;
const RATE_INFO_BITRATE32: u16 = 5;

/// How error messages name the source.
const SOURCE: &str = "netlink:nl80211";

/// A wireless interface.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interface {
    /// The kernel's number of it.
    pub index: u32,
    /// `wlan0`; empty for devices without a network interface.
    pub name: Vec<u8>,
    /// In megahertz, 0 when it is not tuned.
    pub frequency: u32,
    /// The network that it belongs to.
    pub network: Option<Network>,
    /// Peers: the access point, or an access point's clients.
    pub stations: Vec<Station>,
}

/// A basic service set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// Address of the access point.
    pub bssid: Vec<u8>,
    /// Name of the network, any bytes.
    pub ssid: Vec<u8>,
    /// 0 authenticated, 1 associated, 2 joined without access point.
    pub status: u32,
}

/// A peer.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are nl80211's")]
pub struct Station {
    pub address: Vec<u8>,
    /// In seconds.
    pub connected: f64,
    /// In seconds.
    pub inactive: f64,
    /// In bits per second.
    pub receive_rate: u64,
    /// In bits per second.
    pub transmit_rate: u64,
    pub received_bytes: u64,
    pub transmitted_bytes: u64,
    pub received_packets: u32,
    pub transmitted_packets: u32,
    /// In dBm.
    pub signal: i32,
    pub transmit_retries: u32,
    pub transmit_failed: u32,
    pub beacon_loss: u32,
}

/// Asks for every wireless interface of the calling thread's network namespace.
///
/// # Errors
/// A kernel without nl80211 (as a file that is not there), its refusal, no answer within two seconds, or a reply that is
/// not in the documented layout.
pub fn read() -> Result<Vec<Interface>> {
    let mut socket = Socket::open(Some(GENERIC), SOURCE)?;
    let family = family(&mut socket)?;
    let mut interfaces = Vec::new();
    let asked = request(GET_INTERFACE, &[]);
    socket.ask(family, DUMP, &asked, &mut |_, payload| {
        interfaces.push(interface(payload)?);
        Some(())
    })?;
    for interface in interfaces.iter_mut().filter(|interface| !interface.name.is_empty()) {
        let index = interface.index.to_ne_bytes();
        socket.ask(family, DUMP, &request(GET_SCAN, &[(ATTR_IFINDEX, &index)]), &mut |_, payload| {
            let network = network(payload)?;
            interface.network = interface.network.take().or(network);
            Some(())
        })?;
        socket.ask(family, DUMP, &request(GET_STATION, &[(ATTR_IFINDEX, &index)]), &mut |_, payload| {
            interface.stations.push(station(payload)?);
            Some(())
        })?;
    }
    Ok(interfaces)
}

/// The number under which this kernel has nl80211.
fn family(socket: &mut Socket) -> Result<u16> {
    let mut number = None;
    let asked = request(CTRL_CMD_GETFAMILY, &[(CTRL_ATTR_FAMILY_NAME, b"nl80211\0")]);
    socket.ask(GENL_ID_CTRL, ACKNOWLEDGED, &asked, &mut |_, payload| {
        each_attribute(payload.get(GENERIC_HEADER..)?, &mut |kind, value| {
            if kind == CTRL_ATTR_FAMILY_ID {
                number = Some(number16(value, 0)?);
            }
            Some(())
        })
    })?;
    number.ok_or_else(|| Error::format(Path::new(SOURCE), 0, b"no family"))
}

fn request(command: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = vec![command, 1, 0, 0];
    for (kind, value) in attributes {
        push_attribute(&mut body, *kind, value);
    }
    body
}

fn interface(payload: &[u8]) -> Option<Interface> {
    let mut interface = Interface::default();
    each_attribute(payload.get(GENERIC_HEADER..)?, &mut |kind, value| {
        match kind {
            ATTR_IFINDEX => interface.index = number32(value, 0)?,
            ATTR_IFNAME => interface.name = netlink::name(value),
            ATTR_WIPHY_FREQ => interface.frequency = number32(value, 0)?,
            _ => {}
        }
        Some(())
    })?;
    Some(interface)
}

/// The network of a scan's result, when it is the interface's own: only that has a status.
fn network(payload: &[u8]) -> Option<Option<Network>> {
    let (mut network, mut own) = (Network::default(), false);
    each_attribute(payload.get(GENERIC_HEADER..)?, &mut |kind, value| {
        if kind != ATTR_BSS {
            return Some(());
        }
        each_attribute(value, &mut |kind, value| {
            match kind {
                BSS_BSSID => network.bssid = value.to_vec(),
                BSS_INFORMATION_ELEMENTS => network.ssid = ssid(value).unwrap_or_default().to_vec(),
                BSS_STATUS => (network.status, own) = (number32(value, 0)?, true),
                _ => {}
            }
            Some(())
        })
    })?;
    Some(own.then_some(network))
}

/// The name among information elements: number, length, value.
fn ssid(mut elements: &[u8]) -> Option<&[u8]> {
    while let Some((&[number, length], rest)) = elements.split_first_chunk::<2>() {
        let value = rest.get(..length.into())?;
        if number == ELEMENT_SSID {
            return Some(value);
        }
        elements = &rest[length.into()..];
    }
    None
}

fn station(payload: &[u8]) -> Option<Station> {
    let mut station = Station::default();
    let (mut wide_received, mut wide_transmitted) = (None, None);
    each_attribute(payload.get(GENERIC_HEADER..)?, &mut |kind, value| match kind {
        ATTR_MAC => {
            station.address = value.to_vec();
            Some(())
        }
        ATTR_STA_INFO => each_attribute(value, &mut |kind, value| {
            match kind {
                STA_INFO_CONNECTED_TIME => station.connected = number32(value, 0)?.into(),
                STA_INFO_INACTIVE_TIME => station.inactive = f64::from(number32(value, 0)?) / 1000.0,
                STA_INFO_RX_BITRATE => station.receive_rate = rate(value)?,
                STA_INFO_TX_BITRATE => station.transmit_rate = rate(value)?,
                STA_INFO_RX_BYTES => station.received_bytes = number32(value, 0)?.into(),
                STA_INFO_TX_BYTES => station.transmitted_bytes = number32(value, 0)?.into(),
                STA_INFO_RX_BYTES64 => wide_received = Some(number64(value, 0)?),
                STA_INFO_TX_BYTES64 => wide_transmitted = Some(number64(value, 0)?),
                STA_INFO_RX_PACKETS => station.received_packets = number32(value, 0)?,
                STA_INFO_TX_PACKETS => station.transmitted_packets = number32(value, 0)?,
                STA_INFO_SIGNAL => station.signal = value.first()?.cast_signed().into(),
                STA_INFO_TX_RETRIES => station.transmit_retries = number32(value, 0)?,
                STA_INFO_TX_FAILED => station.transmit_failed = number32(value, 0)?,
                STA_INFO_BEACON_LOSS => station.beacon_loss = number32(value, 0)?,
                _ => {}
            }
            Some(())
        }),
        _ => Some(()),
    })?;
    station.received_bytes = wide_received.unwrap_or(station.received_bytes);
    station.transmitted_bytes = wide_transmitted.unwrap_or(station.transmitted_bytes);
    Some(station)
}

/// Bits per second; the kernel counts in units of 100 kbit/s and sends the wider number where the other is too small.
fn rate(attributes: &[u8]) -> Option<u64> {
    let (mut narrow, mut wide) = (0, None);
    each_attribute(attributes, &mut |kind, value| {
        match kind {
            RATE_INFO_BITRATE => narrow = number16(value, 0)?.into(),
            RATE_INFO_BITRATE32 => wide = Some(number32(value, 0)?),
            _ => {}
        }
        Some(())
    })?;
    Some(u64::from(wide.unwrap_or(narrow)) * 100_000)
}

/// Parses one message's payload as each kind, for fuzzing: whatever the bytes, it must return.
#[doc(hidden)]
pub fn fuzz_payload(bytes: &[u8]) {
    let _ = (interface(bytes), network(bytes), station(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        request(0, attributes).split_off(GENERIC_HEADER)
    }

    /// An access point as a client's kernel describes it.
    #[test]
    fn layouts() {
        let index = 3_u32.to_ne_bytes();
        let frequency = 2412_u32.to_ne_bytes();
        let message = request(7, &[(ATTR_IFINDEX, &index), (ATTR_IFNAME, b"wlan0\0"), (ATTR_WIPHY_FREQ, &frequency)]);
        let read = interface(&message).unwrap();
        assert_eq!((read.index, read.name.as_slice(), read.frequency), (3, &b"wlan0"[..], 2412));

        let elements = [1, 2, 0x82, 0x84, 0, 4, b'h', b'o', b'm', b'e'];
        let status = 1_u32.to_ne_bytes();
        let bss =
            nested(&[(BSS_BSSID, &[1, 2, 3, 4, 5, 6]), (BSS_INFORMATION_ELEMENTS, &elements), (BSS_STATUS, &status)]);
        let expected = Network { bssid: vec![1, 2, 3, 4, 5, 6], ssid: b"home".to_vec(), status: 1 };
        assert_eq!(network(&request(34, &[(ATTR_BSS, &bss)])), Some(Some(expected)));
        let other = nested(&[(BSS_BSSID, &[1, 2, 3, 4, 5, 6])]);
        assert_eq!(network(&request(34, &[(ATTR_BSS, &other)])), Some(None));

        let rate = nested(&[(RATE_INFO_BITRATE, &[1, 0]), (RATE_INFO_BITRATE32, &8667_u32.to_ne_bytes())]);
        let info = nested(&[
            (STA_INFO_INACTIVE_TIME, &1500_u32.to_ne_bytes()),
            (STA_INFO_RX_BYTES64, &(1_u64 << 33).to_ne_bytes()),
            (STA_INFO_RX_BYTES, &7_u32.to_ne_bytes()),
            (STA_INFO_TX_BYTES, &8_u32.to_ne_bytes()),
            (STA_INFO_SIGNAL, &[0xcc]),
            (STA_INFO_TX_BITRATE, &rate),
        ]);
        let expected = Station {
            address: vec![6; 6],
            inactive: 1.5,
            received_bytes: 1 << 33,
            transmitted_bytes: 8,
            signal: -52,
            transmit_rate: 866_700_000,
            ..Station::default()
        };
        let message = request(19, &[(ATTR_MAC, &[6; 6]), (ATTR_STA_INFO, &info)]);
        assert_eq!(station(&message), Some(expected));
        for end in 0..message.len() {
            fuzz_payload(&message[..end]);
            let mut changed = message.clone();
            changed[end] ^= 0xff;
            fuzz_payload(&changed);
        }
    }

    /// The live kernel answers: interfaces, or that it has no nl80211.
    #[test]
    fn live() {
        if let Err(error) = read() {
            assert!(error.is_not_found() || crate::attributes::is_unsupported(&error), "{error}");
        }
    }
}
