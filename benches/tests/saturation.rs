//! Known answers: each resource is taken from the server, or from the box, on purpose, and the verdict of `lab limit` must name it.
//! Counters are the judge; how long anything takes is not looked at.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod common;
#[path = "saturation/fixture.rs"]
mod fixture;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use common::{LAB, Ran, Setup, faulty_server};
use serde_json::Value;

/// One search at a time: two would take the server's core from each other, which is a verdict of its own.
static STAGE: Mutex<()> = Mutex::new(());

/// A scenario whose users say little, so that holding them is what there is to do.
fn quiet_users() -> Setup {
    let setup = Setup::new("none", 1, "");
    let path = setup.folder.path().join("scenario.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("rate = 2000.0"), "{text}");
    std::fs::write(&path, text.replace("rate = 2000.0", "rate = 50.0")).unwrap();
    setup
}

/// Puts a script before the server: `prepare` runs in its process, which then becomes the server.
fn starve(setup: &Setup, fault: &str, prepare: &str) {
    let script = setup.folder.path().join("starved");
    let text = format!("#!/bin/sh\nset -e\n{prepare}\nexec {:?} \"$@\"\n", faulty_server().display().to_string());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let engines = format!(
        "[[engine]]\nname = \"faulty\"\nbinary = {:?}\nargs = [{fault:?}]\ninterface = \"epoll\"\n",
        script.display().to_string()
    );
    std::fs::write(setup.folder.path().join("engines.toml"), engines).unwrap();
}

/// Arguments of a coarse search of one round.
fn search(setup: &Setup, flags: &[&str]) -> Vec<String> {
    let path = |name: &str| setup.folder.path().join(name).display().to_string();
    let own = ["limit", &path("scenario.toml"), "--engines", &path("engines.toml"), "--out", &path("out")];
    let more = ["--json", "--rounds", "1", "--resolution", "60", "--hold", "0.4"];
    own.iter().chain(&more).chain(flags).map(|word| (*word).to_owned()).collect()
}

/// Runs a search in a network namespace that `prepare` sets up, or in the lab's own when it is empty; its one limit.
#[track_caller]
fn limit(setup: &Setup, flags: &[&str], prepare: &str) -> Value {
    let _alone = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let ran = if prepare.is_empty() {
        Command::new(LAB).args(search(setup, flags)).output().unwrap()
    } else {
        let script = format!("set -e\nip link set lo up\n{prepare}\nexec \"$0\" \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "sh", "-c", &script, LAB]);
        command.args(search(setup, flags)).args(["--netns", "host"]).output().unwrap()
    };
    let ran = Ran::of(ran);
    let limits: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stderr));
    limits[0].clone()
}

/// What is taken away for real, and how; all else is in [`fixture::CASES`] with why it is not.
const FOR_REAL: [(&str, &str); 8] = [
    ("descriptors", "ulimit -n 64 of the server"),
    ("ports", "a namespace with 64 local ports"),
    ("accept-queue", "net.core.somaxconn 4 of a namespace, an accept every 20 ms"),
    ("completion-queue", "a ring with room for 4 completions, reaped every 20 ms"),
    ("cpu-quota", "a control group with a tenth of a core"),
    ("memory-cgroup", "a control group of 24 MiB, 64 KiB kept a request"),
    ("dependency", "50 ms of sleep a request"),
    ("server-cpu", "2 ms of CPU a request (tests/limit.rs)"),
];

/// Asserts that the step which broke names `resource` first, with a knob.
#[track_caller]
fn names(limit: &Value, resource: &str) {
    assert!(FOR_REAL.iter().any(|(known, _)| *known == resource), "{resource} is not in the table");
    assert_eq!(limit["resource"], resource, "{limit:#}");
    assert!(!limit["knob"].as_str().unwrap().is_empty(), "{limit:#}");
}

/// Every resource of the rule table has a known answer: starved for real, or by the kernel's files of a box that lacks it; prints
/// which, and why (`cargo test -p lab --test saturation -- --nocapture`).
#[test]
fn every_resource_has_a_known_answer() {
    let mut lines = Vec::new();
    for (resource, how) in FOR_REAL {
        lines.push(format!("{resource:22} {:10} {how}", "for real"));
    }
    for case in fixture::CASES {
        let named = case.starved();
        assert_eq!(
            named.as_ref().map(|(resource, _)| resource.as_str()),
            Some(case.resource),
            "{}: {named:?}",
            case.how
        );
        let evidence = named.unwrap().1;
        assert!(evidence.contains(case.evidence), "{}: {evidence}", case.resource);
        assert_eq!(case.healthy(), None, "{}: what is not starved must not be named", case.resource);
        lines.push(format!("{:22} {:10} {}; {}", case.resource, "files", case.how, case.why));
    }
    for rule in lab::saturation::Rules::default().iter() {
        let known =
            FOR_REAL.iter().map(|(resource, _)| *resource).chain(fixture::CASES.iter().map(|case| case.resource));
        assert!(known.into_iter().any(|known| known == rule.resource), "{} has no known answer", rule.resource);
    }
    println!("{}", lines.join("\n"));
}

