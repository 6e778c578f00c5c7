//! Containers on the host's network: which sockets of the host's namespace are theirs.
//!
//! A socket carries the id of the cgroup v2 directory of the process that made it, and an accepted connection that of its
//! listener. The id is the directory's inode number, so a container's processes, whose v2 path `/proc/PID/cgroup` names, tell
//! which ids are its own. That works on v2 and on hybrid hosts; on a v1 host without a v2 hierarchy all sockets carry the
//! root's id, and such containers' users stay the host's.
//!
//! Source: sock_diag(7), `INET_DIAG_CGROUP_ID` of linux/inet_diag.h (Linux 5.9).

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use hostfs::Roots;
use hostfs::cgroup::Layout;
use hostfs::processes::Processes;
use hostfs::text::lines;

/// Most cgroups of such containers that are told apart; a container with more has made them itself.
const LIMIT: usize = 16_384;

/// The cgroup ids of containers on the host's network.
#[derive(Debug, Default)]
pub(super) struct Guests {
    /// Position of the container's group, by cgroup id.
    owners: HashMap<u64, usize>,
    /// Paths that were looked up in this census.
    seen: HashSet<Vec<u8>>,
    /// Where the v2 hierarchy is; looked for once per census, when there is a guest.
    mount: Option<Option<PathBuf>>,
}

impl Guests {
    pub(super) fn clear(&mut self) {
        self.owners.clear();
        self.seen.clear();
        self.mount = None;
    }

    /// Notes the cgroup of `pid`, a process of the container whose group has this position.
    pub(super) fn note(&mut self, roots: &Roots, processes: &mut Processes, pid: u32, position: usize) {
        let mount = self.mount.get_or_insert_with(|| {
            let layout = Layout::find(roots).ok()??;
            Some(layout.hierarchies[layout.unified()?].mount.clone())
        });
        let (Some(mount), Some(text)) = (mount, processes.read(pid, "cgroup")) else { return };
        let Some(path) = lines(text).find_map(|line| line.strip_prefix(b"0::/")) else { return };
        // Everybody's processes may be at the root, which is nobody's group.
        if path.is_empty() || self.seen.contains(path) || self.owners.len() >= LIMIT {
            return;
        }
        self.seen.insert(path.to_vec());
        let Ok(name) = std::str::from_utf8(path) else { return };
        if let Ok(meta) = fs::metadata(mount.join(name)) {
            self.owners.insert(meta.ino(), position);
        }
    }

    /// The container whose process made a socket.
    pub(super) fn owner(&self, cgroup: Option<u64>) -> Option<usize> {
        self.owners.get(&cgroup?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree with a v2 hierarchy and a process in a group of it: the group's inode is the container's, another is not.
    #[test]
    fn owner_by_inode() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        let group = roots.sys("fs/cgroup/docker/one");
        fs::create_dir_all(&group).unwrap();
        fs::write(roots.sys("fs/cgroup/cgroup.controllers"), "").unwrap();
        for (pid, text) in [(7, "0::/docker/one\n"), (8, "0::/\n"), (9, "0::/docker/gone\n")] {
            fs::create_dir_all(roots.proc(pid.to_string())).unwrap();
            fs::write(roots.proc(format!("{pid}/cgroup")), text).unwrap();
        }
        let mut processes = Processes::open(&roots).unwrap();
        let mut guests = Guests::default();
        for pid in [7, 8, 9, 10] {
            guests.note(&roots, &mut processes, pid, 3);
        }
        assert_eq!(guests.owner(Some(fs::metadata(&group).unwrap().ino())), Some(3));
        assert_eq!(guests.owners.len(), 1);
        assert_eq!((guests.owner(Some(0)), guests.owner(None)), (None, None));
        guests.clear();
        assert!(guests.owners.is_empty());
    }
}
