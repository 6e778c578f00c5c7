//! Sensors of `/sys/class/hwmon` (Documentation/hwmon/sysfs-interface.rst).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use crate::attributes::{component, names, value};
use crate::{Error, Result, Roots};

/// The kinds of sensors that are read; a chip's directory holds much else.
const KINDS: &[&str] = &[
    "vrm",
    "beep_enable",
    "update_interval",
    "in",
    "cpu",
    "fan",
    "pwm",
    "temp",
    "curr",
    "power",
    "energy",
    "humidity",
    "intrusion",
    "freq",
];

/// One monitoring chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chip {
    /// Stable and unique name, made from where the chip sits: `platform_coretemp_0`.
    pub id: String,
    /// What its driver calls it: `coretemp`. Several chips may have the same.
    pub name: Option<String>,
    directory: PathBuf,
}

/// One sensor of a chip with all its properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sensor {
    /// What it measures: one of `in`, `fan`, `temp` and so on.
    pub kind: &'static str,
    /// Kind and number: `temp1`.
    pub name: String,
    /// Property to text: `input` to `42000`. The empty property is a file without one, such as `pwm1`.
    pub properties: BTreeMap<String, Vec<u8>>,
}

/// Every chip. Chips of one device would share an id, so theirs get the driver's name, or the directory's, appended.
///
/// # Errors
/// When the directory cannot be listed; without sensors it is not there.
pub fn chips(roots: &Roots) -> Result<Vec<Chip>> {
    let class = roots.sys("class/hwmon");
    let mut chips = Vec::new();
    for name in names(&class)? {
        let directory = class.join(component(&name));
        if !directory.is_dir() {
            continue;
        }
        let Some(id) = chip_id(&directory) else { continue };
        let name = value(&directory.join("name")).ok().map(|name| clean(&name)).filter(|name| !name.is_empty());
        chips.push(Chip { id, name, directory });
    }
    make_unique(&mut chips);
    Ok(chips)
}

fn make_unique(chips: &mut [Chip]) {
    let mut ids: HashMap<String, usize> = HashMap::new();
    let mut named: HashMap<(String, Option<String>), usize> = HashMap::new();
    for chip in chips.iter() {
        *ids.entry(chip.id.clone()).or_default() += 1;
        *named.entry((chip.id.clone(), chip.name.clone())).or_default() += 1;
    }
    for chip in chips.iter_mut().filter(|chip| ids[&chip.id] > 1) {
        let suffix = match &chip.name {
            Some(name) if named[&(chip.id.clone(), chip.name.clone())] == 1 => name.clone(),
            _ => last_component(&chip.directory).map(|name| clean(&name)).unwrap_or_default(),
        };
        chip.id = format!("{}_{suffix}", chip.id);
    }
}

/// The name of a chip: device type and device from its link to the device, else its driver's name, else `hwmonN`.
fn chip_id(directory: &Path) -> Option<String> {
    if let Ok(device) = fs::canonicalize(directory.join("device")) {
        let name = last_component(&device).map(|name| clean(&name)).unwrap_or_default();
        let bus = device.parent().and_then(last_component).map(|name| clean(&name)).unwrap_or_default();
        if !name.is_empty() {
            return Some(if bus.is_empty() { name } else { format!("{bus}_{name}") });
        }
    }
    let driver = value(&directory.join("name")).ok().map(|name| clean(&name)).filter(|name| !name.is_empty());
    driver.or_else(|| {
        let real = fs::canonicalize(directory).ok()?;
        last_component(&real).map(|name| clean(&name)).filter(|name| !name.is_empty())
    })
}

fn last_component(path: &Path) -> Option<Vec<u8>> {
    Some(path.file_name()?.as_encoded_bytes().to_vec())
}

/// Lower case, everything but letters, digits, `:` and `_` replaced by `_`, none of these at the ends.
pub fn clean(name: &[u8]) -> String {
    let lower = String::from_utf8_lossy(name).to_lowercase();
    let replaced: String =
        lower.chars().map(|c| if matches!(c, 'a'..='z' | '0'..='9' | ':' | '_') { c } else { '_' }).collect();
    replaced.trim_matches('_').to_owned()
}

/// The sensors of a chip, sorted by name: those in its own directory and those that old drivers put into the device's.
/// A file that cannot be read at the moment is left out, as drivers answer so for what is not connected.
///
/// # Errors
/// When a directory cannot be listed.
pub fn sensors(chip: &Chip) -> Result<Vec<Sensor>> {
    let mut found = BTreeMap::new();
    add_sensors(&chip.directory, &mut found)?;
    let device = chip.directory.join("device");
    match add_sensors(&device, &mut found) {
        Err(Error::Read { path, source }) if path == device && source.kind() == std::io::ErrorKind::NotFound => {}
        result => result?,
    }
    Ok(found.into_values().collect())
}

