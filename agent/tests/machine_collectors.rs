//! The collectors of machine metrics on a made-up host, and on hosts whose files are broken.
//!
//! `fixtures/host.tree` bundles the host's files (the head of `rare_collectors.rs` explains the form) and
//! `fixtures/host.prom` is the page that comes of them: a review of its diff shows what users will scrape. After a wanted
//! change: `BLESS=1 cargo test -p highload-agent --test machine_collectors`.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::fs;
use std::path::{Path, PathBuf};

use highload_agent::collector::{COLLECTORS, Failure};
use highload_agent::exposition::Page;
use highload_agent::flags::Setup;
use hostfs::Roots;

/// Collectors whose samples come from files alone, with their flags. Those of system calls and of the time of day are
/// compared with node_exporter's on the live host instead.
const CASES: &[(&str, &[(&str, &str)])] = &[
    ("arp", &[("collector.arp.device-exclude", "nope")]),
    ("buddyinfo", &[]),
    ("conntrack", &[]),
    (
        "cpu",
        &[
            ("collector.cpu.info.flags-include", "^(aes|avx.?)$"),
            ("collector.cpu.info.bugs-include", "^(mds|spectre_.*)$"),
        ],
    ),
    ("cpu_vulnerabilities", &[]),
    ("cpufreq", &[]),
    ("diskstats", &[]),
    ("entropy", &[]),
    ("filefd", &[]),
    ("interrupts", &[]),
    ("kernel_hung", &[]),
    ("loadavg", &[]),
    ("meminfo", &[]),
    ("meminfo_numa", &[]),
    ("netclass", &[]),
    ("netdev", &[]),
    ("netstat", &[]),
    ("os", &[]),
    ("pressure", &[]),
    ("processes", &[]),
    ("schedstat", &[]),
    ("selinux", &[]),
    ("slabinfo", &[]),
    ("sockstat", &[]),
    ("softirqs", &[]),
    ("softnet", &[]),
    ("stat", &[("collector.stat.softirq", "true")]),
    (
        "sysctl",
        &[
            ("collector.sysctl.include", "kernel.threads-max"),
            ("collector.sysctl.include", "net.ipv4.tcp_mem"),
            ("collector.sysctl.include", "net.ipv4.tcp_mem:min,pressure,max"),
            ("collector.sysctl.include-info", "kernel.seccomp.actions_avail"),
        ],
    ),
    ("udp_queues", &[]),
    ("vmstat", &[]),
    ("xfs", &[]),
    ("zoneinfo", &[]),
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Unpacks the bundle below `root`, and gives the paths of its files.
fn unpack(root: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(fixtures().join("host.tree")).unwrap();
    let mut files = Vec::new();
    for part in text.split("\n== ").skip(1) {
        let (path, content) = part.split_once('\n').unwrap();
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("{content}\n")).unwrap();
        files.push(path);
    }
    files
}

/// Runs a collector twice, because buffers are used again, and gives the second page and result.
fn collect(name: &str, root: &Path, flags: &[(&str, &str)]) -> (Vec<u8>, Result<(), Failure>) {
    let entry = COLLECTORS.iter().find(|entry| entry.name == name).unwrap_or_else(|| panic!("no collector {name}"));
    let mut setup = Setup::new(Roots::below(root));
    for (flag, value) in flags {
        setup.give(flag, value).unwrap();
    }
    let mut collector = (entry.spec.build)(&setup).unwrap();
    let mut page = Page::default();
    let _ = collector.collect(&mut page);
    page.clear();
    let result = collector.collect(&mut page);
    (page.as_bytes().to_vec(), result)
}

/// The golden page.
#[test]
fn golden_page() {
    let root = tempfile::tempdir().unwrap();
    unpack(root.path());
    let mut page = String::new();
    for (name, flags) in CASES {
        let (part, result) = collect(name, root.path(), flags);
        assert!(result.is_ok(), "{name}: {result:?}");
        assert!(!part.is_empty(), "{name} has no samples");
        page.push_str(&String::from_utf8(part).unwrap());
    }
    let golden = fixtures().join("host.prom");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&golden, page).unwrap();
        return;
    }
    let wanted = fs::read_to_string(&golden).unwrap();
    for (number, (is, wanted)) in page.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(is, wanted, "host.prom:{}", number + 1);
    }
    assert_eq!(page.len(), wanted.len(), "one page goes on where the other ends");
}

/// Every family on the golden page has its catalogue entry, with that type and no label that the entry does not name.
#[test]
fn everything_has_an_entry() {
    let page = fs::read_to_string(fixtures().join("host.prom")).unwrap();
    let mut families = 0;
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let metric = highload_agent::catalogue::find(name).unwrap_or_else(|| panic!("{name} has no entry"));
        assert_eq!(metric.kind.name(), kind, "{name}");
        families += 1;
    }
    assert!(families > 150, "{families}");
}

/// Damages one file after the other in several ways. No collector may panic or hang; one that reads the file either
/// still succeeds or names it in its error; all others go on as if nothing had happened.
#[test]
fn damaged_files() {
    let root = tempfile::tempdir().unwrap();
    let files = unpack(root.path());
    let good_pages: Vec<Vec<u8>> = CASES.iter().map(|(name, flags)| collect(name, root.path(), flags).0).collect();
    let (mut broken, mut with_line) = (0, 0);
    for file in &files {
        let good = fs::read(file).unwrap();
        let about = file.to_str().unwrap();
        let mut check = |damage: &[u8], cases: &[usize]| -> Vec<usize> {
            fs::write(file, damage).unwrap();
            let mut readers = Vec::new();
            for &case in cases {
                let (name, flags) = CASES[case];
                let (page, result) = collect(name, root.path(), flags);
                assert!(std::str::from_utf8(&page).is_ok() && (page.is_empty() || page.ends_with(b"\n")), "{name}");
                if result.is_err() || page != good_pages[case] {
                    readers.push(case);
                }
                if let Err(Failure::Broken(reason)) = result {
                    broken += 1;
                    let after = reason.split_once(&format!("{about}:")).map_or("", |(_, after)| after);
                    with_line += usize::from(after.starts_with(|character: char| character.is_ascii_digit()));
                    assert!(reason.contains(about), "{name}: {reason:?} is not about {about}");
                }
            }
            readers
        };
        let flipped: Vec<u8> = good.iter().map(|byte| if byte.is_ascii_digit() { b'\xff' } else { *byte }).collect();
        let everybody: Vec<usize> = (0..CASES.len()).collect();
        let readers = check(&flipped, &everybody);
        assert!(readers.len() <= 2, "{about} broke {readers:?}");
        let enlarge = |byte: &u8| if *byte == b'1' { b"99999999999999999999999".to_vec() } else { vec![*byte] };
        let past_u64: Vec<u8> = good.iter().flat_map(enlarge).collect();
        let long = [&good[..], &b"x".repeat(9 << 20)].concat();
        for damage in [&b""[..], &good[..good.len() * 2 / 3], &past_u64, &b"\0\xff\n unknown line\n".repeat(3), &long] {
            check(damage, &readers);
        }
        fs::write(file, &good).unwrap();
    }
    println!("{broken} errors, each with its file, {with_line} with a line");
    assert!(broken > 200 && with_line > 150, "{broken} {with_line}");
}
