//! Small kernel files as text and numbers, below [`Roots`]; what cannot be read is `None`.
//!
//! A fingerprint or a check states "unknown" and goes on, so errors carry no more than absence here.

use hostfs::{Roots, read_into};

/// Most that is read of one file, in bytes; `/proc/cpuinfo` of a machine with 512 threads is below 1 MiB.
const FILE_LIMIT: usize = 1 << 20;

/// Reads below one set of roots.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Where procfs and sysfs are.
    pub roots: Roots,
}

impl Files {
    /// Text of a file below procfs, trimmed.
    pub fn proc(&self, path: &str) -> Option<String> {
        text(&self.roots.proc(path))
    }

    /// Text of a file below sysfs, trimmed.
    pub fn sys(&self, path: &str) -> Option<String> {
        text(&self.roots.sys(path))
    }

    /// A sysctl by its path (`net/core/somaxconn`), with its tabs as single spaces.
    pub fn sysctl(&self, path: &str) -> Option<String> {
        let text = self.proc(&format!("sys/{path}"))?;
        Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// A sysctl that is one number.
    pub fn sysctl_number(&self, path: &str) -> Option<u64> {
        self.sysctl(path)?.parse().ok()
    }

    /// A sysctl that is several numbers.
    pub fn sysctl_numbers(&self, path: &str) -> Option<Vec<u64>> {
        self.sysctl(path)?.split(' ').map(|number| number.parse().ok()).collect()
    }

    /// A field of a `Key: value` file such as `meminfo` or `self/status`: the value of its first line.
    pub fn field(&self, file: &str, key: &str) -> Option<String> {
        field(&self.proc(file)?, key)
    }

    /// A field of `meminfo`, in bytes.
    pub fn memory(&self, key: &str) -> Option<u64> {
        let value = self.field("meminfo", key)?;
        value.strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    }

    /// Soft and hard limit of this process by its name in `/proc/self/limits` (`Max open files`); unlimited is `u64::MAX`.
    pub fn limit(&self, name: &str) -> Option<(u64, u64)> {
        let limits = self.proc("self/limits")?;
        let mut values = limits.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace();
        let mut value = || match values.next()? {
            "unlimited" => Some(u64::MAX),
            number => number.parse().ok(),
        };
        Some((value()?, value()?))
    }

    /// Major and minor version of the kernel.
    pub fn kernel(&self) -> Option<(u32, u32)> {
        let release = self.sysctl("kernel/osrelease")?;
        let mut parts = release.split(|letter: char| !letter.is_ascii_digit());
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }

    /// CPUs that this process may run on.
    pub fn allowed_cpus(&self) -> Option<Vec<usize>> {
        cpu_list(&self.field("self/status", "Cpus_allowed_list")?)
    }
}

fn text(path: &std::path::Path) -> Option<String> {
    let mut bytes = Vec::new();
    read_into(path, &mut bytes, FILE_LIMIT).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// The value of the first line `key: value` of `text`.
pub(super) fn field(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}

/// Parses a kernel list of CPUs such as `0-3,8,10-11`; an empty list is empty. At most 8,192 CPUs, the most
/// that Linux can be built for.
pub(super) fn cpu_list(text: &str) -> Option<Vec<usize>> {
    const CPU_LIMIT: usize = 8192;
    let mut cpus = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        if last >= CPU_LIMIT {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists of CPUs as the kernel prints them, and lists that it never prints.
    #[test]
    fn parses_cpu_lists() {
        assert_eq!(cpu_list("0-3,8,10-11"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(cpu_list(""), Some(vec![]));
        assert_eq!(cpu_list("0-99999999999"), None);
        assert_eq!(cpu_list("a-b"), None);
    }

    /// Limits, fields and versions of a fixture read as written, and as `None` where they are missing.
    #[test]
    fn reads_a_fixture() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/self")).unwrap();
        std::fs::create_dir_all(dir.path().join("proc/sys/kernel")).unwrap();
        std::fs::write(dir.path().join("proc/sys/kernel/osrelease"), "6.1.0-38-amd64\n").unwrap();
        std::fs::write(
            dir.path().join("proc/self/limits"),
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max open files            1024                 unlimited            files     \n",
        )
        .unwrap();
        std::fs::write(dir.path().join("proc/meminfo"), "MemTotal:       24690628 kB\nMemFree:           12 kB\n")
            .unwrap();
        let files = Files { roots: Roots::below(dir.path()) };
        assert_eq!(files.limit("Max open files"), Some((1024, u64::MAX)));
        assert_eq!(files.limit("Max locked memory"), None);
        assert_eq!(files.kernel(), Some((6, 1)));
        assert_eq!(files.memory("MemFree"), Some(12 * 1024));
        assert_eq!(files.memory("SwapTotal"), None);
        assert_eq!(files.sysctl("net/core/somaxconn"), None);
    }
}
