//! The limits that cgroups put on this process: CPU quota and memory, the tightest on the way to the root.
//!
//! Version 1 (a hierarchy per controller), version 2 and the hybrid of both are read. In a container the path
//! in `/proc/self/cgroup` may lie outside of what is mounted; the mounted root is then the container's own group.
//!
//! Source: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst, scheduler/sched-bwc.rst.

use super::files::Files;

/// Version 1 prints "no limit" as the largest multiple of the page size; nothing above 2^62 is a limit.
const NO_LIMIT: u64 = 1 << 62;

/// What holds for this process.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// `v1`, `v2`, `hybrid`, or `none`.
    pub(super) version: &'static str,
    /// CPUs' worth of time per second; `None` without a limit.
    pub(super) cpus: Option<f64>,
    /// Bytes; `None` without a limit.
    pub(super) memory_bytes: Option<u64>,
}

/// Reads the limits on this process. What cannot be read is no limit.
pub(super) fn limits(files: &Files) -> Limits {
    let membership = files.proc("self/cgroup").unwrap_or_default();
    let mut limits = Limits { version: version(&membership), cpus: None, memory_bytes: None };
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        for group in ancestors(path) {
            tighten(&mut limits, files, controllers, group);
        }
    }
    limits
}

fn version(membership: &str) -> &'static str {
    let unified = membership.lines().any(|line| line.starts_with("0::"));
    let controllers = membership.lines().any(|line| !line.starts_with("0::") && !line.contains("name="));
    match (unified, controllers) {
        (true, true) => "hybrid",
        (true, false) => "v2",
        (false, true) => "v1",
        (false, false) => "none",
    }
}

/// `/a/b` gives `/a/b`, `/a` and the root, as prefixes without a slash at their end.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let path = path.trim_end_matches('/');
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(parent, _)| parent))
}

fn tighten(limits: &mut Limits, files: &Files, controllers: &str, group: &str) {
    let has = |name: &str| controllers.split(',').any(|controller| controller == name);
    if controllers.is_empty() {
        for root in ["fs/cgroup", "fs/cgroup/unified"] {
            lower(&mut limits.cpus, files.sys(&format!("{root}{group}/cpu.max")).as_deref().and_then(quota));
            let bytes = files.sys(&format!("{root}{group}/memory.max")).and_then(|text| text.parse().ok());
            lower(&mut limits.memory_bytes, bytes);
        }
    }
    if has("cpu") {
        let file = |name: &str| files.sys(&format!("fs/cgroup/cpu{group}/cpu.cfs_{name}_us"));
        let both = file("quota").zip(file("period")).map(|(quota, period)| format!("{quota} {period}"));
        lower(&mut limits.cpus, both.as_deref().and_then(quota));
    }
    if has("memory") {
        let bytes = files.sys(&format!("fs/cgroup/memory{group}/memory.limit_in_bytes"));
        lower(&mut limits.memory_bytes, bytes.and_then(|text| text.parse().ok()).filter(|bytes| *bytes < NO_LIMIT));
    }
}

/// `200000 100000` is two CPUs; `max 100000` and `-1 100000` are no limit.
fn quota(text: &str) -> Option<f64> {
    let (quota, period) = text.split_once(' ')?;
    let (quota, period) = (quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?);
    (period > 0).then(|| quota as f64 / period as f64)
}

fn lower<T: PartialOrd>(limit: &mut Option<T>, found: Option<T>) {
    if let Some(found) = found
        && limit.as_ref().is_none_or(|limit| found < *limit)
    {
        *limit = Some(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostfs::Roots;

    fn fixture(files: &[(&str, &str)]) -> Limits {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        limits(&Files { roots: Roots::below(dir.path()) })
    }

    /// Version 2: the parent's quota is tighter than our own and wins; our own memory limit is the only one.
    #[test]
    fn the_tightest_group_on_the_way_up_wins() {
        let found = fixture(&[
            ("proc/self/cgroup", "0::/user.slice/lab\n"),
            ("sys/fs/cgroup/user.slice/lab/cpu.max", "400000 100000\n"),
            ("sys/fs/cgroup/user.slice/lab/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/user.slice/memory.max", "max\n"),
        ]);
        assert_eq!(found, Limits { version: "v2", cpus: Some(1.5), memory_bytes: Some(1 << 30) });
    }

    /// Version 1 in a container: the path is not mounted, the mounted root is the container's own group.
    #[test]
    fn a_container_reads_its_mounted_root() {
        let found = fixture(&[
            ("proc/self/cgroup", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"),
        ]);
        assert_eq!(found, Limits { version: "v1", cpus: Some(0.5), memory_bytes: Some(512 << 20) });
    }

    /// Hybrid without limits, as version 1 prints "none": a quota of -1 and the largest page-aligned number.
    #[test]
    fn no_limit_is_none() {
        let found = fixture(&[
            ("proc/self/cgroup", "4:memory:/\n1:cpu:/\n0::/\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        assert_eq!(found, Limits { version: "hybrid", cpus: None, memory_bytes: None });
    }
}
