//! `lab hold` end to end at a small count: what it prints, what it leaves, and how it ends when something dies.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Users of a test's hold: enough for two plateaus' worth of slices, few enough to be quick.
const USERS: &str = "2500";

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn out(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    /// `lab hold` with a lock of its own, so that tests run beside each other.
    fn lab(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command.env("TMPDIR", self.directory.path()).arg("hold").args(arguments);
        command
    }

    fn hold(&self, arguments: &[&str]) -> Command {
        let mut command = self.lab(&["--profile", "dev", "--json", "--progress", "json"]);
        command.arg("--out").arg(self.out()).args(arguments);
        command
    }

    fn rows(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.out().join("climbs.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Children of `pid`, with their command lines.
fn children(pid: u32) -> Vec<(u32, String)> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let name =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ");
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).map(|pid| (pid, name(&pid))).collect()
}

/// Waits until the progress of `lab` says that it is at `stage`; a member of its fleet named `role` then.
fn member_at(lab: &mut Child, stage: &str, role: &str) -> u32 {
    use std::io::{BufRead, BufReader};
    let mut lines = BufReader::new(lab.stderr.take().unwrap()).lines();
    let deadline = Instant::now() + Duration::from_secs(120);
    while Instant::now() < deadline {
        let line = lines.next().expect("progress goes on").unwrap();
        if line.contains(&format!("\"stage\":\"{stage}")) {
            let member = children(lab.id()).into_iter().find(|(_, name)| name.contains(role));
            let pid = member.unwrap_or_else(|| panic!("no {role} among {:?}", children(lab.id()))).0;
            // What else is said must not block the lab.
            std::thread::spawn(move || lines.for_each(drop));
            return pid;
        }
    }
    panic!("{stage} was not reached");
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
}

/// Shows that every engine holds, that every user is counted on both sides, that slopes are there, and that neither a
/// process nor a socket is left.
#[test]
fn users_are_held_counted_and_let_go() {
    let place = Place::new();
    let output = place.hold(&["-c", USERS, "-e", "mio", "--hold", "1", "--probe", "0.1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let rows = place.rows();
    let row = &rows[0];
    assert_eq!(row["status"], "ok", "{row}");
    let hold = &row["hold"];
    assert_eq!((hold["alive"].as_u64(), hold["lost"].as_u64()), (Some(2500), Some(0)), "{hold}");
    // Both ends of every connection and the listener; in a namespace of its own nobody else is counted.
    if row["namespace"].as_str().unwrap().contains("own") {
        assert_eq!(hold["tcp_sockets"], 2 * 2500 + 1, "{hold}");
        assert_eq!(row["leftovers"], serde_json::json!({"processes": 0, "tcp_sockets": 0, "time_wait": 0}), "{row}");
    }
    assert_eq!(row["accepted"], serde_json::json!([2500]), "{row}");
    let (asked, right) = (hold["probed_after"][0].as_u64(), hold["probed_after"][1].as_u64());
    assert!(asked > Some(150) && asked == right, "{hold}");
    assert_eq!(row["slopes"]["plateaus"], 6, "{row}");
    assert!(place.out().join("report.html").exists() && place.out().join("report.md").exists());
    let report = Command::new(env!("CARGO_BIN_EXE_lab")).arg("report").arg(place.out()).output().unwrap();
    assert!(String::from_utf8_lossy(&report.stdout).contains("mio held 2,500 connected users"), "{}", said(&report));
}

/// Shows that a server killed while its users are held is named with what it cost, ends with exit code 1, and leaves a row.
#[test]
fn a_dead_server_is_named() {
    let place = Place::new();
    let mut lab = place
        .hold(&["-c", USERS, "-e", "mio", "--hold", "60"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    kill(member_at(&mut lab, "holding", "server-mio"));
    let output = lab.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let reason = place.rows()[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("server 1 of 1") && reason.contains("signal 9"), "{reason}");
    assert!(reason.contains("2500 of 2500 users were lost"), "{reason}");
}

/// Shows the same for a server that dies while users connect.
#[test]
fn a_server_that_dies_early_is_named() {
    let place = Place::new();
    let mut lab = place
        .hold(&["-c", "15000", "-e", "mio", "--hold", "60"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    kill(member_at(&mut lab, "connecting", "server-mio"));
    let output = lab.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let reason = place.rows()[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("server 1 of 1") && reason.contains("signal 9"), "{reason}");
}

/// Shows that a generator's death voids the climb (exit code 4): nothing is known of the engine then.
#[test]
fn a_dead_generator_voids_the_climb() {
    let place = Place::new();
    let mut lab = place
        .hold(&["-c", USERS, "-e", "mio", "--hold", "60"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    kill(member_at(&mut lab, "holding", " holder "));
    let output = lab.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let row = &place.rows()[0];
    assert_eq!(row["status"], "void");
    assert!(row["reason"].as_str().unwrap().contains("holder 1 of 1"), "{row}");
    assert_eq!(row["leftovers"]["processes"], 0, "{row}");
}

/// Shows that Ctrl-C keeps what was measured, says so with exit code 4, and that the lab's own death takes the fleet along.
#[test]
fn an_interrupted_hold_leaves_nothing_behind() {
    for (signal, code) in [("-INT", Some(4)), ("-KILL", None)] {
        let place = Place::new();
        let mut lab = place
            .hold(&["-c", USERS, "-e", "mio", "--hold", "60"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let server = member_at(&mut lab, "holding", "server-mio");
        let fleet = children(lab.id());
        assert!(fleet.iter().any(|(pid, _)| *pid == server) && fleet.len() == 2, "{fleet:?}");
        assert!(Command::new("kill").args([signal, &lab.id().to_string()]).status().unwrap().success());
        let output = lab.wait_with_output().unwrap();
        assert_eq!(output.status.code(), code, "{}", said(&output));
        let gone = |pid: &u32| !Path::new(&format!("/proc/{pid}/exe")).exists();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !fleet.iter().all(|(pid, _)| gone(pid)) {
            assert!(Instant::now() < deadline, "still there after {signal}: {fleet:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        if code.is_some() {
            assert_eq!(place.rows()[0]["reason"], "interrupted");
        }
    }
}

/// Shows that a second hold at the same time is refused with the first one's pid (exit code 3).
#[test]
fn two_holds_do_not_measure_each_other() {
    let place = Place::new();
    let mut first = place
        .hold(&["-c", "100", "-e", "mio", "--hold", "60"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    member_at(&mut first, "holding", "server-mio");
    let second = place.lab(&["-c", "100", "-e", "mio", "--profile", "dev"]).output().unwrap();
    assert_eq!(second.status.code(), Some(3), "{}", said(&second));
    assert!(said(&second).contains(&format!("pid {}", first.id())), "{}", said(&second));
    first.kill().unwrap();
    first.wait().unwrap();
}

/// Shows that a plan refuses more users than memory holds, with the arithmetic and a number that fits (exit code 3).
#[test]
fn too_many_users_are_refused_with_arithmetic() {
    let place = Place::new();
    let output = place.lab(&["-c", "10000000", "-e", "mio", "--plan-only"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let text = said(&output);
    assert!(text.contains("MiB are available") && text.contains("--connections "), "{text}");
    let usage = place.lab(&["-c", "100", "-e", "tokio-urin"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2), "{}", said(&usage));
    assert!(said(&usage).contains("did you mean \"tokio-uring\"?"), "{}", said(&usage));
}

/// Shows that a plan spreads users over as many processes as a low descriptor limit asks for, and holds them so.
#[test]
fn a_low_descriptor_limit_makes_more_processes() {
    let place = Place::new();
    let command = format!(
        "ulimit -n 1024 && exec {} hold --profile dev --json -c 2500 -e mio --hold 0.5 --out {}",
        env!("CARGO_BIN_EXE_lab"),
        place.out().display()
    );
    let output = Command::new("sh").env("TMPDIR", place.directory.path()).args(["-c", &command]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let row = &place.rows()[0];
    assert_eq!((row["shards"].as_u64(), row["holders"].as_u64()), (Some(3), Some(3)), "{row}");
    assert_eq!(row["accepted"].as_array().unwrap().iter().filter_map(Value::as_u64).sum::<u64>(), 2500, "{row}");
}

/// Shows that users spread by hash over one port (SO_REUSEPORT) are all held too, in the host's namespace as well.
#[test]
fn one_port_for_all_servers() {
    let place = Place::new();
    let command = format!(
        "ulimit -n 1024 && exec {} hold --profile dev --json -c 2000 -e mio --hold 0.5 --spread reuseport --netns host --out {}",
        env!("CARGO_BIN_EXE_lab"),
        place.out().display()
    );
    let output = Command::new("sh").env("TMPDIR", place.directory.path()).args(["-c", &command]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let row = &place.rows()[0];
    let accepted: Vec<u64> = row["accepted"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    assert_eq!(accepted.iter().sum::<u64>(), 2000, "{row}");
    assert!(accepted.len() == 3 && accepted.iter().all(|count| *count > 400), "{accepted:?}");
}
