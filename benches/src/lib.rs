//! The lab: compares servers under load on one box and says what the numbers support.
//!
//! Data flows one way: scenario and engines → plan (pure) → trial → rows in files → statistics → verdict → report.

pub mod calculator;
pub mod child;
pub mod climb;
pub mod cmd;
pub mod codec;
pub mod compare;
pub mod cost;
pub mod engines;
pub mod estimates;
pub mod failure;
pub mod flame;
pub mod host;
pub mod judge;
pub mod limit;
pub mod load;
pub mod observe;
pub mod plan;
pub mod recover;
pub mod report;
pub mod result;
pub mod saturation;
pub mod scale;
pub mod scenario;
pub mod servers;
pub mod session;
pub mod share;
pub mod sizes;
pub mod spread;
pub mod stats;
pub mod store;
pub mod target;
pub mod trial;
pub mod verdict;
