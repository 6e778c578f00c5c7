//! What the lab knows about the machine: its fingerprint for `host.json`, and whether it is fit for a run.
//!
//! Who calls: `run` writes the [`fingerprint()`] and asks [`preflight()`] before the first trial, `lab doctor`
//! shows every [`Check`]. What happens while a trial runs is [`crate::observe`]'s.

mod cgroup;
mod check;
mod checks;
mod files;
mod fingerprint;
mod limits;
mod machine;
mod preflight;
mod ring;

pub use check::{Check, Fix, Grade};
pub use checks::{CHECKS, DEMO_CONNECTIONS};
pub use files::Files;
pub use fingerprint::{compact_utc_now, fingerprint, fingerprint_of};
pub use limits::raise_fd_limit;
pub use machine::{Activity, Live, Machine};
pub use preflight::{Needs, Refusal, preflight, preflight_on};
pub use ring::Ring;

/// The command line, the program by its name: where it lies says nothing about the result.
pub fn command_line() -> Vec<String> {
    std::iter::once("lab".to_owned()).chain(std::env::args().skip(1)).collect()
}
