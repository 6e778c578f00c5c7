//! The algorithms on made-up servers, and the gate on made-up turns.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::counters::Counters;

/// Time that a request takes by itself on the made-up server, nanoseconds.
const SERVICE: f64 = 200_000.0;

/// A turn of a server that takes [`SERVICE`] for each request and is offered `wanted` of them at once.
fn turn(algorithm: &mut Algorithm, wanted: f64) {
    let admitted = wanted.min(algorithm.limit() as f64).max(1.0);
    algorithm.update(Sample { wanted, latency: admitted * SERVICE, alone: SERVICE });
}

fn after(asked: LimitRequests, turns: usize, wanted: f64) -> u64 {
    let mut algorithm = Algorithm::new(asked, 1);
    (0..turns).for_each(|_| turn(&mut algorithm, wanted));
    algorithm.limit()
}

fn adaptive() -> [LimitRequests; 3] {
    [LimitRequests::Aimd { latency: Duration::from_millis(10) }, LimitRequests::Vegas, LimitRequests::Gradient2]
}

/// Under a lasting overload AIMD finds the depth that its latency allows: 10 ms of 200 µs each are 50 requests.
#[test]
fn aimd_keeps_its_latency() {
    let limit = after(LimitRequests::Aimd { latency: Duration::from_millis(10) }, 2_000, 500.0);
    assert!((44..=51).contains(&limit), "{limit}");
    let longer = after(LimitRequests::Aimd { latency: Duration::from_millis(100) }, 5_000, 5_000.0);
    assert!((440..=501).contains(&longer), "{longer}");
}

/// Vegas wants no queue: on a server with one thread it settles at a few requests, from either side.
#[test]
fn vegas_settles_low() {
    let limit = after(LimitRequests::Vegas, 2_000, 500.0);
    assert!((3..=8).contains(&limit), "{limit}");
}

/// Where latency does not grow with depth, as when requests wait for something else, Vegas and Gradient2 allow more.
#[test]
fn depth_that_costs_nothing_is_allowed() {
    for asked in [LimitRequests::Vegas, LimitRequests::Gradient2] {
        let mut algorithm = Algorithm::new(asked, 1);
        for _ in 0..2_000 {
            algorithm.update(Sample { wanted: 300.0, latency: SERVICE, alone: SERVICE });
        }
        assert!(algorithm.limit() >= 100, "{asked}: {}", algorithm.limit());
    }
}

/// Gradient2 shrinks when latency jumps far beyond what is usual, and grows again when it is back.
#[test]
fn gradient2_answers_a_jump() {
    let mut algorithm = Algorithm::new(LimitRequests::Gradient2, 1);
    let mut turns = |latency: f64, count: usize| {
        for _ in 0..count {
            algorithm.update(Sample { wanted: 1e6, latency, alone: latency });
        }
        algorithm.limit()
    };
    let before = turns(SERVICE, 100);
    let during = turns(SERVICE * 10.0, 20);
    let later = turns(SERVICE, 200);
    assert!(during < before / 2 && later > during * 2, "{before}, {during}, {later}");
}

/// A turn that came nowhere near the limit does not raise it: a quiet server does not learn that it can do anything.
#[test]
fn quiet_turns_say_nothing() {
    for asked in adaptive() {
        assert_eq!(after(asked, 1_000, 3.0), INITIAL as u64, "{asked}");
    }
}

/// A service that became five times slower for good is believed by Vegas in the end: its limit does not stay at the floor.
#[test]
fn vegas_forgets() {
    let mut vegas = Vegas::new();
    let mut slow = |service: f64| {
        for _ in 0..40_000 {
            let latency = vegas.limit() * service;
            vegas.update(Sample { wanted: 500.0, latency, alone: service });
        }
        vegas.limit()
    };
    let before = slow(SERVICE);
    let after = slow(SERVICE * 5.0);
    assert!((before - after).abs() <= 2.0, "{before}, {after}");
}

proptest! {
    /// Whatever the samples, a limit stays finite and between its bounds, and changes by at most half or one step a turn.
    #[test]
    fn limits_stay_sound(samples in proptest::collection::vec((1.0f64..1e6, 1.0f64..1e12, 1.0f64..1e12), 1..200)) {
        for asked in adaptive() {
            let mut algorithm = Algorithm::new(asked, 1);
            for (wanted, latency, alone) in &samples {
                let before = algorithm.limit() as f64;
                algorithm.update(Sample { wanted: *wanted, latency: *latency, alone: alone.min(*latency) });
                let limit = algorithm.limit() as f64;
                prop_assert!((LOWEST..=HIGHEST).contains(&limit), "{asked}: {limit}");
                prop_assert!(limit >= before * 0.5 - 2.0 && limit <= before + before.sqrt() + 2.0, "{asked}: {before} to {limit}");
            }
        }
    }

    /// Whatever comes and goes, a gate never has more in flight than its limit, and in the end nothing.
    #[test]
    fn gates_are_kept(limit in 0u64..20, steps in proptest::collection::vec((0usize..4, 0u8..4), 1..300)) {
        let counters = Arc::<Counters>::default();
        let mut gate = Gate::new(Some(LimitRequests::Fixed(limit)), 1, &counters);
        let mut peers = [Admitted::default(); 4];
        for (peer, what) in steps {
            match what {
                0 => gate.flushed(&mut peers[peer]),
                1 => gate.turn(),
                _ => {
                    let full = gate.is_full();
                    prop_assert_eq!(gate.take(&mut peers[peer]), !full);
                }
            }
            let unflushed: u64 = peers.iter().map(|peer| u64::from(peer.unflushed)).sum();
            prop_assert!(unflushed <= gate.in_flight() && gate.in_flight() <= limit, "{} unflushed", unflushed);
        }
        peers.iter_mut().for_each(|peer| gate.flushed(peer));
        gate.turn();
        prop_assert_eq!(gate.in_flight(), 0);
    }
}

/// A place is given back when the turn has ended and the reply is with the kernel, whichever comes last.
#[test]
fn places_outlast_turn_and_reply() {
    let counters = Arc::<Counters>::default();
    let mut gate = Gate::new(Some(LimitRequests::Fixed(2)), 1, &counters);
    let (mut prompt, mut slow) = (Admitted::default(), Admitted::default());
    assert!(gate.take(&mut prompt));
    gate.flushed(&mut prompt);
    assert!(gate.take(&mut slow), "a second place");
    assert!(!gate.take(&mut prompt), "flushed, but its turn goes on");
    gate.turn();
    assert_eq!(gate.in_flight(), 1, "the slow one's reply is not taken");
    assert!(gate.take(&mut prompt));
    assert!(!gate.take(&mut prompt));
    gate.flushed(&mut slow);
    assert!(gate.take(&mut prompt), "its turn is long over");
    gate.flushed(&mut prompt);
    gate.turn();
    assert_eq!(gate.in_flight(), 0);
    assert_eq!((counters.admitted.value(), counters.turns.value(), counters.requests_limit.value()), (4, 2, 2));
}

/// An open gate counts nothing and refuses nobody.
#[test]
fn open_gate() {
    let mut gate = Gate::open();
    let mut peer = Admitted::default();
    for _ in 0..1_000 {
        assert!(gate.take(&mut peer));
    }
    gate.flushed(&mut peer);
    assert!(!gate.limits() && !gate.is_full());
}
