//! Additive increase, multiplicative decrease: D.-M. Chiu and R. Jain, "Analysis of the Increase and Decrease Algorithms for
//! Congestion Avoidance in Computer Networks", Computer Networks and ISDN Systems 17 (1989), which shows that of the linear
//! rules this one converges to a fair share.
//!
//! Its signal is a latency that was promised: one more request while the turn keeps it, a tenth fewer when it does not. It is
//! the only algorithm here that knows what is slow; the others know what is slower than before.

use super::{HIGHEST, INITIAL, LOWEST, Sample, is_telling};

/// Kept of the limit after a turn that was too slow. TCP keeps half; but a turn is too slow by a few requests, not by a
/// lost packet, and what is refused for nothing is goodput lost.
const KEPT: f64 = 0.9;

#[derive(Clone, Debug)]
pub(crate) struct Aimd {
    limit: f64,
    /// Longest latency, nanoseconds.
    latency: f64,
}

impl Aimd {
    /// `latency`: what a turn may take, in nanoseconds.
    pub(crate) fn new(latency: f64) -> Aimd {
        Aimd { limit: INITIAL, latency }
    }

    pub(crate) fn limit(&self) -> f64 {
        self.limit
    }

    pub(crate) fn update(&mut self, sample: Sample) {
        if sample.latency > self.latency {
            self.limit *= KEPT;
        } else if is_telling(sample, self.limit) {
            self.limit += 1.0;
        }
        self.limit = self.limit.clamp(LOWEST, HIGHEST);
    }
}
