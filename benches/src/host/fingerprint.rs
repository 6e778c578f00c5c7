//! The machine's fingerprint: everything that two runs must share before their figures may be compared.
//!
//! sysinfo takes the hardware inventory; what a benchmark needs beyond it is read from its files. A fact that
//! cannot be read is "unknown", so that a missing line is never mistaken for a default. The host's name and
//! addresses are left out: results get published.

use std::io::{BufReader, Read};
use std::path::Path;

use procfs::{ConfigSetting, FromBufRead, KernelConfig};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use super::cgroup;
use super::files::{Files, field};
use super::machine::Machine;
use crate::result::{FactGroup, Fingerprint, SCHEMA};

/// Most that is read of a kernel's configuration, in bytes of text; distributions' are below 300 KiB.
const CONFIG_LIMIT: u64 = 4 << 20;

/// Options of the kernel's configuration that change what a request costs or how it is accounted.
const CONFIG_OPTIONS: [&str; 14] = [
    "PREEMPT_NONE",
    "PREEMPT_VOLUNTARY",
    "PREEMPT",
    "PREEMPT_LAZY",
    "PREEMPT_RT",
    "PREEMPT_DYNAMIC",
    "HZ",
    "NO_HZ_FULL",
    "TICK_CPU_ACCOUNTING",
    "VIRT_CPU_ACCOUNTING_GEN",
    "IRQ_TIME_ACCOUNTING",
    "CPU_MITIGATIONS",
    "IO_URING",
    "FTRACE_SYSCALLS",
];

/// Words of the kernel's command line that change figures; the rest may hold secrets and is left out.
const COMMAND_LINE_WORDS: [&str; 12] = [
    "mitigations",
    "isolcpus",
    "nohz_full",
    "rcu_nocbs",
    "idle",
    "processor.max_cstate",
    "intel_idle.max_cstate",
    "intel_pstate",
    "amd_pstate",
    "transparent_hugepage",
    "threadirqs",
    "preempt",
];

/// The fingerprint of this machine. `command` is the command line as typed, `profile` the Cargo profile of the servers.
pub fn fingerprint(command: Vec<String>, profile: &str) -> Fingerprint {
    fingerprint_of(&Machine::here(Path::new(".")), command, profile)
}

/// [`fingerprint`] of a machine that was looked at before. The hardware inventory is always this machine's.
pub fn fingerprint_of(machine: &Machine, command: Vec<String>, profile: &str) -> Fingerprint {
    let files = &machine.files;
    let kinds = RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing().with_frequency())
        .with_memory(MemoryRefreshKind::everything());
    let inventory = System::new_with_specifics(kinds).ok();
    let inventory = inventory.as_ref();
    Fingerprint {
        schema: SCHEMA,
        command,
        started: now(),
        commit: Some(env!("LAB_COMMIT").to_owned()).filter(|commit| !commit.is_empty()),
        profile: profile.to_owned(),
        groups: vec![
            cpu(files, inventory),
            memory(files, inventory),
            kernel(files),
            limits(files),
            network(files, machine.live.conntrack_on_loopback),
            io_uring(machine),
            versions(),
        ],
    }
}

/// The present in RFC 3339, UTC, whole seconds.
fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).map_or_else(|_| now.to_string(), |second| second.to_string())
}

/// The present as `20261122T012345Z`, for names of files and directories.
pub fn compact_utc_now() -> String {
    now().replace(['-', ':'], "")
}

/// Collects the facts of one group.
struct Facts(FactGroup);

impl Facts {
    fn of(name: &str) -> Self {
        Self(FactGroup { name: name.into(), facts: Vec::new() })
    }

    fn add(mut self, name: &str, value: impl Into<Option<String>>) -> Self {
        self.0.facts.push((name.into(), value.into().unwrap_or_else(|| "unknown".into())));
        self
    }

    /// A sysctl under its own dotted name.
    fn sysctl(self, files: &Files, path: &str) -> Self {
        self.add(&path.replace('/', "."), files.sysctl(path))
    }

    fn done(self) -> FactGroup {
        self.0
    }
}

