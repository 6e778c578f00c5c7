//! Codecs without connections: what there is to do with a message, and what that allocates.
//!
//! [`operations::TABLE`] names the work and [`operations::each`] makes it, once for all: criterion times it (`benches/codec.rs`),
//! [`census`] counts its allocations in a binary of its own, whose allocator no timed binary carries, and tests hold the counts.

pub mod allocator;
pub mod census;
pub mod operations;

pub use operations::Operation;
