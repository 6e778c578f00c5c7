//! `infiniband`: ports and counters of InfiniBand, RoCE and Omni-Path adapters.

use hostfs::Roots;
use hostfs::infiniband::{self, Counter, Port};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::filter::Filter;
use crate::flags::{self, Setup};

const PORT: &[&str] = &["device", "port"];

crate::metrics! {
    INFO = gauge("node_infiniband_info").labels(&["board_id", "device", "firmware_version", "hca_type"])
        .help("Always 1; the labels name an adapter and its firmware.").source("/sys/class/infiniband/*")
        .answers("Which adapter is this?");
    STATE = gauge("node_infiniband_state_id").labels(PORT)
        .help("Logical state of a port: 1 down, 2 init, 3 armed, 4 active, 5 deferred.")
        .source("/sys/class/infiniband/*/ports/*/state").answers("Can the port carry traffic?");
    PHYSICAL_STATE = gauge("node_infiniband_physical_state_id").labels(PORT)
        .help("Physical state of a port: 1 sleep, 2 polling, 3 disabled, 4 training, 5 up, 6 error recovery, 7 test.")
        .source("/sys/class/infiniband/*/ports/*/phys_state").answers("Is a cable plugged in?");
    RATE = gauge("node_infiniband_rate_bytes_per_second").labels(PORT).help("Signalling rate of a port.")
        .source("/sys/class/infiniband/*/ports/*/rate").answers("Did the link come up at full rate?");
    LIFESPAN = gauge("node_infiniband_lifespan_seconds").labels(PORT).unit("seconds")
        .help("For how long the adapter answers with the same hardware counts.")
        .source("/sys/class/infiniband/*/ports/*/hw_counters/lifespan").answers("How fresh are the counts?");
    COUNTER = counter("node_infiniband_*_total").labels(PORT).help("Count * of a port.")
        .source("/sys/class/infiniband/*/ports/*/{counters,counters_ext,hw_counters}")
        .answers("How much traffic does the port carry, and which errors does it see?");
}

/// File names of `counters`, and what they are called.
const COUNTERS: &[(&str, &str)] = &[
    ("excessive_buffer_overrun_errors", "excessive_buffer_overrun_errors"),
    ("link_downed", "link_downed"),
    ("link_error_recovery", "link_error_recovery"),
    ("local_link_integrity_errors", "local_link_integrity_errors"),
    ("multicast_rcv_packets", "multicast_packets_received"),
    ("multicast_xmit_packets", "multicast_packets_transmitted"),
    ("port_rcv_constraint_errors", "port_constraint_errors_received"),
    ("port_xmit_constraint_errors", "port_constraint_errors_transmitted"),
    ("port_rcv_data", "port_data_received_bytes"),
    ("port_xmit_data", "port_data_transmitted_bytes"),
    ("port_rcv_discards", "port_discards_received"),
    ("port_xmit_discards", "port_discards_transmitted"),
    ("port_rcv_errors", "port_errors_received"),
    ("port_rcv_packets", "port_packets_received"),
    ("port_xmit_packets", "port_packets_transmitted"),
    ("port_xmit_wait", "port_transmit_wait"),
    ("unicast_rcv_packets", "unicast_packets_received"),
    ("unicast_xmit_packets", "unicast_packets_transmitted"),
    ("port_rcv_remote_physical_errors", "port_receive_remote_physical_errors"),
    ("port_rcv_switch_relay_errors", "port_receive_switch_relay_errors"),
    ("symbol_error", "symbol_error"),
    ("VL15_dropped", "vl15_dropped"),
];

/// File names of `counters_ext`, and what they are called.
const LEGACY: &[(&str, &str)] = &[
    ("port_multicast_rcv_packets", "legacy_multicast_packets_received"),
    ("port_multicast_xmit_packets", "legacy_multicast_packets_transmitted"),
    ("port_rcv_data_64", "legacy_data_received_bytes"),
    ("port_rcv_packets_64", "legacy_packets_received"),
    ("port_unicast_rcv_packets", "legacy_unicast_packets_received"),
    ("port_unicast_xmit_packets", "legacy_unicast_packets_transmitted"),
    ("port_xmit_data_64", "legacy_data_transmitted_bytes"),
    ("port_xmit_packets_64", "legacy_packets_transmitted"),
];

