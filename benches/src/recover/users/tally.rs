//! What happened, by phase and by tick.

use crate::load::Latencies;
use crate::recover::plan::PlannedPhase;
use crate::recover::result::{Phase, TICK_SECONDS, Tick};

/// Most ticks of a story: a bound on memory. `lab recover` bounds its phases to far less.
const TICKS: usize = 36_000;

/// Nanoseconds of a tick.
const TICK_NS: u64 = (TICK_SECONDS * 1e9) as u64;

/// Counts while a story is told.
pub(super) struct Tally {
    began: u64,
    phases: Vec<Phase>,
    /// Of good replies in the phase that is on.
    accepted: Latencies,
    ticks: Vec<Tick>,
    /// Response times of good replies in the last tick that had any, microseconds.
    latencies: Vec<u32>,
    latencies_of: usize,
    /// How late the generator itself sent what nothing held back.
    pub(super) lag: Latencies,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A wish came up.
    Due,
    /// A request for one: the first or a further one.
    Try,
    /// A right reply in time, after so many nanoseconds.
    Good(u64),
    /// A deadline passed after sending.
    Late,
    /// A deadline passed before sending.
    Unsent,
    /// A refusal.
    Refused,
    /// A reply after its deadline.
    Wasted,
    /// A connection was lost with it.
    Lost,
}

impl Tally {
    pub(super) fn new(began: u64) -> Self {
        Self {
            began,
            phases: Vec::new(),
            accepted: Latencies::new(),
            ticks: Vec::new(),
            latencies: Vec::new(),
            latencies_of: 0,
            lag: Latencies::new(),
        }
    }

    /// Begins a phase at `now`.
    pub(super) fn begin(&mut self, planned: &PlannedPhase, now: u64) {
        self.accepted = Latencies::new();
        self.phases.push(Phase {
            name: planned.name.to_owned(),
            factor: planned.factor,
            begins_seconds: (now - self.began) as f64 / 1e9,
            ..Phase::default()
        });
    }

    /// Ends the phase that began at `from`.
    pub(super) fn end(&mut self, from: u64, now: u64, server_cpu_us: f64) {
        if let Some(phase) = self.phases.last_mut() {
            phase.seconds = (now - from) as f64 / 1e9;
            phase.accepted = self.accepted.summary();
            phase.server_cpu_us = server_cpu_us;
        }
    }

    pub(super) fn count(&mut self, event: Event, now: u64) {
        let place = (((now - self.began) / TICK_NS) as usize).min(TICKS - 1);
        if self.ticks.len() <= place {
            self.ticks.resize(place + 1, Tick::default());
        }
        let tick = &mut self.ticks[place];
        let mut none = Phase::default();
        let phase = self.phases.last_mut().unwrap_or(&mut none);
        match event {
            Event::Due => (tick.due, phase.due) = (tick.due + 1, phase.due + 1),
            Event::Try => phase.tries += 1,
            Event::Good(latency) => {
                (tick.good, phase.good) = (tick.good + 1, phase.good + 1);
                self.accepted.record(latency);
                self.sample(place, latency);
            }
            Event::Late => (tick.late, phase.late) = (tick.late + 1, phase.late + 1),
            Event::Unsent => (tick.late, phase.unsent) = (tick.late + 1, phase.unsent + 1),
            Event::Refused => (tick.refused, phase.refused) = (tick.refused + 1, phase.refused + 1),
            Event::Wasted => phase.wasted += 1,
            Event::Lost => phase.lost += 1,
        }
    }

    /// Keeps a response time for its tick's percentile.
    fn sample(&mut self, place: usize, latency: u64) {
        if place != self.latencies_of {
            self.close_tick();
            self.latencies_of = place;
        }
        self.latencies.push(u32::try_from(latency / 1_000).unwrap_or(u32::MAX));
    }

    fn close_tick(&mut self) {
        if self.latencies.is_empty() {
            return;
        }
        // The value that at most a hundredth of the others exceed.
        let rank = (self.latencies.len() * 99).div_ceil(100) - 1;
        let (_, at, _) = self.latencies.select_nth_unstable(rank);
        self.ticks[self.latencies_of].p99_us = Some(f64::from(*at));
        self.latencies.clear();
    }

    /// Phases and ticks.
    pub(super) fn finish(mut self) -> (Vec<Phase>, Vec<Tick>, Latencies) {
        self.close_tick();
        (self.phases, self.ticks, self.lag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that events are counted in their tick and their phase, and that a tick's p99 is that of its good replies.
    #[test]
    fn counts() {
        let mut tally = Tally::new(1_000);
        let planned = PlannedPhase { name: "2x", factor: 2.0, seconds: 1.0, storm: false };
        tally.begin(&planned, 1_000);
        for latency in 1..=200_u64 {
            tally.count(Event::Due, 2_000);
            tally.count(Event::Good(latency * 1_000), 2_000);
        }
        tally.count(Event::Refused, 1_000 + 3 * TICK_NS);
        tally.count(Event::Unsent, 1_000 + 3 * TICK_NS);
        tally.end(1_000, 1_000 + 10 * TICK_NS, 5.0);
        let (phases, ticks, _) = tally.finish();
        assert_eq!((phases[0].due, phases[0].good, phases[0].refused, phases[0].unsent), (200, 200, 1, 1));
        assert!((phases[0].seconds - 1.0).abs() < 1e-9 && phases[0].server_cpu_us == 5.0);
        assert_eq!(ticks.len(), 4);
        assert_eq!((ticks[0].good, ticks[0].p99_us, ticks[1].clone()), (200, Some(198.0), Tick::default()));
        assert_eq!((ticks[3].refused, ticks[3].late, ticks[3].p99_us), (1, 1, None));
    }
}
