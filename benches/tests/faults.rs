//! Everything that goes wrong ends with a clear sentence, the right exit code, whole rows and no process left.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod common;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{LAB, Ran, Setup, eventually, faulty_server, processes_with};
use rustix::process::{Pid, Signal, kill_process};

fn lab(args: &[&str]) -> Ran {
    Ran::of(Command::new(LAB).args(args).output().unwrap())
}

/// A run against an honest server measures, reports and exits 0: the ground that the faults stand on.
#[test]
fn an_honest_server_is_measured() {
    let setup = Setup::new("none", 2, "");
    let ran = setup.run();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let rows = setup.rows();
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!(row["status"], "ok", "{row}");
        assert!(row["completed"].as_u64().unwrap() > 100, "{row}");
        assert!(row["server"]["cpu_us_per_request"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["counters"]["requests"].as_u64().unwrap() > 100, "{row}");
        let slices = row["slices"].as_array().unwrap();
        assert_eq!(slices.len(), 10, "{row}");
        let parts: u64 = slices.iter().map(|slice| slice["completed"].as_u64().unwrap()).sum();
        assert_eq!(parts, row["completed"].as_u64().unwrap(), "the slices are the window: {row}");
        // A server that got no CPU in some tenth of a loaded box's window spent none there.
        assert!(slices.iter().any(|slice| slice["server_cpu_us_per_request"].as_f64() > Some(0.0)), "{row}");
        let histogram = setup.out().join(row["histograms"]["response"].as_str().unwrap());
        assert!(histogram.with_extension("hdr").is_file() && histogram.with_extension("hgrm").is_file());
    }
    for file in ["host.json", "plan.json", "timeline.jsonl", "report.md", "report.html"] {
        assert!(setup.out().join(file).is_file(), "{file} is missing");
    }
    assert!(ran.stdout.contains("report.html"), "{}", ran.stdout);
}

