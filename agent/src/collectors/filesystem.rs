//! `filesystem`: space and inodes of what is mounted.
//!
//! statfs(2) of a file system behind a network or a user-space server can hang for ever. Such mounts are asked by a
//! thread of their own (`prober`) and only they are marked when they do not answer; later scrapes pass them by until
//! they do.

mod prober;

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use hostfs::mounts;
use rustix::fs::{StatFs, StatVfsMountFlags};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::filter::Filter;
use crate::flags::{Setup, text};
use prober::{Answer, Prober};

crate::metrics! {
    SIZE = gauge("node_filesystem_size_bytes").labels(&["device", "mountpoint", "fstype", "device_error"]).unit("bytes")
        .help("Size of the file system.").source("statfs(2)").answers("How large is the file system?");
    FREE = gauge("node_filesystem_free_bytes").labels(&["device", "mountpoint", "fstype", "device_error"]).unit("bytes")
        .help("Free space, the part that is reserved for root included.").source("statfs(2)")
        .answers("How much space is free?");
    AVAIL = gauge("node_filesystem_avail_bytes").labels(&["device", "mountpoint", "fstype", "device_error"]).unit("bytes")
        .help("Free space for ordinary users.").source("statfs(2)")
        .answers("How much can still be written before ENOSPC?");
    FILES = gauge("node_filesystem_files").labels(&["device", "mountpoint", "fstype", "device_error"])
        .help("Inodes of the file system, 0 where they are made on demand.").source("statfs(2)")
        .answers("How many files can there be?");
    FILES_FREE = gauge("node_filesystem_files_free").labels(&["device", "mountpoint", "fstype", "device_error"])
        .help("Free inodes.").source("statfs(2)").answers("Can files still be created?");
    READONLY = gauge("node_filesystem_readonly").labels(&["device", "mountpoint", "fstype", "device_error"])
        .help("1 when the file system cannot be written here.").source("/proc/1/mountinfo")
        .answers("Did an error turn the file system read-only?");
    DEVICE_ERROR = gauge("node_filesystem_device_error").labels(&["device", "mountpoint", "fstype", "device_error"])
        .help("1 when statfs failed or did not answer, with the reason in the label device_error.").source("statfs(2)")
        .answers("Which file system is dead?");
    MOUNT_INFO = gauge("node_filesystem_mount_info").labels(&["device", "major", "minor", "mountpoint"])
        .help("1 for each mount, with its device number.").source("/proc/1/mountinfo")
        .answers("Which block device is behind this mount point?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[
        text(
            "collector.filesystem.mount-points-exclude",
            r"^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
            "Mount points not to export",
        ),
        text("collector.filesystem.mount-points-include", "", "Mount points to export"),
        text(
            "collector.filesystem.fs-types-exclude",
            "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|\
             overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$",
            "Types of file systems not to export",
        ),
        text("collector.filesystem.fs-types-include", "", "Types of file systems to export"),
        text(
            "collector.filesystem.mount-timeout",
            "1s",
            "How long a network or user-space file system may take to answer; less than the scrape's deadline",
        ),
    ],
    build,
};

/// What is said of a mount that does not answer; dashboards know this text.
const TIMEOUT: &[u8] = b"mountpoint timeout";

/// One mount of the last scrape.
struct Mounted {
    device: Vec<u8>,
    mount_point: Vec<u8>,
    fs_type: Vec<u8>,
    read_only: bool,
    number: Option<(u32, u32)>,
    /// Where the mount is seen from here.
    path: PathBuf,
    state: State,
}

/// What statfs said.
enum State {
    Answered(StatFs),
    Failed(Vec<u8>),
}

struct Filesystem {
    reader: mounts::Reader,
    rootfs: PathBuf,
    mount_points: Filter,
    fs_types: Filter,
    prober: Prober,
    mounted: Vec<Mounted>,
    /// Whether `mounted` is what the file said at the last scrape.
    is_known: bool,
    /// Whether the mounts are those of this host's kernel.
    is_live: bool,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let given = setup.text("collector.filesystem.mount-timeout");
    let timeout = crate::flags::duration(given).with_context(|| {
        format!("--collector.filesystem.mount-timeout={given}: wanted a duration such as 500ms or 5s")
    })?;
    Ok(Box::new(Filesystem {
        reader: mounts::Reader::new(&setup.roots),
        rootfs: setup.roots.rootfs.clone(),
        mount_points: setup
            .filter("collector.filesystem.mount-points-include", "collector.filesystem.mount-points-exclude")?,
        fs_types: setup.filter("collector.filesystem.fs-types-include", "collector.filesystem.fs-types-exclude")?,
        prober: Prober::new(timeout.max(Duration::from_millis(1))),
        mounted: Vec::new(),
        is_known: false,
        is_live: setup.roots.has_live_proc(),
    }))
}

impl Collector for Filesystem {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        if !self.is_known || self.reader.has_changed() {
            self.read_mounts()?;
        }
        self.ask();
        // The kernel does not tell when an error turns a file system read-only; statfs(2) does.
        if self.is_live && self.mounted.iter().any(Mounted::differs) {
            self.read_mounts()?;
            self.ask();
        }
        write(page, &self.mounted);
        Ok(())
    }
}

