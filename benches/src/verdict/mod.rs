//! From rows to what they support: calls for every engine, format and figure, and one sentence. Pure.
//!
//! # The rule
//! Two questions are asked of each figure, each with a chance of at most 2.5 % of any false claim when no
//! engine differs, so that one figure of one run claims something false in at most 5 % of runs:
//!
//! 1. *Does the engine differ over all formats?* Signed-rank test of the per-round ratios of all formats
//!    together, Holm-corrected over the engines. Five rounds of three formats are 15 pairs: p can be as small as 0.00006.
//!    With too few pairs for that (one format, five rounds: 0.06 at best), Fisher's combination of question 2's tests.
//! 2. *Does it differ in this format?* Five rounds give a Mann-Whitney test no less than 0.0079, which no
//!    correction over nine comparisons survives. So formats are looked at only for engines for which all
//!    formats together show something (Fisher's combination, which sees opposite differences too, Holm over the
//!    engines), and then corrected over the formats alone: three formats at five rounds are 0.0238.
//!
//! A claim also needs an interval without 1 and a ratio outside the noise band: half the width of the A/A pair's interval,
//! or the pair's ratio where that is farther from 1, to both sides. Everything else is "no evidence of a difference".
//! Holm's guarantee for question 2 is within
//! an engine once some other engine truly differs; the interval and the band make the real rate far smaller (see the
//! simulation in the tests). System calls are counted in one pass and are not sampled: no test, a plain ratio.

pub mod codec;
mod compare;
mod figure;
mod matrix;
mod sides;
mod steady;
mod words;

use serde::Serialize;

pub use codec::RAW;
pub use compare::judge;
pub(crate) use compare::{Rival, bands, judge_rivals};
pub use figure::Figure;
pub use matrix::{Cell, Engine, Matrix, Tally};
pub(crate) use sides::{Cell as SidesCell, OwnError, Sides};
pub use steady::{drift, unsteady};
pub use words::{detectable, percent, rounds_wanted, sentence, width};

/// Chance of any false claim per question and figure when nothing differs.
pub const ALPHA: f64 = 0.025;

/// What a run without evidence is asked to make detectable, as a ratio: the least that people usually care about.
pub const WANTED: f64 = 1.05;

/// What the numbers say about one comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// Less than the baseline, supported.
    Less,
    /// More than the baseline, supported.
    More,
    /// Nothing that the test, the interval and the noise band all support.
    NoEvidence,
    /// So few rounds count that no outcome could have been a claim.
    TooFew,
    /// Counted, not sampled: the ratio stands by itself.
    Counted,
    /// No round in which both sides count.
    Absent,
}

/// An engine against the baseline, in one figure, over all cells or in one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The engine.
    pub engine: String,
    /// Label of the cell; `None` over all of them.
    pub cell: Option<String>,
    /// Engine ÷ baseline.
    pub ratio: Option<f64>,
    /// The ratio's 95 % interval.
    pub interval: Option<[f64; 2]>,
    /// p-value after Holm's correction.
    pub p_adjusted: Option<f64>,
    /// Pairs (round and cell) in which both sides count.
    pub pairs: usize,
    /// The smallest true ratio above 1 that would have been claimed in four of five such runs; `None` where no claim was
    /// possible.
    pub detectable: Option<f64>,
    /// About how many rounds it takes to detect a difference of [`WANTED`]; `None` where no claim was possible or no number of rounds
    /// would do.
    pub rounds_to_detect: Option<usize>,
    /// What it comes to.
    pub call: Call,
    /// What kept it from being more, in words.
    pub note: Option<String>,
}

/// How far the A/A pair came out from itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Band {
    /// The second name.
    pub twin: String,
    /// The first name.
    pub original: String,
    /// Label of the cell; `None` over all of them.
    pub cell: Option<String>,
    /// Twin ÷ original.
    pub ratio: f64,
    /// The ratio's 95 % interval.
    pub interval: [f64; 2],
    /// The band is from 1 ÷ `factor` to `factor`: half the interval's width on the logarithm, at least the ratio's own distance from 1.
    pub factor: f64,
    /// Whether test and interval, without the band, would have claimed a difference: a false one.
    pub claims: bool,
}

/// One figure, all comparisons.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FigureVerdict {
    /// The figure.
    pub figure: Figure,
    /// Over all cells, one an engine.
    pub overall: Vec<Comparison>,
    /// Per cell, engines in order within cells in order.
    pub cells: Vec<Comparison>,
    /// The A/A pair: over all cells first, then each cell. Empty without a pair.
    pub bands: Vec<Band>,
}

impl FigureVerdict {
    /// The comparison of an engine, over all cells or in one.
    pub fn of(&self, engine: &str, cell: Option<&str>) -> Option<&Comparison> {
        let list = if cell.is_some() { &self.cells } else { &self.overall };
        list.iter().find(|comparison| comparison.engine == engine && comparison.cell.as_deref() == cell)
    }

    /// The noise band over all cells or in one.
    pub fn band(&self, cell: Option<&str>) -> Option<&Band> {
        self.bands.iter().find(|band| band.cell.as_deref() == cell)
    }

    /// Whether any comparison is a claim.
    pub fn claims(&self) -> bool {
        self.overall.iter().chain(&self.cells).any(|comparison| matches!(comparison.call, Call::Less | Call::More))
    }
}

/// All figures of a result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// What engines are compared with; `None` when there is no engine.
    pub baseline: Option<String>,
    /// The sentence that goes first.
    pub headline: String,
    /// In [`Figure::ALL`]'s order.
    pub figures: Vec<FigureVerdict>,
    /// What a reader must know before believing the rest: A/A pairs that differ, engines with too few rounds.
    pub notes: Vec<String>,
}

#[cfg(test)]
mod tests;
