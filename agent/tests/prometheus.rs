//! Debian's Prometheus (package `prometheus`) scrapes the agent, and promtool checks its page.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use support::{Daemon, PATIENCE, free_port, get};

/// The value of an instant query that gives one series; `None` while there is none.
fn query(address: &str, expression: &str) -> Option<f64> {
    let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let (status, body) = get(address, &format!("/api/v1/query?query={encoded}"));
    assert_eq!(status, 200, "{body}");
    // {"status":"success","data":{"resultType":"vector","result":[{"metric":{…},"value":[TIME,"VALUE"]}]}}
    let (_, after) = body.split_once("\"value\":[")?;
    let value = after.split('"').nth(1).expect("a value is a string");
    Some(value.parse().expect("a number"))
}

/// Prometheus takes the page whole: the target is up, every sample of the scrape is stored, and what it stored is
/// what the kernel says.
#[test]
fn prometheus_scrapes_the_agent() {
    let agent = Daemon::agent(&[]);
    let dir = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let config = dir.path().join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: node\n  static_configs:\n\
         \x20 - targets: ['{}']\n",
        agent.address
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
        .arg(format!("--web.listen-address={address}"));
    let prometheus = Daemon::start(&mut command, &address, "Server is ready to receive web requests");

    let started = Instant::now();
    // Two scrapes, so that a rate can be taken; Prometheus says by itself when it has them.
    while query(&prometheus.address, "count_over_time(up{job=\"node\"}[1m]) >= 3").is_none() {
        assert!(started.elapsed() < PATIENCE, "no scrape within {PATIENCE:?}:\n{}", prometheus.log());
        std::thread::yield_now();
    }
    let value = |expression: &str| query(&prometheus.address, expression);
    assert_eq!(value("up"), Some(1.0), "{}", prometheus.log());
    let page = support::Metrics::parse(&agent.get("/metrics"));
    let stored = value("scrape_samples_post_metric_relabeling").unwrap();
    assert!((stored - page.samples.len() as f64).abs() < 50.0, "{stored} samples stored of {}", page.samples.len());
    for exact in ["node_memory_MemTotal_bytes", "node_boot_time_seconds", "node_filefd_maximum"] {
        assert_eq!(value(exact), Some(page.single(exact)), "{exact}");
    }
    let cpus = std::thread::available_parallelism().unwrap().get() as f64;
    assert!(value("count(node_cpu_seconds_total{mode=\"idle\"})").unwrap() >= cpus);
    let busy = value("sum(rate(node_cpu_seconds_total[1m]))").unwrap();
    assert!(busy > 0.0, "no CPU time passed");
    assert_eq!(value("count(node_scrape_collector_success{collector=\"cpu\"} == 1)"), Some(1.0));
}

/// promtool's complaints about names that node_exporter and cAdvisor chose: kept, because dashboards know them.
const KEPT: &[(&str, &str)] = &[
    ("node_entropy_", "bits, as node_exporter has it"),
    ("node_memory_", "the kernel's names of fields in capitals"),
    ("node_netstat_", "the kernel's names of fields in capitals"),
    ("node_sockstat_", "the kernel's names of fields in capitals"),
    ("node_timex_", "gauge or counter as node_exporter has it"),
    ("node_filesystem_", "as node_exporter has it"),
    ("node_network_", "as node_exporter has it"),
    ("node_disk_", "as node_exporter has it"),
    ("node_nf_conntrack_", "as node_exporter has it"),
    ("node_xfs_", "as node_exporter has it"),
    ("node_cooling_device_", "as node_exporter has it"),
    ("container_", "as cAdvisor has it"),
    ("machine_", "as cAdvisor has it"),
    ("cadvisor_", "as cAdvisor has it"),
];

/// `promtool check metrics` takes the page; each complaint is about a name that is kept for compatibility.
#[test]
fn promtool_takes_the_page() {
    let agent = Daemon::agent(&["--collector.processes", "--collector.tcpstat", "--collector.buddyinfo"]);
    let page = agent.get("/metrics");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool comes with the package prometheus");
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();
    // 3 is promtool's code for complaints; 1 would be a page that it cannot read.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{complaints}");
    let unexplained: Vec<&str> =
        complaints.lines().filter(|line| !KEPT.iter().any(|(prefix, _)| line.starts_with(prefix))).collect();
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
}
