//! The container half without any right: what may be seen is on the page, and each gap is named.
//!
//! Needs root, to become nobody.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The user that owns nothing.
const NOBODY: u32 = 65_534;

#[test]
fn every_gap_is_named() {
    assert!(rustix::process::geteuid().is_root(), "this test becomes nobody, which needs root");
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    // The build directory may be closed to others.
    let binary = dir.path().join("highload-agent");
    std::fs::copy(env!("CARGO_BIN_EXE_highload-agent"), &binary).unwrap();
    let missing = format!("--collector.containers.engine=docker={}/none.sock", dir.path().display());
    let output = Command::new(&binary)
        .args(["once", "--collector.disable-defaults", "--collector.containers", "--collector.connections"])
        .args(["--collector.io_uring", "--collector.machine", &missing])
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = String::from_utf8(output.stdout).unwrap();
    let value = |series: &str| {
        let line = page.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("no {series}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    // Root's processes, this test at least, hide their descriptors.
    assert!(value("highload_census_denied{what=\"descriptors\"") >= 1.0);
    assert_eq!(value("highload_io_uring_visible"), 0.0);
    assert_eq!(value("highload_container_runtime_up"), 0.0);
    assert_eq!(value("highload_census_failed"), 0.0);
    // And what needs no right is there.
    assert!(value("container_memory_usage_bytes") > 0.0 || value("container_memory_rss") > 0.0);
    assert!(value("container_network_receive_bytes_total{id=\"/\"") >= 0.0);
    assert!(value("highload_tcp_sockets{id=\"/\"") >= 1.0);
    assert!(value("machine_cpu_cores") >= 1.0);
    for collector in ["containers", "connections", "io_uring", "machine"] {
        assert_eq!(value(&format!("node_scrape_collector_success{{collector=\"{collector}\"}}")), 1.0, "{collector}");
    }
}
