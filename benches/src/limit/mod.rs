//! `lab limit`: how much a server takes before it breaks an objective, why it breaks there, and how sure that is.
//!
//! Data flows one way: objectives ([`slo`]) and an axis ([`axis`]) → the next load ([`search`], pure) → a trial, watched by
//! [`crate::saturation`] → what it says ([`step`], pure) → the limit of several rounds ([`result`], pure) → `limits.jsonl`,
//! metrics ([`export`]), report. [`session`] is the only part that runs anything.

pub mod axis;
pub mod export;
mod live;
pub mod result;
pub mod search;
pub mod session;
pub mod slo;
pub mod step;
pub(crate) mod table;

pub use axis::Axis;