fn cpu(files: &Files, inventory: Option<&System>) -> FactGroup {
    let processors = inventory.map(System::cpus);
    let first = processors.and_then(<[_]>::first);
    let mhz = first.map(sysinfo::Cpu::frequency).filter(|mhz| *mhz > 0);
    let cores = System::physical_core_count().ok();
    let frequency = "devices/system/cpu/cpu0/cpufreq";
    Facts::of("cpu")
        .add("model", first.map(|cpu| cpu.brand().trim().to_owned()).filter(|brand| !brand.is_empty()))
        .add("architecture", System::cpu_arch())
        .add("logical cores", processors.map(|all| all.len().to_string()))
        .add("physical cores", cores.map(|cores| cores.to_string()))
        .add("usable cores", files.field("self/status", "Cpus_allowed_list"))
        .add(
            "isolated cores",
            files.sys("devices/system/cpu/isolated").map(|list| if list.is_empty() { "none".into() } else { list }),
        )
        .add("MHz", mhz.map(|mhz| mhz.to_string()))
        .add("microcode", files.proc("cpuinfo").and_then(|text| field(&text, "microcode")))
        .add("frequency driver", files.sys(&format!("{frequency}/scaling_driver")).or_else(|| Some("none".into())))
        .add("frequency governor", files.sys(&format!("{frequency}/scaling_governor")).or_else(|| Some("none".into())))
        .add("idle driver", files.sys("devices/system/cpu/cpuidle/current_driver"))
        .add("idle governor", files.sys("devices/system/cpu/cpuidle/current_governor_ro"))
        .add("SMT active", files.sys("devices/system/cpu/smt/active"))
        .add("clock source", files.sys("devices/system/clocksource/clocksource0/current_clocksource"))
        .add("hypervisor", hypervisor(files))
        .add("vulnerabilities", vulnerabilities(files))
        .done()
}

/// The hypervisor's flag in `/proc/cpuinfo`, and whatever names it.
fn hypervisor(files: &Files) -> Option<String> {
    let flags = files.proc("cpuinfo").and_then(|text| field(&text, "flags").or_else(|| field(&text, "Features")))?;
    if !flags.split(' ').any(|flag| flag == "hypervisor") {
        return Some("none".into());
    }
    let vendor = files.sys("hypervisor/type").or_else(|| files.sys("class/dmi/id/sys_vendor"));
    Some(vendor.unwrap_or_else(|| "present, does not name itself".into()))
}

/// `name: state` of each vulnerability that the CPU has, sorted; those that it does not have are counted.
fn vulnerabilities(files: &Files) -> Option<String> {
    let directory = std::fs::read_dir(files.roots.sys("devices/system/cpu/vulnerabilities")).ok()?;
    let mut names: Vec<String> = directory.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    let states =
        names.iter().filter_map(|name| Some((name, files.sys(&format!("devices/system/cpu/vulnerabilities/{name}"))?)));
    let (unaffected, affected): (Vec<_>, Vec<_>) = states.partition(|(_, state)| state == "Not affected");
    let mut parts: Vec<String> = affected.into_iter().map(|(name, state)| format!("{name}: {state}")).collect();
    parts.push(format!("{} not affected", unaffected.len()));
    Some(parts.join("; "))
}

fn memory(files: &Files, inventory: Option<&System>) -> FactGroup {
    let mebibytes = |bytes: u64| format!("{} MiB", bytes >> 20);
    let nodes = std::fs::read_dir(files.roots.sys("devices/system/node")).ok().map(|entries| {
        entries.filter_map(Result::ok).filter(|entry| is_node(&entry.file_name().to_string_lossy())).count().to_string()
    });
    Facts::of("memory")
        .add("total", inventory.map(|all| mebibytes(all.total_memory())))
        .add("available at start", inventory.map(|all| mebibytes(all.available_memory())))
        .add("swap", inventory.map(|all| mebibytes(all.total_swap())))
        .sysctl(files, "vm/swappiness")
        .sysctl(files, "vm/overcommit_memory")
        .add("transparent huge pages", files.sys("kernel/mm/transparent_hugepage/enabled"))
        .add("NUMA nodes", nodes)
        .done()
}

