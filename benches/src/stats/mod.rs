//! Statistics for few, interleaved rounds. Pure: numbers in, numbers out, the same for the same seed.
//!
//! [`crate::verdict`] uses them. Nothing here knows engines, rows or files.
//!
//! # The estimator
//! Every round runs every engine once, so a slow spell of the box hits both sides of a comparison. The
//! estimator is therefore the **median over rounds of engine ÷ baseline within the round**. Simulated with a
//! random walk between rounds, Student-t (3 degrees) noise, 5 % slow trials and 8 % slow rounds (20,000 runs of
//! each size, no true difference), its root-mean-square error in percent, against the alternatives:
//!
//! | rounds | median of ratios | Hodges-Lehmann | ratio of medians | geometric mean |
//! |-------:|-----------------:|---------------:|-----------------:|---------------:|
//! |      5 |              2.6 |            3.8 |              4.2 |            5.7 |
//! |     10 |              1.6 |            1.8 |              2.1 |            4.0 |
//! |     20 |              1.1 |            1.1 |              1.5 |            2.8 |
//!
//! Over several formats the estimate is the geometric mean of the formats' medians: formats are fixed, not
//! drawn, and may truly differ.
//!
//! # The interval
//! Rounds are drawn with replacement, all formats of a round together, since they share the round's noise
//! ([`paired_ratio`]). Plain percentile intervals of a median are too narrow for seven rounds (87 % instead of
//! 95 % in the simulation above); [`expanded_tail`] widens them, which at five rounds gives the smallest and
//! the largest ratio seen: 94 % by counting signs.

mod bootstrap;
mod describe;
mod level;
mod middle;
mod power;
mod random;
mod rank;
pub mod scaling;
mod student;
mod trend;

pub use bootstrap::{Estimate, Interval, RESAMPLES, expanded_tail, paired_ratio, unpaired_ratio};
pub use describe::{Spread, median, spread};
pub use level::{LevelChange, level_change};
pub use middle::{Middle, middle};
pub use power::{detectable_ratio, units_to_detect};
pub use random::SplitMix64;
pub use rank::{fisher, holm, mann_whitney, mann_whitney_smallest_p, signed_rank, signed_rank_smallest_p};
pub use student::{student_below, student_quantile};
pub use trend::{Trend, mann_kendall, sen_slope, trend};

#[cfg(test)]
mod tests;

#[cfg(test)]
mod reference;
