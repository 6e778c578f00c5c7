//! Batteries and chargers: `/sys/class/power_supply` (Documentation/ABI/testing/sysfs-class-power).

use crate::attributes::{component, file_names, names, parse_prefixed_signed, supported};
use crate::{Error, Result, Roots};

/// Attributes that are text.
pub const TEXTS: &[&str] = &[
    "capacity_level",
    "charge_type",
    "health",
    "manufacturer",
    "model_name",
    "scope",
    "serial_number",
    "status",
    "technology",
    "type",
    "usb_type",
];

/// Attributes that are numbers: counts, percent, micro-units, tenths of a degree or seconds, as the kernel documents.
pub const NUMBERS: &[&str] = &[
    "authentic",
    "calibrate",
    "capacity",
    "capacity_alert_max",
    "capacity_alert_min",
    "charge_avg",
    "charge_control_limit",
    "charge_control_limit_max",
    "charge_counter",
    "charge_empty",
    "charge_empty_design",
    "charge_full",
    "charge_full_design",
    "charge_now",
    "charge_term_current",
    "constant_charge_current",
    "constant_charge_current_max",
    "constant_charge_voltage",
    "constant_charge_voltage_max",
    "current_avg",
    "current_boot",
    "current_max",
    "current_now",
    "cycle_count",
    "energy_avg",
    "energy_empty",
    "energy_empty_design",
    "energy_full",
    "energy_full_design",
    "energy_now",
    "input_current_limit",
    "online",
    "power_avg",
    "power_now",
    "precharge_current",
    "present",
    "temp",
    "temp_alert_max",
    "temp_alert_min",
    "temp_ambient",
    "temp_ambient_max",
    "temp_ambient_min",
    "temp_max",
    "temp_min",
    "time_to_empty_avg",
    "time_to_empty_now",
    "time_to_full_avg",
    "time_to_full_now",
    "voltage_avg",
    "voltage_boot",
    "voltage_max",
    "voltage_max_design",
    "voltage_min",
    "voltage_min_design",
    "voltage_now",
    "voltage_ocv",
];

/// One supply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supply {
    /// Its name: `BAT0`.
    pub name: Vec<u8>,
    /// Those of [`TEXTS`] that it has, sorted by name.
    pub texts: Vec<(&'static str, Vec<u8>)>,
    /// Those of [`NUMBERS`] that it has, sorted by name.
    pub numbers: Vec<(&'static str, i64)>,
}

/// Every supply, sorted by name.
///
/// # Errors
/// When an attribute cannot be read or is no number; without supplies the directory is not there.
pub fn read(roots: &Roots) -> Result<Vec<Supply>> {
    let class = roots.sys("class/power_supply");
    names(&class)?.into_iter().map(|name| supply(&class.join(component(&name)), name)).collect()
}

fn supply(directory: &std::path::Path, name: Vec<u8>) -> Result<Supply> {
    let mut supply = Supply { name, texts: Vec::new(), numbers: Vec::new() };
    for file in file_names(directory)? {
        let known = |list: &[&'static str]| list.iter().copied().find(|known| known.as_bytes() == file);
        let (text, number) = (known(TEXTS), known(NUMBERS));
        if text.is_none() && number.is_none() {
            continue;
        }
        let path = directory.join(component(&file));
        let Some(value) = supported(&path)? else { continue };
        if let Some(attribute) = number {
            let parsed = parse_prefixed_signed(&value).ok_or_else(|| Error::format(&path, 1, &value))?;
            supply.numbers.push((attribute, parsed));
        } else if let Some(attribute) = text {
            supply.texts.push((attribute, value));
        }
    }
    Ok(supply)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers with and without sign, texts, what is not known, and what is no number.
    #[test]
    fn supplies() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(read(&roots).unwrap_err().is_not_found());
        let bat = dir.path().join("sys/class/power_supply/BAT0");
        std::fs::create_dir_all(&bat).unwrap();
        for (file, text) in
            [("capacity", "98\n"), ("current_now", "-1201000\n"), ("status", "Discharging\n"), ("uevent", "X=1")]
        {
            std::fs::write(bat.join(file), text).unwrap();
        }
        let supply = &read(&roots).unwrap()[0];
        assert_eq!(supply.numbers, [("capacity", 98), ("current_now", -1_201_000)]);
        assert_eq!(supply.texts, [("status", b"Discharging".to_vec())]);
        for bad in ["", "full\n", "9223372036854775808\n"] {
            std::fs::write(bat.join("capacity"), bad).unwrap();
            assert!(matches!(read(&roots), Err(Error::Format { .. })), "{bad:?}");
        }
    }

    /// The lists are in order, so that what is read is too.
    #[test]
    fn sorted() {
        assert!(TEXTS.is_sorted() && NUMBERS.is_sorted());
    }
}