fn add_sensors(directory: &Path, found: &mut BTreeMap<String, Sensor>) -> Result<()> {
    for file in names(directory)? {
        let Some((kind, number, property)) = split(&file) else { continue };
        let Some(text) = read_value(&directory.join(component(&file))) else { continue };
        let name = format!("{kind}{number}");
        let sensor = found.entry(name.clone()).or_insert(Sensor { kind, name, properties: BTreeMap::new() });
        sensor.properties.insert(property.to_owned(), text);
    }
    Ok(())
}

/// Labels keep blanks at their ends; only newlines are cut.
fn read_value(path: &Path) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    crate::read_into(path, &mut text, 4096).ok()?;
    let start = text.iter().position(|&byte| byte != b'\n').unwrap_or(text.len());
    let end = text.iter().rposition(|&byte| byte != b'\n').map_or(start, |at| at + 1);
    Some(text[start..end].to_vec())
}

/// Takes `temp1_max` apart: kind, number, property. `None` for files that are no sensors.
fn split(file: &[u8]) -> Option<(&'static str, u64, &str)> {
    let file = std::str::from_utf8(file).ok()?;
    let digits_at = file.find(|c: char| c.is_ascii_digit()).unwrap_or(file.len());
    let (kind, rest) = file.split_at(digits_at);
    let kind = KINDS.iter().find(|known| **known == kind)?;
    let digits_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(digits_end);
    let number = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let property = match rest {
        "" => "",
        _ => rest.strip_prefix('_').filter(|property| !property.is_empty())?,
    };
    Some((kind, number, property))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// File names of the kernel's documentation, and names that only look like sensors.
    #[test]
    fn file_names() {
        assert_eq!(split(b"temp1_crit_alarm"), Some(("temp", 1, "crit_alarm")));
        assert_eq!(split(b"pwm12"), Some(("pwm", 12, "")));
        assert_eq!(split(b"pwm1_auto_point1_temp"), Some(("pwm", 1, "auto_point1_temp")));
        assert_eq!(split(b"update_interval"), Some(("update_interval", 0, "")));
        assert_eq!(split(b"in0_input"), Some(("in", 0, "input")));
        for no in [&b"name"[..], b"temp1x", b"temp1_", b"temp_max", b"uevent", b"temp99999999999999999999_max", b"\xff"]
        {
            assert_eq!(split(no), None, "{:?}", String::from_utf8_lossy(no));
        }
    }

    /// Names are made safe for labels without losing what tells them apart.
    #[test]
    fn clean_names() {
        assert_eq!(clean(b"0000:00:1f.2"), "0000:00:1f_2");
        assert_eq!(clean(b"_Core Temp.0_\n"), "core_temp_0");
        assert_eq!(clean(b"\xff"), "");
    }

    fn chip(dir: &Path, hwmon: &str, device: &str, name: &str) {
        let real = dir.join("sys/devices/platform").join(device).join("hwmon").join(hwmon);
        fs::create_dir_all(&real).unwrap();
        fs::create_dir_all(dir.join("sys/class/hwmon")).unwrap();
        fs::write(real.join("name"), name).unwrap();
        fs::write(real.join("temp1_input"), "42000\n").unwrap();
        std::os::unix::fs::symlink(real.join("../.."), real.join("device")).unwrap();
        std::os::unix::fs::symlink(&real, dir.join("sys/class/hwmon").join(hwmon)).unwrap();
    }

    /// One device with several chips: told apart by name, or by directory when the names are the same too.
    #[test]
    fn unique_ids() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(chips(&roots).unwrap_err().is_not_found());
        chip(dir.path(), "hwmon0", "coretemp.0", "coretemp\n");
        chip(dir.path(), "hwmon1", "board", "fans\n");
        chip(dir.path(), "hwmon2", "board", "volts\n");
        chip(dir.path(), "hwmon3", "twin", "twin\n");
        chip(dir.path(), "hwmon4", "twin", "twin\n");
        let ids: Vec<_> = chips(&roots).unwrap().into_iter().map(|chip| chip.id).collect();
        assert_eq!(
            ids,
            [
                "platform_coretemp_0",
                "platform_board_fans",
                "platform_board_volts",
                "platform_twin_hwmon3",
                "platform_twin_hwmon4"
            ]
        );
    }

    /// Properties are gathered by sensor, from the chip and from its device.
    #[test]
    fn properties() {
        let dir = tempfile::tempdir().unwrap();
        chip(dir.path(), "hwmon0", "old", "w83627\n");
        let device = dir.path().join("sys/devices/platform/old");
        fs::write(device.join("temp1_label"), b" CPU \xff\n").unwrap();
        fs::write(device.join("fan2_input"), "1200\n").unwrap();
        fs::create_dir(device.join("in7_input")).unwrap();
        let chips = chips(&Roots::below(dir.path())).unwrap();
        let sensors = sensors(&chips[0]).unwrap();
        assert_eq!(sensors.iter().map(|sensor| sensor.name.as_str()).collect::<Vec<_>>(), ["fan2", "temp1"]);
        assert_eq!(sensors[1].properties["label"], b" CPU \xff");
        assert_eq!(sensors[1].properties["input"], b"42000");
    }
}