/// Servers that were built elsewhere are taken from a directory, and one that is not there is named; Cargo is not asked.
#[test]
fn built_servers_are_taken_from_a_directory() {
    let setup = Setup::new("none", 1, "");
    let engines = setup.folder.path().join("engines.toml");
    let (path, text) = (faulty_server(), std::fs::read_to_string(&engines).unwrap());
    let text = text.replace(&path.display().to_string(), "faulty_server");
    std::fs::write(&engines, text.replace("binary =", "package = \"no-such-package\"\nbinary =")).unwrap();
    let run = |directory: &Path| Ran::of(setup.command().env("LAB_BINARIES", directory).output().unwrap());
    run(Path::new("/nowhere")).says(3, "LAB_BINARIES: /nowhere/faulty_server: No such file");
    let ran = run(path.parent().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

/// Unknown names and keys are usage errors that name the nearest right one.
#[test]
fn slips_of_the_hand_are_explained() {
    lab(&["run", "demmo"]).says(2, "did you mean \"demo\"?");
    lab(&["run", "there-is-none.toml"]).says(2, "there-is-none.toml");
    lab(&["demoo"]).says(2, "demo");
    lab(&["load", "127.0.0.1:1", "--closed", "--format", "jsn"]).says(2, "json");
    lab(&["load", "192.0.2.1:80", "--closed"]).says(2, "not a loopback address");
    let setup = Setup::new("none", 1, "");
    let scenario = setup.folder.path().join("scenario.toml");
    let good = std::fs::read_to_string(&scenario).unwrap();
    std::fs::write(&scenario, good.replace("engines = [\"faulty\"]", "engines = [\"fualty\"]")).unwrap();
    setup.run().says(2, "did you mean \"faulty\"?");
    std::fs::write(&scenario, good.replace("rate =", "rates =")).unwrap();
    setup.run().says(2, "did you mean `rate`?");
    assert!(setup.rows().is_empty());
}

/// A result directory is never written twice.
#[test]
fn results_are_not_overwritten() {
    let setup = Setup::new("none", 1, "");
    assert_eq!(setup.run().code, Some(0));
    let rows = setup.rows();
    setup.run().says(2, "holds a result already");
    assert_eq!(setup.rows(), rows);
}

/// A taken port is an environment failure that names the port and how to find who has it.
#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let setup = Setup::new("none", 1, &format!("[server]\nlisten = \"{address}\""));
    setup.run().says(3, &format!("{address} cannot be listened on"));
}

/// An engine that cannot run here gives rows with its own sentence; when none can, the run exits 3 with it.
#[test]
fn a_disabled_ring_is_a_row_with_a_reason() {
    let setup = Setup::new("refuse", 2, "");
    setup.run().says(3, "kernel.io_uring_disabled is 2");
    let rows = setup.rows();
    assert_eq!(rows.len(), 2);
    assert!(
        rows.iter().all(|row| row["status"] == "unavailable" && row["reason"].as_str().unwrap().contains("sysctl"))
    );
}

/// A descriptor limit below the plan's connections is refused before anything runs.
#[test]
fn a_low_descriptor_limit_is_named() {
    let setup = Setup::new("none", 1, "");
    let scenario = setup.folder.path().join("scenario.toml");
    let many = std::fs::read_to_string(&scenario).unwrap().replace("connections = 10", "connections = 500");
    std::fs::write(&scenario, many).unwrap();
    let lab = setup.command();
    let args: Vec<_> = lab.get_args().map(|arg| arg.to_str().unwrap().to_owned()).collect();
    let ran =
        Command::new("sh").arg("-c").arg("ulimit -n 300; exec \"$@\"").arg("sh").arg(LAB).args(args).output().unwrap();
    Ran::of(ran).says(3, "RLIMIT_NOFILE is 300");
}

/// A server that falls behind by a little (100 requests a second of 110) does not count as having kept up, though it answers every
/// request in the end.
#[test]
fn falling_behind_by_a_little_is_noticed() {
    let setup = Setup::new("wait:10", 1, "");
    let path = setup.folder.path().join("scenario.toml");
    let mut scenario = std::fs::read_to_string(&path).unwrap();
    for (from, to) in [
        ("rate = 2000.0", "rate = 110.0"),
        ("connections = 10", "connections = 1"),
        ("measure_seconds = 0.4", "measure_seconds = 1.0"),
        ("rate_shortfall = 0.9", "rate_shortfall = 0.05"),
    ] {
        assert!(scenario.contains(from), "{scenario}");
        scenario = scenario.replace(from, to);
    }
    std::fs::write(&path, scenario).unwrap();
    setup.run().says(4, "of 110/s was reached, limited by in-flight");
    let row = &setup.rows()[0];
    assert_eq!((row["status"].as_str(), row["completed"].as_u64()), (Some("void"), Some(110)), "{row}");
    assert!(row["rate_achieved"].as_f64() <= Some(101.0), "{row}");
}

/// A server that dies mid-run fails its trials, with how it died; the run is void.
#[test]
fn a_dying_server_is_noticed() {
    let setup = Setup::new("die:300", 2, "");
    setup.run().says(4, "the server died during the trial (signal 6)");
    assert!(setup.rows().iter().all(|row| row["status"] == "failed"), "{:?}", setup.rows());
    assert_eq!(setup.rows().len(), 2, "the second trial was still tried");
}

/// One wrong reply fails its trial.
#[test]
fn a_lying_server_is_convicted() {
    let setup = Setup::new("lie:300", 1, "");
    setup.run().says(4, "replies were wrong");
    assert_eq!(setup.rows()[0]["errors"]["wrong-reply"], 1, "{:?}", setup.rows());
}

/// A server that ends before it is ready, or whose ready line is no JSON, is a row with what it said.
#[test]
fn a_server_that_never_serves_is_explained() {
    Setup::new("crash", 1, "").run().says(4, "exit code 1): out of luck");
    Setup::new("garble", 1, "").run().says(4, "the ready line is not JSON");
}

/// Ctrl-C ends the run with exit code 4; the rows before it are whole, the report can still be made, nothing runs on.
#[test]
fn an_interrupted_run_keeps_its_rows() {
    let setup = Setup::new("none", 50, "");
    let out = setup.out().display().to_string();
    let lab = setup.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("two rows", || setup.rows().len() >= 2);
    kill_process(Pid::from_child(&lab), Signal::INT).unwrap();
    let ran = Ran::of(lab.wait_with_output().unwrap());
    ran.says(4, "interrupted");
    assert!(setup.rows().len() >= 2 && setup.rows().len() < 50);
    assert_eq!(processes_with(&out), Vec::<u32>::new());
    let report = self::lab(&["report", &out]);
    assert_eq!(report.code, Some(0), "{}", report.stderr);
}

/// SIGKILL of the lab takes servers and generators with it, and leaves whole rows.
#[test]
fn a_killed_lab_leaves_no_process() {
    let setup = Setup::new("none", 50, "");
    let mut lab = setup.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The children of this run, found by their parent; the server's arguments name no directory of the test.
    let children = |parent: u32| -> Vec<u32> {
        std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))
            .unwrap_or_default()
            .split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect()
    };
    eventually("a server and a generator", || !setup.rows().is_empty() && children(lab.id()).len() == 2);
    let orphans = children(lab.id());
    lab.kill().unwrap();
    lab.wait().unwrap();
    let alive = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !(stat.is_empty() || stat.contains(") Z "))
    };
    eventually("the end of all children", || !orphans.iter().any(alive));
    assert!(!setup.rows().is_empty());
}

/// A disk that fills up mid-run ends it with exit code 3, the knob, and whole rows. The disk is a small tmpfs in a
/// mount namespace of its own.
#[test]
fn a_full_disk_loses_no_row() {
    let setup = Setup::new("none", 50, "");
    std::fs::create_dir(setup.out()).unwrap();
    let lab = setup.command();
    let args: Vec<_> = lab.get_args().map(|arg| arg.to_str().unwrap().to_owned()).collect();
    // Once the first row is there the rest of the disk is taken; the rows are copied out for the test to read.
    let script = r#"
        set -e
        out=$1; saved=$2; shift 2
        mount -t tmpfs -o size=24m tmpfs "$out"
        code=0
        "$@" & lab=$!
        while [ ! -s "$out/trials.jsonl" ]; do sleep 0.02; done
        dd if=/dev/zero of="$out/filler" bs=4k 2>/dev/null || true
        wait $lab || code=$?
        cp "$out/trials.jsonl" "$saved"
        exit $code
    "#;
    let saved = setup.folder.path().join("saved.jsonl");
    let ran = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(setup.out())
        .arg(&saved)
        .arg(LAB)
        .args(args)
        .output()
        .unwrap();
    Ran::of(ran).says(3, "No space left on device");
    let text = std::fs::read_to_string(saved).unwrap();
    assert!(text.ends_with('\n') && !text.is_empty());
    text.lines().for_each(|line| drop(serde_json::from_str::<serde_json::Value>(line).unwrap()));
}

/// The faulty server itself must be there: without it the tests above would test nothing.
#[test]
fn the_faulty_server_is_built() {
    assert!(faulty_server().is_file());
}
