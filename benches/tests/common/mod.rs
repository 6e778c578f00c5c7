//! Runs the real `lab` against `examples/faulty_server`, a server that breaks the contract on demand.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a module of several test crates, each of which uses its part"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The lab's binary.
pub const LAB: &str = env!("CARGO_BIN_EXE_lab");

/// The faulty server, which Cargo builds beside the tests.
pub fn faulty_server() -> PathBuf {
    let path = Path::new(LAB).with_file_name("examples").join("faulty_server");
    assert!(path.is_file(), "{} is built by `cargo test --package lab`", path.display());
    path
}

/// A folder with a scenario and an engines file for one faulty engine.
pub struct Setup {
    pub folder: tempfile::TempDir,
}

impl Setup {
    /// `fault` as `faulty_server` takes it; `more` is put at the end of the scenario.
    pub fn new(fault: &str, rounds: u32, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engines = format!(
            "[[engine]]\nname = \"faulty\"\nbinary = {:?}\nargs = [{fault:?}]\ninterface = \"epoll\"\n",
            faulty_server().display().to_string()
        );
        let scenario = format!(
            "name = \"fault\"\nquestion = \"Is it noticed?\"\nengines = [\"faulty\"]\nprotocols = [\"frame\"]\nformats = [\"raw\"]\n\
             [workload]\nservice = \"echo\"\npayload_bytes = 64\n\
             [load]\nmode = \"open\"\narrivals = \"constant\"\nrate = 2000.0\nconnections = 10\nwarmup_seconds = 0.1\n\
             measure_seconds = 0.4\ntimeout_seconds = 1.0\n\
             [rounds]\ncount = {rounds}\nseed = 1\nsyscalls = false\n\
             [voids]\nretries = 0\nforeign_cpu_share = 1.0\nsteal_share = 1.0\nschedule_lag_p99_us = 1e9\nrate_shortfall = 0.9\n{more}\n"
        );
        std::fs::write(folder.path().join("engines.toml"), engines).unwrap();
        std::fs::write(folder.path().join("scenario.toml"), scenario).unwrap();
        Self { folder }
    }

    pub fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// `lab run` of the scenario, ready to be started.
    pub fn command(&self) -> Command {
        let mut command = Command::new(LAB);
        command
            .arg("run")
            .arg(self.folder.path().join("scenario.toml"))
            .arg("--engines")
            .arg(self.folder.path().join("engines.toml"))
            .arg("--out")
            .arg(self.out())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self) -> Ran {
        Ran::of(self.command().output().unwrap())
    }

    /// The rows written so far; each must be whole.
    pub fn rows(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.out().join("trials.jsonl")).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'), "a torn row");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// How a command ended.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asserts exit code and a piece of the sentence on stderr.
    #[track_caller]
    pub fn says(&self, code: i32, piece: &str) {
        assert_eq!(self.code, Some(code), "stderr: {}", self.stderr);
        assert!(self.stderr.contains(piece), "{piece:?} is not in: {}", self.stderr);
    }
}

/// A faulty server by itself, for tests of the generator alone.
pub struct Server {
    pub process: Child,
    pub address: String,
}

impl Server {
    pub fn start(fault: &str) -> Self {
        let mut process = Command::new(faulty_server()).arg(fault).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        Self { process, address: ready["addresses"][0].as_str().unwrap().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Processes whose command line holds `needle`, zombies left out.
pub fn processes_with(needle: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).replace('\0', " ").contains(needle) {
            found.push(pid);
        }
    }
    found
}

/// Waits until `condition` holds, 20 s at most: a bound for a hung run, not a measurement.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{what} did not happen within 20 s");
}
