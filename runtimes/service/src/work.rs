//! Work of a known size: what a request costs beside parsing and answering.
//!
//! A loop of arithmetic whose rounds per nanosecond are measured once against the thread's CPU clock. Reading that clock in the
//! loop would be a system call each time, some 300 ns, and works of less than a microsecond are wanted: a seeded regression of 5 %.

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};

/// Rounds of one calibration: some 10 ms, thousands of the clock's own cost and ticks of it.
const ROUNDS: u64 = 8_000_000;

/// Calibrations, of which the fastest counts: interrupts and a busy sibling only ever make one slower.
const CALIBRATIONS: usize = 5;

/// Work for each request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    rounds: u64,
}

impl Work {
    /// Nothing.
    pub(crate) fn none() -> Work {
        Work::default()
    }

    /// Work that takes `nanoseconds` of this machine's CPU time; calibrates, which takes some 50 ms, unless that is nothing.
    pub(crate) fn calibrated(nanoseconds: f64) -> Work {
        if nanoseconds <= 0.0 {
            return Work::none();
        }
        let fastest = (0..CALIBRATIONS).map(|_| cpu_time_of(ROUNDS)).min().expect("several calibrations");
        let rounds = nanoseconds * ROUNDS as f64 / fastest.max(1) as f64;
        Work { rounds: rounds.round().max(1.0) as u64 }
    }

    /// Does it. Costs one branch when there is none.
    #[inline]
    pub(crate) fn perform(self) {
        if self.rounds > 0 {
            spin(self.rounds);
        }
    }
}

/// CPU nanoseconds of the calling thread for so many rounds.
fn cpu_time_of(rounds: u64) -> u64 {
    let before = thread_cpu_ns();
    spin(rounds);
    thread_cpu_ns() - before
}

/// Each round needs the result of the one before (a linear congruential step): no processor does two at once, and no compiler has a
/// shorter way. The state stays in a register: through memory (`black_box` in the loop) a round costs twice to three times as much when
/// the loop has just been entered as it does in the millions of a calibration.
#[inline(never)]
fn spin(rounds: u64) {
    let mut state = black_box(1_u64);
    for _ in 0..rounds {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    }
    black_box(state);
}

fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Work takes the CPU time that was asked for: judged by the same clock, many at once, the best of several tries, since a
    /// busy machine makes any of them longer.
    #[test]
    fn takes_what_was_asked() {
        let work = Work::calibrated(20_000.0);
        let tries = (0..20).map(|_| {
            let before = thread_cpu_ns();
            (0..200).for_each(|_| work.perform());
            (thread_cpu_ns() - before) as f64 / 200.0
        });
        let best = tries.fold(f64::INFINITY, f64::min);
        assert!((14_000.0..=26_000.0).contains(&best), "{best} ns instead of 20,000");
        assert_eq!(Work::calibrated(0.0), Work::none());
    }
}
