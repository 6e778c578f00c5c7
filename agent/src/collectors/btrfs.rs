//! `btrfs`: space, devices and commits of mounted btrfs file systems.

use hostfs::{Roots, btrfs};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::flags::Setup;

crate::metrics! {
    INFO = gauge("node_btrfs_info").labels(&["label", "uuid"]).help("Always 1; the labels name a file system.")
        .source("/sys/fs/btrfs/*/label").answers("Which file system has this UUID?");
    RESERVE = gauge("node_btrfs_global_rsv_size_bytes").labels(&["uuid"]).unit("bytes")
        .help("Space kept back so that deleting still works on a full file system.")
        .source("/sys/fs/btrfs/*/allocation/global_rsv_size").answers("How much space can never be used for data?");
    COMMITS = counter("node_btrfs_commits_total").labels(&["uuid"]).help("Transactions committed since the mount.")
        .source("/sys/fs/btrfs/*/commit_stats").answers("How often does it write its trees?");
    LAST_COMMIT = gauge("node_btrfs_last_commit_seconds").labels(&["uuid"]).unit("seconds")
        .help("How long the newest commit took.").source("/sys/fs/btrfs/*/commit_stats")
        .answers("Did the last commit hold writers up?");
    MAX_COMMIT = gauge("node_btrfs_max_commit_seconds").labels(&["uuid"]).unit("seconds")
        .help("How long the slowest commit since the mount took.").source("/sys/fs/btrfs/*/commit_stats")
        .answers("How long may a commit hold writers up?");
    COMMIT_SECONDS = counter("node_btrfs_commit_seconds_total").labels(&["uuid"]).unit("seconds")
        .help("Time spent in commits since the mount.").source("/sys/fs/btrfs/*/commit_stats")
        .answers("Which share of time goes into commits?");
    RESERVED = gauge("node_btrfs_reserved_bytes").labels(&["block_group_type", "uuid"]).unit("bytes")
        .help("Space promised to writes that are on their way.").source("/sys/fs/btrfs/*/allocation/*/bytes_reserved")
        .answers("How much is about to be written?");
    USED = gauge("node_btrfs_used_bytes").labels(&["block_group_type", "mode", "uuid"]).unit("bytes")
        .help("Space in use, by type of content and redundancy profile.")
        .source("/sys/fs/btrfs/*/allocation/*/*/used_bytes").answers("What fills the file system?");
    SIZE = gauge("node_btrfs_size_bytes").labels(&["block_group_type", "mode", "uuid"]).unit("bytes")
        .help("Space set aside for a type of content and redundancy profile.")
        .source("/sys/fs/btrfs/*/allocation/*/*/total_bytes").answers("Would a balance give space back?");
    RATIO = gauge("node_btrfs_allocation_ratio").labels(&["block_group_type", "mode", "uuid"]).unit("ratio")
        .help("Bytes on disk for each byte of content under a redundancy profile.")
        .source("/sys/fs/btrfs/*/allocation/*").answers("How much disk does a byte of data take?");
    DEVICE_SIZE = gauge("node_btrfs_device_size_bytes").labels(&["device", "uuid"]).unit("bytes")
        .help("Size of a device of a file system.").source("/sys/fs/btrfs/*/devices/*/size")
        .answers("Which devices is it made of?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct Btrfs {
    roots: Roots,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(Btrfs { roots: setup.roots.clone(), samples: Grouping::default() }))
}

impl Collector for Btrfs {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let milliseconds = |number: u64| number as f64 / 1000.0;
        let samples = &mut self.samples;
        for file_system in btrfs::read(&self.roots)? {
            let uuid = ("uuid", file_system.uuid.as_slice());
            samples.sample(&INFO, &[("label", &file_system.label), uuid], 1u64);
            samples.sample(&RESERVE, &[uuid], file_system.global_reserve);
            samples.sample(&COMMITS, &[uuid], file_system.commits);
            samples.sample(&LAST_COMMIT, &[uuid], milliseconds(file_system.last_commit_ms));
            samples.sample(&MAX_COMMIT, &[uuid], milliseconds(file_system.max_commit_ms));
            samples.sample(&COMMIT_SECONDS, &[uuid], milliseconds(file_system.total_commit_ms));
            for space in &file_system.space {
                let kind = ("block_group_type", space.kind.as_bytes());
                samples.sample(&RESERVED, &[kind, uuid], space.reserved);
                for profile in &space.profiles {
                    let labels = [kind, ("mode", profile.name.as_slice()), uuid];
                    samples.sample(&USED, &labels, profile.used);
                    samples.sample(&SIZE, &labels, profile.total);
                    samples.sample(&RATIO, &labels, profile.ratio);
                }
            }
            for (device, size) in &file_system.devices {
                samples.sample(&DEVICE_SIZE, &[("device", device), uuid], *size);
            }
        }
        samples.write_to(page);
        Ok(())
    }
}
