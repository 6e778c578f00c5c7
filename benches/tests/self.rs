//! The lab tests itself: real servers that go wrong on purpose (`--fault`), a generator that is held up, and pairs that are equal or
//! not. In each case the lab must convict or acquit whom it should, judged by statuses, counters and void reasons.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const LAB: &str = env!("CARGO_BIN_EXE_lab");

/// What differs from one case to the next.
struct Case {
    /// Name and arguments of each engine: `server-mio` with faults.
    engines: Vec<(&'static str, Vec<&'static str>)>,
    twin: Option<&'static str>,
    rate: f64,
    connections: u32,
    measure_seconds: f64,
    rounds: u32,
    /// `[voids]`, of which everything that a busy box would trip over is off.
    voids: &'static str,
}

impl Case {
    /// One engine with these faults under a moderate load.
    fn of(faults: &[&'static str]) -> Self {
        let args = faults.iter().flat_map(|fault| ["--fault", fault]).collect();
        Self {
            engines: vec![("subject", args)],
            twin: None,
            rate: 1_000.0,
            connections: 10,
            measure_seconds: 0.5,
            rounds: 1,
            voids: "schedule_lag_p99_us = 1e9\nrate_shortfall = 1.0\n",
        }
    }

    fn start(self) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let mut engines = String::new();
        for (name, args) in &self.engines {
            engines += &format!(
                "[[engine]]\nname = {name:?}\npackage = \"server-mio\"\nbinary = \"server-mio\"\nargs = {args:?}\ninterface = \"epoll\"\n"
            );
        }
        let names: Vec<&str> = self.engines.iter().map(|(name, _)| *name).collect();
        let twin = self.twin.map_or_else(String::new, |twin| format!("twin = {twin:?}\n"));
        let scenario = format!(
            "name = \"self\"\nquestion = \"Does the lab notice?\"\nengines = {names:?}\n{twin}protocols = [\"frame\"]\nformats = [\"raw\"]\n\
             [workload]\nservice = \"echo\"\npayload_bytes = 64\n\
             [load]\nmode = \"open\"\narrivals = \"constant\"\nrate = {:?}\nconnections = {}\nwarmup_seconds = 0.1\n\
             measure_seconds = {:?}\ntimeout_seconds = 1.5\n\
             [rounds]\ncount = {}\nseed = 3\nsyscalls = false\n\
             [voids]\nretries = 0\nforeign_cpu_share = 1.0\nsteal_share = 1.0\n{}",
            self.rate, self.connections, self.measure_seconds, self.rounds, self.voids
        );
        std::fs::write(folder.path().join("engines.toml"), engines).unwrap();
        std::fs::write(folder.path().join("self.toml"), scenario).unwrap();
        let lab = Command::new(LAB)
            .arg("run")
            .arg(folder.path().join("self.toml"))
            .arg("--engines")
            .arg(folder.path().join("engines.toml"))
            .arg("--out")
            .arg(folder.path().join("out"))
            .args(["--profile", "dev", "--json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running { lab, folder }
    }

    fn run(self) -> Ran {
        self.start().wait()
    }
}

struct Running {
    lab: std::process::Child,
    folder: tempfile::TempDir,
}

impl Running {
    fn wait(self) -> Ran {
        let out = self.folder.path().join("out");
        Ran { output: self.lab.wait_with_output().unwrap(), rows: rows(&out), _folder: self.folder }
    }
}

fn rows(out: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(out.join("trials.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

struct Ran {
    output: Output,
    rows: Vec<Value>,
    _folder: tempfile::TempDir,
}

impl Ran {
    /// The only row; it must have ended with `status` for a reason that holds `piece`.
    #[track_caller]
    fn ended(&self, status: &str, piece: &str) -> &Value {
        let said = String::from_utf8_lossy(&self.output.stderr);
        let [row] = self.rows.as_slice() else { panic!("{} rows: {said}", self.rows.len()) };
        assert_eq!(row["status"], status, "{row:#}");
        assert!(row["reason"].as_str().unwrap_or_default().contains(piece), "{piece:?} is not in {}", row["reason"]);
        row
    }

    /// The verdict's figure for CPU per request.
    fn cpu(&self) -> Value {
        let summary: Value = serde_json::from_slice(&self.output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.output.stderr)));
        summary["verdict"]["figures"]
            .as_array()
            .unwrap()
            .iter()
            .find(|figure| figure["figure"] == "cpu")
            .unwrap()
            .clone()
    }

    /// What the verdict says of an engine over all formats.
    fn call(&self, engine: &str) -> String {
        let figure = self.cpu();
        let found = figure["overall"].as_array().unwrap().iter().find(|found| found["engine"] == engine);
        found.unwrap_or_else(|| panic!("{engine} is not in {figure:#}"))["call"].as_str().unwrap().to_owned()
    }
}

/// An honest server is acquitted: the ground that all others stand on.
#[test]
fn an_honest_server_is_acquitted() {
    let ran = Case::of(&[]).run();
    let row = ran.ended("ok", "");
    assert_eq!((row["errors"].clone(), &row["ready"]["faults"]), (serde_json::json!({}), &serde_json::json!([])));
}

/// Stalls of 150 ms show in the response times of many requests, though in the service times of few: whoever was due during
/// one waited. The row names the fault, since the ready line does.
#[test]
fn stalls_are_seen() {
    let ran = Case::of(&["stall:250:150"]).run();
    let row = ran.ended("ok", "");
    assert_eq!(row["ready"]["faults"], serde_json::json!(["stall:250:150"]));
    let at = |kind: &str, figure: &str| row[kind][figure].as_f64().unwrap();
    // A sleep is never shorter than asked; half of the window's requests are due while one goes on.
    assert!(at("response", "max_us") >= 150_000.0 && at("response", "p90_us") >= 50_000.0, "{row:#}");
    assert!(at("response", "mean_us") > at("service_time", "mean_us"), "{row:#}");
}

/// A server that waits 2 ms with each request answers at most 1,100 requests in the 2.1 s from the first one to the end of
/// patience, of 2,400 that were due: the others are time-outs, the trial is void, and the limiter is not the generator's CPU.
#[test]
fn a_throttled_server_is_convicted() {
    let ran = Case { rate: 4_000.0, ..Case::of(&["throttle:2000"]) }.run();
    let row = ran.ended("void", "requests ended in timeout");
    assert!(row["errors"]["timeout"].as_u64() >= Some(1_000), "{row:#}");
    assert_ne!(row["limiter"], "generator-cpu", "{row:#}");
}

/// Connections that a server drops fail the trial, with how many requests went down with them.
#[test]
fn dropped_connections_are_convicted() {
    let ran = Case::of(&["drop:150"]).run();
    let row = ran.ended("failed", "connections were lost");
    assert!(row["errors"]["closed"].as_u64() >= Some(1), "{row:#}");
}

/// A server that takes 40 ms for each of 20 accepts keeps early requests waiting: it shows in response times, since those count
/// from when requests were due and not from when somebody listened.
#[test]
fn delayed_accepts_are_seen() {
    let ran = Case { connections: 20, ..Case::of(&["delay-accept:40"]) }.run();
    let row = ran.ended("ok", "");
    // 800 ms from the first accept to the last, of which connecting and warm-up hide at most the beginning.
    assert!(row["response"]["max_us"].as_f64().unwrap() >= 200_000.0, "{row:#}");
}

/// One wrong bit in one reply is found, and so is a reply that comes before it was asked for.
#[test]
fn liars_are_convicted() {
    let ran = Case::of(&["lie:300"]).run();
    let row = ran.ended("failed", "replies were wrong");
    let wrong = row["errors"]["wrong-reply"].as_u64().unwrap();
    assert_eq!(wrong, row["counters"]["requests"].as_u64().unwrap() / 300, "{row:#}");
    Case::of(&["early:300"]).run().ended("failed", "a reply that no request asked for");
}

/// Replies in a version that nobody speaks, and replies that never come: the first is wrong, the second too slow.
#[test]
fn wrong_and_missing_replies_are_convicted() {
    Case::of(&["wrong-version:100"]).run().ended("failed", "protocol");
    let ran = Case::of(&["stop-answering:200"]).run();
    let row = ran.ended("void", "requests ended in timeout");
    assert!(row["errors"]["timeout"].as_u64() > Some(0), "{row:#}");
}

/// A generator that is stopped again and again convicts itself: the trial is void for its lag, and nothing is said against the
/// server.
#[test]
fn a_slow_generator_convicts_itself() {
    let case = Case { measure_seconds: 1.0, voids: "rate_shortfall = 1.0\n", ..Case::of(&[]) };
    let running = case.start();
    let lab = running.lab.id();
    let generator = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_millis(5));
        children(lab).into_iter().find(|(_, line)| line.contains(" load "))
    });
    // The servers are built first, for which other tests may have to be waited.
    let (pid, _) = generator.take(60_000).flatten().next().expect("a generator within five minutes");
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    for _ in 0..8 {
        if kill_process(pid, Signal::STOP).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
        let _ = kill_process(pid, Signal::CONT);
        std::thread::sleep(Duration::from_millis(60));
    }
    let ran = running.wait();
    let row = ran.ended("void", "the schedule lagged");
    assert_eq!(row["errors"], serde_json::json!({}), "{row:#}");
}

/// Children of `pid`, with their command lines.
fn children(pid: u32) -> Vec<(u32, String)> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let line = |pid: u32| std::fs::read_to_string(PathBuf::from(format!("/proc/{pid}/cmdline"))).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).map(|pid| (pid, line(pid).replace('\0', " "))).collect()
}

/// The same server under three names, and one with 150 µs more of work for each request: the lab claims nothing of the first
/// and convicts the last. A busy box may fool a run of seven rounds once in a hundred; not two of them.
#[test]
fn equals_are_acquitted_and_a_regression_is_convicted() {
    let judged = || {
        let ran = Case {
            engines: vec![("mio", vec![]), ("same", vec![]), ("slower", vec!["--fault", "spin:150000"])],
            twin: Some("mio"),
            measure_seconds: 0.25,
            rounds: 7,
            ..Case::of(&[])
        }
        .run();
        assert_eq!(ran.rows.len(), 28);
        (ran.call("same"), ran.call("slower"))
    };
    let first = judged();
    let expected = ("no-evidence".to_owned(), "more".to_owned());
    assert!(first == expected || judged() == expected, "{first:?}, and not better the second time");
}
