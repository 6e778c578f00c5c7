//! `fibrechannel`: ports of Fibre Channel adapters.

use hostfs::Roots;
use hostfs::fibrechannel;

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::Setup;

crate::metrics! {
    INFO = gauge("node_fibrechannel_info")
        .labels(&["dev_loss_tmo", "fabric_name", "fc_host", "port_id", "port_name", "port_state", "port_type", "speed",
            "supported_classes", "supported_speeds", "symbolic_name"])
        .help("Always 1; the labels describe a port.").source("/sys/class/fc_host/*")
        .answers("Is the port online, at which speed, and to what?");
    COUNTER = counter("node_fibrechannel_*_total").labels(&["fc_host"]).help("Count * of a port.")
        .source("/sys/class/fc_host/*/statistics").answers("How much traffic does the port carry, and which errors?");
}

/// The names of the reader's counts, in its order.
const COUNTS: [&str; fibrechannel::COUNTS.len()] = [
    "dumped_frames",
    "error_frames",
    "invalid_crc",
    "rx_frames",
    "rx_words",
    "tx_frames",
    "tx_words",
    "seconds_since_last_reset",
    "invalid_tx_words",
    "link_failure",
    "loss_of_sync",
    "loss_of_signal",
    "nos",
    "fcp_packet_aborts",
];

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct FibreChannel {
    roots: Roots,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(FibreChannel { roots: setup.roots.clone(), samples: Grouping::default() }))
}

impl Collector for FibreChannel {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        for host in fibrechannel::read(&self.roots).map_err(Failure::missing_is_no_data)? {
            let name = ("fc_host", host.name.as_slice());
            let mut labels: Vec<(&str, &[u8])> =
                fibrechannel::TEXTS.into_iter().zip(host.texts.iter().map(Vec::as_slice)).collect();
            labels.push(name);
            labels.sort_unstable();
            self.samples.sample(&INFO, &labels, 1u64);
            for (counter, count) in COUNTS.into_iter().zip(host.counts) {
                // All ones: the firmware does not count this.
                if count != u64::MAX {
                    self.samples.sample_named(&COUNTER, counter.as_bytes(), &[name], count);
                }
            }
        }
        self.samples.write_to(page);
        Ok(())
    }
}
