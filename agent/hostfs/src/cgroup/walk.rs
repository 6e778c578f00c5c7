//! The set of cgroups, brought up to date by walking the hierarchies.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, openat, statat};
use rustix::io::Errno;

use super::files::Kept;
use super::identity::{Identity, classify};
use super::layout::Layout;
use crate::{Error, Result};

/// Deepest nesting that is followed. Kubernetes in Docker, the deepest known use, has nine levels.
const DEPTH_LIMIT: u32 = 32;

/// Bytes of directory entries that one getdents64(2) returns at most.
const ENTRIES: usize = 8 * 1024;

/// What is known of one cgroup. `T` is the caller's; it starts anew when a group of the same path is made again.
#[derive(Debug, Default)]
pub struct Cgroup<T> {
    /// The container behind it.
    pub identity: Option<Identity>,
    /// Whether it lies inside a container's group: a part of what that container did with itself.
    pub nested: bool,
    /// The caller's.
    pub data: T,
    /// A bit per hierarchy of the layout in which it is.
    pub(super) present: u16,
    /// A bit per [`super::File`] that it was seen not to have.
    pub(super) missing: u64,
    /// Its files that stay open.
    pub(super) kept: Kept,
    /// Inode of its directory in the first hierarchy in which it is.
    inode: u64,
    walk: u64,
}

impl<T> Cgroup<T> {
    /// Whether it is in the hierarchy at this position of the layout.
    pub fn is_in(&self, hierarchy: usize) -> bool {
        self.present & 1 << hierarchy != 0
    }

    /// Inode of its directory in the first hierarchy of the layout in which it is. On a v2 host this is the cgroup's
    /// id, as sockets carry it.
    pub fn inode(&self) -> u64 {
        self.inode
    }
}

/// All cgroups of a host by their path, parents before children. The root is `/`. Kept from one walk to the next.
#[derive(Debug)]
pub struct Cgroups<T> {
    groups: BTreeMap<Box<[u8]>, Cgroup<T>>,
    limit: usize,
    walk: u64,
    /// Position of the hierarchy that tells processes.
    processes: usize,
    /// Groups that went away while they were listed or read, since the start.
    pub vanished: u64,
    /// Groups that the last walk left out because there were more than the limit, or too deep.
    pub skipped: u64,
}

impl<T: Default> Cgroups<T> {
    /// An empty set that will hold at most `limit` groups.
    pub fn new(limit: usize) -> Self {
        Self { groups: BTreeMap::new(), limit, walk: 0, processes: 0, vanished: 0, skipped: 0 }
    }

    /// Lists every hierarchy: adds what is new, drops what is gone. Allocates for new groups only.
    ///
    /// A directory whose link count says that it has no subdirectory is not opened: of a hundred containers, one
    /// directory is listed and a hundred are looked at. What is inside a container is looked for in one hierarchy
    /// only, the one that tells its processes, so that on v1 the other eight do not cost a look each.
    ///
    /// # Errors
    /// [`Error::Read`] when no hierarchy's root can be listed.
    pub fn walk(&mut self, layout: &Layout) -> Result<()> {
        self.walk += 1;
        self.skipped = 0;
        let mut failure = None;
        let mut path = Vec::with_capacity(256);
        self.processes = layout.processes().unwrap_or(0);
        for (position, hierarchy) in layout.hierarchies.iter().enumerate() {
            path.clear();
            path.push(b'/');
            let root = statat(&hierarchy.dir, c"", AtFlags::EMPTY_PATH).map_or(0, |meta| meta.st_ino);
            self.note(&path, root, position);
            path.clear();
            let opened = openat(&hierarchy.dir, c".", DIRECTORY, Mode::empty());
            match opened.and_then(|dir| self.list(&dir, &mut path, position, 0)) {
                Ok(()) => {}
                Err(errno) => failure = Some(Error::read(&hierarchy.mount, errno.into())),
            }
        }
        let walk = self.walk;
        self.groups.retain(|_, group| group.walk == walk);
        match failure {
            Some(error) if self.groups.len() <= 1 => Err(error),
            _ => Ok(()),
        }
    }

