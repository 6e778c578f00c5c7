//! `/sys/class/dmi/id` (Documentation/ABI/testing/sysfs-class-dmi): what the firmware says about the machine.

use crate::attributes::{component, file_names, is_forbidden, value};
use crate::{Result, Roots};

/// The attributes that are read, as file and as label: the kernel shortens one of them.
const KNOWN: &[(&str, &str)] = &[
    ("bios_date", "bios_date"),
    ("bios_release", "bios_release"),
    ("bios_vendor", "bios_vendor"),
    ("bios_version", "bios_version"),
    ("board_asset_tag", "board_asset_tag"),
    ("board_name", "board_name"),
    ("board_serial", "board_serial"),
    ("board_vendor", "board_vendor"),
    ("board_version", "board_version"),
    ("chassis_asset_tag", "chassis_asset_tag"),
    ("chassis_serial", "chassis_serial"),
    ("chassis_vendor", "chassis_vendor"),
    ("chassis_version", "chassis_version"),
    ("product_family", "product_family"),
    ("product_name", "product_name"),
    ("product_serial", "product_serial"),
    ("product_sku", "product_sku"),
    ("product_uuid", "product_uuid"),
    ("product_version", "product_version"),
    ("sys_vendor", "system_vendor"),
];

/// Names and values of what the machine tells, sorted by name. Serial numbers and the UUID are for root only and are
/// left out otherwise.
///
/// # Errors
/// When the directory or one of its files cannot be read; without DMI the directory is not there.
pub fn read(roots: &Roots) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let directory = roots.sys("class/dmi/id");
    let mut found = Vec::new();
    for name in file_names(&directory)? {
        let Some((_, label)) = KNOWN.iter().find(|(file, _)| file.as_bytes() == name) else { continue };
        match value(&directory.join(component(&name))) {
            Ok(text) => found.push((*label, text)),
            Err(error) if is_forbidden(&error) => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known files only, renamed as needed, also when empty or not UTF-8.
    #[test]
    fn attributes() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(read(&roots).unwrap_err().is_not_found());
        let id = dir.path().join("sys/class/dmi/id");
        std::fs::create_dir_all(id.join("power")).unwrap();
        for (name, text) in [("sys_vendor", &b"Dell \xff Inc.\n"[..]), ("modalias", b"dmi:x"), ("bios_date", b"\n")] {
            std::fs::write(id.join(name), text).unwrap();
        }
        let expected = [("bios_date", b"".to_vec()), ("system_vendor", b"Dell \xff Inc.".to_vec())];
        assert_eq!(read(&roots).unwrap(), expected);
    }
}
