//! The limit follows the ratio of the usual latency to the latest one: Netflix's Gradient2 (github.com/Netflix/concurrency-limits; its
//! author's account: "Performance Under Load", Netflix Technology Blog, 2018).
//!
//! Latency may grow to [`TOLERANCE`] times its long-term mean before the limit shrinks, and a square root of the limit is always
//! allowed to queue. The mean learns what it sees: a load that stays too high becomes the usual one, and the limit grows with it.
//! It is meant for latencies that have a floor of their own, such as waiting for a database; where all latency is queue, as in a
//! server that only computes, it bounds sudden overload and not a lasting one.

use super::{HIGHEST, INITIAL, LOWEST, Sample, is_telling};

/// Times its mean that latency may reach before the limit shrinks.
const TOLERANCE: f64 = 1.5;

/// Turns over which the mean is taken (exponentially weighted).
const TURNS: f64 = 600.0;

/// Share of a new limit that is taken over at once.
const SMOOTHING: f64 = 0.2;

/// Most that one turn takes from the limit: half of it.
const STEEPEST: f64 = 0.5;

/// When latency is back at half of its mean, the mean is from an overload that is over: it then falls faster.
const STALE: f64 = 2.0;
const STALE_KEPT: f64 = 0.95;

#[derive(Clone, Debug)]
pub(crate) struct Gradient2 {
    limit: f64,
    /// Long-term mean of latency, nanoseconds; 0 before the first turn.
    usual: f64,
}

impl Gradient2 {
    pub(crate) fn new() -> Gradient2 {
        Gradient2 { limit: INITIAL, usual: 0.0 }
    }

    pub(crate) fn limit(&self) -> f64 {
        self.limit
    }

    pub(crate) fn update(&mut self, sample: Sample) {
        if !is_telling(sample, self.limit) {
            return;
        }
        let latest = sample.latency.max(1.0);
        self.usual = if self.usual == 0.0 { latest } else { self.usual + (latest - self.usual) * 2.0 / (TURNS + 1.0) };
        if self.usual > latest * STALE {
            self.usual *= STALE_KEPT;
        }
        let gradient = (TOLERANCE * self.usual / latest).clamp(STEEPEST, 1.0);
        let wanted = self.limit * gradient + self.limit.sqrt();
        self.limit = (self.limit + (wanted - self.limit) * SMOOTHING).clamp(LOWEST, HIGHEST);
    }
}
