//! Btrfs file systems: `/sys/fs/btrfs/UUID` (fs/btrfs/sysfs.c; btrfs(5), section filesystem sysfs).

use std::path::Path;

use crate::attributes::{component, if_present, names, optional};
use crate::text::{fields, lines, parse_u64};
use crate::{Error, Result, Roots};

/// Sectors of `/sys/…/size` are 512 bytes, whatever the device's own are.
const SECTOR: u64 = 512;

/// One file system.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileSystem {
    /// Its UUID.
    pub uuid: Vec<u8>,
    /// Its label; empty when it has none.
    pub label: Vec<u8>,
    /// Bytes of the global reserve.
    pub global_reserve: u64,
    /// Commits since it was mounted.
    pub commits: u64,
    /// Duration of the last commit, in milliseconds.
    pub last_commit_ms: u64,
    /// Duration of the longest commit, in milliseconds.
    pub max_commit_ms: u64,
    /// Duration of all commits, in milliseconds.
    pub total_commit_ms: u64,
    /// Names and sizes in bytes of its devices, sorted.
    pub devices: Vec<(Vec<u8>, u64)>,
    /// Its space by type: `data`, `metadata`, `system`.
    pub space: Vec<Space>,
}

/// Space of one type of block group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Space {
    /// `data`, `metadata` or `system`.
    pub kind: &'static str,
    /// Bytes reserved.
    pub reserved: u64,
    /// By profile, sorted.
    pub profiles: Vec<Profile>,
}

/// Space of one redundancy profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// `single`, `raid1` and so on.
    pub name: Vec<u8>,
    /// Bytes used.
    pub used: u64,
    /// Bytes allocated.
    pub total: u64,
    /// Bytes on disk per byte of data.
    pub ratio: f64,
}

/// Every mounted file system, sorted by UUID; none without btrfs.
///
/// # Errors
/// When a file is there and cannot be read, or the commits cannot be understood.
pub fn read(roots: &Roots) -> Result<Vec<FileSystem>> {
    let class = roots.sys("fs/btrfs");
    let mut found = Vec::new();
    for name in if_present(names(&class))?.unwrap_or_default() {
        // A UUID has dashes; `features` has none.
        if memchr::memchr(b'-', &name).is_some() {
            found.push(file_system(&class.join(component(&name)), name)?);
        }
    }
    Ok(found)
}

fn file_system(path: &Path, name: Vec<u8>) -> Result<FileSystem> {
    let devices_path = path.join("devices");
    let mut devices = Vec::new();
    for device in if_present(names(&devices_path))?.unwrap_or_default() {
        let sectors = count(&devices_path.join(component(&device)).join("size"))?;
        devices.push((device, sectors.saturating_mul(SECTOR)));
    }
    let mut space = Vec::new();
    for kind in ["data", "metadata", "system"] {
        space.push(space_of(&path.join("allocation").join(kind), kind, devices.len())?);
    }
    let mut file_system = FileSystem {
        uuid: optional(&path.join("metadata_uuid"))?.filter(|uuid| !uuid.is_empty()).unwrap_or(name),
        label: optional(&path.join("label"))?.unwrap_or_default(),
        global_reserve: count(&path.join("allocation/global_rsv_size"))?,
        devices,
        space,
        ..FileSystem::default()
    };
    let commits = path.join("commit_stats");
    if let Some(text) = optional(&commits)? {
        parse_commits(&commits, &text, &mut file_system)?;
    }
    Ok(file_system)
}

/// `commits 258`, `last_commit_ms 1000`, …; Linux 6.0 and newer.
fn parse_commits(path: &Path, text: &[u8], into: &mut FileSystem) -> Result<()> {
    for (index, line) in lines(text).enumerate() {
        let mut words = fields(line);
        let (Some(name), Some(number), None) = (words.next(), words.u64(), words.next()) else {
            return Err(Error::format(path, index + 1, line));
        };
        match name {
            b"commits" => into.commits = number,
            b"last_commit_ms" => into.last_commit_ms = number,
            b"max_commit_ms" => into.max_commit_ms = number,
            b"total_commit_ms" => into.total_commit_ms = number,
            _ => {}
        }
    }
    Ok(())
}

fn space_of(path: &Path, kind: &'static str, devices: usize) -> Result<Space> {
    let mut space = Space { kind, reserved: count(&path.join("bytes_reserved"))?, profiles: Vec::new() };
    for name in if_present(names(path))?.unwrap_or_default() {
        let profile = path.join(component(&name));
        if profile.is_dir() {
            space.profiles.push(Profile {
                used: count(&profile.join("used_bytes"))?,
                total: count(&profile.join("total_bytes"))?,
                ratio: ratio(&name, devices),
                name,
            });
        }
    }
    Ok(space)
}

/// Bytes on disk per byte of data; 0 for profiles that are not known.
fn ratio(profile: &[u8], devices: usize) -> f64 {
    let devices = devices as f64;
    match profile {
        b"single" | b"raid0" => 1.0,
        b"dup" | b"raid1" | b"raid10" => 2.0,
        b"raid5" => devices / (devices - 1.0),
        b"raid6" => devices / (devices - 2.0),
        b"raid1c3" => 3.0,
        b"raid1c4" => 4.0,
        _ => 0.0,
    }
}

/// Kernels differ in which files they have: what is missing, or no number, is 0.
fn count(path: &Path) -> Result<u64> {
    Ok(optional(path)?.and_then(|text| parse_u64(&text)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file system on four devices, with and without commits; broken commits are an error.
    #[test]
    fn file_systems() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(read(&roots).unwrap().is_empty());
        let put = |path: &str, text: &str| {
            let path = dir.path().join("sys/fs/btrfs").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("features/raid56", "0\n");
        for device in ["a", "b", "c", "d"] {
            put(&format!("0a-1b/devices/{device}/size"), "20\n");
        }
        put("0a-1b/allocation/data/raid5/used_bytes", "5\n");
        put("0a-1b/allocation/data/raid5/total_bytes", "9\n");
        put("0a-1b/allocation/data/bytes_reserved", "3\n");
        put("0a-1b/allocation/system/strange/used_bytes", "no number\n");
        let found = read(&roots).unwrap();
        assert_eq!((found.len(), found[0].uuid.as_slice(), found[0].devices[3].1), (1, &b"0a-1b"[..], 10_240));
        let profile = &found[0].space[0].profiles[0];
        assert_eq!((profile.used, profile.total, profile.ratio), (5, 9, 4.0 / 3.0));
        assert_eq!((found[0].space[2].profiles[0].used, found[0].space[2].profiles[0].ratio), (0, 0.0));
        put("0a-1b/metadata_uuid", "ff-ee\n");
        put("0a-1b/commit_stats", "commits 3\nlast_commit_ms 4\nmax_commit_ms 5\ntotal_commit_ms 6\nnew 1\n");
        let found = read(&roots).unwrap();
        assert_eq!((found[0].uuid.as_slice(), found[0].commits, found[0].total_commit_ms), (&b"ff-ee"[..], 3, 6));
        for bad in ["commits\n", "commits x\n", "commits 18446744073709551616\n"] {
            put("0a-1b/commit_stats", bad);
            assert!(read(&roots).is_err(), "{bad:?}");
        }
    }
}
