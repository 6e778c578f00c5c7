//! The agent and Debian's node_exporter (package `prometheus-node-exporter`, 1.5.0) side by side on this host.
//!
//! Both run the same collectors with the same filters. Names, types, label sets and values are compared: a value of the
//! agent must equal node_exporter's, or lie between those of the scrapes right before and after it. Where the two
//! differ on purpose, [`DIFFERENCES`] says so with the reason; agent/README.md explains each. Nothing else may differ.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use support::{Daemon, Metrics, Series, free_port};

/// Flags for both.
const COMMON: &[&str] = &[
    "--collector.buddyinfo",
    "--collector.cpu.info",
    "--collector.cpu.info.flags-include=^(aes|avx.?)$",
    "--collector.cpu.info.bugs-include=^spectre",
    "--collector.interrupts",
    "--collector.ksmd",
    "--collector.meminfo_numa",
    "--collector.processes",
    "--collector.slabinfo",
    "--collector.stat.softirq",
    "--collector.sysctl",
    "--collector.sysctl.include=kernel.pid_max",
    "--collector.sysctl.include=net.ipv4.tcp_mem:min,pressure,max",
    "--collector.sysctl.include=net.ipv4.tcp_rmem",
    "--collector.sysctl.include-info=kernel.core_pattern",
    "--collector.tcpstat",
    "--collector.zoneinfo",
    // Debian's packages leave more out by default than the releases do.
    "--collector.diskstats.device-exclude=^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\\d+n\\d+p)\\d+$",
    "--collector.filesystem.mount-points-exclude=^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+)($|/)",
    "--collector.filesystem.fs-types-exclude=^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|\
     fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|\
     erofs|sysfs|tracefs)$",
    "--collector.netstat.fields=^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|\
     Icmp6?_(InMsgs|OutMsgs)|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts)|\
     Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|\
     Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$",
];

/// Families that are about the programs, not about the host, or that the other does not claim to have.
const NOT_COMPARED: &[&str] =
    &["go_", "process_", "promhttp_", "highload_", "container_", "machine_", "cadvisor_", "node_exporter_build_info"];

/// Who has something that the other has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Only the agent has the series.
    Agent,
    /// Only node_exporter 1.5.0 has it.
    NodeExporter,
    /// The agent's series has this label more; the rest is the same.
    Label(&'static str),
}

/// Every difference, with its reason. A name that ends in `*` stands for all that start so.
const DIFFERENCES: &[(&str, Side, &str)] = &[
    ("node_filesystem_*", Side::Label("device_error"), "a label since 1.6; it says why a mount cannot be asked"),
    ("node_network_info", Side::Label("adminstate"), "a label since 1.6"),
    ("node_disk_info", Side::Label("rotational"), "a label since 1.9"),
    ("node_filesystem_mount_info", Side::Agent, "since 1.9"),
    ("node_cpu_online", Side::Agent, "since 1.9"),
    ("node_kernel_hung_tasks_total", Side::Agent, "since 1.9"),
    ("node_softnet_backlog_len", Side::Agent, "since 1.6"),
    ("node_softnet_cpu_collision_total", Side::Agent, "since 1.6"),
    ("node_softnet_flow_limit_count_total", Side::Agent, "since 1.6"),
    ("node_softnet_received_rps_total", Side::Agent, "since 1.6"),
    ("node_cpu_frequency_hertz", Side::Agent, "since 1.6 from /proc/cpuinfo on hosts without cpufreq"),
    ("node_pressure_irq_stalled_seconds_total", Side::Agent, "since 1.9"),
    (
        "node_tcp_connection_states",
        Side::Agent,
        "states without sockets are 0 rather than not there, so that rates and alerts work",
    ),
    ("node_processes_*", Side::Agent, "a state that no task is in is not there, and states change"),
    ("node_processes_*", Side::NodeExporter, "a state that no task is in is not there, and states change"),
    ("node_textfile_scrape_error", Side::Agent, "the directory of Debian's package is not the default of the releases"),
    ("node_scrape_collector_*", Side::Agent, "the agent has collectors that 1.5.0 has not"),
    ("node_scrape_collector_*", Side::NodeExporter, "1.5.0 has collectors that the agent has not"),
    ("node_drm_*", Side::Agent, "graphics cards"),
    ("node_swap_*", Side::Agent, "since 1.10"),
    ("node_watchdog_*", Side::Agent, "since 1.6"),
    ("node_network_*_total", Side::Label("ifalias"), "only with --collector.netdev.label-ifalias"),
];

/// Values that jump so fast on a busy host that two scrapes a few milliseconds apart do not bracket a third.
/// They are compared by name, type and labels, and by their values only where they hold still.
const RESTLESS: &[(&str, &str)] = &[
    ("node_buddyinfo_blocks", "blocks are split and joined at every allocation"),
    ("node_memory_*", "pages come and go with every process"),
    ("node_zoneinfo_*", "pages come and go with every process"),
    ("node_slabinfo_*", "objects come and go with every system call"),
    ("node_sockstat_*", "sockets of other tests"),
    ("node_tcp_connection_states", "sockets of other tests"),
    ("node_netstat_Tcp_CurrEstab", "sockets of other tests"),
    ("node_filefd_allocated", "files of other tests"),
    ("node_procs_*", "tasks of other tests"),
    ("node_processes_*", "tasks of other tests"),
    ("node_filesystem_*", "files of other tests"),
    ("node_disk_io_now", "I/O of other tests"),
    ("node_udp_queues", "datagrams of other tests"),
    ("node_load*", "computed every five seconds"),
    ("node_entropy_available_bits", "random numbers are drawn by every program"),
    ("node_scrape_collector_duration_seconds", "it is what differs"),
    ("node_nf_conntrack_entries", "connections of other tests"),
    ("node_softnet_backlog_len", "packets of other tests"),
];

