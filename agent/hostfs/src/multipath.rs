//! Multipath devices of the device mapper: `/sys/block/dm-*` (Documentation/ABI/testing/sysfs-block-dm).

use std::path::Path;

use crate::attributes::{component, if_present, names, number, optional, value};
use crate::{Result, Roots};

/// Sectors of `/sys/…/size` are 512 bytes, whatever the device's own are.
const SECTOR: u64 = 512;

/// One multipath device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name: `mpatha`.
    pub name: Vec<u8>,
    /// The kernel's name: `dm-5`.
    pub kernel_name: Vec<u8>,
    /// Its UUID, which starts with `mpath-`.
    pub uuid: Vec<u8>,
    /// Whether its I/O is held back.
    pub suspended: bool,
    /// Its size in bytes.
    pub size: u64,
    /// Device and state of each path, sorted by device.
    pub paths: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Every multipath device, sorted by the kernel's name.
///
/// # Errors
/// When a file that such a device has cannot be read; without block devices the directory is not there.
pub fn read(roots: &Roots) -> Result<Vec<Device>> {
    let block = roots.sys("block");
    let mut found = Vec::new();
    for name in names(&block)?.into_iter().filter(|name| name.starts_with(b"dm-")) {
        let path = block.join(component(&name));
        if let Some(uuid) = optional(&path.join("dm/uuid"))?.filter(|uuid| uuid.starts_with(b"mpath-")) {
            found.push(Device {
                name: value(&path.join("dm/name"))?,
                uuid,
                suspended: number(&path.join("dm/suspended"))? == 1,
                size: number(&path.join("size"))?.saturating_mul(SECTOR),
                paths: paths(&block, &path)?,
                kernel_name: name,
            });
        }
    }
    Ok(found)
}

fn paths(block: &Path, device: &Path) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found = Vec::new();
    for name in if_present(names(&device.join("slaves")))?.unwrap_or_default() {
        let state = value(&block.join(component(&name)).join("device/state"))?;
        found.push((name, state));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A multipath device among other mapped ones; a path without a state is an error.
    #[test]
    fn devices() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(read(&roots).unwrap_err().is_not_found());
        let put = |path: &str, text: &str| {
            let path = dir.path().join("sys/block").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("dm-0/dm/uuid", "LVM-abc\n");
        put("dm-1/dm/uuid", "mpath-3600\n");
        put("dm-1/dm/name", "mpatha\n");
        put("dm-1/dm/suspended", "0\n");
        put("dm-1/size", "2048\n");
        put("sdb/device/state", "running\n");
        put("dm-1/slaves/sdb/size", "1\n");
        let device = &read(&roots).unwrap()[0];
        assert_eq!((device.size, device.paths.len(), device.suspended), (1_048_576, 1, false));
        put("dm-1/slaves/sdc/size", "1\n");
        assert!(read(&roots).unwrap_err().is_not_found());
    }
}
