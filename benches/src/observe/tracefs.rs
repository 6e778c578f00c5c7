//! Where the kernel keeps the numbers of its tracepoints.
//!
//! tracefs is often not mounted, and mounting it would change the machine that is being measured. A detached
//! mount (fsopen, fsconfig, fsmount) is a file descriptor only: no path shows it, and it is gone when the
//! descriptor is closed. Where that is refused, the usual mount points are tried.
//!
//! Source: Documentation/trace/events.rst, fsopen(2), fsmount(2).

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use hostfs::Roots;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

/// An id file holds one decimal number; nothing longer is read.
const ID_LIMIT: u64 = 32;

/// Why no tracepoint id could be read.
#[derive(Debug)]
pub(super) struct NoTracefs {
    /// What the detached mount answered.
    pub(super) detached: io::Error,
    /// The mount points that were tried, and what each answered.
    pub(super) mounted: Vec<(PathBuf, io::Error)>,
}

/// Reads the id of `event`, a path below `events/` such as `raw_syscalls/sys_enter`.
///
/// # Errors
/// [`NoTracefs`] with every way that was tried.
pub(super) fn tracepoint_id(roots: &Roots, event: &str) -> Result<u64, NoTracefs> {
    let file = format!("events/{event}/id");
    let detached = match detached_tracefs().and_then(|root| id_below(&root, &file)) {
        Ok(id) => return Ok(id),
        Err(error) => error,
    };
    let mut mounted = Vec::new();
    for point in [roots.sys("kernel/tracing"), roots.sys("kernel/debug/tracing")] {
        match mounted_id(&point.join(&file)) {
            Ok(id) => return Ok(id),
            Err(error) => mounted.push((point, error)),
        }
    }
    Err(NoTracefs { detached, mounted })
}

/// tracefs as a descriptor that is mounted nowhere. Needs CAP_SYS_ADMIN and Linux 5.2.
fn detached_tracefs() -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Ok(rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

fn id_below(root: &OwnedFd, file: &str) -> io::Result<u64> {
    let file = rustix::fs::openat(root, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    read_id(File::from(file))
}

fn mounted_id(path: &Path) -> io::Result<u64> {
    read_id(File::open(path)?)
}

fn read_id(file: File) -> io::Result<u64> {
    let mut text = String::new();
    file.take(ID_LIMIT).read_to_string(&mut text)?;
    text.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("not an id: {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mounted tracefs is a tree of files: the id below a fixture's mount point is read, and nonsense is refused.
    #[test]
    fn reads_an_id_below_a_mount_point() {
        let dir = tempfile::tempdir().unwrap();
        let event = dir.path().join("events/raw_syscalls/sys_enter");
        std::fs::create_dir_all(&event).unwrap();
        std::fs::write(event.join("id"), "348\n").unwrap();
        assert_eq!(mounted_id(&event.join("id")).unwrap(), 348);
        std::fs::write(event.join("id"), "three\n").unwrap();
        assert_eq!(mounted_id(&event.join("id")).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    /// An event that no kernel has is refused with every place that was tried.
    #[test]
    fn an_unknown_event_names_the_places() {
        let refused = tracepoint_id(&Roots::default(), "no_such_group/no_such_event").unwrap_err();
        assert_eq!(refused.mounted.len(), 2);
    }
}
