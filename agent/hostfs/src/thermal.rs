//! Thermal zones and cooling devices: `/sys/class/thermal` (Documentation/ABI/testing/sysfs-class-thermal).

use std::path::Path;

use crate::attributes::{component, numbered, optional, value};
use crate::text::parse_i64;
use crate::{Error, Result, Roots};

/// One temperature sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its number.
    pub number: Vec<u8>,
    /// What it is: `acpitz`, `x86_pkg_temp`.
    pub kind: Vec<u8>,
    /// Temperature in thousandths of a degree Celsius.
    pub millidegrees: i64,
}

/// One device that cools, or that can be slowed down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoolingDevice {
    /// Its number.
    pub number: Vec<u8>,
    /// What it is: `Processor`, `Fan`.
    pub kind: Vec<u8>,
    /// The strongest cooling that it can do.
    pub maximum: i64,
    /// The cooling that it does now; -1 when the driver does not know.
    pub current: i64,
}

/// Every zone that can be read at the moment, sorted by directory name. Zones that are switched off, or whose sensor is
/// asleep, answer with an error and are left out.
///
/// # Errors
/// When the directory is there and cannot be listed, or a temperature is no number.
pub fn zones(roots: &Roots) -> Result<Vec<Zone>> {
    let class = roots.sys("class/thermal");
    let mut zones = Vec::new();
    for name in numbered(&class, b"thermal_zone")? {
        let zone = readable(zone(&class.join(component(&name)), &name[b"thermal_zone".len()..]))?;
        zones.extend(zone.flatten());
    }
    Ok(zones)
}

fn zone(path: &Path, number: &[u8]) -> Result<Option<Zone>> {
    if optional(&path.join("mode"))?.is_some_and(|mode| mode == b"disabled") {
        return Ok(None);
    }
    // Every zone has a policy; where it cannot be read the zone is going away.
    value(&path.join("policy"))?;
    let kind = value(&path.join("type"))?;
    Ok(Some(Zone { number: number.to_vec(), kind, millidegrees: signed(&path.join("temp"))? }))
}

/// Every cooling device that can be read at the moment, sorted by directory name.
///
/// # Errors
/// When the directory is there and cannot be listed, or a state is no number.
pub fn cooling_devices(roots: &Roots) -> Result<Vec<CoolingDevice>> {
    let class = roots.sys("class/thermal");
    let mut devices = Vec::new();
    for name in numbered(&class, b"cooling_device")? {
        let path = class.join(component(&name));
        let device = || -> Result<CoolingDevice> {
            Ok(CoolingDevice {
                number: name[b"cooling_device".len()..].to_vec(),
                kind: value(&path.join("type"))?,
                maximum: signed(&path.join("max_state"))?,
                current: signed(&path.join("cur_state"))?,
            })
        };
        devices.extend(readable(device())?);
    }
    Ok(devices)
}

fn readable<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Read { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn signed(path: &Path) -> Result<i64> {
    let text = value(path)?;
    parse_i64(&text).ok_or_else(|| Error::format(path, 1, &text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Zones below zero, switched off and unreadable; a device that does not know its state.
    #[test]
    fn sensors() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(zones(&roots).unwrap().is_empty() && cooling_devices(&roots).unwrap().is_empty());
        let put = |path: &str, text: &str| {
            let path = dir.path().join("sys/class/thermal").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for zone in ["thermal_zone0", "thermal_zone1", "thermal_zone2"] {
            put(&format!("{zone}/type"), "acpitz\n");
            put(&format!("{zone}/policy"), "step_wise\n");
        }
        put("thermal_zone0/temp", "-44000\n");
        put("thermal_zone1/temp", "1\n");
        put("thermal_zone1/mode", "disabled\n");
        put("cooling_device0/type", "intel_powerclamp\n");
        put("cooling_device0/max_state", "27\n");
        put("cooling_device0/cur_state", "-1\n");
        assert_eq!(
            zones(&roots).unwrap(),
            [Zone { number: b"0".to_vec(), kind: b"acpitz".to_vec(), millidegrees: -44_000 }]
        );
        assert_eq!(cooling_devices(&roots).unwrap()[0].current, -1);
        put("thermal_zone2/temp", "hot\n");
        assert!(zones(&roots).unwrap_err().to_string().contains("thermal_zone2/temp:1"));
    }
}
