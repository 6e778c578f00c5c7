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
mod middle;
mod random;
mod rank;

pub use bootstrap::{Estimate, Interval, RESAMPLES, expanded_tail, paired_ratio, ratio_of_medians};
pub use describe::{Spread, median, spread};
pub use middle::{Middle, middle};
pub use random::SplitMix64;
pub use rank::{fisher, holm, mann_whitney, mann_whitney_smallest_p, signed_rank, signed_rank_smallest_p};

#[cfg(test)]
mod tests;
