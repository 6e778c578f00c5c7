//! Text of `/proc`, `/sys` and cgroups to structs.
//!
//! Users: the agent's collectors and the lab's host observer. Every reader takes [`Roots`], so that a
//! fixture tree or a host's file systems mounted elsewhere read the same way. Nothing here knows
//! Prometheus, Docker, async or logging; a reader returns a value or an [`Error`] that names file and line.

pub mod cgroup;
mod error;
pub mod loadavg;
pub mod meminfo;
pub mod netstat;
pub mod sockstat;
pub mod stat;
pub mod process;
pub mod processes;
mod roots;
pub mod sock_diag;
mod source;
pub mod text;
pub mod uring;

pub use error::Error;
pub use roots::{Roots, read_into};
pub use source::Source;

/// What every reader returns.
pub type Result<T> = std::result::Result<T, Error>;
