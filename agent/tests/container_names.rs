//! How many of cAdvisor's names there are: each is in the catalogue or has its reason here, and each that is there was
//! seen, on this host or on the page of a fixture tree.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::collections::BTreeSet;
use std::process::Command;

/// Names that are left out, with the reason; agent/CONTAINERS.md has them too. A name that ends in `*` stands for all that
/// start so.
const LEFT_OUT: &[(&str, &str)] = &[
    ("container_cpu_load_average_10s", "off in cAdvisor by default: a netlink question per container and second"),
    ("container_cpu_load_d_average_10s", "as container_cpu_load_average_10s"),
    ("container_cpu_schedstat_*", "sums over processes, which fall when one ends and are no counters"),
    ("container_tasks_state", "as container_cpu_load_average_10s; node_processes_state has the host's"),
    ("container_llc_occupancy_bytes", "needs resctrl groups that the agent would have to make"),
    ("container_memory_bandwidth_*", "as container_llc_occupancy_bytes"),
    ("container_network_advance_tcp_stats_total", "off in cAdvisor by default: a hundred series per container"),
    ("container_network_udp*", "off in cAdvisor by default; node_sockstat_UDP_inuse has the host's"),
    ("container_perf_*", "needs a PMU and descriptors per container, event and CPU"),
    ("container_referenced_bytes", "clears the page tables' bits, which slows the container down"),
    ("machine_cpu_books", "s390 only"),
    ("machine_cpu_drawers", "s390 only"),
    ("machine_dimm_*", "needs the driver of a memory controller; node_edac_* has its errors"),
    ("machine_nvm_*", "persistent memory, which is no longer made"),
];

/// Names that need more than files: seen in the tests that are named.
const ELSEWHERE: &[(&str, &str)] = &[
    ("container_health_state", "docker.rs: a health check"),
    ("container_creation_time_seconds", "docker.rs: Docker's own word"),
    ("container_fs_usage_bytes", "docker.rs: an overlay's layer"),
    ("container_fs_limit_bytes", "docker.rs: the file system of a container's root"),
    ("container_fs_inodes_total", "docker.rs: as container_fs_limit_bytes"),
    ("container_fs_inodes_free", "docker.rs: as container_fs_limit_bytes"),
    ("container_network_tcp_usage_total", "docker.rs: a container that listens"),
    ("container_network_tcp6_usage_total", "docker.rs: a container that listens"),
];

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

/// Names of the samples of a page.
fn names(page: &str) -> BTreeSet<String> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}

#[test]
fn covered() {
    let output = Command::new(env!("CARGO_BIN_EXE_highload-agent"))
        .args([
            "once",
            "--collector.containers.numa",
            "--collector.containers.hugetlb",
            "--collector.containers.tcp-states",
        ])
        .output()
        .unwrap();
    let live = names(&String::from_utf8(output.stdout).unwrap());
    let v2 = names(include_str!("fixtures/containers/v2-systemd.prom"));
    let v1 = names(include_str!("fixtures/containers/v1-cfq.prom"));
    for tier in ["P1", "P2"] {
        let listed: Vec<&str> = include_str!("container-names.txt")
            .lines()
            .filter_map(|line| line.strip_prefix(tier))
            .map(str::trim)
            .collect();
        assert!(listed.len() > 50, "{tier}: {}", listed.len());
        let (known, left): (Vec<&str>, Vec<&str>) =
            listed.iter().partition(|name| highload_agent::catalogue::find(name).is_some());
        for name in &left {
            assert!(LEFT_OUT.iter().any(|(pattern, _)| matches(pattern, name)), "{name} is missing without a reason");
        }
        for (pattern, _) in LEFT_OUT {
            assert!(!known.iter().any(|name| matches(pattern, name)), "{pattern} is there and needs no reason");
        }
        let here: Vec<&str> = known.iter().copied().filter(|name| live.contains(*name)).collect();
        println!(
            "{tier}: {} of {} names, {} of them on this host at rest; left out: {}",
            known.len(),
            listed.len(),
            here.len(),
            left.join(" ")
        );
        for name in known.iter().filter(|name| !live.contains(**name)) {
            let proof = [(v2.contains(*name), "v2-systemd.tree"), (v1.contains(*name), "v1-cfq.tree")];
            let proof: Vec<&str> = proof
                .iter()
                .filter_map(|(seen, place)| seen.then_some(*place))
                .chain(ELSEWHERE.iter().filter(|(known, _)| known == name).map(|(_, place)| *place))
                .collect();
            println!("  {name}: {}", proof.join(", "));
            assert!(!proof.is_empty(), "{name} was seen nowhere");
        }
    }
}
