//! `machine`: the `machine_*` metrics of cAdvisor: what the host has.
//!
//! Read at the first scrape and every few minutes after it, since hardware seldom changes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use hostfs::Roots;
use hostfs::text::{fields, lines, parse_u64, trim};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Page, Rendered};
use crate::flags::Setup;

crate::metrics! {
    CORES = gauge("machine_cpu_cores").labels(OF).help("Logical CPUs.").source("/sys/devices/system/cpu").answers("How many CPUs may be used?");
    PHYSICAL = gauge("machine_cpu_physical_cores").labels(OF).help("Physical CPU cores.").source("/sys/devices/system/cpu/cpu*/topology").answers("How many cores are behind the CPUs?");
    SOCKETS = gauge("machine_cpu_sockets").labels(OF).help("CPU sockets.").source("/sys/devices/system/cpu/cpu*/topology").answers("How many sockets has the board?");
    CACHE = gauge("machine_cpu_cache_capacity_bytes").labels(&["boot_id", "machine_id", "system_uuid", "core_id", "level", "node_id", "type"]).unit("bytes").help("Capacity of a core's caches; core_id is empty for those that a node shares.").source("/sys/devices/system/cpu/cpu*/cache").answers("How much cache has a core?");
    SIBLINGS = gauge("machine_thread_siblings_count").labels(&["boot_id", "machine_id", "system_uuid", "core_id", "node_id", "thread_id"]).help("CPUs that share a core.").source("/sys/devices/system/cpu/cpu*/topology").answers("Is this CPU half a core?");
    MEMORY = gauge("machine_memory_bytes").labels(OF).unit("bytes").help("Memory of the machine.").source("/proc/meminfo").answers("How much memory has the machine?");
    SWAP = gauge("machine_swap_bytes").labels(OF).unit("bytes").help("Swap of the machine.").source("/proc/meminfo").answers("How much swap has the machine?");
    NODE_MEMORY = gauge("machine_node_memory_capacity_bytes").labels(&["boot_id", "machine_id", "system_uuid", "node_id"]).unit("bytes").help("Memory of a NUMA node.").source("/sys/devices/system/node").answers("Is memory spread evenly over the nodes?");
    NODE_HUGE_PAGES = gauge("machine_node_hugepages_count").labels(&["boot_id", "machine_id", "system_uuid", "node_id", "page_size"]).help("Huge pages of a NUMA node; page_size in kilobytes.").source("/sys/devices/system/node").answers("How many huge pages has the node?");
    NODE_DISTANCE = gauge("machine_node_distance").labels(&["boot_id", "machine_id", "system_uuid", "node_id", "target_node_id"]).help("Distance between NUMA nodes; 10 is local.").source("/sys/devices/system/node").answers("How far is the other node's memory?");
    ERROR = gauge("machine_scrape_error").help("1 when CPUs or memory could not be read.").source("/proc, /sys").answers("Is anything missing from the machine metrics?");
    VERSION = gauge("cadvisor_version_info").labels(&["cadvisorRevision", "cadvisorVersion", "dockerVersion", "kernelVersion", "osVersion"]).help("1; versions of kernel and distribution. The version is this agent's, under the name that dashboards ask for.").source("uname, /etc/os-release").answers("What runs on this machine?");
}

const OF: &[&str] = &["boot_id", "machine_id", "system_uuid"];

/// How long a reading is used.
const KEEP: Duration = Duration::from_secs(300);

/// Most CPUs and nodes that are looked at.
const LIMIT: usize = 4096;

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Machine {
    roots: Roots,
    read: Option<(Instant, Reading)>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Machine { roots: setup.roots.clone(), read: None }))
}

#[derive(Default)]
struct Cpu {
    number: String,
    core: String,
    package: String,
    node: String,
    siblings: u64,
    /// Level, kind, bytes, whether other cores share it.
    caches: Vec<(String, &'static str, u64, bool)>,
}

#[derive(Default)]
struct Node {
    number: String,
    memory: Option<u64>,
    huge_pages: Vec<(String, u64)>,
    distances: Vec<u64>,
}

struct Reading {
    base: Rendered,
    cpus: Vec<Cpu>,
    nodes: Vec<Node>,
    memory: Option<u64>,
    swap: Option<u64>,
    kernel: String,
    os: String,
}

impl Collector for Machine {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        if self.read.as_ref().is_none_or(|(at, _)| at.elapsed() > KEEP) {
            self.read = Some((Instant::now(), read(&self.roots)));
        }
        let Some((_, machine)) = &self.read else { return Ok(()) };
        write(page, machine);
        Ok(())
    }
}

