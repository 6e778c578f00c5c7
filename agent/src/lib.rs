//! The host agent: kernel files to Prometheus text.
//!
//! Data goes one way, once per scrape: [`http`] asks [`scrape`], which runs every [`collector`] under a deadline;
//! each reads through the `hostfs` crate and writes families of its [`catalogue`] entries through [`exposition`].
//! Collectors never see HTTP, `hostfs` never sees Prometheus.

pub mod catalogue;
pub mod cli;
pub mod collector;
pub mod collectors;
pub mod containers;
pub mod cost;
pub mod descriptor_limit;
pub mod doctor;
pub mod explain;
pub mod exposition;
pub mod filter;
pub mod flags;
pub mod http;
pub mod readme;
pub mod scrape;
