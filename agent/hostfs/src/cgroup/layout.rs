//! Finds the mounted cgroup hierarchies and which controllers each one carries.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{Error, Result, Roots, read_into, text};

/// Most that is read of `/proc/mounts`, in bytes: a box with ten thousand mounts has some 2 MB of them.
const MOUNTS_LIMIT: usize = 8 << 20;

/// Magic numbers of the file systems, from linux/magic.h.
const CGROUP: u32 = 0x0027_e0eb;
const CGROUP2: u32 = 0x6367_7270;

/// Which generations of cgroups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A hierarchy per controller.
    V1,
    /// v1 with a v2 hierarchy beside it, which has no controllers but may have pressure files.
    Hybrid,
    /// One hierarchy for all.
    V2,
}

impl Mode {
    /// `v1`, `hybrid` or `v2`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::Hybrid => "hybrid",
            Self::V2 => "v2",
        }
    }
}

/// A controller that this module reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the kernel's")]
pub enum Controller {
    Cpu,
    Cpuacct,
    Memory,
    Blkio,
    Pids,
    Cpuset,
    Hugetlb,
}

const CONTROLLERS: [(Controller, &str); 7] = [
    (Controller::Cpu, "cpu"),
    (Controller::Cpuacct, "cpuacct"),
    (Controller::Memory, "memory"),
    (Controller::Blkio, "blkio"),
    (Controller::Pids, "pids"),
    (Controller::Cpuset, "cpuset"),
    (Controller::Hugetlb, "hugetlb"),
];

/// One mounted hierarchy.
#[derive(Debug)]
pub struct Hierarchy {
    /// Its mount point below the roots.
    pub mount: PathBuf,
    /// Whether it is the v2 hierarchy.
    pub unified: bool,
    /// The mount point, open; every path starts from it.
    pub(super) dir: OwnedFd,
    /// Whether it is the kernel's, whose files tell the present whenever they are read; not so in a copy of a tree, where a
    /// file may have been replaced.
    pub(super) live: bool,
    controllers: u8,
}

impl Hierarchy {
    /// Whether a v1 hierarchy carries `controller`; the v2 hierarchy says so per group instead.
    pub fn has(&self, controller: Controller) -> bool {
        self.controllers & 1 << controller as u8 != 0
    }
}

/// All hierarchies of a host.
#[derive(Debug)]
pub struct Layout {
    /// Which generations are mounted.
    pub mode: Mode,
    /// Those with a controller that is read, at most [`Layout::LIMIT`].
    pub hierarchies: Vec<Hierarchy>,
}

impl Layout {
    /// Most hierarchies; the kernel has fewer controllers.
    pub const LIMIT: usize = 16;

    /// Finds the hierarchies; `None` on a host without any.
    ///
    /// `/sys/fs/cgroup` is looked at first: seen through another root (a host mounted into a container, a fixture),
    /// the paths of `/proc/mounts` are another mount namespace's. Only when nothing is there is the list of mounts asked.
    ///
    /// # Errors
    /// [`Error::Read`] when a mount point that is there cannot be opened.
    pub fn find(roots: &Roots) -> Result<Option<Self>> {
        let base = roots.sys("fs/cgroup");
        if base.join("cgroup.controllers").exists() {
            let hierarchy = open(base, "")?;
            return Ok(Some(Self { mode: Mode::V2, hierarchies: vec![hierarchy] }));
        }
        let mut hierarchies = Vec::new();
        for (path, names) in below(&base).into_iter().chain(mounted(roots)) {
            if hierarchies.len() < Self::LIMIT {
                add(&mut hierarchies, open(path, &names)?);
            }
        }
        let unified = hierarchies.iter().any(|hierarchy| hierarchy.unified);
        let mode = match (hierarchies.len(), unified) {
            (0, _) => return Ok(None),
            (1, true) => Mode::V2,
            (_, true) => Mode::Hybrid,
            (_, false) => Mode::V1,
        };
        Ok(Some(Self { mode, hierarchies }))
    }

    /// Position of the v1 hierarchy with `controller`.
    pub fn v1(&self, controller: Controller) -> Option<usize> {
        self.hierarchies.iter().position(|hierarchy| hierarchy.has(controller))
    }

    /// Position of the hierarchy under which every container's processes are: engines put each under v1's memory controller
    /// and may leave it out of others.
    pub fn processes(&self) -> Option<usize> {
        self.v1(Controller::Memory).or_else(|| self.unified())
    }

    /// Position of the v2 hierarchy.
    pub fn unified(&self) -> Option<usize> {
        self.hierarchies.iter().position(|hierarchy| hierarchy.unified)
    }
}

