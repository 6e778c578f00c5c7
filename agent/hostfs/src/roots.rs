//! Where the kernel's file systems are mounted, and the bounded read that every reader starts with.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{FsWord, PROC_SUPER_MAGIC, statfs};

use crate::{Error, Result};

/// File system type of sysfs (statfs(2)).
const SYSFS_MAGIC: FsWord = 0x6265_6572;

/// Mount points of the kernel's file systems. The default is the live host.
#[derive(Clone, Debug)]
pub struct Roots {
    /// Where procfs is, usually `/proc`.
    pub procfs: PathBuf,
    /// Where sysfs is, usually `/sys`.
    pub sysfs: PathBuf,
    /// Prefix of the host's own file systems, `/` unless the host is mounted elsewhere.
    pub rootfs: PathBuf,
    /// Where udev keeps its database, usually `/run/udev/data`.
    pub udev_data: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { procfs: "/proc".into(), sysfs: "/sys".into(), rootfs: "/".into(), udev_data: "/run/udev/data".into() }
    }
}

impl Roots {
    /// Roots below one directory that mirrors a host: `DIR/proc`, `DIR/sys`, `DIR/udev`, and `DIR` itself as root.
    pub fn below(dir: &Path) -> Self {
        Self { procfs: dir.join("proc"), sysfs: dir.join("sys"), rootfs: dir.to_owned(), udev_data: dir.join("udev") }
    }

    /// Whether `procfs` is a procfs, and not a copy of a host's files.
    pub fn has_live_proc(&self) -> bool {
        statfs(&self.procfs).is_ok_and(|found| found.f_type == PROC_SUPER_MAGIC)
    }

    /// Whether `sysfs` is a sysfs, and not a copy of a host's files.
    pub fn has_live_sys(&self) -> bool {
        statfs(&self.sysfs).is_ok_and(|found| found.f_type == SYSFS_MAGIC)
    }

    /// A path below procfs.
    pub fn proc(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.procfs.join(relative)
    }

    /// A path below sysfs.
    pub fn sys(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.sysfs.join(relative)
    }
}

/// Reads `path` into `buffer` (cleared first), up to `limit` bytes; a larger file is [`Error::TooLarge`].
///
/// Kernel files say 0 as their size, so they are read until the end rather than by `stat`.
pub fn read_into(path: &Path, buffer: &mut Vec<u8>, limit: usize) -> Result<()> {
    buffer.clear();
    let file = File::open(path).map_err(|source| Error::read(path, source))?;
    let read = file.take(limit as u64 + 1).read_to_end(buffer).map_err(|source| Error::read(path, source))?;
    if read > limit {
        return Err(Error::TooLarge { path: path.to_owned(), limit });
    }
    Ok(())
}
