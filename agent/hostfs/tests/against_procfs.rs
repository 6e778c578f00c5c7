//! Parsers that were written for the per-scrape path, against the procfs crate's on the same text: the live host's, and
//! a made-up host's from the fuzzing corpus.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::path::Path;

use hostfs::{diskstats, loadavg, meminfo, mounts, net_dev, pressure, stat};
use procfs::{Current, FromBufRead, FromBufReadSI, FromRead};

const PATH: &str = "oracle";

/// A live file and the same file of the corpus.
fn texts(live: &str, corpus: &str) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/text").join(corpus);
    vec![std::fs::read(live).unwrap(), std::fs::read(corpus).unwrap()[1..].to_vec()]
}

/// Every field of every CPU, and the counters.
#[test]
fn kernel_stats() {
    for text in texts("/proc/stat", "stat") {
        let mut ours = stat::Stat::default();
        stat::parse(Path::new(PATH), &text, &mut ours).unwrap();
        let theirs = procfs::KernelStats::from_buf_read(&text[..], procfs::current_system_info()).unwrap();
        let pairs = ours
            .cpus
            .iter()
            .map(|cpu| cpu.times)
            .chain([ours.total])
            .zip(theirs.cpu_time.iter().chain([&theirs.total]));
        assert_eq!(ours.cpus.len(), theirs.cpu_time.len());
        for (ours, theirs) in pairs {
            assert_eq!(
                (ours.user, ours.nice, ours.system, ours.idle),
                (theirs.user, theirs.nice, theirs.system, theirs.idle)
            );
            assert_eq!(
                (
                    Some(ours.iowait),
                    Some(ours.irq),
                    Some(ours.softirq),
                    Some(ours.steal),
                    Some(ours.guest),
                    Some(ours.guest_nice)
                ),
                (theirs.iowait, theirs.irq, theirs.softirq, theirs.steal, theirs.guest, theirs.guest_nice)
            );
        }
        assert_eq!(
            (ours.context_switches, ours.boot_time_seconds, ours.forks),
            (Some(theirs.ctxt), Some(theirs.btime), Some(theirs.processes))
        );
        assert_eq!(ours.procs_running, theirs.procs_running.map(u64::from));
        assert_eq!(ours.procs_blocked, theirs.procs_blocked.map(u64::from));
    }
}

/// The fields that dashboards use.
#[test]
fn memory() {
    let text = std::fs::read("/proc/meminfo").unwrap();
    let ours = meminfo::Meminfo::new(Path::new(PATH), &text);
    let theirs = procfs::Meminfo::from_read(&text[..]).unwrap();
    let value = |name: &str| ours.value(name).unwrap();
    assert_eq!(value("MemTotal"), Some(theirs.mem_total));
    assert_eq!(value("MemFree"), Some(theirs.mem_free));
    assert_eq!(value("MemAvailable"), theirs.mem_available);
    assert_eq!(value("Buffers"), Some(theirs.buffers));
    assert_eq!(value("Cached"), Some(theirs.cached));
    assert_eq!(value("Active(anon)"), theirs.active_anon);
    assert_eq!(value("SwapTotal"), Some(theirs.swap_total));
    assert_eq!(value("SReclaimable"), theirs.s_reclaimable);
    assert_eq!(value("Hugepagesize"), theirs.hugepagesize);
    assert_eq!(value("Committed_AS"), Some(theirs.committed_as));
    assert_eq!(value("DirectMap4k"), theirs.direct_map_4k);
}

/// The three averages.
#[test]
fn load() {
    for text in texts("/proc/loadavg", "loadavg") {
        let ours = loadavg::parse(Path::new(PATH), &text).unwrap();
        let theirs = procfs::LoadAverage::from_read(&text[..]).unwrap();
        for (ours, theirs) in [(ours.one, theirs.one), (ours.five, theirs.five), (ours.fifteen, theirs.fifteen)] {
            assert!((ours - f64::from(theirs)).abs() < 1e-5, "{ours} {theirs}");
        }
    }
}