fn is_node(name: &str) -> bool {
    name.strip_prefix("node")
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn kernel(files: &Files) -> FactGroup {
    let command_line = files.proc("cmdline").map(|text| {
        let known = |word: &&str| COMMAND_LINE_WORDS.contains(&word.split('=').next().unwrap_or_default());
        let words: Vec<&str> = text.split_whitespace().filter(known).collect();
        if words.is_empty() { "nothing that matters".to_owned() } else { words.join(" ") }
    });
    let mut facts = Facts::of("kernel")
        .add("release", files.sysctl("kernel/osrelease"))
        .add("build", files.sysctl("kernel/version"))
        .add("distribution", System::long_os_version().ok())
        .add("command line", command_line)
        .add("security modules", files.sys("kernel/security/lsm"))
        .sysctl(files, "kernel/sched_autogroup_enabled")
        .sysctl(files, "kernel/perf_event_paranoid")
        .sysctl(files, "kernel/nmi_watchdog");
    let config = kernel_config(files);
    for option in CONFIG_OPTIONS {
        let value = config.as_ref().map(|config| setting(config, option));
        facts = facts.add(&format!("CONFIG_{option}"), value);
    }
    facts.done()
}

fn setting(config: &KernelConfig, option: &str) -> String {
    match config.0.get(&format!("CONFIG_{option}")) {
        None => "n".into(),
        Some(ConfigSetting::Yes) => "y".into(),
        Some(ConfigSetting::Module) => "m".into(),
        Some(ConfigSetting::Value(value)) => value.clone(),
    }
}

/// From `/proc/config.gz` (CONFIG_IKCONFIG_PROC), else from where distributions install it.
fn kernel_config(files: &Files) -> Option<KernelConfig> {
    if let Ok(file) = std::fs::File::open(files.roots.proc("config.gz")) {
        let text = flate2::read::GzDecoder::new(file).take(CONFIG_LIMIT);
        return KernelConfig::from_buf_read(BufReader::new(text)).ok();
    }
    let release = files.sysctl("kernel/osrelease")?;
    let file = std::fs::File::open(files.roots.rootfs.join(format!("boot/config-{release}"))).ok()?;
    KernelConfig::from_buf_read(BufReader::new(file.take(CONFIG_LIMIT))).ok()
}

fn limits(files: &Files) -> FactGroup {
    let limit = |name: &str| {
        let text = |value: u64| if value == u64::MAX { "unlimited".into() } else { value.to_string() };
        files.limit(name).map(|(soft, hard)| format!("{} soft, {} hard", text(soft), text(hard)))
    };
    let group = cgroup::limits(files);
    Facts::of("limits")
        .add("RLIMIT_NOFILE", limit("Max open files"))
        .add("RLIMIT_MEMLOCK", limit("Max locked memory"))
        .add("RLIMIT_NPROC", limit("Max processes"))
        .sysctl(files, "fs/nr_open")
        .sysctl(files, "fs/file-max")
        .sysctl(files, "kernel/pid_max")
        .sysctl(files, "kernel/threads-max")
        .sysctl(files, "vm/max_map_count")
        .add("scheduling of the lab", scheduling())
        .add("cgroup version", group.version.to_owned())
        .add("cgroup CPU limit", group.cpus.map_or("none".into(), |cpus| format!("{cpus} CPUs")))
        .add("cgroup memory limit", group.memory_bytes.map_or("none".into(), |bytes| format!("{bytes} bytes")))
        .done()
}

/// The policy and priority that the lab was started with and that its servers and generators inherit (sched(7)): what
/// else runs on the box disturbs a real-time policy less.
fn scheduling() -> Option<String> {
    let stat = procfs::process::Process::myself().and_then(|process| process.stat()).ok()?;
    Some(match (stat.policy?, stat.rt_priority?) {
        (0, _) => format!("SCHED_OTHER, nice {}", stat.nice),
        (1, priority) => format!("SCHED_FIFO, priority {priority}"),
        (2, priority) => format!("SCHED_RR, priority {priority}"),
        (3, _) => format!("SCHED_BATCH, nice {}", stat.nice),
        (5, _) => "SCHED_IDLE".to_owned(),
        (policy, priority) => format!("policy {policy}, priority {priority}"),
    })
}

fn network(files: &Files, conntrack_on_loopback: Option<bool>) -> FactGroup {
    let hooked = match conntrack_on_loopback {
        Some(true) => "hooked",
        Some(false) => "loaded, not hooked",
        None => "not loaded",
    };
    let mut facts = Facts::of("network");
    for path in [
        "net/ipv4/tcp_congestion_control",
        "net/ipv4/tcp_available_congestion_control",
        "net/core/default_qdisc",
        "net/ipv4/tcp_mem",
        "net/ipv4/tcp_rmem",
        "net/ipv4/tcp_wmem",
        "net/core/somaxconn",
        "net/ipv4/tcp_max_syn_backlog",
        "net/core/netdev_max_backlog",
        "net/ipv4/ip_local_port_range",
        "net/ipv4/ip_local_reserved_ports",
        "net/ipv4/tcp_tw_reuse",
        "net/ipv4/tcp_max_tw_buckets",
        "net/ipv4/tcp_timestamps",
        "net/core/busy_poll",
        "net/netfilter/nf_conntrack_max",
        "net/netfilter/nf_conntrack_count",
    ] {
        facts = facts.sysctl(files, path);
    }
    facts.add("conntrack on loopback", hooked.to_owned()).add("lo MTU", files.sys("class/net/lo/mtu")).done()
}

fn io_uring(machine: &Machine) -> FactGroup {
    let facts = Facts::of("io_uring").sysctl(&machine.files, "kernel/io_uring_disabled");
    match &machine.live.ring {
        Ok(ring) => facts
            .add("features", ring.features.join(" "))
            .add("set-up flags", ring.setups.join(" "))
            .add("operations", ring.operations.join(" "))
            .add("missing operations", if ring.missing.is_empty() { "none".into() } else { ring.missing.join(" ") })
            .done(),
        Err(errno) => facts.add("blocked", super::ring::explain(&machine.files, *errno).0).done(),
    }
}

fn versions() -> FactGroup {
    let mut facts = Facts::of("versions")
        .add("lab", env!("CARGO_PKG_VERSION").to_owned())
        .add("rustc", env!("LAB_RUSTC").to_owned());
    for package in env!("LAB_CRATES").split(',').filter(|package| !package.is_empty()) {
        let (name, version) = package.split_once(' ').unwrap_or((package, "unknown"));
        facts = facts.add(name, version.to_owned());
    }
    facts.done()
}
