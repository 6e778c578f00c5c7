//! The container half without any right: what may be seen is on the page, and each gap is named.
//!
//! Needs root, to become nobody.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

/// The user that owns nothing.
const NOBODY: u32 = 65_534;

/// The agent with these arguments as a user without any right, in a directory without an engine's socket.
fn as_nobody(arguments: &[&str]) -> Output {
    // One at a time: a child that another test starts while the binary is copied holds it open for writing, and a file
    // that is open for writing cannot be run (ETXTBSY).
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(rustix::process::geteuid().is_root(), "this test becomes nobody, which needs root");
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    // The build directory may be closed to others.
    let binary = dir.path().join("highload-agent");
    std::fs::copy(env!("CARGO_BIN_EXE_highload-agent"), &binary).unwrap();
    let missing = format!("--collector.containers.engine=docker={}/none.sock", dir.path().display());
    Command::new(&binary).args(arguments).arg(&missing).uid(NOBODY).gid(NOBODY).output().unwrap()
}

/// The collectors of containers, users and rings.
const COLLECTORS: [&str; 5] = [
    "--collector.disable-defaults",
    "--collector.containers",
    "--collector.connections",
    "--collector.io_uring",
    "--collector.machine",
];

/// The page.
#[test]
fn every_gap_is_named() {
    let once = || {
        let output = as_nobody(&[&["once"][..], &COLLECTORS].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let whole = |page: &String| page.contains("highload_census_age") && page.contains("highload_container_runtime_up");
    // A page has a deadline, and on a busy box the first census may miss it.
    let page = std::iter::repeat_with(once).take(20).find(whole).expect("a whole page in twenty");
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

/// The doctor: a line for each gap with the right or the knob, the same as JSON, exit code 1; without a gap 0.
#[test]
fn doctor() {
    let output = as_nobody(&[&["doctor"][..], &COLLECTORS].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let gaps: Vec<&str> = text.lines().filter(|line| line.starts_with("gap")).collect();
    for part in ["CAP_SYS_PTRACE", "none.sock", "--collector.containers.engine"] {
        assert!(gaps.iter().any(|line| line.contains(part)), "{part}: {text}");
    }
    assert!(text.lines().last().unwrap().starts_with("sum"));

    let output = as_nobody(&[&["doctor", "--json"][..], &COLLECTORS].concat());
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let listed = report["gaps"].as_array().unwrap();
    assert!(listed.len() >= 2, "{report}");
    for gap in listed {
        for field in ["missing", "reason", "remedy"] {
            assert!(gap[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {gap}");
        }
        assert!(!gap["collectors"].as_array().unwrap().is_empty());
    }
    let output = as_nobody(&["doctor", "--collector.disable-defaults", "--collector.loadavg"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("0 gaps, 0 collectors with nothing to read here, 1 that work"), "{text}");
}
