//! The lab: compares servers under load on one box and says what the numbers support.
//!
//! Data flows one way: scenario and engines → plan (pure) → trial → rows in files → statistics → verdict → report.

pub mod result;
