//! Control groups: which there are, whose they are, and what they used.
//!
//! Used by the agent's container metrics. Knows cgroup v1, v2 and both at once (hybrid), and how container
//! runtimes name their groups; knows no runtime's API. [`Layout`] finds the mounted hierarchies, [`Cgroups`]
//! keeps the set of groups over many walks, [`Reader`] fills one [`Sample`] per group.
//!
//! Cost rules, since this runs for hundreds of groups at every scrape: files are read into one buffer that is used
//! again, a file that a group does not have is not asked for twice, and as many as the caller allows stay open. The
//! others are opened relative to a kept descriptor of their hierarchy.
//!
//! Source: Documentation/admin-guide/cgroup-v1/*.rst, Documentation/admin-guide/cgroup-v2.rst, cgroups(7).

mod files;
mod identity;
mod io;
mod layout;
mod memory;
mod read;
mod walk;

pub use files::File;
pub use identity::{Identity, Runtime, classify};
pub use io::{Device, OPERATIONS, Operations};
pub use layout::{Controller, Hierarchy, Layout, Mode};
pub use memory::Memory;
pub use read::{Cpu, Detail, HugePages, Limit, Pressure, Reader, Sample, Stall};
pub use walk::{Cgroup, Cgroups, of_process};

/// Parses `text` as every file of this module, for fuzzing: whatever the bytes, it must return.
#[doc(hidden)]
pub fn fuzz_text(text: &[u8]) {
    let mut sample = Sample::default();
    read::fuzz(text, &mut sample);
    classify(&String::from_utf8_lossy(text));
}