/// Scrapes until every value has been equal or bracketed once; one more is needed when a value moved there and back.
const ROUNDS: usize = 12;

fn is_of(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((prefix, suffix)) => name.starts_with(prefix) && name.ends_with(suffix),
    }
}

fn scrape(daemon: &Daemon) -> Metrics {
    let mut metrics = Metrics::parse(&daemon.get("/metrics"));
    metrics.samples.retain(|series, _| !NOT_COMPARED.iter().any(|prefix| series.name.starts_with(prefix)));
    metrics
}

/// The agent's samples under the label sets that node_exporter 1.5.0 would give them.
fn without_new_labels(agent: &Metrics) -> BTreeMap<Series, f64> {
    let plain = |series: &Series| {
        DIFFERENCES.iter().fold(series.clone(), |series, (pattern, side, _)| match side {
            Side::Label(label) if is_of(pattern, &series.name) => series.without(label),
            _ => series,
        })
    };
    agent.samples.iter().map(|(series, value)| (plain(series), *value)).collect()
}

fn unexplained<'a>(series: impl Iterator<Item = &'a Series>, side: Side) -> Vec<String> {
    let explained =
        |series: &&Series| DIFFERENCES.iter().any(|(pattern, known, _)| *known == side && is_of(pattern, &series.name));
    series.filter(|series| !explained(series)).map(ToString::to_string).collect()
}

/// The comparison; see the head of this file.
#[test]
fn same_samples() {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new("prometheus-node-exporter");
    command.arg(format!("--web.listen-address={address}")).args(COMMON).arg("--collector.netdev.device-exclude=");
    let theirs = Daemon::start(&mut command, &address, "Listening on");
    let ours = Daemon::agent(COMMON);

    // The first scrape of each opens files and warms caches.
    scrape(&theirs);
    scrape(&ours);
    let (mut equal, mut bracketed, mut compared) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut before = scrape(&theirs);
    for round in 0..ROUNDS {
        let agent = scrape(&ours);
        let after = scrape(&theirs);
        let samples = without_new_labels(&agent);
        if round == 0 {
            let types = after.types.iter().filter_map(|(name, kind)| Some((name, kind, agent.types.get(name)?)));
            let wrong: Vec<_> = types.filter(|(_, theirs, ours)| theirs != ours).collect();
            assert!(wrong.is_empty(), "types differ: {wrong:?}");
        }
        for (series, value) in &samples {
            let Some((earlier, later)) = before.samples.get(series).zip(after.samples.get(series)) else { continue };
            compared.insert(series.clone());
            if value == earlier || value == later {
                equal.insert(series.clone());
            } else if (earlier.min(*later)..=earlier.max(*later)).contains(value) {
                bracketed.insert(series.clone());
            }
        }
        if round == ROUNDS - 1 {
            // Series that were in both of node_exporter's scrapes, or in the agent's and neither of them.
            let missing =
                before.samples.keys().filter(|key| after.samples.contains_key(key) && !samples.contains_key(key));
            let missing = unexplained(missing, Side::NodeExporter);
            assert!(missing.is_empty(), "the agent lacks:\n{}", missing.join("\n"));
            let extra =
                samples.keys().filter(|key| !before.samples.contains_key(key) && !after.samples.contains_key(key));
            let extra = unexplained(extra, Side::Agent);
            assert!(extra.is_empty(), "only the agent has:\n{}", extra.join("\n"));
        }
        before = after;
    }
    let off: Vec<&Series> =
        compared.iter().filter(|series| !equal.contains(series) && !bracketed.contains(series)).collect();
    let explained = |series: &&&Series| RESTLESS.iter().any(|(pattern, _)| is_of(pattern, &series.name));
    let (restless, wrong): (Vec<&Series>, Vec<&Series>) = off.iter().partition(|series| explained(series));
    let share = 100.0 * equal.len() as f64 / compared.len() as f64;
    println!(
        "{} series of both: {} equal ({share:.2} %), {} more between two scrapes, {} restless",
        compared.len(),
        equal.len(),
        bracketed.difference(&equal).count(),
        restless.len()
    );
    let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "values differ:\n{}", wrong.join("\n"));
    assert!(compared.len() > 400, "only {} series were compared", compared.len());
    assert!(share > 90.0, "only {share:.2} % equal");
}

/// How many of the names that dashboards and alerts use the agent can export, and how many it does on this host.
#[test]
fn coverage_of_dashboards() {
    let listed = include_str!("node-names.txt");
    let flags = ["--collector.interrupts", "--collector.processes", "--collector.tcpstat"];
    let ours = Daemon::agent(&flags);
    let live = scrape(&ours);
    let live: BTreeSet<&str> = live.samples.keys().map(|series| &series.name[..]).collect();
    let mut missing = Vec::new();
    for tier in ["P1", "P2"] {
        let names: Vec<&str> =
            listed.lines().filter_map(|line| line.strip_prefix(tier)).map(|line| line.trim()).collect();
        assert!(names.len() > 80, "{tier}: {}", names.len());
        let known = |name: &&&str| highload_agent::catalogue::find(name).is_some();
        let covered = names.iter().filter(known).count();
        let exported = names.iter().filter(|name| live.contains(**name)).count();
        println!("{tier}: {covered} of {} names in the catalogue, {exported} exported on this host", names.len());
        missing.extend(names.iter().filter(|name| !known(name)).copied());
    }
    assert!(missing.is_empty(), "not in the catalogue: {missing:?}");
}
