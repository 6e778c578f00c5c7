//! The lab: compares servers under load on one box and says what the numbers support.
//!
//! Data flows one way: scenario and engines → plan (pure) → trial → rows in files → statistics → verdict → report.

pub mod result;
pub mod stats;
pub mod child;
pub mod engines;
pub mod failure;
pub mod judge;
pub mod load;
pub mod plan;
pub mod scenario;
pub mod servers;
pub mod store;