    /// Every group with its path, parents before children.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&[u8], &mut Cgroup<T>)> {
        self.groups.iter_mut().map(|(path, group)| (&path[..], group))
    }

    /// As [`Cgroups::iter_mut`], to look at.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Cgroup<T>)> {
        self.groups.iter().map(|(path, group)| (&path[..], group))
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// How many files of groups stay open.
    pub fn descriptors(&self) -> usize {
        self.groups.values().map(|group| group.kept.len()).sum()
    }

    /// Whether no walk has found anything yet.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Lists the children of the directory `dir`, whose path is `path` (empty for the root).
    fn list(
        &mut self,
        dir: &OwnedFd,
        path: &mut Vec<u8>,
        hierarchy: usize,
        depth: u32,
    ) -> std::result::Result<(), Errno> {
        let mut entries = [MaybeUninit::uninit(); ENTRIES];
        let mut entries = RawDir::new(dir, &mut entries);
        let length = path.len();
        while let Some(entry) = entries.next() {
            // The group was removed while it was listed.
            let Ok(entry) = entry else {
                self.vanished += 1;
                return Ok(());
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..")
                || !matches!(entry.file_type(), FileType::Directory | FileType::Unknown)
            {
                continue;
            }
            path.push(b'/');
            path.extend_from_slice(name.to_bytes());
            // Not every file system says what an entry is; the kernel's do.
            let known = entry.file_type() == FileType::Directory;
            let meta = if known { None } else { statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok() };
            let is_directory = |mode| FileType::from_raw_mode(mode) == FileType::Directory;
            if (known || meta.is_some_and(|meta| is_directory(meta.st_mode)))
                && self.note(path, entry.ino(), hierarchy) == Noted::Look
            {
                match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                    // Two links are the directory's name and its dot; file systems that do not count say 1.
                    Ok(meta) if meta.st_nlink != 2 => self.descend(dir, name, path, hierarchy, depth + 1),
                    Ok(_) => {}
                    Err(_) => self.vanished += 1,
                }
            }
            path.truncate(length);
        }
        Ok(())
    }

    fn descend(&mut self, dir: &OwnedFd, name: &std::ffi::CStr, path: &mut Vec<u8>, hierarchy: usize, depth: u32) {
        if depth > DEPTH_LIMIT {
            self.skipped += 1;
            return;
        }
        match openat(dir.as_fd(), name, DIRECTORY, Mode::empty()) {
            Ok(child) => {
                // An error of one directory costs its children, not the walk.
                let _gone = self.list(&child, path, hierarchy, depth);
            }
            Err(Errno::NOENT) => self.vanished += 1,
            Err(_) => self.skipped += 1,
        }
    }

    /// Marks the group as seen in `hierarchy`, adding it when it is new.
    fn note(&mut self, path: &[u8], inode: u64, hierarchy: usize) -> Noted {
        let below = |identity: &Option<Identity>, processes: usize| {
            if identity.is_none() || hierarchy == processes { Noted::Look } else { Noted::Pass }
        };
        let bit = 1 << hierarchy;
        if let Some(group) = self.groups.get_mut(path) {
            if group.walk != self.walk {
                group.walk = self.walk;
                group.present = 0;
                if group.inode != inode {
                    // Removed and made again between two walks: a container was restarted.
                    group.inode = inode;
                    group.missing = 0;
                    group.kept = Kept::default();
                    group.data = T::default();
                }
            }
            group.present |= bit;
            return below(&group.identity, self.processes);
        }
        if self.groups.len() >= self.limit {
            self.skipped += 1;
            return Noted::Pass;
        }
        let identity = std::str::from_utf8(path).ok().and_then(classify);
        let nested = self.inside_container(path);
        let group = Cgroup { identity, nested, present: bit, inode, walk: self.walk, ..Cgroup::default() };
        let noted = below(&group.identity, self.processes);
        self.groups.insert(path.into(), group);
        noted
    }

    /// Whether a parent of `path` is a container's group.
    fn inside_container(&self, path: &[u8]) -> bool {
        let mut end = path.len();
        while let Some(slash) = path[..end].iter().rposition(|&byte| byte == b'/') {
            if slash == 0 {
                return false;
            }
            if self.groups.get(&path[..slash]).is_some_and(|group| group.identity.is_some()) {
                return true;
            }
            end = slash;
        }
        false
    }
}

/// What is to be done about a group's children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noted {
    /// They are looked for.
    Look,
    /// There was no room for the group itself, or they are of no interest in this hierarchy.
    Pass,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The group of a process in the hierarchy that tells containers apart, from the text of `/proc/PID/cgroup`.
