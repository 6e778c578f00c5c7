//! Types of scaling: what more instances of a service bring, and what stops them.
//!
//! *Linear*: each instance brings its own throughput. *Shared*: all of them queue for one resource, which gets slower the more it is asked
//! (a database). *External*: somebody else's limit, which no instance moves (a billing system that takes 500 requests a second). A scenario
//! says which it expects; [`measure`] runs 1, 2, … instances behind a stub of the dependency ([`dependency`]), [`crate::stats::scaling`]
//! fits the Universal Scalability Law, and [`kind`] says what it looks like.

pub mod dependency;
pub mod kind;
pub mod measure;
pub mod result;
pub mod scenario;
