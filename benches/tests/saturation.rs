//! Known answers: each resource is taken from the server, or from the box, on purpose, and the verdict of `lab limit` must name it.
//! Counters are the judge; how long anything takes is not looked at.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use common::{LAB, Ran, Setup, faulty_server};
use hostfs::Roots;
use lab::saturation::{Reading, Record, Rules, Signals, Subject, judge};
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

/// Asserts that the step which broke names `resource` first, with a knob.
#[track_caller]
fn names(limit: &Value, resource: &str) {
    assert_eq!(limit["resource"], resource, "{limit:#}");
    assert!(!limit["knob"].as_str().unwrap().is_empty(), "{limit:#}");
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

/// Connection tracking cannot be made smaller for one namespace, only for the whole host, so its files are a fixture's: a table that
/// fills up, and drops, are named.
#[test]
fn a_full_connection_table() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let columns = "entries clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error \
                   expect_new expect_create expect_delete search_restart\n";
    let line = |drops: u32| {
        format!(
            "{columns}{}\n",
            (0..17)
                .map(|column| if column == 10 { format!("{drops:08x} ") } else { "00000000 ".to_owned() })
                .collect::<String>()
                .trim()
        )
    };
    let verdict = |entries: [u32; 2], drops: [u32; 2]| {
        write("proc/sys/net/netfilter/nf_conntrack_max", "1000\n");
        let readings = [0, 1].map(|moment| {
            write("proc/sys/net/netfilter/nf_conntrack_count", &format!("{}\n", entries[moment]));
            write("proc/net/stat/nf_conntrack", &line(drops[moment]));
            // Anew each time: a fixture's files are replaced, where the kernel's are kept open.
            let mut signals = Signals::new(&Roots::below(dir.path()), Subject::default());
            Reading { at_seconds: moment as f64, values: signals.read() }
        });
        let record = Record { readings: readings.to_vec(), window_seconds: None };
        judge(&Rules::default(), &record, "", true)
            .first()
            .map(|finding| (finding.resource.clone(), finding.evidence.clone()))
    };
    assert_eq!(verdict([10, 900], [5, 5]), None);
    let (resource, evidence) = verdict([10, 990], [5, 5]).unwrap();
    assert_eq!((resource.as_str(), evidence.as_str()), ("conntrack", "connection tracking held 990 of 1,000 entries"));
    let (resource, evidence) = verdict([10, 10], [5, 17]).unwrap();
    assert_eq!(
        (resource.as_str(), evidence.starts_with("connection tracking dropped 12 packets")),
        ("conntrack", true),
        "{evidence}"
    );
}
