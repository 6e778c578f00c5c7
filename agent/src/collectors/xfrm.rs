//! `xfrm`: packets that IPsec lost, by reason.

use hostfs::{Source, tables};

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    IN_ERROR = counter("node_xfrm_in_error_packets_total").help("Packets that were dropped on their way in for no other reason below.")
        .source("/proc/net/xfrm_stat").answers("Does IPsec lose packets?");
    IN_BUFFER_ERROR = counter("node_xfrm_in_buffer_error_packets_total").help("Packets lost for want of a buffer.")
        .source("/proc/net/xfrm_stat").answers("Is memory short for IPsec?");
    IN_HDR_ERROR = counter("node_xfrm_in_hdr_error_packets_total").help("Packets with a bad header.")
        .source("/proc/net/xfrm_stat").answers("Does somebody send garbage?");
    IN_NO_STATES = counter("node_xfrm_in_no_states_packets_total").help("Packets for which there is no state: wrong SPI, address or protocol.")
        .source("/proc/net/xfrm_stat").answers("Do both ends agree on the security associations?");
    IN_STATE_PROTO_ERROR = counter("node_xfrm_in_state_proto_error_packets_total").help("Packets that the transformation refused, by a wrong key for example.")
        .source("/proc/net/xfrm_stat").answers("Do both ends have the same key?");
    IN_STATE_MODE_ERROR = counter("node_xfrm_in_state_mode_error_packets_total").help("Packets in the wrong mode.")
        .source("/proc/net/xfrm_stat").answers("Do both ends agree on tunnel or transport mode?");
    IN_STATE_SEQ_ERROR = counter("node_xfrm_in_state_seq_error_packets_total").help("Packets with a number outside the replay window.")
        .source("/proc/net/xfrm_stat").answers("Are packets replayed, or reordered by more than the window?");
    IN_STATE_EXPIRED = counter("node_xfrm_in_state_expired_packets_total").help("Packets whose state had expired.")
        .source("/proc/net/xfrm_stat").answers("Are keys renewed in time?");
    IN_STATE_MISMATCH = counter("node_xfrm_in_state_mismatch_packets_total").help("Packets whose encapsulation is not that of the state.")
        .source("/proc/net/xfrm_stat").answers("Do both ends agree on UDP encapsulation?");
    IN_STATE_INVALID = counter("node_xfrm_in_state_invalid_packets_total").help("Packets whose state is invalid.")
        .source("/proc/net/xfrm_stat").answers("Are states taken away while in use?");
    IN_TMPL_MISMATCH = counter("node_xfrm_in_tmpl_mismatch_packets_total").help("Packets whose states fit no template of the policy.")
        .source("/proc/net/xfrm_stat").answers("Is a policy wrong?");
    IN_NO_POLS = counter("node_xfrm_in_no_pols_packets_total").help("Packets whose states have no policy.")
        .source("/proc/net/xfrm_stat").answers("Is a policy missing?");
    IN_POL_BLOCK = counter("node_xfrm_in_pol_block_packets_total").help("Packets that a policy discards.")
        .source("/proc/net/xfrm_stat").answers("What do the policies discard?");
    IN_POL_ERROR = counter("node_xfrm_in_pol_error_packets_total").help("Packets lost by an error of a policy.")
        .source("/proc/net/xfrm_stat").answers("Is a policy broken?");
    OUT_ERROR = counter("node_xfrm_out_error_packets_total").help("Packets that were dropped on their way out for no other reason below.")
        .source("/proc/net/xfrm_stat").answers("Does IPsec lose packets?");
    OUT_BUNDLE_GEN_ERROR = counter("node_xfrm_out_bundle_gen_error_packets_total").help("Packets for which no chain of transformations could be made.")
        .source("/proc/net/xfrm_stat").answers("Can packets be sent at all?");
    OUT_BUNDLE_CHECK_ERROR = counter("node_xfrm_out_bundle_check_error_packets_total").help("Packets whose chain of transformations was no longer right.")
        .source("/proc/net/xfrm_stat").answers("Do routes or states change under way?");
    OUT_NO_STATES = counter("node_xfrm_out_no_states_packets_total").help("Packets for which there is no state.")
        .source("/proc/net/xfrm_stat").answers("Is a security association missing?");
    OUT_STATE_PROTO_ERROR = counter("node_xfrm_out_state_proto_error_packets_total").help("Packets that the transformation failed on.")
        .source("/proc/net/xfrm_stat").answers("Does the cipher fail?");
    OUT_STATE_MODE_ERROR = counter("node_xfrm_out_state_mode_error_packets_total").help("Packets in a mode that failed.")
        .source("/proc/net/xfrm_stat").answers("Are packets too large for the tunnel?");
    OUT_STATE_SEQ_ERROR = counter("node_xfrm_out_state_seq_error_packets_total").help("Packets beyond the last sequence number.")
        .source("/proc/net/xfrm_stat").answers("Are keys renewed in time?");
    OUT_STATE_EXPIRED = counter("node_xfrm_out_state_expired_packets_total").help("Packets whose state had expired.")
        .source("/proc/net/xfrm_stat").answers("Are keys renewed in time?");
    OUT_POL_BLOCK = counter("node_xfrm_out_pol_block_packets_total").help("Packets that a policy discards.")
        .source("/proc/net/xfrm_stat").answers("What do the policies discard?");
    OUT_POL_DEAD = counter("node_xfrm_out_pol_dead_packets_total").help("Packets whose policy was gone.")
        .source("/proc/net/xfrm_stat").answers("Do policies go while in use?");
    OUT_POL_ERROR = counter("node_xfrm_out_pol_error_packets_total").help("Packets lost by an error of a policy.")
        .source("/proc/net/xfrm_stat").answers("Is a policy broken?");
    FWD_HDR_ERROR = counter("node_xfrm_fwd_hdr_error_packets_total").help("Packets that must not be forwarded.")
        .source("/proc/net/xfrm_stat").answers("Are packets routed that should not be?");
    OUT_STATE_INVALID = counter("node_xfrm_out_state_invalid_packets_total").help("Packets whose state is invalid, perhaps expired.")
        .source("/proc/net/xfrm_stat").answers("Are states taken away while in use?");
    ACQUIRE_ERROR = counter("node_xfrm_acquire_error_packets_total").help("Packets that were sent before their state was negotiated.")
        .source("/proc/net/xfrm_stat").answers("Is the key exchange slow?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

/// Names in the file (Documentation/networking/xfrm_proc.rst) and their families. Those that the kernel does not have are 0.
static FIELDS: [(&str, &Metric); 28] = [
    ("XfrmInError", &IN_ERROR),
    ("XfrmInBufferError", &IN_BUFFER_ERROR),
    ("XfrmInHdrError", &IN_HDR_ERROR),
    ("XfrmInNoStates", &IN_NO_STATES),
    ("XfrmInStateProtoError", &IN_STATE_PROTO_ERROR),
    ("XfrmInStateModeError", &IN_STATE_MODE_ERROR),
    ("XfrmInStateSeqError", &IN_STATE_SEQ_ERROR),
    ("XfrmInStateExpired", &IN_STATE_EXPIRED),
    ("XfrmInStateMismatch", &IN_STATE_MISMATCH),
    ("XfrmInStateInvalid", &IN_STATE_INVALID),
    ("XfrmInTmplMismatch", &IN_TMPL_MISMATCH),
    ("XfrmInNoPols", &IN_NO_POLS),
    ("XfrmInPolBlock", &IN_POL_BLOCK),
    ("XfrmInPolError", &IN_POL_ERROR),
    ("XfrmOutError", &OUT_ERROR),
    ("XfrmOutBundleGenError", &OUT_BUNDLE_GEN_ERROR),
    ("XfrmOutBundleCheckError", &OUT_BUNDLE_CHECK_ERROR),
    ("XfrmOutNoStates", &OUT_NO_STATES),
    ("XfrmOutStateProtoError", &OUT_STATE_PROTO_ERROR),
    ("XfrmOutStateModeError", &OUT_STATE_MODE_ERROR),
    ("XfrmOutStateSeqError", &OUT_STATE_SEQ_ERROR),
    ("XfrmOutStateExpired", &OUT_STATE_EXPIRED),
    ("XfrmOutPolBlock", &OUT_POL_BLOCK),
    ("XfrmOutPolDead", &OUT_POL_DEAD),
    ("XfrmOutPolError", &OUT_POL_ERROR),
    ("XfrmFwdHdrError", &FWD_HDR_ERROR),
    ("XfrmOutStateInvalid", &OUT_STATE_INVALID),
    ("XfrmAcquireError", &ACQUIRE_ERROR),
];

struct Xfrm {
    source: Source,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Xfrm { source: Source::new(setup.roots.proc("net/xfrm_stat"), 64 << 10) }))
}

impl Collector for Xfrm {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let (path, text) = self.source.read()?;
        let numbers = tables::named(path, text, &FIELDS.map(|(name, _)| name))?;
        for ((_, metric), number) in FIELDS.iter().zip(numbers) {
            page.single(metric, number);
        }
        Ok(())
    }
}