/// Directories of `/sys/fs/cgroup` in order of name. Links such as `cpu -> cpu,cpuacct` name what is there already.
fn below(base: &Path) -> Vec<(PathBuf, String)> {
    let Ok(entries) = fs::read_dir(base) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .filter_map(std::result::Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| (entry.path(), entry.file_name().to_string_lossy().into_owned()))
        .collect();
    found.sort();
    found
}

/// Mounts of the types `cgroup` and `cgroup2`, with the options that name their controllers.
fn mounted(roots: &Roots) -> Vec<(PathBuf, String)> {
    let mut text = Vec::new();
    // A list that cannot be read is a host about which no more can be found out than the walk below already did.
    if read_into(&roots.proc("mounts"), &mut text, MOUNTS_LIMIT).is_err() {
        return Vec::new();
    }
    text::lines(&text)
        .filter_map(|line| {
            let mut fields = text::fields(line).skip(1);
            let (target, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
            if !matches!(kind, b"cgroup" | b"cgroup2") {
                return None;
            }
            let target = std::str::from_utf8(target).ok()?.trim_start_matches('/');
            Some((roots.rootfs.join(target), String::from_utf8_lossy(options).into_owned()))
        })
        .filter(|(path, _)| path.is_dir())
        .collect()
}

fn open(mount: PathBuf, names: &str) -> Result<Hierarchy> {
    let dir = File::open(&mount).map_err(|source| Error::read(&mount, source))?;
    let controllers = names
        .split(',')
        .filter_map(|name| CONTROLLERS.iter().find(|(_, known)| *known == name))
        .fold(0, |mask, (controller, _)| mask | 1 << *controller as u8);
    let live = rustix::fs::fstatfs(&dir).is_ok_and(|meta| matches!(u32::try_from(meta.f_type), Ok(CGROUP | CGROUP2)));
    Ok(Hierarchy { unified: mount.join("cgroup.controllers").exists(), mount, dir: dir.into(), live, controllers })
}

/// Adds a hierarchy that is of use and not in the list under another name.
fn add(hierarchies: &mut Vec<Hierarchy>, new: Hierarchy) {
    let identity = |hierarchy: &Hierarchy| fs::metadata(&hierarchy.mount).map(|meta| (meta.dev(), meta.ino())).ok();
    let known = hierarchies.iter_mut().find(|known| identity(known) == identity(&new));
    match known {
        Some(known) => known.controllers |= new.controllers,
        None if new.unified || new.controllers != 0 => hierarchies.push(new),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(dirs: &[&str]) -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        for path in dirs {
            let path = dir.path().join("sys/fs/cgroup").join(path);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("cgroup.procs"), "").unwrap();
        }
        let roots = Roots::below(dir.path());
        (dir, roots)
    }

    /// v1 with joined controllers and links, hybrid, v2, none: each is told apart.
    #[test]
    fn modes() {
        let (dir, roots) = tree(&["cpu,cpuacct", "memory", "systemd", "devices"]);
        let base = dir.path().join("sys/fs/cgroup");
        std::os::unix::fs::symlink("cpu,cpuacct", base.join("cpu")).unwrap();
        let layout = Layout::find(&roots).unwrap().unwrap();
        assert_eq!((layout.mode, layout.hierarchies.len()), (Mode::V1, 2));
        assert_eq!(layout.v1(Controller::Cpu), layout.v1(Controller::Cpuacct));
        assert_eq!(layout.v1(Controller::Pids), None);

        fs::create_dir(base.join("unified")).unwrap();
        fs::write(base.join("unified/cgroup.procs"), "").unwrap();
        fs::write(base.join("unified/cgroup.controllers"), "").unwrap();
        let layout = Layout::find(&roots).unwrap().unwrap();
        assert_eq!((layout.mode, layout.unified().is_some()), (Mode::Hybrid, true));

        fs::write(base.join("cgroup.controllers"), "cpu memory\n").unwrap();
        assert_eq!(Layout::find(&roots).unwrap().unwrap().mode, Mode::V2);
        assert!(Layout::find(&tree(&[]).1).unwrap().is_none());
    }

    /// Hierarchies mounted elsewhere are found through the list of mounts, below the root.
    #[test]
    fn mounted_elsewhere() {
        let (dir, roots) = tree(&[]);
        fs::create_dir_all(dir.path().join("proc")).unwrap();
        fs::create_dir_all(dir.path().join("cgroup/memory")).unwrap();
        let mounts = "none /cgroup/memory cgroup rw,relatime,memory 0 0\nnone /gone cgroup rw,cpu 0 0\nbad\n";
        fs::write(dir.path().join("proc/mounts"), mounts).unwrap();
        let layout = Layout::find(&roots).unwrap().unwrap();
        assert_eq!(layout.v1(Controller::Memory), Some(0));
        assert_eq!(layout.hierarchies.len(), 1);
    }
}