/// A server that may open 64 descriptors holds fewer users than that, and the descriptors are named.
#[test]
fn too_few_descriptors() {
    let setup = quiet_users();
    starve(&setup, "none", "ulimit -Sn 64; ulimit -Hn 64");
    let limit =
        limit(&setup, &["--over", "connections", "--slo", "errors<1%", "--start", "16", "--ceiling", "256"], "");
    names(&limit, "descriptors");
    assert_eq!(limit["conclusion"], "found", "{limit:#}");
    assert!(limit["limit"].as_f64().unwrap() < 64.0, "{limit:#}");
}

/// Sixty-four local ports: the generator comes first, so that there is no limit but a number that is exceeded.
#[test]
fn too_few_ports() {
    let setup = quiet_users();
    let ports = "echo '20000 20063' > /proc/sys/net/ipv4/ip_local_port_range";
    let flags = ["--over", "connections", "--slo", "p99<1s", "--start", "16", "--ceiling", "512"];
    let limit = limit(&setup, &flags, ports);
    names(&limit, "ports");
    assert_eq!(limit["conclusion"], "more-than", "{limit:#}");
    assert!(limit["stopped"].as_str().unwrap().contains("the load generator came first"), "{limit:#}");
}

/// An accept queue of four before a server that accepts a connection every 20 ms.
#[test]
fn too_short_an_accept_queue() {
    let setup = quiet_users();
    starve(&setup, "sluggish:20", "");
    let flags = ["--over", "connections", "--slo", "p99<500ms", "--start", "2", "--ceiling", "256"];
    let limit = limit(&setup, &flags, "echo 4 > /proc/sys/net/core/somaxconn");
    names(&limit, "accept-queue");
}

/// A dependency that takes 50 ms and no CPU: ten connections serve 200 requests a second at most (a short
/// window takes some more, late), and nothing on the box is full.
#[test]
fn a_slow_dependency() {
    let setup = Setup::new("wait:50", 1, "");
    let limit = limit(&setup, &["--over", "rate", "--slo", "p99<300ms", "--start", "20", "--ceiling", "8000"], "");
    names(&limit, "dependency");
    assert!(limit["limit"].as_f64().unwrap() <= 400.0, "{limit:#}");
}

/// A control group of this test's own, below the root of a hierarchy; gone with it.
struct Group(PathBuf);

impl Group {
    /// The v1 hierarchy of `controller`; `None` where the box has none that can be written.
    fn v1(controller: &str, settings: &[(&str, &str)]) -> Option<Self> {
        let path =
            Path::new("/sys/fs/cgroup").join(controller).join(format!("highload-lab-test-{}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        let group = Self(path);
        for (file, value) in settings {
            std::fs::write(group.0.join(file), value).ok()?;
        }
        Some(group)
    }

    /// The same on v2, where the root passes the controller on.
    fn v2(settings: &[(&str, &str)]) -> Option<Self> {
        let path = Path::new("/sys/fs/cgroup").join(format!("highload-lab-test-{}", std::process::id()));
        Path::new("/sys/fs/cgroup/cgroup.controllers").exists().then_some(())?;
        std::fs::create_dir(&path).ok()?;
        let group = Self(path);
        for (file, value) in settings {
            std::fs::write(group.0.join(file), value).ok()?;
        }
        Some(group)
    }

    /// Shell that moves its process into the group.
    fn enter(&self) -> String {
        format!("echo $$ > {}", self.0.join("cgroup.procs").display())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The last process of the group may still be on its way out.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// A quota of a tenth of a core.
#[test]
fn too_small_a_cpu_quota() {
    let group = Group::v1("cpu", &[("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "10000")])
        .or_else(|| Group::v2(&[("cpu.max", "10000 100000")]));
    let Some(group) = group else {
        eprintln!("skipped: no control group with a CPU quota can be made here (root is needed)");
        return;
    };
    let setup = Setup::new("none", 1, "");
    starve(&setup, "spin:200", &group.enter());
    let limit = limit(&setup, &["--over", "rate", "--slo", "p99<250ms", "--start", "40", "--ceiling", "8000"], "");
    names(&limit, "cpu-quota");
}

/// A server that keeps 64 KiB a request in a control group of 24 MiB: its memory limit is named, whether or not it was killed.
#[test]
fn too_little_memory() {
    let bytes = (24 << 20).to_string();
    let group = Group::v1("memory", &[("memory.limit_in_bytes", &bytes)])
        .or_else(|| Group::v2(&[("memory.max", &bytes), ("memory.swap.max", "0")]));
    let Some(group) = group else {
        eprintln!("skipped: no control group with a memory limit can be made here (root is needed)");
        return;
    };
    let setup = Setup::new("none", 1, "");
    starve(&setup, "greedy:64", &group.enter());
    let limit = limit(&setup, &["--over", "rate", "--slo", "p99<1s", "--start", "50", "--ceiling", "8000"], "");
    names(&limit, "memory-cgroup");
}

/// A ring with room for four completions, which its server reaps every 20 ms: 200 requests a second at most, the rest overflows.
#[test]
fn too_short_a_completion_queue() {
    let setup = Setup::new("unreaped:4", 1, "");
    let limit = limit(&setup, &["--over", "rate", "--slo", "p99<300ms", "--start", "20", "--ceiling", "8000"], "");
    if limit["conclusion"] == "unavailable" {
        eprintln!("skipped: {}", limit["stopped"]);
        return;
    }
    names(&limit, "completion-queue");
}
