//! Text of `/proc`, `/sys` and cgroups to structs.
//!
//! Users: the agent's collectors and the lab's host observer. Every reader takes [`Roots`], so that a
//! fixture tree or a host's file systems mounted elsewhere read the same way. Nothing here knows
//! Prometheus, Docker, async or logging; a reader returns a value or an [`Error`] that names file and line.

pub mod address;
pub mod attributes;
pub mod bcache;
pub mod bcachefs;
pub mod bonding;
pub mod btrfs;
pub mod cgroup;
pub mod cgroup_summary;
pub mod cpu_clock;
pub mod cpu_list;
pub mod cpuinfo;
pub mod diskstats;
pub mod dmi;
pub mod drbd;
pub mod edac;
mod error;
pub mod fibrechannel;
pub mod hwmon;
pub mod infiniband;
pub mod ipvs;
pub mod ksm;
pub mod link;
pub mod lnstat;
pub mod loadavg;
pub mod md;
pub mod meminfo;
pub mod mounts;
pub mod mountstats;
pub mod multipath;
pub mod net_dev;
mod netlink;
pub mod netstat;
pub mod nfs;
pub mod nvme;
pub mod os_release;
pub mod pci;
pub mod per_cpu;
pub mod power_supply;
pub mod powercap;
pub mod pressure;
pub mod process;
pub mod processes;
pub mod qdisc;
mod roots;
pub mod scsi_tape;
pub mod sock_diag;
pub mod sockstat;
mod source;
pub mod stat;
pub mod swaps;
pub mod tables;
pub mod text;
pub mod thermal;
pub mod timex;
pub mod tree_size;
pub mod uring;
pub mod vmstat;
pub mod watchdog;
pub mod wireless;
pub mod zfs;
pub mod zoneinfo;

pub use error::Error;
pub use roots::{Roots, read_into};
pub use source::Source;

/// What every reader returns.
pub type Result<T> = std::result::Result<T, Error>;