fn write(page: &mut Page, machine: &Reading) {
    let base = &machine.base;
    if !machine.cpus.is_empty() {
        page.family(&CORES).sample_of(base, &[], machine.cpus.len() as u64);
        let cores: BTreeSet<_> = machine.cpus.iter().map(|cpu| (&cpu.package, &cpu.core)).collect();
        page.family(&PHYSICAL).sample_of(base, &[], cores.len() as u64);
        let packages: BTreeSet<_> = machine.cpus.iter().map(|cpu| &cpu.package).collect();
        page.family(&SOCKETS).sample_of(base, &[], packages.len() as u64);
    }
    write_cpus(page, machine);
    for (metric, value) in [(&MEMORY, machine.memory), (&SWAP, machine.swap)] {
        if let Some(value) = value {
            page.family(metric).sample_of(base, &[], value);
        }
    }
    write_nodes(page, machine);
    page.single(&ERROR, machine.cpus.is_empty() || machine.memory.is_none());
    page.family(&VERSION).sample(
        &[
            ("cadvisorRevision", b""),
            ("cadvisorVersion", concat!("highload-agent ", env!("CARGO_PKG_VERSION")).as_bytes()),
            ("dockerVersion", b""),
            ("kernelVersion", machine.kernel.as_bytes()),
            ("osVersion", machine.os.as_bytes()),
        ],
        1u64,
    );
}

fn write_cpus(page: &mut Page, machine: &Reading) {
    let mut family = page.family(&CACHE);
    let mut seen = BTreeSet::new();
    for cpu in &machine.cpus {
        for (level, kind, bytes, shared) in &cpu.caches {
            let core = if *shared { "" } else { &cpu.core };
            if seen.insert((&cpu.node, core.to_owned(), level, *kind)) {
                let labels = [
                    ("core_id", core.as_bytes()),
                    ("level", level.as_bytes()),
                    ("node_id", cpu.node.as_bytes()),
                    ("type", kind.as_bytes()),
                ];
                family.sample_of(&machine.base, &labels, *bytes);
            }
        }
    }
    let mut family = page.family(&SIBLINGS);
    for cpu in &machine.cpus {
        let labels =
            [("core_id", cpu.core.as_bytes()), ("node_id", cpu.node.as_bytes()), ("thread_id", cpu.number.as_bytes())];
        family.sample_of(&machine.base, &labels, cpu.siblings);
    }
}

fn write_nodes(page: &mut Page, machine: &Reading) {
    let mut family = page.family(&NODE_MEMORY);
    for node in &machine.nodes {
        if let Some(bytes) = node.memory {
            family.sample_of(&machine.base, &[("node_id", node.number.as_bytes())], bytes);
        }
    }
    let mut family = page.family(&NODE_HUGE_PAGES);
    for node in &machine.nodes {
        for (size, count) in &node.huge_pages {
            let labels = [("node_id", node.number.as_bytes()), ("page_size", size.as_bytes())];
            family.sample_of(&machine.base, &labels, *count);
        }
    }
    let mut family = page.family(&NODE_DISTANCE);
    for node in &machine.nodes {
        // The file lists distances in order of the nodes that are online.
        for (target, distance) in machine.nodes.iter().zip(&node.distances) {
            let labels = [("node_id", node.number.as_bytes()), ("target_node_id", target.number.as_bytes())];
            family.sample_of(&machine.base, &labels, *distance);
        }
    }
}

fn read(roots: &Roots) -> Reading {
    let mut base = Rendered::default();
    base.push("boot_id", word(&roots.proc("sys/kernel/random/boot_id")).as_bytes());
    base.push("machine_id", word(&roots.rootfs.join("etc/machine-id")).as_bytes());
    base.push("system_uuid", word(&roots.sys("class/dmi/id/product_uuid")).as_bytes());
    let meminfo = bytes(&roots.proc("meminfo"));
    let kilobytes = |key: &[u8]| {
        let mut line = lines(&meminfo).map(fields).find_map(|mut line| (line.next()? == key).then_some(line))?;
        line.u64().map(|value| value.saturating_mul(1024))
    };
    let release = bytes(&roots.rootfs.join("etc/os-release"));
    let pretty = lines(&release).find_map(|line| line.strip_prefix(b"PRETTY_NAME="));
    Reading {
        base,
        cpus: numbered(&roots.sys("devices/system/cpu"), "cpu").iter().filter_map(|path| cpu(path)).collect(),
        nodes: numbered(&roots.sys("devices/system/node"), "node").iter().map(|path| node(path)).collect(),
        memory: kilobytes(b"MemTotal:"),
        swap: kilobytes(b"SwapTotal:"),
        kernel: word(&roots.proc("sys/kernel/osrelease")),
        os: pretty.map(|name| String::from_utf8_lossy(name).trim_matches('"').to_owned()).unwrap_or_default(),
    }
}

