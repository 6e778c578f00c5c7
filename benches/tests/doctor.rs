//! Every check of `lab doctor` on a fixture machine that passes it and on one that does not.
//!
//! A machine is a directory that mirrors `/proc` and `/sys`, and the answers that only trying can give.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hostfs::Roots;
use lab::host::{
    Activity, CHECKS, Check, DEMO_CONNECTIONS, Files, Grade, Live, Machine, Needs, Ring, fingerprint_of, preflight_on,
};

/// A machine that is as one would wish: every check is ok on it.
const GOOD: &[(&str, &str)] = &[
    ("proc/sys/kernel/osrelease", "6.12.30-amd64\n"),
    ("proc/sys/kernel/io_uring_disabled", "0\n"),
    ("proc/sys/kernel/perf_event_paranoid", "1\n"),
    ("proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/vda1 secret=hidden isolcpus=2-3\n"),
    ("proc/loadavg", "0.02 0.05 0.01 1/150 4711\n"),
    (
        "proc/meminfo",
        "MemTotal: 32000000 kB\nMemFree: 30000000 kB\nMemAvailable: 30000000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
    ),
    ("proc/self/status", "Name:\tlab\nCapEff:\t0000000000000000\nSeccomp:\t0\nCpus_allowed_list:\t0-3\n"),
    (
        "proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units     \n\
         Max open files            1048576              1048576              files     \n",
    ),
    ("proc/self/cgroup", "0::/user.slice\n"),
    ("proc/sys/net/ipv4/tcp_congestion_control", "cubic\n"),
    ("proc/sys/net/ipv4/tcp_available_congestion_control", "reno bbr cubic\n"),
    ("proc/sys/net/ipv4/tcp_mem", "287898\t383867\t575796\n"),
    ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
    ("proc/sys/net/ipv4/ip_local_reserved_ports", "\n"),
    ("proc/sys/net/core/somaxconn", "4096\n"),
    ("sys/devices/system/cpu/isolated", "2-3\n"),
    ("sys/devices/system/cpu/online", "0-3\n"),
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
    ("sys/devices/system/cpu/cpuidle/current_driver", "intel_idle\n"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state0/name", "POLL\n"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state0/latency", "0\n"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state1/name", "C1\n"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state1/latency", "2\n"),
    ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
    ("sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet acpi_pm\n"),
    ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
    ("sys/class/net/lo/mtu", "65536\n"),
];

/// Puts a good machine with `changes` into `dir`; an empty text takes the file away.
fn machine(dir: &Path, changes: &[(&str, &str)]) -> Machine {
    for (path, text) in GOOD.iter().chain(changes) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if text.is_empty() { fs::remove_file(path).unwrap() } else { fs::write(path, text).unwrap() }
    }
    let ring = Ring { features: vec!["NODROP"], operations: vec!["ACCEPT"], ..Ring::default() };
    Machine {
        files: Files { roots: Roots::below(dir) },
        live: Live {
            ring: Ok(ring),
            syscalls: Ok(()),
            conntrack_on_loopback: None,
            results_free_bytes: Some(100 << 30),
            page_bytes: 4096,
            activity: Some(Activity { seconds: 1.0, steal_share: 0.0, busy_share: 0.01 }),
        },
    }
}

/// A machine with one thing wrong, and what the check must say about it.
struct Bad {
    check: &'static str,
    files: &'static [(&'static str, &'static str)],
    live: fn(&mut Live),
    grade: Grade,
    /// Must be in the value seen or in the reason.
    says: &'static str,
    /// Must be in the command; empty when there is none.
    command: &'static str,
}

impl Bad {
    const fn new(check: &'static str, grade: Grade, says: &'static str, command: &'static str) -> Self {
        Self { check, files: &[], live: |_| {}, grade, says, command }
    }

    const fn files(mut self, files: &'static [(&'static str, &'static str)]) -> Self {
        self.files = files;
        self
    }

    const fn live(mut self, live: fn(&mut Live)) -> Self {
        self.live = live;
        self
    }
}

