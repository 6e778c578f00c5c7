//! `timex`: how well the kernel's clock is disciplined.

use hostfs::timex;

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    OFFSET = gauge("node_timex_offset_seconds").unit("seconds").help("Offset of the clock to its reference.")
        .source("adjtimex(2)").answers("How wrong is the clock?");
    FREQUENCY = gauge("node_timex_frequency_adjustment_ratio").unit("ratio").help("How much faster the clock is made to run, 1 for not at all.")
        .source("adjtimex(2)").answers("How bad is the host's oscillator?");
    MAX_ERROR = gauge("node_timex_maxerror_seconds").unit("seconds").help("Largest error that the clock can have.")
        .source("adjtimex(2)").answers("How far can the clock be off?");
    ESTIMATED_ERROR = gauge("node_timex_estimated_error_seconds").unit("seconds").help("Estimated error of the clock.")
        .source("adjtimex(2)").answers("How far is the clock off, by its own estimate?");
    STATUS = gauge("node_timex_status").help("Status bits of the clock discipline.").source("adjtimex(2)")
        .answers("What does the clock discipline do?");
    CONSTANT = gauge("node_timex_loop_time_constant").help("Time constant of the phase-locked loop.").source("adjtimex(2)")
        .answers("How fast does the clock follow its reference?");
    TICK = gauge("node_timex_tick_seconds").unit("seconds").help("Seconds between two clock ticks.").source("adjtimex(2)")
        .answers("Was the length of a tick changed?");
    PPS_FREQUENCY = gauge("node_timex_pps_frequency_hertz").unit("hertz").help("Frequency of the pulse per second.").source("adjtimex(2)")
        .answers("Does the pulse per second come?");
    PPS_JITTER = gauge("node_timex_pps_jitter_seconds").unit("seconds").help("Jitter of the pulse per second.").source("adjtimex(2)")
        .answers("How regular is the pulse per second?");
    PPS_SHIFT = gauge("node_timex_pps_shift_seconds").unit("seconds").help("Interval of the pulse per second.").source("adjtimex(2)")
        .answers("Over which time is the pulse per second averaged?");
    PPS_STABILITY = gauge("node_timex_pps_stability_hertz").unit("hertz").help("Stability of the pulse per second.").source("adjtimex(2)")
        .answers("How stable is the pulse per second?");
    PPS_JITTER_TOTAL = counter("node_timex_pps_jitter_total").help("Times that the jitter limit was exceeded.").source("adjtimex(2)")
        .answers("How often is the pulse per second too irregular?");
    PPS_CALIBRATION = counter("node_timex_pps_calibration_total").help("Calibration intervals of the pulse per second.").source("adjtimex(2)")
        .answers("Is the clock calibrated by the pulse per second?");
    PPS_ERROR = counter("node_timex_pps_error_total").help("Calibration errors of the pulse per second.").source("adjtimex(2)")
        .answers("Do calibrations by the pulse per second fail?");
    PPS_STABILITY_EXCEEDED = counter("node_timex_pps_stability_exceeded_total").help("Times that the stability limit was exceeded.").source("adjtimex(2)")
        .answers("How often is the pulse per second too unstable?");
    TAI = gauge("node_timex_tai_offset_seconds").unit("seconds").help("Offset of TAI to UTC.").source("adjtimex(2)")
        .answers("Does the kernel know of leap seconds?");
    SYNC = gauge("node_timex_sync_status").help("1 when the clock is synchronised to a reference.").source("adjtimex(2)")
        .answers("Does a time daemon keep the clock right?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

/// Frequencies are in parts per million with 16 fractional bits.
const PPM_16: f64 = 65_536.0 * 1e6;

/// Times are in microseconds unless the status says nanoseconds.
const MICRO: f64 = 1e6;

struct Timex;

fn build(_: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Timex))
}

impl Collector for Timex {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let timex = timex::read()?;
        let divisor = if timex.is_nano() { 1e9 } else { MICRO };
        let samples: [(&'static Metric, f64); 17] = [
            (&OFFSET, timex.offset as f64 / divisor),
            (&FREQUENCY, 1.0 + timex.frequency as f64 / PPM_16),
            (&MAX_ERROR, timex.max_error_us as f64 / MICRO),
            (&ESTIMATED_ERROR, timex.estimated_error_us as f64 / MICRO),
            (&STATUS, f64::from(timex.status)),
            (&CONSTANT, timex.constant as f64),
            (&TICK, timex.tick_us as f64 / MICRO),
            (&PPS_FREQUENCY, timex.pps_frequency as f64 / PPM_16),
            (&PPS_JITTER, timex.pps_jitter as f64 / divisor),
            (&PPS_SHIFT, f64::from(timex.pps_shift)),
            (&PPS_STABILITY, timex.pps_stability as f64 / PPM_16),
            (&PPS_JITTER_TOTAL, timex.pps_jitter_count as f64),
            (&PPS_CALIBRATION, timex.pps_calibrations as f64),
            (&PPS_ERROR, timex.pps_errors as f64),
            (&PPS_STABILITY_EXCEEDED, timex.pps_stability_exceeded as f64),
            (&TAI, f64::from(timex.tai)),
            (&SYNC, f64::from(u8::from(timex.is_synchronised))),
        ];
        for (metric, value) in samples {
            page.single(metric, value);
        }
        Ok(())
    }
}
