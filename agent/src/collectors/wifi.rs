//! `wifi`: wireless interfaces, their networks and stations.

use std::path::{Path, PathBuf};

use hostfs::wireless::{self, Interface, Network, Station};
use serde::Deserialize;

use super::recorded;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::{self, Setup};

const STATION: &[&str] = &["device", "mac_address"];

crate::metrics! {
    FREQUENCY = gauge("node_wifi_interface_frequency_hertz").labels(&["device"])
        .help("Frequency that a wireless interface is tuned to.").source("nl80211 GET_INTERFACE")
        .answers("Which channel is used?");
    INFO = gauge("node_wifi_station_info").labels(&["bssid", "device", "mode", "ssid"])
        .help("Always 1; the labels name the network of an interface.").source("nl80211 GET_SCAN")
        .answers("Which network is this host in?");
    CONNECTED = counter("node_wifi_station_connected_seconds_total").labels(STATION)
        .help("Seconds since a station connected.").source("nl80211 GET_STATION").answers("Is the link stable?");
    INACTIVE = gauge("node_wifi_station_inactive_seconds").labels(STATION)
        .help("Seconds since a station was last heard.").source("nl80211 GET_STATION").answers("Is a peer gone?");
    RECEIVE_RATE = gauge("node_wifi_station_receive_bits_per_second").labels(STATION)
        .help("Bit rate at which a station is received.").source("nl80211 GET_STATION")
        .answers("How good is the link?");
    TRANSMIT_RATE = gauge("node_wifi_station_transmit_bits_per_second").labels(STATION)
        .help("Bit rate at which is sent to a station.").source("nl80211 GET_STATION")
        .answers("How good is the link?");
    RECEIVED_BYTES = counter("node_wifi_station_receive_bytes_total").labels(STATION)
        .help("Bytes received from a station.").source("nl80211 GET_STATION").answers("How busy is the link?");
    TRANSMITTED_BYTES = counter("node_wifi_station_transmit_bytes_total").labels(STATION)
        .help("Bytes sent to a station.").source("nl80211 GET_STATION").answers("How busy is the link?");
    SIGNAL = gauge("node_wifi_station_signal_dbm").labels(STATION).help("Strength of a station's signal, in dBm.")
        .source("nl80211 GET_STATION").answers("Is the signal weak?");
    RETRIES = counter("node_wifi_station_transmit_retries_total").labels(STATION)
        .help("Packets sent to a station again.").source("nl80211 GET_STATION").answers("Is the link disturbed?");
    FAILED = counter("node_wifi_station_transmit_failed_total").labels(STATION)
        .help("Packets that a station never acknowledged.").source("nl80211 GET_STATION")
        .answers("Are packets lost?");
    BEACON_LOSS = counter("node_wifi_station_beacon_loss_total").labels(STATION)
        .help("Times that the beacons of a station went missing.").source("nl80211 GET_STATION")
        .answers("Does the access point fade?");
    RECEIVED_PACKETS = counter("node_wifi_station_received_packets_total").labels(STATION)
        .help("Packets received from a station.").source("nl80211 GET_STATION").answers("How busy is the link?");
    TRANSMITTED_PACKETS = counter("node_wifi_station_transmitted_packets_total").labels(STATION)
        .help("Packets sent to a station.").source("nl80211 GET_STATION").answers("How busy is the link?");
}

const FIXTURES: &str = "collector.wifi.fixtures";

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[flags::text(FIXTURES, "", "directory of JSON files that are read in place of the kernel, for tests")],
    build,
};

struct Wifi {
    fixtures: Option<PathBuf>,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let fixtures = setup.text(FIXTURES);
    let fixtures = (!fixtures.is_empty()).then(|| PathBuf::from(fixtures));
    Ok(Box::new(Wifi { fixtures, samples: Grouping::default() }))
}

impl Collector for Wifi {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let interfaces = match &self.fixtures {
            None => wireless::read().map_err(Failure::missing_is_no_data)?,
            Some(directory) => replay(directory).map_err(|error| Failure::Broken(format!("{error:#}")))?,
        };
        for interface in interfaces.iter().filter(|interface| !interface.name.is_empty()) {
            self.interface(interface);
        }
        self.samples.write_to(page);
        Ok(())
    }
}

