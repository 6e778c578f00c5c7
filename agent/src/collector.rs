//! What a collector is, and the table of all of them.
//!
//! To add one:
//!
//! 1. `src/collectors/NAME.rs` with the catalogue entries ([`crate::metrics!`]), a struct that implements
//!    [`Collector`], and `pub static SPEC: Spec`. Parsing goes to `hostfs`; the collector only maps structs to families.
//! 2. One `pub mod NAME;` line in `src/collectors/mod.rs` and one line in [`COLLECTORS`] below, both in alphabetical order.
//!
//! That gives it `--collector.NAME`, `--no-collector.NAME`, `?collect[]=NAME`, its success and duration samples, its
//! deadline, `explain` and its rows in the README. `src/collectors/loadavg.rs` is the shortest example.
//!
//! Every collector runs under the scrape's deadline (see [`crate::scrape`]): one that hangs keeps its thread and its
//! own samples, not the page. A collector never sees HTTP.

use crate::catalogue::Metric;
use crate::collectors::*;
use crate::exposition::Page;
use crate::flags::{Flag, Setup};

/// One source of samples. Kept between scrapes: open files, buffers and name caches live in it.
pub trait Collector: Send {
    /// Reads, and writes samples to its own part of the page.
    ///
    /// # Errors
    /// [`Failure::NoData`] when the host has nothing of the kind, [`Failure::Broken`] when a source could not be
    /// read or understood. What was written before the error stays on the page.
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure>;
}

/// Why a collector has no success to report.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The host has no such hardware or feature, or it is switched off. Not worth a warning.
    #[error("no data: {0}")]
    NoData(String),
    /// The same, because a file is missing. Not put into words until somebody wants to read them, since on most hosts a
    /// third of the collectors says this at each scrape.
    #[error("no data: {0}")]
    Missing(hostfs::Error),
    /// Something is wrong: the message names file and line.
    #[error("{0}")]
    Broken(String),
}

impl Failure {
    /// A failed reader: a missing file is [`Failure::Missing`], everything else [`Failure::Broken`].
    pub fn missing_is_no_data(error: hostfs::Error) -> Self {
        if error.is_not_found() { Self::Missing(error) } else { error.into() }
    }
}

mod from {
    use super::Failure;

    impl From<hostfs::Error> for Failure {
        fn from(error: hostfs::Error) -> Self {
            Self::Broken(error.to_string())
        }
    }
}

/// What a collector's module says about it.
#[derive(Debug)]
pub struct Spec {
    /// Its catalogue entries.
    pub metrics: &'static [&'static Metric],
    /// Its own flags, beside the switch that every collector has.
    pub flags: &'static [Flag],
    /// Makes it. Must not fail for what the host lacks (that is [`Failure::NoData`] at each scrape), only for
    /// flags that make no sense.
    pub build: fn(&Setup) -> anyhow::Result<Box<dyn Collector>>,
}

/// A line of the table.
#[derive(Debug)]
pub struct Entry {
    /// Name in flags, in `?collect[]=` and in the `collector` label.
    pub name: &'static str,
    /// Whether it runs unless switched off.
    pub default_on: bool,
    /// What it reads, for `--help` and the README.
    pub about: &'static str,
    /// The rest, from its module.
    pub spec: &'static Spec,
}

const fn on(name: &'static str, about: &'static str, spec: &'static Spec) -> Entry {
    Entry { name, default_on: true, about, spec }
}

#[allow(dead_code, reason = "collectors that are off by default come and go")]
const fn off(name: &'static str, about: &'static str, spec: &'static Spec) -> Entry {
    Entry { name, default_on: false, about, spec }
}

