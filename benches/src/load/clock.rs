//! Nanoseconds on CLOCK_MONOTONIC, so that times of all threads and of all processes of the box compare as integers.

use rustix::time::{ClockId, clock_gettime};

/// The clock of every schedule and every latency. Processes of one box and one time namespace read the same one, so a
/// supervisor can tell many generators when to begin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// Nanoseconds since the kernel's base (clock_gettime(2), through the vDSO, about 25 ns a call).
    #[inline]
    pub fn now(self) -> u64 {
        let time = clock_gettime(ClockId::Monotonic);
        // The kernel's base is its boot: both parts are never negative, and nanoseconds fit for 584 years.
        time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
    }
}
