//! When requests are due.

use crate::stats::SplitMix64;

/// The arrival process of a whole run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pacing {
    /// Open loop, evenly spaced at this many requests per second.
    Constant(f64),
    /// Open loop, exponential gaps with this mean rate: independent users.
    Poisson(f64),
    /// Open loop, events at even distances, each of which makes several requests due at once: one message to many users.
    Bursts {
        /// Events per second.
        events: f64,
        /// Requests of each.
        size: u32,
    },
    /// Closed loop: each reply triggers the next request.
    Closed,
}

/// Name of [`Pacing::Bursts`] before the number of requests: `burst:500`.
const BURST: &str = "burst:";

impl Pacing {
    /// The open loop called `arrivals` at `rate` requests per second over all: `poisson`, `constant`, or `burst:N` for N at
    /// once. `None` for another name.
    pub fn open(arrivals: &str, rate: f64) -> Option<Self> {
        match arrivals {
            "poisson" => Some(Self::Poisson(rate)),
            "constant" => Some(Self::Constant(rate)),
            other => {
                let size = other.strip_prefix(BURST)?.parse::<u32>().ok().filter(|size| *size > 0)?;
                Some(Self::Bursts { events: rate / f64::from(size), size })
            }
        }
    }

    /// Requests that are due at once with the open loop called `arrivals`; one for a name that is none of bursts.
    pub fn at_once(arrivals: &str) -> u32 {
        match Self::open(arrivals, 1.0) {
            Some(Self::Bursts { size, .. }) => size,
            _ => 1,
        }
    }

    /// The name by which [`open`](Self::open) knows bursts of `size`.
    pub fn burst(size: u32) -> String {
        format!("{BURST}{size}")
    }

    /// The same process, thinned to one of `parts` threads.
    pub(crate) fn share(self, parts: usize) -> Self {
        match self {
            Self::Constant(rate) => Self::Constant(rate / parts as f64),
            Self::Poisson(rate) => Self::Poisson(rate / parts as f64),
            // Every worker sends its part of each event. The first ones have no more than the others: a part is rounded up.
            Self::Bursts { events, size } => Self::Bursts { events, size: size.div_ceil(parts as u32) },
            Self::Closed => Self::Closed,
        }
    }
}

/// The intended send times of one worker, in order.
///
/// One arrival process for all connections of the worker, dealt out in turn, costs one comparison per
/// turn of the loop whatever the number of connections; a timer per connection would not be evener, since
/// dealing N connections in turn at rate R is each of them at R/N with evenly spread phases.
pub(crate) struct Arrivals {
    pacing: Pacing,
    start: u64,
    issued: u64,
    next: u64,
    random: SplitMix64,
}

impl Arrivals {
    /// Arrivals from `start` on; `phase` in 0..1 shifts a constant process against those of other workers.
    pub(crate) fn new(pacing: Pacing, start: u64, phase: f64, seed: u64) -> Self {
        let mut arrivals = Self { pacing, start, issued: 0, next: start, random: SplitMix64(seed) };
        match pacing {
            Pacing::Constant(rate) => {
                arrivals.start = start + (phase * 1e9 / rate) as u64;
                arrivals.next = arrivals.start;
            }
            Pacing::Poisson(_) => arrivals.advance(),
            // All workers send at the same moment.
            Pacing::Bursts { .. } => {}
            Pacing::Closed => arrivals.next = u64::MAX,
        }
        arrivals
    }

    /// When the next request is due; `u64::MAX` in closed loop.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Takes the next due time and moves on.
    #[inline]
    pub(crate) fn take(&mut self) -> u64 {
        let due = self.next;
        self.advance();
        due
    }

    fn advance(&mut self) {
        self.issued += 1;
        self.next = match self.pacing {
            // From the count, not from the last gap, so that rounding does not add up.
            Pacing::Constant(rate) => self.start + (self.issued as f64 * 1e9 / rate) as u64,
            Pacing::Poisson(rate) => self.next + (-self.random.unit().ln() * 1e9 / rate) as u64,
            Pacing::Bursts { events, size } => {
                self.start + ((self.issued / u64::from(size)) as f64 * 1e9 / events) as u64
            }
            Pacing::Closed => u64::MAX,
        };
    }
}

/// Shuffles lists from a recorded seed.
pub struct Shuffle(SplitMix64);

impl Shuffle {
    /// A shuffle that gives the same orders for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64(seed))
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.0.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that a constant process keeps its rate without drift, by the time of its millionth arrival.
    #[test]
    fn constant_arrivals_do_not_drift() {
        let mut arrivals = Arrivals::new(Pacing::Constant(30_000.0), 5, 0.0, 1);
        for _ in 0..1_000_000 {
            arrivals.take();
        }
        assert_eq!(arrivals.next(), 5 + (1_000_000.0 * 1e9 / 30_000.0) as u64);
    }

    /// Shows that a burst's requests are due at once, and the next event's when it comes.
    #[test]
    fn bursts_are_due_at_once() {
        let pacing = Pacing::open("burst:3", 30.0).unwrap();
        let mut arrivals = Arrivals::new(pacing, 7, 0.5, 1);
        let due: Vec<u64> = (0..7).map(|_| arrivals.take()).collect();
        assert_eq!(due, [7, 7, 7, 100_000_007, 100_000_007, 100_000_007, 200_000_007]);
        assert_eq!(pacing.share(2), Pacing::Bursts { events: 10.0, size: 2 });
        for other in ["burst:0", "burst:", "burst:x", "bursts", ""] {
            assert_eq!(Pacing::open(other, 1.0), None, "{other}");
        }
    }

    /// Shows that Poisson gaps have the asked mean and, as exponential gaps do, a deviation equal to it.
    #[test]
    fn poisson_gaps_are_exponential() {
        let mut arrivals = Arrivals::new(Pacing::Poisson(10_000.0), 0, 0.0, 42);
        let times: Vec<f64> = (0..200_000).map(|_| arrivals.take() as f64).collect();
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let deviation = (gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        assert!((mean / 100_000.0 - 1.0).abs() < 0.01, "mean gap {mean} ns");
        assert!((deviation / mean - 1.0).abs() < 0.02, "deviation {deviation} ns");
    }
}
