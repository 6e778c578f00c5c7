//! How much disk a directory tree takes, as du(1) counts it.
//!
//! Used by the agent's census for the writable layers of containers. What is below may be hostile: no symbolic link is
//! followed, no other file system is entered, and entries, depth and hard links are bounded.
//!
//! Source: stat(2), `st_blocks` and `st_nlink`.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, fstat, openat, statat};

use crate::{Error, Result};

/// Deepest nesting that is followed, each level an open descriptor.
const DEPTH_LIMIT: u32 = 128;

/// Bytes of directory entries that one getdents64(2) returns at most.
const ENTRIES: usize = 16 * 1024;

/// What a tree takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes in allocated blocks; a file with several links counts once.
    pub bytes: u64,
    /// Files, directories and others.
    pub inodes: u64,
}

/// Measures the tree at `root`, the directory itself included; `entries` is what it may look at and is lowered by what it did.
/// `None` when that, or the depth, was not enough.
///
/// # Errors
/// [`Error::Read`] when `root` cannot be opened; what cannot be opened below is left out.
pub fn of(root: &Path, entries: &mut u64) -> Result<Option<Size>> {
    let failed = |source| Error::read(root, source);
    let dir: OwnedFd = File::open(root).map_err(failed)?.into();
    let meta = fstat(&dir).map_err(|errno| failed(errno.into()))?;
    let mut walk = Walk { size: Size::default(), device: meta.st_dev, linked: HashSet::new(), entries };
    walk.add(&meta);
    Ok(walk.list(&dir, 0).then_some(walk.size))
}

struct Walk<'a> {
    size: Size,
    device: u64,
    /// Files with several links that were counted, by inode.
    linked: HashSet<u64>,
    entries: &'a mut u64,
}

impl Walk<'_> {
    fn add(&mut self, meta: &rustix::fs::Stat) {
        // Unit of st_blocks whatever the file system's block size.
        self.size.bytes += u64::try_from(meta.st_blocks).unwrap_or(0).saturating_mul(512);
        self.size.inodes += 1;
    }

    /// False when a bound was met.
    fn list(&mut self, dir: &OwnedFd, depth: u32) -> bool {
        // On the heap: as many of them as levels would be too much for a thread's stack.
        let mut buffer = Vec::with_capacity(ENTRIES);
        let mut found = RawDir::new(dir, buffer.spare_capacity_mut());
        while let Some(Ok(entry)) = found.next() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if *self.entries == 0 {
                return false;
            }
            *self.entries -= 1;
            // Gone since it was listed.
            let Ok(meta) = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if meta.st_dev != self.device {
                continue;
            }
            let is_directory = FileType::from_raw_mode(meta.st_mode) == FileType::Directory;
            if !is_directory && meta.st_nlink > 1 && !self.linked.insert(meta.st_ino) {
                continue;
            }
            self.add(&meta);
            if is_directory && !self.descend(dir, name, depth + 1) {
                return false;
            }
        }
        true
    }

    fn descend(&mut self, dir: &OwnedFd, name: &std::ffi::CStr, depth: u32) -> bool {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(dir.as_fd(), name, flags, Mode::empty()) {
            Ok(_) if depth > DEPTH_LIMIT => false,
            Ok(child) => self.list(&child, depth),
            Err(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    /// A tree with a hole, hard links, a link to a large file outside and a directory counts as du(1) counts it.
    #[test]
    fn as_du_counts() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("layer");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/file"), vec![1; 100_000]).unwrap();
        fs::hard_link(root.join("a/file"), root.join("a/b/again")).unwrap();
        fs::File::create(root.join("hole")).unwrap().set_len(1 << 30).unwrap();
        fs::write(dir.path().join("outside"), vec![1; 1 << 20]).unwrap();
        std::os::unix::fs::symlink(dir.path().join("outside"), root.join("a/link")).unwrap();
        std::os::unix::fs::symlink(dir.path(), root.join("up")).unwrap();
        let mut entries = 100;
        let size = of(&root, &mut entries).unwrap().unwrap();
        let du = Command::new("du").args(["--summarize", "--block-size=1"]).arg(&root).output().unwrap();
        let du = String::from_utf8(du.stdout).unwrap();
        assert_eq!(size.bytes, du.split_whitespace().next().unwrap().parse::<u64>().unwrap());
        // The root, a, a/b, file, hole and two symbolic links; the second name of the file is the same inode.
        assert_eq!((size.inodes, entries), (7, 93));
    }

    /// A bound that is met gives nothing rather than too little; a root that is not there is an error.
    #[test]
    fn bounded() {
        let dir = tempfile::tempdir().unwrap();
        (0..10).for_each(|index| fs::write(dir.path().join(index.to_string()), "x").unwrap());
        let mut entries = 5;
        assert_eq!((of(dir.path(), &mut entries).unwrap(), entries), (None, 0));
        assert!(of(&dir.path().join("none"), &mut entries).is_err());
    }

    /// Deeper than the bound: nothing, and no more descriptors than levels.
    #[test]
    fn too_deep() {
        let dir = tempfile::tempdir().unwrap();
        let mut path = dir.path().to_owned();
        (0..DEPTH_LIMIT + 10).for_each(|_| path.push("d"));
        fs::create_dir_all(&path).unwrap();
        assert_eq!(of(dir.path(), &mut 10_000).unwrap(), None);
    }
}