/// Every collector, in alphabetical order: name, whether on by default, what it reads. The defaults are node_exporter's.
#[rustfmt::skip]
pub static COLLECTORS: &[Entry] = &[
    on("agent", "what the agent itself costs", &agent::SPEC),
    on("arp", "neighbours per interface", &arp::SPEC),
    on("bcache", "block caches", &bcache::SPEC),
    on("bcachefs", "bcachefs file systems", &bcachefs::SPEC),
    on("bonding", "bonded interfaces", &bonding::SPEC),
    on("btrfs", "btrfs file systems", &btrfs::SPEC),
    off("buddyinfo", "fragmentation of free memory", &buddyinfo::SPEC),
    off("cgroups", "control groups by controller", &cgroups::SPEC),
    on("connections", "connected users per port and container, and how full the limits are", &connections::SPEC),
    on("conntrack", "the connection tracking table", &conntrack::SPEC),
    on("containers", "containers, under the names of cAdvisor", &containers::SPEC),
    on("cpu", "CPU time by mode", &cpu::SPEC),
    off("cpu_vulnerabilities", "hardware bugs and their mitigations", &cpu_vulnerabilities::SPEC),
    on("cpufreq", "clock rates and governors", &cpufreq::SPEC),
    on("diskstats", "I/O of block devices", &diskstats::SPEC),
    on("dmi", "what the firmware says about the machine", &dmi::SPEC),
    off("dmmultipath", "multipath devices", &dmmultipath::SPEC),
    off("drbd", "replicated block devices", &drbd::SPEC),
    on("edac", "memory errors", &edac::SPEC),
    on("entropy", "the random number generator", &entropy::SPEC),
    on("fibrechannel", "Fibre Channel ports", &fibrechannel::SPEC),
    on("filefd", "open files of the host", &filefd::SPEC),
    on("filesystem", "space and inodes of mounted file systems", &filesystem::SPEC),
    on("hwmon", "temperatures, fans and voltages", &hwmon::SPEC),
    on("infiniband", "InfiniBand ports", &infiniband::SPEC),
    off("interrupts", "interrupts by line and CPU", &interrupts::SPEC),
    on("io_uring", "io_uring instances by process and container", &io_uring::SPEC),
    on("ipvs", "the kernel's load balancer", &ipvs::SPEC),
    on("kernel_hung", "tasks that hung in the kernel", &kernel_hung::SPEC),
    off("ksmd", "merging of memory pages", &ksmd::SPEC),
    off("lnstat", "network caches", &lnstat::SPEC),
    on("loadavg", "load averages", &loadavg::SPEC),
    on("machine", "what the machine has, under the names of cAdvisor", &machine::SPEC),
    on("mdadm", "software RAID", &mdadm::SPEC),
    on("meminfo", "memory by use", &meminfo::SPEC),
    off("meminfo_numa", "memory by NUMA node", &meminfo_numa::SPEC),
    off("mountstats", "NFS mounts", &mountstats::SPEC),
    on("netclass", "what sysfs says about network interfaces", &netclass::SPEC),
    on("netdev", "traffic of network interfaces", &netdev::SPEC),
    on("netstat", "counters of IP, ICMP, TCP and UDP", &netstat::SPEC),
    on("nfs", "the NFS client", &nfs::SPEC),
    on("nfsd", "the NFS server", &nfsd::SPEC),
    on("nvme", "NVMe controllers", &nvme::SPEC),
    off("nvmesubsystem", "paths to NVMe subsystems", &nvmesubsystem::SPEC),
    on("os", "which system the host runs", &os::SPEC),
    off("pcidevice", "PCI devices", &pcidevice::SPEC),
    on("powersupplyclass", "batteries and chargers", &powersupplyclass::SPEC),
    on("pressure", "pressure stall information", &pressure::SPEC),
    off("processes", "processes and threads by state", &processes::SPEC),
    off("qdisc", "queueing disciplines of network interfaces", &qdisc::SPEC),
    on("rapl", "energy of the processor", &rapl::SPEC),
    on("schedstat", "what the scheduler did on each CPU", &schedstat::SPEC),
    on("selinux", "SELinux", &selinux::SPEC),
    off("slabinfo", "the kernel's object caches", &slabinfo::SPEC),
    on("sockstat", "sockets in use and their memory", &sockstat::SPEC),
    off("softirqs", "softirqs by kind and CPU", &softirqs::SPEC),
    on("softnet", "packets on their way into the stack", &softnet::SPEC),
    on("stat", "boot time, forks, interrupts, context switches", &stat::SPEC),
    off("swap", "swap areas", &swap::SPEC),
    off("sysctl", "kernel settings that are named by flags", &sysctl::SPEC),
    off("systemd", "units of systemd", &systemd::SPEC),
    on("tapestats", "tape drives", &tapestats::SPEC),
    off("tcpstat", "TCP connections by state", &tcpstat::SPEC),
    on("textfile", "metrics that batch jobs leave in files", &textfile::SPEC),
    on("thermal_zone", "thermal zones and cooling", &thermal_zone::SPEC),
    on("time", "the host's clock", &time::SPEC),
    on("timex", "how well the clock is disciplined", &timex::SPEC),
    off("tls", "connections that the kernel encrypts", &tls::SPEC),
    on("udp_queues", "bytes in the queues of UDP sockets", &udp_queues::SPEC),
    on("uname", "names and versions of the system", &uname::SPEC),
    on("vmstat", "paging, swapping and OOM kills", &vmstat::SPEC),
    on("watchdog", "watchdog timers", &watchdog::SPEC),
    off("wifi", "wireless interfaces and stations", &wifi::SPEC),
    off("xfrm", "packets that IPsec lost", &xfrm::SPEC),
    on("xfs", "XFS file systems", &xfs::SPEC),
    on("zfs", "ZFS", &zfs::SPEC),
    off("zoneinfo", "pages by memory zone", &zoneinfo::SPEC),
];

/// The collectors whose metrics come with cAdvisor's, for `/metrics/cadvisor`; `/metrics/node` has the others.
pub const CONTAINER_HALF: [&str; 4] = ["connections", "containers", "io_uring", "machine"];

/// The position of a collector in [`COLLECTORS`].
pub fn position(name: &str) -> Option<usize> {
    COLLECTORS.iter().position(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The half that `/metrics/cadvisor` shows is in the table.
    #[test]
    fn container_half_exists() {
        assert!(CONTAINER_HALF.iter().all(|name| position(name).is_some()));
    }

    /// The table is in order, without doubles.
    #[test]
    fn table_is_sorted() {
        assert!(COLLECTORS.iter().map(|entry| entry.name).is_sorted_by(|a, b| a < b));
    }
}