/// Every column of every device with all columns.
#[test]
fn disks() {
    for text in texts("/proc/diskstats", "diskstats") {
        let theirs = procfs::DiskStats::from_buf_read(&text[..]).unwrap().0;
        let ours = diskstats::Diskstats::new(Path::new(PATH), &text);
        assert_eq!(ours.disks().count(), theirs.len());
        for (ours, theirs) in ours.disks().map(Result::unwrap).zip(&theirs) {
            assert_eq!(ours.name, theirs.name.as_bytes());
            assert_eq!(
                (i64::from(ours.major), i64::from(ours.minor)),
                (i64::from(theirs.major), i64::from(theirs.minor))
            );
            assert_eq!(
                ours.numbers[..11],
                [
                    theirs.reads,
                    theirs.merged,
                    theirs.sectors_read,
                    theirs.time_reading,
                    theirs.writes,
                    theirs.writes_merged,
                    theirs.sectors_written,
                    theirs.time_writing,
                    theirs.in_progress,
                    theirs.time_in_progress,
                    theirs.weighted_time_in_progress,
                ]
            );
        }
    }
}

/// Every interface's sixteen numbers.
#[test]
fn interfaces() {
    for text in texts("/proc/net/dev", "net_dev") {
        let theirs = procfs::net::InterfaceDeviceStatus::from_buf_read(&text[..]).unwrap().0;
        let ours = net_dev::NetDev::new(Path::new(PATH), &text);
        assert_eq!(ours.interfaces().count(), theirs.len());
        for ours in ours.interfaces().map(Result::unwrap) {
            let theirs = &theirs[std::str::from_utf8(ours.name).unwrap()];
            assert_eq!(
                ours.receive,
                [
                    theirs.recv_bytes,
                    theirs.recv_packets,
                    theirs.recv_errs,
                    theirs.recv_drop,
                    theirs.recv_fifo,
                    theirs.recv_frame,
                    theirs.recv_compressed,
                    theirs.recv_multicast,
                ]
            );
            assert_eq!(
                ours.transmit,
                [
                    theirs.sent_bytes,
                    theirs.sent_packets,
                    theirs.sent_errs,
                    theirs.sent_drop,
                    theirs.sent_fifo,
                    theirs.sent_colls,
                    theirs.sent_carrier,
                    theirs.sent_compressed,
                ]
            );
        }
    }
}

/// Totals of both lines.
#[test]
fn stalls() {
    for text in texts("/proc/pressure/io", "pressure") {
        let ours = pressure::parse(Path::new(PATH), &text).unwrap();
        let theirs = procfs::IoPressure::from_buf_read(&text[..]).unwrap();
        assert_eq!(ours.some.map(|stall| stall.total_us), Some(theirs.some.total));
        assert_eq!(ours.full.map(|stall| stall.total_us), Some(theirs.full.total));
    }
}

/// Mount points, types and devices.
#[test]
fn mounted() {
    for text in texts("/proc/self/mountinfo", "mountinfo") {
        let theirs = procfs::process::MountInfos::from_buf_read(&text[..]).unwrap();
        let ours = mounts::Mounts::info(Path::new(PATH), &text);
        assert_eq!(ours.mounts().count(), theirs.0.len());
        for (ours, theirs) in ours.mounts().map(Result::unwrap).zip(&theirs.0) {
            let (major, minor) = ours.device_number.unwrap();
            assert_eq!(format!("{major}:{minor}"), theirs.majmin);
            assert_eq!(ours.fs_type, theirs.fs_type.as_bytes());
            // The oracle leaves the kernel's escapes as they are.
            let plain = theirs.mount_point.to_str().unwrap().replace("\\040", " ");
            assert_eq!(&*ours.mount_point, plain.as_bytes());
        }
    }
}

/// The oracle reads the live files itself, too.
#[test]
fn the_oracle_reads_this_host() {
    assert!(procfs::LoadAverage::current().is_ok());
}
