//! `lab limit` end to end, against servers that break on purpose: what it finds, what it calls it, and how it ends.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod common;

use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use common::{LAB, Ran, Setup, eventually, processes_with};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// One search at a time: two would take the server's core from each other.
static STAGE: Mutex<()> = Mutex::new(());

/// `lab limit` of a faulty server, ready to be started; `flags` after the scenario.
fn limit(setup: &Setup, flags: &[&str]) -> Command {
    let mut command = Command::new(LAB);
    command
        .arg("limit")
        .arg(setup.folder.path().join("scenario.toml"))
        .arg("--engines")
        .arg(setup.folder.path().join("engines.toml"))
        .arg("--out")
        .arg(setup.out())
        .arg("--json")
        .args(flags)
        .stdin(Stdio::null());
    for default in [["--rounds", "1"], ["--resolution", "50"], ["--hold", "0.4"]] {
        if !flags.contains(&default[0]) {
            command.args(default);
        }
    }
    command
}

fn run(setup: &Setup, flags: &[&str]) -> Ran {
    let _alone = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    Ran::of(limit(setup, flags).output().unwrap())
}

/// The one limit that a run printed.
#[track_caller]
fn only(ran: &Ran) -> Value {
    let limits: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stderr));
    assert_eq!(limits.as_array().unwrap().len(), 1);
    limits[0].clone()
}

/// A server that spins for 2 ms a request on one core takes at most 500 requests a second, whatever the box: the limit is found
/// below that, the CPU of the server is named, and rows, limits and reports are there to be read again.
#[test]
fn a_known_limit_is_found_and_named() {
    let setup = Setup::new("spin:2000", 1, "");
    let ran =
        run(&setup, &["--over", "rate", "--slo", "p99<100ms", "--start", "20", "--ceiling", "5000", "--rounds", "2"]);
    let limit = only(&ran);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(limit["conclusion"], "found", "{limit}");
    let found = limit["limit"].as_f64().unwrap();
    assert!((20.0..=500.0).contains(&found), "{found}");
    // Where neighbours take the core, waiting for it is the right answer.
    assert!(["server-cpu", "run-queue"].contains(&limit["resource"].as_str().unwrap()), "{limit}");
    assert!(limit["stopped"].as_str().unwrap().contains("p99 was"), "{limit}");
    assert_eq!(limit["rounds"].as_array().unwrap().len(), 2);
    assert_eq!((limit["complete"].as_bool(), limit["over"].as_str()), (Some(true), Some("rate")));
    // What holds for longer is at most what holds for a short while; every row is whole.
    let steps = std::fs::read_to_string(setup.out().join("steps.jsonl")).unwrap();
    let steps: Vec<Value> = steps.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(steps.iter().any(|step| step["phase"] == "hold" && step["outcome"] == "held"), "{steps:?}");
    assert!(steps.iter().all(|step| step["saturation"]["readings"].as_u64().unwrap() >= 5), "{steps:?}");
    // The reports are made of the files alone.
    std::fs::remove_file(setup.out().join("report.html")).unwrap();
    let report = Ran::of(Command::new(LAB).arg("report").arg(setup.out()).output().unwrap());
    assert_eq!(report.code, Some(0), "{}", report.stderr);
    assert!(report.stdout.contains("p99 was") && report.stdout.contains("minimum of 2 rounds"), "{}", report.stdout);
    let page = std::fs::read_to_string(setup.out().join("report.html")).unwrap();
    assert!(page.contains("Latency against load") && page.contains("<svg"));
    exported(&setup, found);
}

