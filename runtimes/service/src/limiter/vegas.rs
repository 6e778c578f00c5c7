//! The queue is what latency has more than it would without one: L. S. Brakmo and L. L. Peterson, "TCP Vegas: End to End Congestion
//! Avoidance on a Global Internet", IEEE JSAC 13 (1995); for limits on concurrency in the form that Netflix gave it
//! (github.com/Netflix/concurrency-limits: thresholds that grow with the logarithm of the limit).
//!
//! With limit L, latency without a queue b and latency now t, L · (1 − b/t) requests wait. Fewer than alpha: a larger limit; more
//! than beta: a smaller one. In a server with one thread everything but one request waits, so this settles at a few requests,
//! whatever they cost: no queue is the least latency, and bursts above it are refused.

use super::{HIGHEST, INITIAL, LOWEST, Sample, is_telling};

/// Requests that should wait at least and at most, in units of the limit's decimal logarithm.
const ALPHA: f64 = 3.0;
const BETA: f64 = 6.0;

/// Growth of the latency without a queue with each turn, so that a service that became slower for good is believed within
/// some thousands of turns. A minimum for ever would take the slowness for a queue.
const FORGETS: f64 = 1.000_1;

#[derive(Clone, Debug)]
pub(crate) struct Vegas {
    limit: f64,
    /// Smallest latency of a request by itself, nanoseconds.
    alone: f64,
}

impl Vegas {
    pub(crate) fn new() -> Vegas {
        Vegas { limit: INITIAL, alone: f64::INFINITY }
    }

    pub(crate) fn limit(&self) -> f64 {
        self.limit
    }

    pub(crate) fn update(&mut self, sample: Sample) {
        self.alone = (self.alone * FORGETS).min(sample.alone);
        if !is_telling(sample, self.limit) {
            return;
        }
        let step = self.limit.log10().max(1.0);
        let queue = self.limit * (1.0 - self.alone / sample.latency.max(self.alone));
        if queue < ALPHA * step {
            self.limit += step;
        } else if queue > BETA * step {
            self.limit -= step;
        }
        self.limit = self.limit.clamp(LOWEST, HIGHEST);
    }
}