/// File names of `hw_counters`, and what they are called.
const HARDWARE: &[(&str, &str)] = &[
    ("duplicate_request", "duplicate_requests_packets"),
    ("implied_nak_seq_err", "implied_nak_seq_errors"),
    ("local_ack_timeout_err", "local_ack_timeout_errors"),
    ("np_cnp_sent", "np_cnp_packets_sent"),
    ("np_ecn_marked_roce_packets", "np_ecn_marked_roce_packets_received"),
    ("out_of_buffer", "out_of_buffer_drops"),
    ("out_of_sequence", "out_of_sequence_packets_received"),
    ("packet_seq_err", "packet_sequence_errors"),
    ("req_cqe_error", "req_cqes_errors"),
    ("req_cqe_flush_error", "req_cqes_flush_errors"),
    ("req_remote_access_errors", "req_remote_access_errors"),
    ("req_remote_invalid_request", "req_remote_invalid_request_errors"),
    ("resp_cqe_error", "resp_cqes_errors"),
    ("resp_cqe_flush_error", "resp_cqes_flush_errors"),
    ("resp_local_length_error", "resp_local_length_errors"),
    ("resp_remote_access_errors", "resp_remote_access_errors"),
    ("rnr_nak_retry_err", "rnr_nak_retry_packets_received"),
    ("roce_adp_retrans", "roce_adp_retransmits"),
    ("roce_adp_retrans_to", "roce_adp_retransmits_timeout"),
    ("roce_slow_restart", "roce_slow_restart_used"),
    ("roce_slow_restart_cnps", "roce_slow_restart_cnps"),
    ("roce_slow_restart_trans", "roce_slow_restart"),
    ("rp_cnp_handled", "rp_cnp_packets_handled"),
    ("rp_cnp_ignored", "rp_cnp_ignored_packets_received"),
    ("rx_atomic_requests", "rx_atomic_requests"),
    ("rx_dct_connect", "rx_dct_connect_requests"),
    ("rx_icrc_encapsulated", "rx_icrc_encapsulated_errors"),
    ("rx_read_requests", "rx_read_requests"),
    ("rx_write_requests", "rx_write_requests"),
];

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[
        flags::text("collector.infiniband.device-include", "", "adapters to show"),
        flags::text("collector.infiniband.device-exclude", "", "adapters to leave out"),
    ],
    build,
};

struct Infiniband {
    roots: Roots,
    devices: Filter,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Infiniband {
        roots: setup.roots.clone(),
        devices: setup.filter("collector.infiniband.device-include", "collector.infiniband.device-exclude")?,
        samples: Grouping::default(),
    }))
}

impl Collector for Infiniband {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let mut names = infiniband::devices(&self.roots).map_err(Failure::missing_is_no_data)?;
        names.retain(|name| self.devices.wants(name));
        let devices: Result<Vec<_>, _> = names.iter().map(|name| infiniband::read(&self.roots, name)).collect();
        for device in devices.map_err(Failure::missing_is_no_data)? {
            let labels: [(&str, &[u8]); 4] = [
                ("board_id", &device.board_id),
                ("device", &device.name),
                ("firmware_version", &device.firmware),
                ("hca_type", &device.hca_type),
            ];
            self.samples.sample(&INFO, &labels, 1u64);
            for port in &device.ports {
                emit(&mut self.samples, &device.name, port);
            }
        }
        self.samples.write_to(page);
        Ok(())
    }
}

fn emit(samples: &mut Grouping, device: &[u8], port: &Port) {
    let number = port.number.to_string();
    let labels = [("device", device), ("port", number.as_bytes())];
    samples.sample(&STATE, &labels, port.state);
    samples.sample(&PHYSICAL_STATE, &labels, port.physical_state);
    samples.sample(&RATE, &labels, port.rate);
    for (counters, names) in [(&port.counters, COUNTERS), (&port.legacy, LEGACY), (&port.hardware, HARDWARE)] {
        for (file, name) in names {
            if let Some(count) = find(counters, file) {
                // The adapters count data in words of four bytes.
                let words = file.ends_with("_data") || file.ends_with("_data_64");
                let count = if words { count.wrapping_mul(4) } else { count };
                samples.sample_named(&COUNTER, name.as_bytes(), &labels, count);
            }
        }
    }
    if let Some(milliseconds) = find(&port.hardware, "lifespan") {
        samples.sample(&LIFESPAN, &labels, milliseconds / 1000);
    }
}

fn find(counters: &[Counter], file: &str) -> Option<u64> {
    counters.iter().find(|(name, _)| name == file.as_bytes()).map(|(_, count)| *count)
}