impl Wifi {
    fn interface(&mut self, interface: &Interface) {
        let device = ("device", interface.name.as_slice());
        self.samples.sample(&FREQUENCY, &[device], u64::from(interface.frequency) * 1_000_000);
        if let Some(network) = &interface.network {
            let mode = match network.status {
                0 => "authenticated",
                1 => "client",
                2 => "ad-hoc",
                _ => "unknown",
            };
            let bssid = address(&network.bssid);
            let bssid = ("bssid", bssid.as_bytes());
            self.samples.sample(&INFO, &[bssid, device, ("mode", mode.as_bytes()), ("ssid", &network.ssid)], 1_u64);
        }
        for station in &interface.stations {
            let address = address(&station.address);
            let labels = [device, ("mac_address", address.as_bytes())];
            let numbers = [
                (&CONNECTED, station.connected),
                (&INACTIVE, station.inactive),
                (&RECEIVE_RATE, station.receive_rate as f64),
                (&TRANSMIT_RATE, station.transmit_rate as f64),
                (&RECEIVED_BYTES, station.received_bytes as f64),
                (&TRANSMITTED_BYTES, station.transmitted_bytes as f64),
                (&SIGNAL, station.signal.into()),
                (&RETRIES, station.transmit_retries.into()),
                (&FAILED, station.transmit_failed.into()),
                (&BEACON_LOSS, station.beacon_loss.into()),
                (&RECEIVED_PACKETS, station.received_packets.into()),
                (&TRANSMITTED_PACKETS, station.transmitted_packets.into()),
            ];
            for (metric, number) in numbers {
                self.samples.sample(metric, &labels, number);
            }
        }
    }
}

/// `01:02:03:04:05:06`.
fn address(bytes: &[u8]) -> String {
    let parts: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    parts.join(":")
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RecordedInterface {
    name: String,
    frequency: u32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RecordedNetwork {
    ssid: String,
    bssid: String,
    status: u32,
}

/// Times are in nanoseconds, addresses in base64.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RecordedStation {
    hardwareaddr: String,
    connected: u64,
    inactive: u64,
    receivebitrate: u64,
    transmitbitrate: u64,
    receivedbytes: u64,
    transmittedbytes: u64,
    receivedpackets: u32,
    transmittedpackets: u32,
    signal: i32,
    transmitretries: u32,
    transmitfailed: u32,
    beaconloss: u32,
}

/// `interfaces.json`, and for each interface `NAME/bss.json` and `NAME/stationinfo.json`, which may be missing.
fn replay(directory: &Path) -> anyhow::Result<Vec<Interface>> {
    let listed: Vec<RecordedInterface> = recorded::read(&directory.join("interfaces.json"))?;
    let mut interfaces = Vec::new();
    for RecordedInterface { name, frequency } in listed {
        let own = directory.join(&name);
        let mut interface = Interface { name: name.into_bytes(), frequency, ..Interface::default() };
        if let Some(network) = recorded::read_if_present::<RecordedNetwork>(&own.join("bss.json"))? {
            let RecordedNetwork { ssid, bssid, status } = network;
            interface.network = Some(Network { bssid: base64(&bssid)?, ssid: ssid.into_bytes(), status });
        }
        let stations = recorded::read_if_present::<Vec<RecordedStation>>(&own.join("stationinfo.json"))?;
        for station in stations.unwrap_or_default() {
            interface.stations.push(Station {
                address: base64(&station.hardwareaddr)?,
                connected: station.connected as f64 / 1e9,
                inactive: station.inactive as f64 / 1e9,
                receive_rate: station.receivebitrate,
                transmit_rate: station.transmitbitrate,
                received_bytes: station.receivedbytes,
                transmitted_bytes: station.transmittedbytes,
                received_packets: station.receivedpackets,
                transmitted_packets: station.transmittedpackets,
                signal: station.signal,
                transmit_retries: station.transmitretries,
                transmit_failed: station.transmitfailed,
                beacon_loss: station.beaconloss,
            });
        }
        interfaces.push(interface);
    }
    Ok(interfaces)
}

/// The bytes of an address, of which two equals signs at most are no more than padding.
fn base64(text: &str) -> anyhow::Result<Vec<u8>> {
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => anyhow::bail!("{text:?} is no base64"),
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Padded and not, and what is none.
    #[test]
    fn base64_addresses() {
        assert_eq!(base64("ASNFZ4mr").unwrap(), [0x01, 0x23, 0x45, 0x67, 0x89, 0xab]);
        assert_eq!(base64("AQI=").unwrap(), [1, 2]);
        assert!(base64("").unwrap().is_empty());
        assert!(base64("a*").is_err());
        assert_eq!(address(&[0, 0xab, 9]), "00:ab:09");
    }
}