/// Directories `PREFIX0`, `PREFIX1`, … in order of number.
fn numbered(dir: &Path, prefix: &str) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut found: Vec<(u64, std::path::PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let number = parse_u64(entry.file_name().to_str()?.strip_prefix(prefix)?.as_bytes())?;
            Some((number, entry.path()))
        })
        .take(LIMIT)
        .collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// `None` for a CPU that is offline.
fn cpu(path: &Path) -> Option<Cpu> {
    if word(&path.join("online")) == "0" {
        return None;
    }
    let topology = |file: &str| word(&path.join("topology").join(file));
    let list = topology("thread_siblings_list");
    let nodes = numbered(path, "node");
    let number = |path: &Path, prefix: &str| {
        path.file_name().and_then(|name| name.to_str()?.strip_prefix(prefix)).unwrap_or("").to_owned()
    };
    let caches = numbered(&path.join("cache"), "index").iter().filter_map(|path| cache(path, &list)).collect();
    Some(Cpu {
        number: number(path, "cpu"),
        core: topology("core_id"),
        package: topology("physical_package_id"),
        node: nodes.first().map_or_else(|| "0".to_owned(), |node| number(node, "node")),
        siblings: count_list(&list).max(1),
        caches,
    })
}

fn cache(path: &Path, siblings: &str) -> Option<(String, &'static str, u64, bool)> {
    let size = word(&path.join("size"));
    let kilobytes = parse_u64(size.strip_suffix('K')?.as_bytes())?;
    let kind = match word(&path.join("type")).as_str() {
        "Data" => "Data",
        "Instruction" => "Instruction",
        _ => "Unified",
    };
    let shared = word(&path.join("shared_cpu_list")) != siblings;
    Some((word(&path.join("level")), kind, kilobytes.saturating_mul(1024), shared))
}

/// How many numbers a list such as `0-3,8` names.
fn count_list(list: &str) -> u64 {
    let part = |part: &str| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let (low, high) = (parse_u64(low.as_bytes())?, parse_u64(high.as_bytes())?);
        high.checked_sub(low)?.checked_add(1)
    };
    list.split(',').filter_map(part).fold(0, u64::saturating_add)
}

fn node(path: &Path) -> Node {
    let meminfo = bytes(&path.join("meminfo"));
    // "Node 0 MemTotal: 123 kB"
    let total = lines(&meminfo).find_map(|line| {
        let mut fields = fields(line).skip(2);
        (fields.next()? == b"MemTotal:").then(|| fields.next().and_then(parse_u64))?
    });
    let pages = fs::read_dir(path.join("hugepages")).into_iter().flatten().filter_map(Result::ok).filter_map(|entry| {
        let name = entry.file_name();
        let size = name.to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.to_owned();
        Some((size, parse_u64(word(&entry.path().join("nr_hugepages")).as_bytes())?))
    });
    Node {
        number: path.file_name().and_then(|name| name.to_str()?.strip_prefix("node")).unwrap_or("").to_owned(),
        memory: total.map(|kilobytes| kilobytes.saturating_mul(1024)),
        huge_pages: pages.collect(),
        distances: fields(trim(&bytes(&path.join("distance")))).filter_map(parse_u64).collect(),
    }
}

/// A small file's text; empty when it cannot be read.
fn bytes(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    if hostfs::read_into(path, &mut text, 1 << 20).is_err() {
        text.clear();
    }
    text
}

fn word(path: &Path) -> String {
    String::from_utf8_lossy(trim(&bytes(path))).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(count_list("0-3,8"), 5);
        assert_eq!(count_list("0"), 1);
        assert_eq!(count_list("3-1,x,"), 0);
        assert_eq!(count_list("0-18446744073709551615"), 0);
    }
}