impl Filesystem {
    /// Reads which wanted file systems are mounted. States of those that were known before stay.
    fn read_mounts(&mut self) -> Result<(), Failure> {
        self.is_known = false;
        let Self { reader, rootfs, mount_points, fs_types, mounted, .. } = self;
        let mut seen = 0;
        for mount in reader.read()?.mounts() {
            let mount = mount?;
            let inside = strip_root(&mount.mount_point, rootfs);
            if !mount_points.wants(inside) || !fs_types.wants(mount.fs_type) {
                continue;
            }
            let is_same = |known: &Mounted| {
                known.device == *mount.device && known.mount_point == inside && known.fs_type == mount.fs_type
            };
            // The second of two mounts at one place hides the first, and one series can only be there once.
            if mounted[..seen].iter().any(is_same) {
                continue;
            }
            if !mounted.get(seen).is_some_and(is_same) {
                let known = Mounted {
                    device: mount.device.to_vec(),
                    mount_point: inside.to_vec(),
                    fs_type: mount.fs_type.to_vec(),
                    read_only: false,
                    number: None,
                    path: outside(inside, rootfs),
                    state: State::Failed(Vec::new()),
                };
                mounted.insert(seen, known);
            }
            mounted[seen].read_only = mount.read_only;
            mounted[seen].number = mount.device_number;
            seen += 1;
        }
        mounted.truncate(seen);
        self.is_known = true;
        Ok(())
    }

    /// Asks every mount for its space.
    fn ask(&mut self) {
        for mount in &mut self.mounted {
            mount.state = match self.prober.ask(&mount.path, &mount.fs_type) {
                Answer::Space(space) => State::Answered(space),
                Answer::Error(errno) => State::Failed(errno_text(errno)),
                Answer::Silent => State::Failed(TIMEOUT.to_vec()),
            };
        }
    }
}

impl Mounted {
    /// Whether statfs said otherwise than the list of mounts whether the file system can be written.
    fn differs(&self) -> bool {
        let State::Answered(space) = &self.state else { return false };
        (space.f_flags as u64 & StatVfsMountFlags::RDONLY.bits() != 0) != self.read_only
    }
}

fn write(page: &mut Page, mounted: &[Mounted]) {
    let labels = |mount| -> [(&'static str, &[u8]); 4] {
        let Mounted { device, mount_point, fs_type, state, .. }: &Mounted = mount;
        let error: &[u8] = if let State::Failed(error) = state { error } else { b"" };
        [("device", device), ("mountpoint", mount_point), ("fstype", fs_type), ("device_error", error)]
    };
    type Quantity = fn(&StatFs) -> f64;
    // In doubles, as node_exporter multiplies: a product past u64 is a hostile file system's.
    let quantities: [(_, Quantity); 5] = [
        (&SIZE, |space| space.f_blocks as f64 * space.f_bsize as f64),
        (&FREE, |space| space.f_bfree as f64 * space.f_bsize as f64),
        (&AVAIL, |space| space.f_bavail as f64 * space.f_bsize as f64),
        (&FILES, |space| space.f_files as f64),
        (&FILES_FREE, |space| space.f_ffree as f64),
    ];
    for (metric, quantity) in quantities {
        let mut family = page.family(metric);
        for mount in mounted {
            if let State::Answered(space) = &mount.state {
                family.sample(&labels(mount), quantity(space));
            }
        }
    }
    let mut family = page.family(&READONLY);
    for mount in mounted {
        family.sample(&labels(mount), mount.read_only);
    }
    let mut family = page.family(&DEVICE_ERROR);
    for mount in mounted {
        family.sample(&labels(mount), matches!(mount.state, State::Failed(_)));
    }
    let mut family = page.family(&MOUNT_INFO);
    for mount in mounted {
        let Some((major, minor)) = mount.number else { continue };
        let (mut major_digits, mut minor_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
        let labels: [(&str, &[u8]); 4] = [
            ("device", &mount.device),
            ("major", major_digits.format(major).as_bytes()),
            ("minor", minor_digits.format(minor).as_bytes()),
            ("mountpoint", &mount.mount_point),
        ];
        family.sample(&labels, 1u64);
    }
}

/// A mount point as the host sees it, when the host's root is mounted at `rootfs`.
fn strip_root<'a>(mount_point: &'a [u8], rootfs: &Path) -> &'a [u8] {
    if rootfs == Path::new("/") {
        return mount_point;
    }
    match mount_point.strip_prefix(rootfs.as_os_str().as_bytes()) {
        Some(b"") => b"/",
        Some(inside) => inside,
        None => mount_point,
    }
}

/// Where a host's mount point is seen from here.
fn outside(inside: &[u8], rootfs: &Path) -> PathBuf {
    let relative = inside.strip_prefix(b"/").unwrap_or(inside);
    rootfs.join(std::ffi::OsString::from_vec(relative.to_vec()))
}

/// The C library's sentence for an error, in lower case as Go writes it.
fn errno_text(errno: rustix::io::Errno) -> Vec<u8> {
    let text = std::io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    text.to_lowercase().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mount points below another root are shown as that host sees them.
    #[test]
    fn roots() {
        let host = Path::new("/host");
        assert_eq!(strip_root(b"/host", host), b"/");
        assert_eq!(strip_root(b"/host/data", host), b"/data");
        assert_eq!(strip_root(b"/data", Path::new("/")), b"/data");
        assert_eq!(outside(b"/data", host), Path::new("/host/data"));
        assert_eq!(outside(b"/", Path::new("/")), Path::new("/"));
        assert_eq!(errno_text(rustix::io::Errno::ACCESS), b"permission denied");
    }
}