/// The metrics of the limit that was found are what promtool accepts, with the headroom of a load that is named.
fn exported(setup: &Setup, found: f64) {
    let out = setup.out();
    let ran = Command::new(LAB)
        .arg("limits")
        .arg(&out)
        .args(["--load", "rate=10", "--textfile"])
        .arg(setup.folder.path())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = std::fs::read(setup.folder.path().join("highload_limits.prom")).unwrap();
    let metrics = String::from_utf8_lossy(&text);
    let headroom: f64 = metrics
        .lines()
        .find(|line| line.starts_with("highload_headroom_ratio{"))
        .unwrap()
        .rsplit(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!((headroom - (1.0 - 10.0 / found)).abs() < 1e-9, "{metrics}");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(promtool.stdin.as_mut().unwrap(), &text).unwrap();
    let checked = promtool.wait_with_output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// A ceiling that holds is "more than", with words of its own and without a limit.
#[test]
fn a_ceiling_that_holds_is_no_limit() {
    let setup = Setup::new("none", 1, "");
    let ran =
        run(&setup, &["--over", "rate", "--slo", "p99<5s", "--slo", "errors<99%", "--start", "20", "--ceiling", "80"]);
    let limit = only(&ran);
    assert_eq!((ran.code, limit["conclusion"].as_str()), (Some(0), Some("more-than")), "{limit}");
    assert_eq!((limit["limit"].as_f64(), limit["median"].as_f64()), (Some(80.0), None));
    assert!(limit["stopped"].as_str().unwrap().contains("--ceiling"), "{limit}");
}

/// Objectives that not even the smallest load meets end with exit code 1 and say so.
#[test]
fn an_objective_that_cannot_be_met_is_a_result() {
    let setup = Setup::new("wait:50", 1, "");
    let ran = run(&setup, &["--over", "rate", "--slo", "p50<10ms", "--start", "20"]);
    let limit = only(&ran);
    assert_eq!((ran.code, limit["conclusion"].as_str()), (Some(1), Some("below-smallest")), "{limit}");
    assert!(limit["stopped"].as_str().unwrap().starts_with("the smallest load breaks already: p50 was 5"), "{limit}");
}

/// A server that dies at the knee is a result: the load before it is the limit, and the death is named.
#[test]
fn a_server_that_dies_at_the_knee_is_a_result() {
    // 0.5 s of load: more than 150 requests come at 300 a second and up.
    let setup = Setup::new("die:150", 1, "");
    let ran = run(&setup, &["--over", "rate", "--slo", "p99<5s", "--start", "40", "--hold", "0.05"]);
    let limit = only(&ran);
    assert_eq!((ran.code, limit["conclusion"].as_str()), (Some(0), Some("found")), "{limit} {}", ran.stderr);
    assert!(limit["stopped"].as_str().unwrap().contains("the server died during the trial (signal 6)"), "{limit}");
    assert_eq!(limit["rounds"][0]["died"], true, "{limit}");
}

/// Users and fan-outs are searched too: each axis moves its own figure.
#[test]
fn users_and_fanouts_are_searched() {
    for (over, wanted) in [("connections", "40 connected users"), ("fanout", "40 users an event")] {
        let setup = Setup::new("none", 1, "");
        let ran = run(
            &setup,
            &["--over", over, "--slo", "p99<5s", "--slo", "errors<99%", "--start", "20", "--ceiling", "40"],
        );
        let limit = only(&ran);
        assert_eq!(limit["conclusion"], "more-than", "{over}: {limit}");
        assert!(limit["stopped"].as_str().unwrap().contains(wanted), "{over}: {limit}");
        let steps = std::fs::read_to_string(setup.out().join("steps.jsonl")).unwrap();
        assert!(steps.lines().last().unwrap().contains("\"connections\":40"), "{over}: {steps}");
    }
}

/// `--only` takes any engine, whether the scenario lists it or not; one that does not exist is named with the nearest that does.
#[test]
fn any_engine_can_be_asked_for() {
    let setup = Setup::new("none", 1, "");
    let path = setup.folder.path().join("engines.toml");
    let engines = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{engines}\n{}", engines.replace("\"faulty\"", "\"another\""))).unwrap();
    let flags = ["--over", "rate", "--slo", "p99<5s", "--slo", "errors<99%", "--start", "20", "--ceiling", "20"];
    let ran = run(&setup, &[&flags[..], &["--only", "another"]].concat());
    let limit = only(&ran);
    assert_eq!((ran.code, limit["engine"].as_str()), (Some(0), Some("another")), "{limit}");
    std::fs::remove_dir_all(setup.out()).unwrap();
    run(&setup, &["--over", "rate", "--only", "anothre"]).says(2, "did you mean \"another\"?");
    run(&setup, &["--over", "rate", "--only", "faulty,faulty"]).says(2, "names \"faulty\" twice");
    assert!(!setup.out().exists());
}

/// What was typed wrong is named before anything runs.
#[test]
fn wrong_questions_are_explained() {
    let setup = Setup::new("none", 1, "");
    run(&setup, &["--over", "rate", "--slo", "p98<20ms"]).says(2, "did you mean \"p99\"?");
    run(&setup, &["--over", "rate", "--slo", "p99<20"]).says(2, "has no unit");
    run(&setup, &["--over", "users"]).says(2, "connections");
    run(&setup, &["--over", "rate", "--start", "100", "--ceiling", "10"]).says(2, "start ≤ ceiling");
    run(&setup, &["--over", "connections", "--ceiling", "99999999"]).says(2, "RLIMIT_NOFILE");
    run(&setup, &["--over", "rate", "--resolution", "0"]).says(2, "between 0.1 and 100");
    let climbs = Command::new(LAB).args(["limit", "ccu-curve", "--over", "rate"]).output().unwrap();
    Ran::of(climbs).says(2, "it climbs");
    assert!(!setup.out().exists());
}

/// An engine that cannot run here says so with its own sentence.
#[test]
fn an_engine_that_cannot_run_here_is_named() {
    let setup = Setup::new("refuse", 1, "");
    run(&setup, &["--over", "rate"]).says(3, "kernel.io_uring_disabled is 2");
}

/// Ctrl-C ends a search with exit code 4; the rounds before it are kept and marked, the report can be made, nothing runs on.
#[test]
fn an_interrupted_search_keeps_its_rounds() {
    let setup = Setup::new("none", 1, "");
    let flags = [
        "--over",
        "rate",
        "--slo",
        "p99<5s",
        "--slo",
        "errors<99%",
        "--start",
        "20",
        "--ceiling",
        "20",
        "--rounds",
        "90",
    ];
    let _alone = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = limit(&setup, &flags).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let rows = || std::fs::read_to_string(setup.out().join("steps.jsonl")).unwrap_or_default();
    eventually("a second round", || rows().contains("\"round\":2"));
    kill_process(Pid::from_child(&lab), Signal::INT).unwrap();
    let ran = Ran::of(lab.wait_with_output().unwrap());
    ran.says(4, "are kept, marked incomplete");
    let limits = std::fs::read_to_string(setup.out().join("limits.jsonl")).unwrap();
    let limit: Value = serde_json::from_str(limits.lines().next().unwrap()).unwrap();
    assert_eq!(
        (limit["complete"].as_bool(), limit["conclusion"].as_str()),
        (Some(false), Some("more-than")),
        "{limit}"
    );
    assert!(!limit["rounds"].as_array().unwrap().is_empty(), "{limit}");
    assert_eq!(processes_with(&setup.out().display().to_string()), Vec::<u32>::new());
    assert!(setup.out().join("report.html").is_file());
}
