//! Collectors of rare hardware and file systems, on trees that are laid out as the kernel's documentation says.
//!
//! `fixtures/rare/NAME.tree` bundles the files below one root (`support/bundle.rs` explains the form) and `NAME.prom` has
//! the page that the collector makes of it, without HELP. After a wanted change, write the pages anew with `BLESS=1 cargo test -p highload-agent --test rare_collectors` and read the diff.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::fs;
use std::path::Path;

#[path = "support/bundle.rs"]
mod bundle;

use bundle::{fixture, unpack};
use hostfs::Roots;

use highload_agent::collector::{COLLECTORS, Failure};
use highload_agent::exposition::Page;
use highload_agent::flags::Setup;

/// Collector and flags; ROOT in a flag is where the bundle was unpacked.
const CASES: &[(&str, &[(&str, &str)])] = &[
    ("bcache", &[("collector.bcache.priorityStats", "true")]),
    ("bcachefs", &[]),
    ("bonding", &[]),
    ("btrfs", &[]),
    ("cgroups", &[]),
    ("dmi", &[]),
    ("dmmultipath", &[]),
    ("drbd", &[]),
    ("edac", &[]),
    ("fibrechannel", &[]),
    ("hwmon", &[]),
    ("infiniband", &[]),
    ("ipvs", &[]),
    ("ksmd", &[]),
    ("lnstat", &[]),
    ("mdadm", &[]),
    ("mountstats", &[]),
    ("nfs", &[]),
    ("nfsd", &[]),
    ("nvme", &[]),
    ("nvmesubsystem", &[]),
    ("pcidevice", &[]),
    ("powersupplyclass", &[]),
    ("qdisc", &[("collector.qdisc.fixtures", "ROOT/recorded")]),
    ("rapl", &[]),
    ("swap", &[]),
    ("tapestats", &[]),
    ("thermal_zone", &[]),
    ("tls", &[]),
    ("watchdog", &[]),
    ("wifi", &[("collector.wifi.fixtures", "ROOT/recorded")]),
    ("xfrm", &[]),
    ("zfs", &[]),
];

/// What a collector says of a host whose trees are empty.
#[derive(Debug, PartialEq)]
enum Empty {
    Success,
    NoData,
    Broken,
}

/// As node_exporter does: no data where it looks for a directory or file first, success where it only lists, a
/// broken source where the file is expected on every host.
const EMPTY: &[(Empty, &[&str])] = &[
    (Empty::Success, &["bcache", "btrfs", "edac", "lnstat", "thermal_zone"]),
    (Empty::Broken, &["cgroups", "ksmd", "mountstats", "swap", "xfrm"]),
    (
        Empty::NoData,
        &[
            "bcachefs",
            "bonding",
            "dmi",
            "dmmultipath",
            "drbd",
            "fibrechannel",
            "hwmon",
            "infiniband",
            "ipvs",
            "mdadm",
            "nfs",
            "nfsd",
            "nvme",
            "nvmesubsystem",
            "pcidevice",
            "powersupplyclass",
            "rapl",
            "tapestats",
            "tls",
            "watchdog",
            "zfs",
        ],
    ),
];

/// Runs a collector twice, because buffers are used again, and gives the second page and result.
fn collect(name: &str, root: &Path, flags: &[(&str, &str)]) -> (String, Result<(), Failure>) {
    let entry = COLLECTORS.iter().find(|entry| entry.name == name).unwrap();
    let mut setup = Setup::new(Roots::below(root));
    for (flag, value) in flags {
        setup.give(flag, &value.replace("ROOT", root.to_str().unwrap())).unwrap();
    }
    let mut collector = (entry.spec.build)(&setup).unwrap();
    let mut page = Page::default();
    let _ = collector.collect(&mut page);
    page.clear();
    let result = collector.collect(&mut page);
    let text = String::from_utf8(page.as_bytes().to_vec()).unwrap();
    (text.replace(root.to_str().unwrap(), ""), result)
}

/// Every bundle makes the page beside it.
#[test]
fn pages() {
    for (name, flags) in CASES {
        let root = tempfile::tempdir().unwrap();
        unpack(&format!("{name}.tree"), root.path());
        let (text, result) = collect(name, root.path(), flags);
        result.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        let page: String =
            text.lines().filter(|line| !line.starts_with("# HELP")).flat_map(|line| [line, "\n"]).collect();
        let expected = fixture(&format!("{name}.prom"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &page).unwrap();
        }
        pretty(name, &fs::read_to_string(&expected).unwrap(), &page);
    }
}

/// Compares by line, so that a failure shows the line and not two pages.
fn pretty(name: &str, expected: &str, page: &str) {
    for (expected, line) in expected.lines().zip(page.lines()) {
        assert_eq!(line, expected, "{name}");
    }
    assert_eq!(page.lines().count(), expected.lines().count(), "{name}");
}

/// A host without any of it.
#[test]
fn empty_trees() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("proc")).unwrap();
    fs::create_dir_all(root.path().join("sys")).unwrap();
    for (expected, names) in EMPTY {
        for name in *names {
            let (text, result) = collect(name, root.path(), &[]);
            let outcome = match result {
                Ok(()) => Empty::Success,
                Err(Failure::NoData(_) | Failure::Missing(_)) => Empty::NoData,
                Err(Failure::Broken(_)) => Empty::Broken,
            };
            assert_eq!(outcome, *expected, "{name}");
            assert_eq!(text, "", "{name}");
        }
    }
}

/// Files that hold nothing of what they should: no panic, and no page that breaks the format.
#[test]
fn garbage_is_survived() {
    for (name, flags) in CASES {
        for garbage in [&b""[..], b"\n", b"\xff\xfe \x00:\n", b"99999999999999999999999\n", b"-1\n", b": :\n:::\n"] {
            let root = tempfile::tempdir().unwrap();
            unpack(&format!("{name}.tree"), root.path());
            spoil(root.path(), garbage);
            let (text, _) = collect(name, root.path(), flags);
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let value = line.rsplit(' ').next().unwrap();
                assert!(line.starts_with("node_") && value.parse::<f64>().is_ok(), "{name}: {line}");
            }
        }
    }
}

/// Writes `garbage` into every regular file below `directory`.
fn spoil(directory: &Path, garbage: &[u8]) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            spoil(&entry.path(), garbage);
        } else if kind.is_file() {
            fs::write(entry.path(), garbage).unwrap();
        }
    }
}
