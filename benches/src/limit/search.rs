//! Where to look next: climb by doubling until a load breaks, narrow the gap by halving it, then hold the load that was
//! found, and a little less, for longer. Pure: what was learnt goes in, the next load comes out.
//!
//! A hold that breaks takes the limit down and the search goes on below it, so that what is called the limit has always been
//! held. The number of loads is bounded: by the doublings up to the ceiling, the halvings down to the resolution, and
//! `HOLDS`.

use serde::{Deserialize, Serialize};

/// Loads that are held for longer at most; each one that breaks takes the limit down by a step of the resolution or more.
const HOLDS: u32 = 6;

/// How far below the limit the last hold is: the load that a limit with ten percent in hand would allow.
pub const IN_HAND: f64 = 1.1;

/// What a load was tried for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// On the way up, twice the load before.
    Climb,
    /// Between a load that held and one that broke.
    Narrow,
    /// The limit, for longer.
    Hold,
    /// The limit divided by [`IN_HAND`], for longer.
    HoldBelow,
}

impl Phase {
    /// For a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Climb => "climb",
            Self::Narrow => "narrow",
            Self::Hold => "hold",
            Self::HoldBelow => "hold below",
        }
    }
}

/// Bounds of a search. All loads are in the unit of its axis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// The smallest load, where the climb begins.
    pub start: f64,
    /// The largest load.
    pub ceiling: f64,
    /// The gap between what held and what broke that is small enough, as a share: 0.05 is 5 %.
    pub resolution: f64,
    /// Whether loads are whole numbers.
    pub whole: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// Try this load.
    Try(f64, Phase),
    /// There is nothing left to try.
    Done(Found),
}

/// What a search ends with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found {
    /// This load held, for longer too; one step of the resolution above it something broke. `steady` when a tenth less held too.
    Limit {
        /// The limit.
        load: f64,
        /// Whether the hold below it held.
        steady: bool,
    },
    /// The ceiling itself held.
    Ceiling(f64),
    /// The smallest load broke.
    BelowSmallest(f64),
    /// Hold after hold broke; this is the last load that had held for a short while.
    Unsteady(f64),
}

/// A search under way.
#[derive(Clone, Debug)]
pub struct Search {
    bounds: Bounds,
    /// Loads that held, ascending.
    held: Vec<f64>,
    /// The smallest load that broke.
    broke: Option<f64>,
    /// Loads that held for longer.
    confirmed: Option<f64>,
    below: Option<bool>,
    holds: u32,
}

impl Search {
    /// A search that has tried nothing.
    pub fn new(mut bounds: Bounds) -> Self {
        if bounds.whole {
            bounds.start = bounds.start.floor().max(1.0);
            bounds.ceiling = bounds.ceiling.floor().max(bounds.start);
        }
        Self { bounds, held: Vec::new(), broke: None, confirmed: None, below: None, holds: 0 }
    }

    /// The highest load that held.
    pub fn best(&self) -> Option<f64> {
        self.held.last().copied()
    }

    /// The smallest load that broke.
    pub fn broke(&self) -> Option<f64> {
        self.broke
    }

    /// What to try next.
    pub fn next(&self) -> Next {
        let Bounds { start, ceiling, resolution, .. } = self.bounds;
        let Some(best) = self.best() else {
            return if self.broke.is_some() && self.smallest_broke() {
                Next::Done(Found::BelowSmallest(start))
            } else {
                Next::Try(self.rounded(start), Phase::Climb)
            };
        };
        match self.broke {
            None if best >= ceiling => {}
            None => return Next::Try(self.rounded(best * 2.0).min(ceiling), Phase::Climb),
            Some(broke) => {
                // The geometric middle: the gap is a ratio.
                let middle = self.rounded((best * broke).sqrt());
                if broke / best > 1.0 + resolution && middle > best && middle < broke {
                    return Next::Try(middle, Phase::Narrow);
                }
            }
        }
        if self.confirmed != Some(best) {
            return if self.holds < HOLDS { Next::Try(best, Phase::Hold) } else { Next::Done(Found::Unsteady(best)) };
        }
        match (self.broke, self.below) {
            (None, _) => Next::Done(Found::Ceiling(best)),
            (Some(_), None) => Next::Try(self.rounded(best / IN_HAND), Phase::HoldBelow),
            (Some(_), Some(steady)) => Next::Done(Found::Limit { load: best, steady }),
        }
    }

