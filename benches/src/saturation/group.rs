//! The control group that bounds a process: its CPU quota and its memory, the nearest bound on the way to the root.

use hostfs::Roots;
use hostfs::cgroup::{Cgroups, Detail, Layout, Limit, Reader, Sample};

use super::watch::Values;
use crate::host::Files;

/// Groups of a host that are looked through; those of the process are among the first levels.
const GROUPS: usize = 65_536;

/// The groups of one process that have a bound.
pub(super) struct Group {
    layout: Layout,
    reader: Reader,
    cgroups: Cgroups<()>,
    /// Path of the group with a CPU quota, and of the one with a memory limit.
    cpu: Option<Vec<u8>>,
    memory: Option<Vec<u8>>,
}

impl Group {
    /// Those of process `pid`; `None` where nothing bounds it or cgroups cannot be read.
    pub(super) fn of(roots: &Roots, pid: u32) -> Option<Self> {
        let membership = Files { roots: roots.clone() }.proc(&format!("{pid}/cgroup"))?;
        let layout = Layout::find(roots).ok()??;
        let mut cgroups = Cgroups::new(GROUPS);
        cgroups.walk(&layout).ok()?;
        let mut group = Self { layout, reader: Reader::new(Detail::default()), cgroups, cpu: None, memory: None };
        let mut paths: Vec<Vec<u8>> =
            membership.lines().filter_map(|line| line.splitn(3, ':').nth(2)).flat_map(ancestors).collect();
        // The nearest first: the longest path is the deepest.
        paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
        paths.dedup();
        let bounded = |limit: Option<Limit>| matches!(limit, Some(Limit::At(_)));
        for path in paths {
            let Some(sample) = group.sample(&path) else { continue };
            if group.cpu.is_none() && bounded(sample.cpu.quota) {
                group.cpu = Some(path.clone());
            }
            if group.memory.is_none() && bounded(sample.memory.limit) {
                group.memory = Some(path);
            }
        }
        (group.cpu.is_some() || group.memory.is_some()).then_some(group)
    }

    fn sample(&mut self, path: &[u8]) -> Option<Sample> {
        let (path, group) = self.cgroups.iter_mut().find(|(known, _)| *known == path)?;
        let mut sample = Sample::default();
        self.reader.read(&self.layout, path, group, &mut sample).then_some(sample)
    }

    /// Adds its signals; those of a group that is gone are left out.
    pub(super) fn read(&mut self, values: &mut Values) {
        let cpu = self.cpu.clone().and_then(|path| self.sample(&path)).map(|sample| sample.cpu);
        let throttled = cpu.and_then(|cpu| cpu.throttled);
        values.extend(throttled.map(|ns| ("group.throttled_seconds", ns as f64 / 1e9)));
        let Some(memory) = self.memory.clone().and_then(|path| self.sample(&path)).map(|sample| sample.memory) else {
            return;
        };
        // v1 counts every time that the limit was hit, v2 in its events.
        let hits = memory.limit_hits.or(memory.events_max);
        let limit = match memory.limit {
            Some(Limit::At(bytes)) => Some(bytes),
            _ => None,
        };
        let signals = [
            ("group.memory_bytes", memory.usage),
            ("group.memory_limit_bytes", limit),
            ("group.memory_limit_hits", hits),
            ("group.oom_kills", memory.oom_kills),
        ];
        values.extend(signals.into_iter().filter_map(|(name, value)| Some((name, value? as f64))));
    }
}

/// `/a/b` gives `/a/b`, `/a` and `/`.
fn ancestors(path: &str) -> Vec<Vec<u8>> {
    let whole = path.trim_end_matches('/');
    let up = std::iter::successors(Some(whole), |path| path.rsplit_once('/').map(|(parent, _)| parent));
    up.map(|path| if path.is_empty() { b"/".to_vec() } else { path.as_bytes().to_vec() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group and all above it, the root as a slash.
    #[test]
    fn groups_above() {
        assert_eq!(ancestors("/a/b"), [b"/a/b".to_vec(), b"/a".to_vec(), b"/".to_vec()]);
        assert_eq!(ancestors("/"), [b"/".to_vec()]);
    }

    /// Version 1 with the quota and the memory limit in different groups: each is found, and its counters are read.
    #[test]
    fn finds_the_nearest_bounds() {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("proc/7/cgroup", "4:memory:/lab/server\n1:cpu:/lab\n"),
            ("sys/fs/cgroup/memory/lab/server/memory.limit_in_bytes", "1048576\n"),
            ("sys/fs/cgroup/memory/lab/server/memory.usage_in_bytes", "4096\n"),
            ("sys/fs/cgroup/memory/lab/server/memory.failcnt", "12\n"),
            ("sys/fs/cgroup/memory/lab/server/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
            ("sys/fs/cgroup/cpu/lab/cpu.cfs_quota_us", "5000\n"),
            ("sys/fs/cgroup/cpu/lab/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu/lab/cpu.stat", "nr_periods 10\nnr_throttled 5\nthrottled_time 1500000000\n"),
        ] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        for hierarchy in ["memory", "memory/lab", "memory/lab/server", "cpu", "cpu/lab"] {
            std::fs::write(dir.path().join("sys/fs/cgroup").join(hierarchy).join("cgroup.procs"), "").unwrap();
        }
        let mut group = Group::of(&Roots::below(dir.path()), 7).unwrap();
        let mut values = Values::new();
        group.read(&mut values);
        assert_eq!(values.get("group.throttled_seconds"), Some(&1.5));
        assert_eq!(values.get("group.memory_limit_hits"), Some(&12.0));
        assert_eq!(values.get("group.oom_kills"), Some(&3.0));
        assert_eq!(values.get("group.memory_limit_bytes"), Some(&1_048_576.0));
    }
}
