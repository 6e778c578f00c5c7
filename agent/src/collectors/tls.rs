//! `tls`: connections that the kernel encrypts, or a network card does.

use hostfs::{Source, tables};

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    CURR_TX_SW = gauge("node_tls_curr_tx_sw").help("Sessions open now that send with the host's cryptography.")
        .source("/proc/net/tls_stat").answers("How many connections does the kernel encrypt?");
    CURR_RX_SW = gauge("node_tls_curr_rx_sw").help("Sessions open now that receive with the host's cryptography.")
        .source("/proc/net/tls_stat").answers("How many connections does the kernel decrypt?");
    CURR_TX_DEVICE = gauge("node_tls_curr_tx_device").help("Sessions open now that send with the network card's cryptography.")
        .source("/proc/net/tls_stat").answers("Does the card encrypt?");
    CURR_RX_DEVICE = gauge("node_tls_curr_rx_device").help("Sessions open now that receive with the network card's cryptography.")
        .source("/proc/net/tls_stat").answers("Does the card decrypt?");
    TX_SW = counter("node_tls_tx_sw_total").help("Sessions opened for sending with the host's cryptography.")
        .source("/proc/net/tls_stat").answers("How many connections does the kernel encrypt?");
    RX_SW = counter("node_tls_rx_sw_total").help("Sessions opened for receiving with the host's cryptography.")
        .source("/proc/net/tls_stat").answers("How many connections does the kernel decrypt?");
    TX_DEVICE = counter("node_tls_tx_device_total").help("Sessions opened for sending with the network card's cryptography.")
        .source("/proc/net/tls_stat").answers("Does the card encrypt?");
    RX_DEVICE = counter("node_tls_rx_device_total").help("Sessions opened for receiving with the network card's cryptography.")
        .source("/proc/net/tls_stat").answers("Does the card decrypt?");
    DECRYPT_ERROR = counter("node_tls_decrypt_error_total").help("Records that could not be decrypted, by a wrong tag for example.")
        .source("/proc/net/tls_stat").answers("Are records damaged or forged?");
    RX_DEVICE_RESYNC = counter("node_tls_rx_device_resync_total").help("Times that a network card had to be told where records begin.")
        .source("/proc/net/tls_stat").answers("Does loss cost the card its place?");
    DECRYPT_RETRY = counter("node_tls_decrypt_retry_total").help("Records that were decrypted twice because of unexpected padding.")
        .source("/proc/net/tls_stat").answers("Is TLS_RX_EXPECT_NO_PAD of use?");
    RX_NO_PAD_VIOLATION = counter("node_tls_rx_nopad_violation_total").help("Records with padding, of peers that should send none.")
        .source("/proc/net/tls_stat").answers("Does a peer pad its records?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

/// Names in the file (Documentation/networking/tls.rst) and their families. Those that the kernel does not have are 0.
static FIELDS: [(&str, &Metric); 12] = [
    ("TlsCurrTxSw", &CURR_TX_SW),
    ("TlsCurrRxSw", &CURR_RX_SW),
    ("TlsCurrTxDevice", &CURR_TX_DEVICE),
    ("TlsCurrRxDevice", &CURR_RX_DEVICE),
    ("TlsTxSw", &TX_SW),
    ("TlsRxSw", &RX_SW),
    ("TlsTxDevice", &TX_DEVICE),
    ("TlsRxDevice", &RX_DEVICE),
    ("TlsDecryptError", &DECRYPT_ERROR),
    ("TlsRxDeviceResync", &RX_DEVICE_RESYNC),
    ("TlsDecryptRetry", &DECRYPT_RETRY),
    ("TlsRxNoPadViolation", &RX_NO_PAD_VIOLATION),
];

struct Tls {
    source: Source,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Tls { source: Source::new(setup.roots.proc("net/tls_stat"), 64 << 10) }))
}

impl Collector for Tls {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        // The file is there while the kernel's module tls is loaded.
        let (path, text) = self.source.read().map_err(Failure::missing_is_no_data)?;
        let numbers = tables::named(path, text, &FIELDS.map(|(name, _)| name))?;
        for ((_, metric), number) in FIELDS.iter().zip(numbers) {
            page.single(metric, number);
        }
        Ok(())
    }
}
