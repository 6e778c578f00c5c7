//! Watches the machine while a trial runs: one process or a group of them, the whole box, and the box over time.
//!
//! Who calls: the trial, at the edges of its measured window, and `run`, which keeps one [`Timeline`] for the
//! whole run. What it leaves to others: when a window starts, and what makes a trial void.

pub mod cpu_clock;
mod group;
mod process;
mod syscalls;
mod timeline;
mod tracefs;
mod whole_box;

pub use group::{ControlGroup, GroupProbe, Members, descendants};
pub use process::{ProbeError, ProcessProbe, ProcessReading};
pub use syscalls::{SyscallCounter, Unavailable, probe as probe_syscalls};
pub use timeline::{INTERVAL, Sampler, Timeline};
pub use whole_box::{BoxDifference, BoxProbe, BoxReading};
