//! What was saturated first: counters of the server, the generator and the box, read while a trial runs, put to a table of rules.
//!
//! Data flows one way: `signals` (kernel files to named numbers) → `watch` (a thread that reads them, from before the
//! first connection on) → `verdict` (readings and the rules of `rules.toml` to ranked findings, pure). To add a resource:
//! a rule, and a signal if none shows it yet.
//!
//! Who calls: `lab limit`, around each of its loads. What it leaves to others: whether an objective was missed.

mod group;
mod process;
mod rules;
mod signals;
mod verdict;
mod watch;

pub use rules::{Rule, Rules, Side, Tier};
pub use signals::{NAMES, Signals, Subject};
pub use verdict::{Finding, Near, Verdict, judge};
pub use watch::{Reading, Record, Values, Watch};
