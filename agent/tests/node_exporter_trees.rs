//! Debian's node_exporter (1.5.0) on the made-up trees of the rare collectors: it must show what the goldens beside the
//! trees say, which `rare_collectors.rs` compares with the agent's pages. So both read hardware that no machine at hand
//! has in the same way, sample by sample. Where newer releases differ, [`NEWER`] says so; nothing else may.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

#[path = "support/bundle.rs"]
mod bundle;
mod support;

use std::fs;
use std::process::Command;

use bundle::{fixture, unpack};
use support::{Daemon, Metrics, Series, free_port};

/// The collectors that 1.5.0 has, with the flags that their trees need; ROOT is where the tree was unpacked.
const COLLECTORS: [(&str, &[&str]); 25] = [
    ("bcache", &["--collector.bcache.priorityStats"]),
    ("bonding", &[]),
    ("btrfs", &[]),
    ("cgroups", &[]),
    ("dmi", &[]),
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
    ("powersupplyclass", &[]),
    ("qdisc", &["--collector.qdisc.fixtures=ROOT/recorded"]),
    ("rapl", &[]),
    ("tapestats", &[]),
    ("thermal_zone", &[]),
    ("wifi", &["--collector.wifi.fixtures=ROOT/recorded"]),
    ("zfs", &[]),
];

/// Devices whose missing files 1.5.0 takes for a failure of the whole collector. Their samples are not compared.
const INCOMPLETE: [&str; 3] = ["sys/class/infiniband/mlx5_0", "sys/class/infiniband/irdma0", "sys/class/fc_host/host0"];

/// What newer releases do otherwise: a name, in which `*` stands for any text, a part of the labels, and the reason.
const NEWER: &[(&str, &str, &str)] = &[
    ("node_bcache_*", "bdev0", "1.5.0 shows 0 for counters that newer releases read"),
    ("node_btrfs_*commit*", "", "not in 1.5.0"),
    ("node_edac_channel_*", "", "not in 1.5.0"),
    ("node_hwmon_*", "platform_asus_nb_wmi", "newer releases tell chips of one device apart"),
    ("node_hwmon_*", "sclk", "1.5.0 shows no frequencies"),
    ("node_md_raid_disks", "", "newer releases read it from sysfs"),
    ("node_md_degraded", "", "newer releases read it from sysfs"),
    ("node_mountstats_nfs_transport_*", "", "newer releases have a series for each connection"),
    ("node_mountstats_nfs_operations_errors_total", "", "not in 1.5.0"),
    ("node_mountstats_nfs_mountpoint_info", "", "not in 1.5.0"),
    ("node_nfs_requests_total", "GetDeviceInfo", "newer releases have another order here"),
    ("node_nfs_requests_total", "LayoutGet", "newer releases have another order here"),
    ("node_nfsd_requests_total", "proto=\"4\"", "1.5.0 lacks two operations, which shifts those after them"),
    ("node_nvme_info", "", "newer releases have a label cntlid"),
    ("node_wifi_station_*_packets_total", "", "not in 1.5.0"),
    ("node_zfs_zpool_dataset_*", "tank/my", "1.5.0 cuts names at blanks"),
    ("node_zfs_zpool_state", "suspended", "not in 1.5.0"),
    ("node_zfs_arc_memory_available_bytes", "", "1.5.0 leaves negative numbers out"),
];

fn is_newer(series: &Series) -> bool {
    let text = series.to_string();
    NEWER.iter().any(|(name, part, _)| {
        let mut rest = Some(&series.name[..]);
        for (index, piece) in name.split('*').enumerate() {
            rest = rest.and_then(|rest| {
                let at = if index == 0 { rest.starts_with(piece).then_some(0) } else { rest.find(piece) };
                at.map(|at| &rest[at + piece.len()..])
            });
        }
        rest.is_some_and(|rest| rest.is_empty() || name.ends_with('*')) && text.contains(part)
    })
}

/// Every collector's tree; see the head of this file.
#[test]
fn goldens_are_what_node_exporter_shows() {
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (name, flags) in COLLECTORS {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        unpack(&format!("{name}.tree"), root);
        for tree in ["proc", "sys"] {
            fs::create_dir_all(root.join(tree)).unwrap();
        }
        let devices: Vec<&str> = INCOMPLETE.into_iter().filter(|device| root.join(device).exists()).collect();
        devices.iter().for_each(|device| fs::remove_dir_all(root.join(device)).unwrap());
        let left_out = |series: &Series| {
            let is_of = |device: &str| series.labels.iter().any(|(_, value)| device.ends_with(&format!("/{value}")));
            devices.iter().any(|device| is_of(device))
        };
        let root = root.to_str().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new("prometheus-node-exporter");
        command
            .args([format!("--web.listen-address={address}"), "--collector.disable-defaults".into()])
            .args([format!("--collector.{name}"), format!("--path.procfs={root}/proc")])
            .args([format!("--path.sysfs={root}/sys"), format!("--path.rootfs={root}")])
            .args(flags.iter().map(|flag| flag.replace("ROOT", root)));
        let page = Daemon::start(&mut command, &address, "Listening on").get("/metrics").replace(root, "");
        let theirs = Metrics::parse(&page);
        let ours = Metrics::parse(&fs::read_to_string(fixture(&format!("{name}.prom"))).unwrap());
        let success = format!("node_scrape_collector_success{{collector=\"{name}\"}} 1");
        assert!(page.lines().any(|line| line == success), "node_exporter's {name} failed");
        for (series, value) in &ours.samples {
            match theirs.samples.get(series) {
                _ if is_newer(series) || left_out(series) => {}
                Some(other) if other == value || (other.is_nan() && value.is_nan()) => compared += 1,
                Some(other) => wrong.push(format!("{series} is {value}, node_exporter has {other}")),
                None => wrong.push(format!("{series} is only the agent's")),
            }
            let types = (ours.types.get(&series.name), theirs.types.get(&series.name));
            if let (Some(ours), Some(theirs)) = types
                && ours != theirs
            {
                wrong.push(format!("{} is a {ours}, node_exporter has a {theirs}", series.name));
            }
        }
        let about_programs = ["go_", "process_", "promhttp_", "node_scrape_", "node_exporter_"];
        let missing = theirs.samples.keys().filter(|series| {
            let is_foreign = about_programs.iter().any(|prefix| series.name.starts_with(prefix));
            !is_foreign && !ours.samples.contains_key(series) && !is_newer(series)
        });
        wrong.extend(missing.map(|series| format!("{series} is only node_exporter's")));
    }
    println!("{compared} samples of {} collectors are equal", COLLECTORS.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 700, "only {compared} samples were compared");
}