#[rustfmt::skip]
const BAD: &[Bad] = &[
    Bad::new("kernel", Grade::Fail, "no ring engine", "Linux 6.1").files(&[("proc/sys/kernel/osrelease", "4.19.0\n")]),
    Bad::new("kernel", Grade::Warn, "DEFER_TASKRUN", "Linux 6.1").files(&[("proc/sys/kernel/osrelease", "5.15.0-91\n")]),
    Bad::new("kernel", Grade::Unknown, "osrelease", "").files(&[("proc/sys/kernel/osrelease", "")]),
    Bad::new("io_uring", Grade::Fail, "io_uring_disabled=2", "sysctl -w kernel.io_uring_disabled=0")
        .files(&[("proc/sys/kernel/io_uring_disabled", "2\n")]).live(|live| live.ring = Err(libc::EPERM)),
    Bad::new("io_uring", Grade::Fail, "seccomp", "seccomp=unconfined")
        .files(&[("proc/self/status", "Seccomp:\t2\n")]).live(|live| live.ring = Err(libc::EPERM)),
    Bad::new("io_uring", Grade::Warn, "SEND", "Linux 6.1")
        .live(|live| live.ring = Ok(Ring { missing: vec!["SEND"], ..Ring::default() })),
    Bad::new("cores", Grade::Fail, "1 usable", "taskset -c 0-3").files(&[("proc/self/status", "Cpus_allowed_list:\t2\n")]),
    Bad::new("open files", Grade::Fail, "hard 256", "ulimit -Hn")
        .files(&[("proc/self/limits", "Max open files            256                  256                  files\n")]),
    Bad::new("open files", Grade::Warn, "soft 128, hard 20,000: 10k in 1, 100k in 6, 500k in 26", "ulimit -Sn 20000")
        .files(&[("proc/self/limits", "Max open files            128                  20000                files\n")]),
    Bad::new("memory", Grade::Fail, "100 MiB", "larger machine").files(&[("proc/meminfo", "MemAvailable: 102400 kB\n")]),
    Bad::new("memory", Grade::Warn, "500k connections", "fewer connections").files(&[("proc/meminfo", "MemAvailable: 2000000 kB\n")]),
    Bad::new("disk for results", Grade::Fail, "1 MiB", "--out").live(|live| live.results_free_bytes = Some(1 << 20)),
    Bad::new("disk for results", Grade::Warn, "100 MiB", "--out").live(|live| live.results_free_bytes = Some(100 << 20)),
    Bad::new("syscall tracepoint", Grade::Warn, "the reason", "CAP_PERFMON").live(|live| live.syscalls = Err("the reason".into())),
    Bad::new("perf_event_paranoid", Grade::Warn, "4", "sysctl -w kernel.perf_event_paranoid=1")
        .files(&[("proc/sys/kernel/perf_event_paranoid", "4\n")]),
    Bad::new("mitigations", Grade::Warn, "flatters epoll", "boot without").files(&[("proc/cmdline", "quiet mitigations=off\n")]),
    Bad::new("clock source", Grade::Warn, "hpet", "echo tsc > /sys/devices")
        .files(&[("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n")]),
    Bad::new("frequency governor", Grade::Warn, "powersave", "echo performance")
        .files(&[("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n")]),
    Bad::new("frequency governor", Grade::Unknown, "hypervisor", "")
        .files(&[("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "")]),
    Bad::new("idle states", Grade::Warn, "C10 leaves in 890", "cpupower idle-set").files(&[
        ("sys/devices/system/cpu/cpu0/cpuidle/state2/name", "C10\n"),
        ("sys/devices/system/cpu/cpu0/cpuidle/state2/latency", "890\n"),
    ]),
    Bad::new("cgroup CPU limit", Grade::Warn, "1.50 CPUs", "cpu.max").files(&[("sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n")]),
    Bad::new("cgroup CPU limit", Grade::Fail, "0.50 CPUs", "cpu.max").files(&[("sys/fs/cgroup/user.slice/cpu.max", "50000 100000\n")]),
    Bad::new("cgroup memory limit", Grade::Fail, "256 MiB", "memory.max").files(&[("sys/fs/cgroup/user.slice/memory.max", "268435456\n")]),
    Bad::new("cgroup memory limit", Grade::Warn, "2.0 GiB", "memory.max").files(&[("sys/fs/cgroup/user.slice/memory.max", "2147483648\n")]),
    Bad::new("transparent huge pages", Grade::Warn, "always", "echo madvise")
        .files(&[("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n")]),
    Bad::new("swap", Grade::Warn, "98 MiB in use", "swapoff")
        .files(&[("proc/meminfo", "MemAvailable: 30000000 kB\nSwapTotal: 200000 kB\nSwapFree: 100000 kB\n")]),
    Bad::new("tcp_mem", Grade::Warn, "pressure at 2 MiB", "sysctl -w net.ipv4.tcp_mem='75000 100000 150000'")
        .files(&[("proc/sys/net/ipv4/tcp_mem", "384\t512\t768\n")]),
    Bad::new("tcp_mem", Grade::Unknown, "initial network namespace", "").files(&[("proc/sys/net/ipv4/tcp_mem", "")]),
    Bad::new("congestion control", Grade::Warn, "bbr paces", "sysctl -w net.ipv4.tcp_congestion_control=cubic")
        .files(&[("proc/sys/net/ipv4/tcp_congestion_control", "bbr\n")]),
    Bad::new("conntrack", Grade::Warn, "9 of 262,144 entries, hooked", "NOTRACK").files(&[
        ("proc/sys/net/netfilter/nf_conntrack_max", "262144\n"),
        ("proc/sys/net/netfilter/nf_conntrack_count", "9\n"),
    ]).live(|live| live.conntrack_on_loopback = Some(true)),
    Bad::new("conntrack", Grade::Fail, "table is full", "NOTRACK").files(&[
        ("proc/sys/net/netfilter/nf_conntrack_max", "262144\n"),
        ("proc/sys/net/netfilter/nf_conntrack_count", "262100\n"),
    ]).live(|live| live.conntrack_on_loopback = Some(true)),
    Bad::new("somaxconn", Grade::Warn, "128", "sysctl -w net.core.somaxconn=4096").files(&[("proc/sys/net/core/somaxconn", "128\n")]),
    Bad::new("ephemeral ports", Grade::Fail, "101 a source", "sysctl -w net.ipv4.ip_local_port_range='32768 60999'")
        .files(&[("proc/sys/net/ipv4/ip_local_port_range", "50000\t50100\n")]),
    Bad::new("ephemeral ports", Grade::Warn, "5,001 a source", "ip_local_port_range")
        .files(&[("proc/sys/net/ipv4/ip_local_port_range", "50000\t55000\n")]),
    Bad::new("listening ports", Grade::Warn, "10700 lies in 1024-65535", "sysctl -w net.ipv4.ip_local_reserved_ports=10700")
        .files(&[("proc/sys/net/ipv4/ip_local_port_range", "1024\t65535\n")]),
    Bad::new("steal", Grade::Warn, "5.0 %", "dedicated cores").live(|live| {
        live.activity = Some(Activity { seconds: 1.0, steal_share: 0.05, busy_share: 0.0 });
    }),
    Bad::new("load", Grade::Warn, "40 % busy", "top").live(|live| {
        live.activity = Some(Activity { seconds: 1.0, steal_share: 0.0, busy_share: 0.4 });
    }),
];

fn findings(machine: &Machine) -> Vec<Check> {
    CHECKS.iter().map(|check| check(machine)).collect()
}

/// On the good machine every check is ok, and says so without a reason or a command.
#[test]
fn a_good_machine_passes_every_check() {
    let dir = tempfile::tempdir().unwrap();
    for check in findings(&machine(dir.path(), &[])) {
        assert_eq!(check.grade, Grade::Ok, "{check:?}");
        assert!(check.why.is_none() && check.fix.is_none() && !check.seen.is_empty(), "{check:?}");
    }
}

/// Each bad machine fails its check with the grade, the value and the command that it should, and no other
/// check gets worse than it was, but for those that look at the same file.
#[test]
fn a_bad_machine_fails_its_check() {
    for bad in BAD {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = machine(dir.path(), bad.files);
        (bad.live)(&mut machine.live);
        let found = findings(&machine);
        let check = found.iter().find(|check| check.name == bad.check).unwrap();
        assert_eq!(check.grade, bad.grade, "{check:?}");
        let said = format!("{} {}", check.seen, check.why.as_deref().unwrap_or_default());
        assert!(said.contains(bad.says), "{check:?} does not say {:?}", bad.says);
        match &check.fix {
            Some(fix) => assert!(!bad.command.is_empty() && fix.command.contains(bad.command), "{check:?}"),
            None => assert!(bad.command.is_empty(), "{check:?} has no command"),
        }
        if let Some(fix) = check.fix.as_ref().filter(|fix| fix.command.starts_with("sysctl -w")) {
            assert!(
                fix.undo.as_ref().is_some_and(|undo| undo.starts_with("sysctl -w") && *undo != fix.command),
                "{check:?}"
            );
        }
    }
}

/// Every check has a name of its own and a bad machine.
#[test]
fn every_check_has_a_bad_machine() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<&str> = findings(&machine(dir.path(), &[])).iter().map(|check| check.name).collect();
    let all: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(all.len(), names.len(), "{names:?}");
    assert_eq!(all, BAD.iter().filter(|bad| bad.grade > Grade::Unknown).map(|bad| bad.check).collect());
}

/// An empty tree is a machine of which nothing is known: no check panics, and none calls it good without a reason to.
#[test]
fn an_unreadable_machine_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let mut nothing = machine(dir.path(), &[]);
    nothing.files.roots = Roots::below(&dir.path().join("nowhere"));
    nothing.live.activity = None;
    nothing.live.results_free_bytes = None;
    let unknown = findings(&nothing).iter().filter(|check| check.grade == Grade::Unknown).count();
    assert!(unknown >= 14, "{unknown}");
}

/// The number of connections that checks call the demo's is the one in its scenario.
#[test]
fn the_demo_holds_what_the_checks_assume() {
    let scenario: toml::Table = toml::from_str(include_str!("../scenarios/demo.toml")).unwrap();
    let connections = scenario["load"]["connections"].as_integer().unwrap();
    assert_eq!(u64::try_from(connections), Ok(DEMO_CONNECTIONS));
}

/// A good machine runs a plan; each way of not being able to is refused with value seen, value needed and knob.
#[test]
fn preflight_refuses_with_the_knob() {
    let plan = Needs { connections: 20_000, io_uring: true, listen: Some("127.0.0.1:0".into()) };
    let refused = |changes: &[(&str, &str)], live: fn(&mut Live), needs: &Needs| {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = machine(dir.path(), changes);
        live(&mut machine.live);
        preflight_on(&machine, needs).err().map(|refusal| refusal.to_string()).unwrap_or_default()
    };
    assert_eq!(refused(&[], |_| {}, &plan), "");

    let limits = [("proc/self/limits", "Max open files            1024                 4096                 files\n")];
    let sentence = refused(&limits, |_| {}, &plan);
    assert!(
        sentence.contains("RLIMIT_NOFILE is 4096") && sentence.contains("20064") && sentence.contains("ulimit"),
        "{sentence}"
    );

    let ports = [("proc/sys/net/ipv4/ip_local_port_range", "40000\t49999\n")];
    let sentence = refused(&ports, |_| {}, &plan);
    assert!(sentence.contains("10000 ports") && sentence.contains("20000 connections"), "{sentence}");
    assert!(sentence.contains("back with: sysctl -w net.ipv4.ip_local_port_range='40000 49999'"), "{sentence}");

    let sentence = refused(&[("proc/meminfo", "MemAvailable: 100000 kB\n")], |_| {}, &plan);
    assert!(sentence.contains("183 MiB") && sentence.contains("97 MiB"), "{sentence}");

    let conntrack =
        [("proc/sys/net/netfilter/nf_conntrack_max", "16384\n"), ("proc/sys/net/netfilter/nf_conntrack_count", "5\n")];
    assert_eq!(refused(&conntrack, |live| live.conntrack_on_loopback = Some(false), &plan), "");
    let sentence = refused(&conntrack, |live| live.conntrack_on_loopback = Some(true), &plan);
    assert!(
        sentence.contains("5 of 16384") && sentence.contains("sysctl -w net.netfilter.nf_conntrack_max=40005"),
        "{sentence}"
    );

    let sentence = refused(&[("proc/sys/kernel/io_uring_disabled", "1\n")], |live| live.ring = Err(libc::EPERM), &plan);
    assert!(sentence.contains("io_uring_disabled=1"), "{sentence}");
    let mixed = Needs { io_uring: false, ..plan.clone() };
    assert_eq!(refused(&[], |live| live.ring = Err(libc::EPERM), &mixed), "");

    let sentence = refused(&[], |live| live.results_free_bytes = Some(4096), &plan);
    assert!(sentence.contains("4096 bytes free") && sentence.contains("--out"), "{sentence}");
}

/// A port that somebody listens on is refused with the address and the command that names its owner, and so is
/// one that outgoing connections may take; a word that is no address is refused as such.
#[test]
fn preflight_refuses_a_port_that_cannot_be_kept() {
    let dir = tempfile::tempdir().unwrap();
    let good = machine(dir.path(), &[("proc/sys/net/ipv4/ip_local_port_range", "1024\t65535\n")]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (address, port) = (address.to_string(), address.port());
    let refused = |listen: &str| {
        let needs = Needs { connections: 1, io_uring: false, listen: Some(listen.into()) };
        preflight_on(&good, &needs).unwrap_err().to_string()
    };
    let sentence = refused(&address);
    assert!(sentence.contains(&address) && sentence.contains("ss -ltnp"), "{sentence}");
    drop(taken);
    let sentence = refused(&address);
    assert!(sentence.contains(&format!("ip_local_reserved_ports={port}")), "{sentence}");
    assert!(refused("nonsense").contains("not an address"));
}

/// The fingerprint has its seven groups, the values of the fixture's files, "unknown" for what is not there, and
/// none of the command line's secrets.
#[test]
fn the_fingerprint_says_what_it_does_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(dir.path(), &[]);
    let fingerprint = fingerprint_of(&machine, vec!["lab".into(), "demo".into()], "measured");
    let names: Vec<&str> = fingerprint.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["cpu", "memory", "kernel", "limits", "network", "io_uring", "versions"]);
    let fact = |group: &str, name: &str| {
        let group = fingerprint.groups.iter().find(|found| found.name == group).unwrap();
        group.facts.iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("{name}")).1.clone()
    };
    assert_eq!(fact("kernel", "release"), "6.12.30-amd64");
    assert_eq!(fact("kernel", "command line"), "isolcpus=2-3");
    assert_eq!(fact("kernel", "CONFIG_HZ"), "unknown");
    assert_eq!(fact("network", "net.ipv4.tcp_mem"), "287898 383867 575796");
    assert_eq!(fact("network", "lo MTU"), "65536");
    assert_eq!(fact("limits", "RLIMIT_NOFILE"), "1048576 soft, 1048576 hard");
    assert_eq!(fact("io_uring", "features"), "NODROP");
    assert!(fact("versions", "rustc").starts_with("rustc 1."));
    // Ours, and the one that monoio brings.
    assert!(fact("versions", "mio").contains(" and 1."), "{}", fact("versions", "mio"));
    assert!(fingerprint.started.ends_with('Z') && fingerprint.started.len() == 20, "{}", fingerprint.started);
    let text = serde_json::to_string(&fingerprint).unwrap();
    assert!(!text.contains("secret"), "{text}");
    assert_eq!(serde_json::from_str::<lab::result::Fingerprint>(&text).unwrap(), fingerprint);
}

/// A kernel's configuration in /boot, where /proc/config.gz is missing, and one that is compressed.
#[test]
fn the_kernel_s_configuration_is_found() {
    let config = "CONFIG_HZ=250\nCONFIG_PREEMPT_DYNAMIC=y\n# CONFIG_PREEMPT_RT is not set\n";
    let hz = |machine: &Machine| {
        let fingerprint = fingerprint_of(machine, vec![], "dev");
        let kernel = fingerprint.groups.into_iter().find(|group| group.name == "kernel").unwrap();
        let value = |name: &str| kernel.facts.iter().find(|(fact, _)| fact == name).unwrap().1.clone();
        [value("CONFIG_HZ"), value("CONFIG_PREEMPT_DYNAMIC"), value("CONFIG_PREEMPT_RT")]
    };
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(hz(&machine(dir.path(), &[("boot/config-6.12.30-amd64", config)])), ["250", "y", "n"]);

    let dir = tempfile::tempdir().unwrap();
    let compressed = machine(dir.path(), &[]);
    let file = fs::File::create(dir.path().join("proc/config.gz")).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, config.as_bytes()).unwrap();
    encoder.finish().unwrap();
    assert_eq!(hz(&compressed), ["250", "y", "n"]);
}
