//! Monotonic nanoseconds since a common base, so that times of all threads compare as integers.

use std::time::{Duration, Instant};

/// A base instant; copies share it.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock whose zero is now.
    #[allow(clippy::new_without_default, reason = "a clock that starts now is not a neutral value")]
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the base (CLOCK_MONOTONIC through the vDSO, about 25 ns a call).
    #[inline]
    pub fn now(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }

    /// The instant of `nanoseconds` on this clock.
    pub fn instant(self, nanoseconds: u64) -> Instant {
        self.0 + Duration::from_nanos(nanoseconds)
    }
}
