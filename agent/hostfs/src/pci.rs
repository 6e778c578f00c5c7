//! PCI devices: `/sys/bus/pci/devices` (Documentation/ABI/testing/sysfs-bus-pci).

use std::path::Path;

use crate::attributes::{component, names, optional, parse_prefixed_signed, value};
use crate::text::{parse_f64, parse_hex, parse_i64};
use crate::{Error, Result, Roots};

/// Where a device sits: segment, bus, device, function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// Segment, also called domain.
    pub segment: u64,
    /// Bus.
    pub bus: u64,
    /// Device.
    pub device: u64,
    /// Function.
    pub function: u64,
}

/// One device.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Where it sits.
    pub location: Location,
    /// The bridge that it hangs below; none for a root bus.
    pub parent: Option<Location>,
    /// Class code of 24 bits.
    pub class: u32,
    /// Vendor.
    pub vendor: u32,
    /// Device.
    pub device: u32,
    /// Vendor of the board.
    pub subsystem_vendor: u32,
    /// Device of the board.
    pub subsystem_device: u32,
    /// Revision.
    pub revision: u32,
    /// NUMA node; -1 when the firmware does not tell.
    pub numa_node: i64,
    /// Transfers per second and lanes that the link can do, then those that it does.
    pub link: [Option<f64>; 4],
    /// The values of [`FLAGS`]; 0 where there is no such file.
    pub flags: [i64; FLAGS.len()],
    /// Power state; none where the kernel does not tell.
    pub power_state: Option<Vec<u8>>,
}

/// Files of switches and counts that not every device has.
pub const FLAGS: [&str; 5] =
    ["d3cold_allowed", "sriov_drivers_autoprobe", "sriov_numvfs", "sriov_totalvfs", "sriov_vf_total_msix"];

/// Every device, sorted by location.
///
/// # Errors
/// When a file that every device has cannot be read, or one cannot be understood; without PCI the directory is not
/// there.
pub fn read(roots: &Roots) -> Result<Vec<Device>> {
    let class = roots.sys("bus/pci/devices");
    names(&class)?.iter().map(|name| device(&class.join(component(name)))).collect()
}

fn device(path: &Path) -> Result<Device> {
    // The entry is a link to the device's place in the tree, whose last two parts are bridge and device.
    let target = std::fs::read_link(path).map_err(|source| Error::read(path, source))?;
    let part = |path: &Path| path.file_name().map(|name| name.as_encoded_bytes().to_vec()).unwrap_or_default();
    let (own, above) = (part(&target), target.parent().map(part).unwrap_or_default());
    let locate = |text: &[u8]| parse_location(text).ok_or_else(|| Error::format(path, 0, text));
    let parent = if above.starts_with(b"pci") { None } else { Some(locate(&above)?) };
    let identity = |file: &str| -> Result<u32> {
        let number = signed(&path.join(file))?;
        u32::try_from(number).map_err(|_| Error::format(&path.join(file), 1, number.to_string().as_bytes()))
    };
    let mut flags = [0; FLAGS.len()];
    for (slot, file) in flags.iter_mut().zip(FLAGS) {
        let path = path.join(file);
        if let Some(text) = optional(&path)?.filter(|text| !text.is_empty()) {
            *slot = parse_i64(&text).ok_or_else(|| Error::format(&path, 1, &text))?;
        }
    }
    Ok(Device {
        location: locate(&own)?,
        parent,
        class: identity("class")?,
        vendor: identity("vendor")?,
        device: identity("device")?,
        subsystem_vendor: identity("subsystem_vendor")?,
        subsystem_device: identity("subsystem_device")?,
        revision: identity("revision")?,
        numa_node: signed(&path.join("numa_node"))?,
        link: [
            link_speed(&path.join("max_link_speed"))?,
            link_width(&path.join("max_link_width"))?,
            link_speed(&path.join("current_link_speed"))?,
            link_width(&path.join("current_link_width"))?,
        ],
        flags,
        power_state: optional(&path.join("power_state"))?.filter(|state| !state.is_empty()),
    })
}