    /// Takes note that `load`, tried for `phase`, held or broke.
    pub fn learn(&mut self, load: f64, phase: Phase, held: bool) {
        self.holds += u32::from(phase == Phase::Hold);
        match (phase, held) {
            (Phase::HoldBelow, steady) => self.below = Some(steady),
            (Phase::Hold, true) => self.confirmed = Some(load),
            (_, true) => {
                self.held.push(load);
                self.held.sort_by(f64::total_cmp);
            }
            (_, false) => {
                self.broke = Some(self.broke.map_or(load, |broke| broke.min(load)));
                self.held.retain(|other| *other < load);
            }
        }
    }

    fn smallest_broke(&self) -> bool {
        self.broke.is_some_and(|broke| broke <= self.rounded(self.bounds.start))
    }

    fn rounded(&self, load: f64) -> f64 {
        let load = load.clamp(self.bounds.start, self.bounds.ceiling);
        if self.bounds.whole { load.floor().max(1.0) } else { load }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs a search against a server that holds `short` for a short while and `long` for longer; how it ended, after how many loads.
    fn run(bounds: Bounds, short: f64, long: f64) -> (Found, u32) {
        let mut search = Search::new(bounds);
        for tried in 0..10_000 {
            match search.next() {
                Next::Done(found) => return (found, tried),
                Next::Try(load, phase) => {
                    assert!(load >= bounds.start.floor() && load <= bounds.ceiling, "{load} is out of bounds");
                    let bound = if matches!(phase, Phase::Hold | Phase::HoldBelow) { long } else { short };
                    search.learn(load, phase, load <= bound);
                }
            }
        }
        panic!("the search does not end");
    }

    const BOUNDS: Bounds = Bounds { start: 100.0, ceiling: 100_000.0, resolution: 0.05, whole: true };

    /// The smallest load breaks, the ceiling holds, and a limit between them is found within the resolution.
    #[test]
    fn the_three_ends() {
        assert_eq!(run(BOUNDS, 99.0, 99.0).0, Found::BelowSmallest(100.0));
        assert_eq!(run(BOUNDS, 1e6, 1e6).0, Found::Ceiling(100_000.0));
        let (found, tried) = run(BOUNDS, 12_345.0, 12_345.0);
        let Found::Limit { load, steady: true } = found else { panic!("{found:?}") };
        assert!((12_345.0 / 1.05..=12_345.0).contains(&load), "{load}");
        assert!(tried <= 8 + 4 + 2, "{tried} loads");
    }

    /// A load that holds only for a short while is not the limit: the holds take it down.
    #[test]
    fn holds_take_the_limit_down() {
        let (found, _) = run(BOUNDS, 12_000.0, 11_000.0);
        let Found::Limit { load, .. } = found else { panic!("{found:?}") };
        assert!(load <= 11_000.0 && load > 9_000.0, "{load}");
        assert!(matches!(run(BOUNDS, 12_000.0, 10.0).0, Found::Unsteady(_) | Found::BelowSmallest(_)));
    }

    proptest! {
        /// Whatever the bounds and the server, a search ends, and what it calls the limit held and is near.
        #[test]
        fn every_search_ends(
            start in 1.0..1e4_f64, factor in 1.0..1e4_f64, resolution in 0.001..0.5_f64, whole: bool, place in 0.0..2.0_f64,
        ) {
            let bounds = Bounds { start, ceiling: start * factor, resolution, whole };
            let limit = start * factor.powf(place);
            match run(bounds, limit, limit).0 {
                Found::Limit { load, steady } => {
                    prop_assert!(steady && load <= limit);
                    prop_assert!(limit / load <= 1.0 + resolution + 1e-9 || whole && limit - load <= 1.0 + load * resolution);
                }
                Found::Ceiling(load) => prop_assert!(load <= limit),
                Found::BelowSmallest(load) => prop_assert!(load.floor() > limit || load > limit),
                Found::Unsteady(load) => prop_assert!(false, "{} is not held", load),
            }
        }
    }
}