///
/// On v2 the one line `0::PATH`; on v1 and hybrid the deepest path of a controller, since engines move a
/// process into each of them and leave it at `/` in those they do not use.
pub fn of_process(text: &[u8]) -> &[u8] {
    let mut best: &[u8] = b"/";
    for line in crate::text::lines(text) {
        let path = line.splitn(3, |&byte| byte == b':').nth(2).unwrap_or(b"/");
        if path.len() > best.len() {
            best = path;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Roots;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn host(paths: &[&str]) -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("sys/fs/cgroup");
        for path in paths {
            fs::create_dir_all(base.join(path)).unwrap();
        }
        for hierarchy in ["memory", "pids"] {
            fs::create_dir_all(base.join(hierarchy)).unwrap();
            fs::write(base.join(hierarchy).join("cgroup.procs"), "").unwrap();
        }
        let layout = Layout::find(&Roots::below(dir.path())).unwrap().unwrap();
        (dir, layout)
    }

    fn paths<T: Default>(groups: &Cgroups<T>) -> Vec<String> {
        groups.iter().map(|(path, _)| String::from_utf8(path.to_vec()).unwrap()).collect()
    }

    /// Groups of all hierarchies are united by path; containers and what is inside them are told apart.
    #[test]
    fn union_of_hierarchies() {
        let container = format!("docker/{ID}");
        let (_dir, layout) =
            host(&[&format!("memory/{container}/init.scope"), &format!("pids/{container}"), "pids/only"]);
        let mut groups = Cgroups::<()>::new(100);
        groups.walk(&layout).unwrap();
        let expected = [
            "/".to_owned(),
            "/docker".to_owned(),
            format!("/{container}"),
            format!("/{container}/init.scope"),
            "/only".to_owned(),
        ];
        assert_eq!(paths(&groups), expected);
        let of = |path: &str| groups.iter().find(|(known, _)| *known == path.as_bytes()).unwrap().1;
        let container = format!("/{container}");
        assert!(of(&container).identity.is_some() && !of(&container).nested);
        assert!(of(&format!("{container}/init.scope")).nested);
        assert!(of(&container).is_in(0) && of(&container).is_in(1));
        assert!(!of("/only").is_in(0) && of("/only").is_in(1));
    }

    /// Inside a container only the hierarchy that tells processes is looked into; elsewhere all are.
    #[test]
    fn inside_containers() {
        let container = format!("docker/{ID}");
        let (_dir, layout) = host(&[&format!("memory/{container}/a"), &format!("pids/{container}/b"), "pids/slice/c"]);
        let mut groups = Cgroups::<()>::new(100);
        groups.walk(&layout).unwrap();
        let found = paths(&groups);
        let has = |path: &str| found.iter().any(|known| known == path);
        assert!(has(&format!("/{container}/a")) && !has(&format!("/{container}/b")) && has("/slice/c"), "{found:?}");
        let container = format!("/{container}");
        assert!(groups.iter().find(|(path, _)| *path == container.as_bytes()).unwrap().1.is_in(1));
    }

    /// A group that goes is dropped, one that is made again starts anew, one that stays keeps its data.
    #[test]
    fn comes_and_goes() {
        let (dir, layout) = host(&["memory/a", "memory/b", "memory/c"]);
        let base = dir.path().join("sys/fs/cgroup/memory");
        let mut groups = Cgroups::<u32>::new(100);
        groups.walk(&layout).unwrap();
        groups.iter_mut().for_each(|(_, group)| group.data = 7);
        fs::remove_dir(base.join("a")).unwrap();
        // A directory beside it keeps the file system from giving the same inode again.
        fs::rename(base.join("b"), dir.path().join("old")).unwrap();
        fs::create_dir(base.join("b")).unwrap();
        groups.walk(&layout).unwrap();
        let data: Vec<_> = groups.iter().map(|(path, group)| (path.to_vec(), group.data)).collect();
        assert_eq!(data, [(b"/".to_vec(), 7), (b"/b".to_vec(), 0), (b"/c".to_vec(), 7)]);
    }

    /// No more groups than the limit are kept, and those left out are counted.
    #[test]
    fn bounded() {
        let (_dir, layout) = host(&["memory/a", "memory/b", "memory/c"]);
        let mut groups = Cgroups::<()>::new(3);
        groups.walk(&layout).unwrap();
        assert_eq!((groups.len(), groups.skipped), (3, 1));
    }

    /// The text of `/proc/PID/cgroup` on v2, on v1 inside a container, and at the root.
    #[test]
    fn group_of_a_process() {
        assert_eq!(of_process(b"0::/system.slice/a.service\n"), b"/system.slice/a.service");
        assert_eq!(of_process(b"9:name=systemd:/\n4:memory:/docker/x\n0::/\n"), b"/docker/x");
        assert_eq!(of_process(b""), b"/");
        assert_eq!(of_process(b"0::/a:b\n"), b"/a:b");
    }
}
