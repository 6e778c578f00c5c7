//! Known answers: what the load generator must say about a server whose behaviour is known.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod common;

use std::process::{Command, Stdio};
use std::time::Duration;

use common::{LAB, Server};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Length of the stall that is injected, in microseconds.
const STALL_US: f64 = 200_000.0;

/// Runs the generator with `args` and stops the server for 200 ms in the middle of the measured window.
fn load_with_stall(server: &Server, args: &[&str]) -> Value {
    let load = Command::new(LAB)
        .args(["load", &server.address, "--service", "echo", "--json", "--warmup", "0.2", "--duration", "3"])
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let pid = Pid::from_child(&server.process);
    kill_process(pid, Signal::STOP).unwrap();
    std::thread::sleep(Duration::from_micros(STALL_US as u64));
    kill_process(pid, Signal::CONT).unwrap();
    let output = load.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A stall of 200 ms shows in p99 and maximum of the open loop's response time. The requests that were due meanwhile
/// had not been sent, so the service time of all but the four that were in flight knows nothing of it, and neither
/// does a closed loop: that is why response time is the figure that counts.
#[test]
fn a_stall_shows_in_response_time_only() {
    let server = Server::start("none");
    let open = load_with_stall(&server, &["--rate", "1000", "--arrivals", "constant", "--connections", "4"]);
    let at = |run: &Value, kind: &str, figure: &str| run[kind][figure].as_f64().unwrap();
    // 200 of 3,000 requests were due in the stall, so 1 % waited for more than about 170 ms.
    assert!(at(&open, "response", "p99_us") > STALL_US / 2.0, "{open:#}");
    assert!(at(&open, "response", "max_us") > STALL_US * 0.95, "{open:#}");
    assert!(at(&open, "service_time", "p99_us") < at(&open, "response", "p99_us") / 4.0, "{open:#}");
    let closed = load_with_stall(&server, &["--closed", "--connections", "4"]);
    assert!(at(&closed, "response", "p99_us") < STALL_US / 10.0, "a closed loop hides the stall: {closed:#}");
    assert!(at(&closed, "response", "max_us") > STALL_US * 0.95, "{closed:#}");
}

/// A server that takes 10 ms for each request of its one connection answers 100 requests a second at most. At 110 it falls behind by a
/// little, and the last replies come after the window: all requests are completed, and what was achieved is what came in time.
#[test]
fn replies_that_come_late_are_not_achieved() {
    let server = Server::start("wait:10");
    let output = Command::new(LAB)
        .args(["load", &server.address, "--service", "echo", "--json", "--warmup", "0", "--duration", "1"])
        .args(["--rate", "110", "--arrivals", "constant", "--connections", "1"])
        .output()
        .unwrap();
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((run["completed"].as_u64(), &run["errors"]), (Some(110), &serde_json::json!({})), "{run:#}");
    let answered = run["answered"].as_u64().unwrap();
    assert!((1..=100).contains(&answered), "{run:#}");
    assert!((run["rate"].as_f64().unwrap() - answered as f64).abs() < 1e-6, "{run:#}");
    let slices = run["slices"].as_array().unwrap().iter();
    let (completed, answered_in_slices) = slices.fold((0, 0), |(completed, answered), slice| {
        (completed + slice["completed"].as_u64().unwrap(), answered + slice["answered"].as_u64().unwrap())
    });
    assert_eq!((completed, answered_in_slices), (110, answered), "{run:#}");
}

/// Pipelined requests over several threads are all answered and counted once.
#[test]
fn pipelining_and_threads_lose_nothing() {
    let server = Server::start("none");
    let cpus = lab::plan::Cpus::allowed().unwrap();
    let cpus = format!("{},{}", cpus[0], cpus[cpus.len() - 1]);
    let output = Command::new(LAB)
        .args([
            "load",
            &server.address,
            "--service",
            "echo",
            "--json",
            "--warmup",
            "0",
            "--duration",
            "1",
            "--in-flight",
            "8",
        ])
        .args(["--connections", "7", "--rate", "3000", "--cpus", &cpus, "--payload-bytes", "9000"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(run["errors"], serde_json::json!({}), "{run:#}");
    assert_eq!(run["alive"], 7);
    assert_eq!(run["completed"], run["sent"], "no warm-up, so every request sent was in the window: {run:#}");
    assert_eq!(run["response"]["count"], run["completed"]);
    assert!(run["sent"].as_u64().unwrap() > 2_000, "{run:#}");
}

/// A server that goes away mid-run is an error by kind, an early end and exit code 1.
#[test]
fn a_lost_server_is_counted() {
    let server = Server::start("die:200");
    let output = Command::new(LAB)
        .args([
            "load",
            &server.address,
            "--service",
            "echo",
            "--json",
            "--rate",
            "1000",
            "--connections",
            "5",
            "--duration",
            "2",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(run["alive"], 0, "{run:#}");
    assert!(run["ended_early"].as_str().unwrap().contains("closed all 5 connections"), "{run:#}");
}

/// `--requests` bounds a run.
#[test]
fn requests_are_bounded() {
    let server = Server::start("none");
    let output = Command::new(LAB)
        .args([
            "load",
            &server.address,
            "--service",
            "echo",
            "--json",
            "--closed",
            "--connections",
            "3",
            "--requests",
            "500",
        ])
        .args(["--warmup", "0", "--duration", "60"])
        .output()
        .unwrap();
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(run["sent"].as_u64().unwrap() < 1_500, "{run:#}");
}