fn signed(path: &Path) -> Result<i64> {
    let text = value(path)?;
    parse_prefixed_signed(&text).ok_or_else(|| Error::format(path, 1, &text))
}

/// `0000:04:00.1`.
fn parse_location(text: &[u8]) -> Option<Location> {
    let mut parts = text.split(|&byte| matches!(byte, b':' | b'.'));
    let mut part = || parse_hex(parts.next()?);
    let location = Location { segment: part()?, bus: part()?, device: part()?, function: part()? };
    (parts.next().is_none() && memchr::memchr(b'.', text) > memchr::memrchr(b':', text)).then_some(location)
}

/// `8.0 GT/s PCIe` in transfers per second; nothing for an empty file and for `Unknown`.
fn link_speed(path: &Path) -> Result<Option<f64>> {
    let Some(text) = known(path)? else { return Ok(None) };
    let speed = text.strip_suffix(b" GT/s PCIe").and_then(parse_f64);
    speed.map(|speed| Some(speed * 1e9)).ok_or_else(|| Error::format(path, 1, &text))
}

fn link_width(path: &Path) -> Result<Option<f64>> {
    let Some(text) = known(path)? else { return Ok(None) };
    parse_i64(&text).map(|width| Some(width as f64)).ok_or_else(|| Error::format(path, 1, &text))
}

fn known(path: &Path) -> Result<Option<Vec<u8>>> {
    Ok(optional(path)?.filter(|text| !text.is_empty() && !text.starts_with(b"Unknown")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Locations, and what only looks like one.
    #[test]
    fn locations() {
        let location = parse_location(b"0000:a3:1f.7").unwrap();
        assert_eq!((location.segment, location.bus, location.device, location.function), (0, 0xa3, 0x1f, 7));
        for bad in [&b""[..], b"0000:00:00", b"0000.00:00:0", b"0000:00:00.0.0", b"x:00:00.0", b"\xff:1:1.1"] {
            assert_eq!(parse_location(bad), None, "{bad:?}");
        }
    }

    /// A bridge and a device below it; unknown speeds; broken numbers.
    #[test]
    fn devices() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(read(&roots).unwrap_err().is_not_found());
        let bus = dir.path().join("sys/bus/pci/devices");
        std::fs::create_dir_all(&bus).unwrap();
        let tree = dir.path().join("sys/devices/pci0000:00/0000:00:02.1/0000:01:00.0");
        std::fs::create_dir_all(&tree).unwrap();
        std::os::unix::fs::symlink("../../../devices/pci0000:00/0000:00:02.1/0000:01:00.0", bus.join("0000:01:00.0"))
            .unwrap();
        for (file, text) in [
            ("class", "0x010802\n"),
            ("vendor", "0xc0a9\n"),
            ("device", "0x540a\n"),
            ("subsystem_vendor", "0xc0a9\n"),
            ("subsystem_device", "0x5021\n"),
            ("revision", "0x01\n"),
            ("numa_node", "-1\n"),
            ("max_link_speed", "16.0 GT/s PCIe\n"),
            ("current_link_speed", "Unknown\n"),
            ("max_link_width", "4\n"),
            ("d3cold_allowed", "1\n"),
        ] {
            std::fs::write(tree.join(file), text).unwrap();
        }
        let found = &read(&roots).unwrap()[0];
        assert_eq!((found.class, found.numa_node, found.flags), (0x01_0802, -1, [1, 0, 0, 0, 0]));
        assert_eq!((found.parent.unwrap().device, found.link), (2, [Some(16e9), Some(4.0), None, None]));
        for (file, text) in [("max_link_speed", "fast\n"), ("max_link_width", "wide\n"), ("vendor", "-5\n")] {
            let before = std::fs::read(tree.join(file)).unwrap();
            std::fs::write(tree.join(file), text).unwrap();
            assert!(matches!(read(&roots), Err(Error::Format { .. })), "{file}");
            std::fs::write(tree.join(file), before).unwrap();
        }
    }
}
