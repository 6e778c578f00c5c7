//! One client of several servers: what it does about those that die, fall silent or speak another version, by counts.

#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{LAB, Ran, Server, faulty_server};
use serde_json::Value;

fn load(servers: &[&Server], more: &[&str]) -> Value {
    let addresses: Vec<&str> = servers.iter().map(|server| server.address.as_str()).collect();
    let common =
        ["--service", "echo", "--rate", "1000", "--arrivals", "constant", "-c", "12", "--json", "--warmup", "0"];
    let output = Command::new(LAB).arg("load").args(addresses).args(common).args(more).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// Three good servers have a third of the requests each, and every request is answered.
#[test]
fn good_servers_share_the_load() {
    let servers = [(); 3].map(|()| Server::start("none"));
    let run = load(&servers.each_ref(), &["-d", "1"]);
    assert_eq!(run["errors"], serde_json::json!({}), "{run:#}");
    assert_eq!(run["completed"], run["sent"], "{run:#}");
    for server in run["spread"]["servers"].as_array().unwrap() {
        let third = number(&run["sent"]) / 3;
        assert!(number(&server["sent"]).abs_diff(third) <= 1, "{run:#}");
        assert_eq!((&server["bans"], &server["state"]), (&0.into(), &"closed".into()), "{run:#}");
    }
    let moments = run["spread"]["moments"].as_array().unwrap();
    assert!(moments.len() >= 3, "intervals of a quarter of a second: {run:#}");
}

/// A server that dies costs no request: what was out on it is asked again, it is banned, and its probes fail while the
/// others carry on.
#[test]
fn a_dead_server_costs_no_request() {
    let servers = [Server::start("none"), Server::start("die:50"), Server::start("none")];
    let run = load(&servers.each_ref(), &["-d", "2", "--ban", "0.1", "--ban-longest", "0.4"]);
    assert_eq!(run["errors"], serde_json::json!({}), "{run:#}");
    assert!(number(&run["completed"]) >= 1_990, "{run:#}");
    let seen = &run["spread"]["servers"];
    assert!(number(&seen[1]["bans"]) >= 3, "a ban, and one for each failed probe: {run:#}");
    assert!(number(&seen[1]["sent"]) < 100, "after it died only probes went to it: {run:#}");
    assert!(number(&seen[0]["sent"]) > 900 && number(&seen[2]["sent"]) > 900, "{run:#}");
    assert!(seen[1]["banned_seconds"].as_f64() > Some(1.0), "{run:#}");
}

/// Silence is noticed by the attempt's time-out, another version at once; without breakers both go on costing attempts.
#[test]
fn silence_and_other_versions_are_failures() {
    let start = || [Server::start("none"), Server::start("stop-answering:40"), Server::start("wrong-version:40")];
    let flags = ["-d", "2", "--ban", "0.2", "--attempt-timeout", "0.05", "--retries", "2"];
    let servers = start();
    let with = load(&servers.each_ref(), &flags);
    let seen = &with["spread"]["servers"];
    assert!(number(&seen[1]["failed"]["timeout"]) >= 5 && number(&seen[1]["bans"]) >= 2, "{with:#}");
    assert!(number(&seen[2]["failed"]["protocol"]) >= 5 && number(&seen[2]["bans"]) >= 2, "{with:#}");
    let servers = start();
    let without = load(&servers.each_ref(), &[&flags[..], &["--no-breaker"]].concat());
    let failed = |run: &Value| -> u64 {
        let of = |server: &Value| server["failed"].as_object().unwrap().values().map(number).sum::<u64>();
        run["spread"]["servers"].as_array().unwrap().iter().map(of).sum()
    };
    assert_eq!(number(&without["spread"]["servers"][1]["bans"]), 0);
    assert!(failed(&without) > 5 * failed(&with), "{} and {} attempts failed", failed(&without), failed(&with));
    let lost = |run: &Value| run["errors"].as_object().unwrap().values().map(number).sum::<u64>();
    assert!(lost(&without) > 3 * lost(&with), "{} and {} requests were lost", lost(&without), lost(&with));
}

/// What does not go together is explained.
#[test]
fn wrong_wishes_are_explained() {
    let lab = |more: &[&str]| {
        let two = ["load", "127.0.0.1:1", "127.0.0.1:2"];
        Ran::of(Command::new(LAB).args([&two[..], more].concat()).output().unwrap())
    };
    lab(&["--closed"]).says(2, "in open loop");
    lab(&["--rate", "10", "-c", "1"]).says(2, "each of 2 servers needs one");
    lab(&["--rate", "10", "--ban", "0"]).says(2, "--ban 0: must be between");
    lab(&["--rate", "10", "--cpus", "0,1"]).says(2, "one thread");
    lab(&["--rate", "10"]).says(3, "nothing listens there");
    Ran::of(Command::new(LAB).args(["load", "127.0.0.1:1", "192.0.2.1:1", "--rate", "10"]).output().unwrap())
        .says(2, "not a loopback address");
}

/// A small run of two cases, end to end: rows, the headline's comparison, the picture, and the breaker's state as a metric.
fn run_cases(directory: &Path) -> (Ran, Vec<Value>) {
    let engines = format!(
        "[[engine]]\nname = \"faulty\"\nbinary = {:?}\nargs = [\"none\"]\ninterface = \"epoll\"\n",
        faulty_server().display().to_string()
    );
    let scenario = "name = 'few'\nquestion = 'Who fares how?'\nengines = ['faulty']\nprotocol = 'frame'\nformat = 'raw'\n\
         [workload]\nservice = 'echo'\npayload_bytes = 64\n\
         [load]\nmode = 'open'\nrate = 800.0\nconnections = 8\nwarmup_seconds = 0.25\nmeasure_seconds = 1.5\n\
         timeout_seconds = 1.0\n[rounds]\ncount = 1\nseed = 1\n[voids]\nschedule_lag_p99_us = 1e9\n\
         [spread]\nservers = 4\nattempt_timeout_seconds = 0.05\nretries = 1\ninterval_seconds = 0.25\nban_after = 5\n\
         ban_seconds = 0.3\nban_longest_seconds = 1.0\n\
         [[spread.case]]\nname = 'two-bad'\n\
         faults = [{ server = 3, fault = 'stop-answering:40' }, { server = 4, fault = 'wrong-version:40' }]\n\
         [[spread.case]]\nname = 'two-bad-no-breaker'\nbreaker = false\n\
         faults = [{ server = 3, fault = 'stop-answering:40' }, { server = 4, fault = 'wrong-version:40' }]\n";
    std::fs::write(directory.join("engines.toml"), engines).unwrap();
    std::fs::write(directory.join("few.toml"), scenario).unwrap();
    let output = Command::new(LAB)
        .arg("run")
        .arg(directory.join("few.toml"))
        .arg("--engines")
        .arg(directory.join("engines.toml"))
        .arg("--out")
        .arg(directory.join("out"))
        .output();
    let ran = Ran::of(output.unwrap());
    let text = std::fs::read_to_string(directory.join("out/spreads.jsonl")).unwrap_or_default();
    (ran, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Shows that the survivors carry the load with breakers and that requests are lost without, in every output.
#[test]
fn cases_are_run_and_reported() {
    let directory = tempfile::tempdir().unwrap();
    let (ran, rows) = run_cases(directory.path());
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(rows.len(), 2);
    let case = |name: &str| rows.iter().find(|row| row["case"] == name).unwrap();
    let (with, without) = (case("two-bad"), case("two-bad-no-breaker"));
    for row in &rows {
        assert_eq!(row["status"], "ok", "{row:#}");
        assert_eq!(row["seen"]["servers"].as_array().unwrap().len(), 4);
    }
    let failed = |row: &Value| -> u64 {
        let of = |server: &Value| server["failed"].as_object().unwrap().values().map(number).sum::<u64>();
        row["seen"]["servers"].as_array().unwrap().iter().map(of).sum()
    };
    assert!(failed(without) > 3 * failed(with), "{} and {} attempts failed", failed(without), failed(with));
    // Every fourth request goes to the silent server first, and waits there for a time-out of 50 ms, its own or that of the request before it.
    assert!(without["response"]["p90_us"].as_f64() > Some(15_000.0), "{without:#}");
    assert!((0.9..=1.0).contains(&with["goodput_ratio"].as_f64().unwrap()), "{with:#}");
    let survivors: u64 = [0, 1].iter().map(|place| number(&with["seen"]["servers"][*place]["completed"])).sum();
    let all: u64 = with["seen"]["servers"].as_array().unwrap().iter().map(|server| number(&server["completed"])).sum();
    assert!(survivors * 10 > all * 9, "{survivors} of {all} replies are the survivors': {with:#}");
    assert!(ran.stdout.contains("With 2 of 4 servers gone bad and a circuit breaker"), "{}", ran.stdout);

    let out = directory.path().join("out");
    let prom = std::fs::read_to_string(out.join("lab.prom")).unwrap();
    let state = "highload_lab_breaker_state{scenario=\"few\",engine=\"faulty\",case=\"two-bad\",server=";
    assert!(prom.contains(&format!("{state}\"1\"}} 0\n")), "{prom}");
    let bad = prom.lines().find_map(|line| line.strip_prefix(&format!("{state}\"4\"}} "))).unwrap();
    assert!(["1", "2"].contains(&bad), "server 4 is banned or probed at the end: {prom}");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("<circle") && page.contains("breaker open") && page.contains("stop-answering"));
    assert!(!page.contains("<script") && !page.contains("http://www.w3.org/1999"));
    assert!(std::fs::read_to_string(out.join("report.md")).unwrap().contains("| two-bad | 3 | stop-answering:40 |"));
    let again = Ran::of(Command::new(LAB).arg("report").arg(&out).arg("--json").output().unwrap());
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let summary: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(summary["rows"].as_array().unwrap().len(), 2);
    let refused = Ran::of(
        Command::new(LAB).args(["run", "four-servers", "--pid", "1", "--address", "127.0.0.1:1"]).output().unwrap(),
    );
    refused.says(2, "nor a server of your own fit it");
}
