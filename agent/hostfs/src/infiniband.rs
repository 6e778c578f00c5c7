//! Ports and counters of `/sys/class/infiniband` (Documentation/ABI/stable/sysfs-class-infiniband).

use std::path::Path;

use crate::attributes::{component, file_names, if_present, is_forbidden, is_unsupported, names, optional, value};
use crate::text::{parse_u64, trim};
use crate::{Error, Result, Roots};

/// One adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Its name: `mlx5_0`.
    pub name: Vec<u8>,
    /// Board identification; empty when the driver tells none.
    pub board_id: Vec<u8>,
    /// Firmware version.
    pub firmware: Vec<u8>,
    /// Adapter type; empty when the driver tells none.
    pub hca_type: Vec<u8>,
    /// Its ports, by number.
    pub ports: Vec<Port>,
}

/// One port of an adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Its number, from 1.
    pub number: u64,
    /// Logical state: 4 is active.
    pub state: u64,
    /// Physical state: 5 is link up.
    pub physical_state: u64,
    /// Signalling rate in bytes per second.
    pub rate: u64,
    /// File names and counts of `counters`.
    pub counters: Vec<Counter>,
    /// File names and counts of `counters_ext`, which kernels before 4.5 had for 64-bit counts.
    pub legacy: Vec<Counter>,
    /// File names and counts of `hw_counters`.
    pub hardware: Vec<Counter>,
}

/// A file name and its count.
pub type Counter = (Vec<u8>, u64);

/// The names of all adapters.
///
/// # Errors
/// When the directory cannot be listed; without adapters it is not there.
pub fn devices(roots: &Roots) -> Result<Vec<Vec<u8>>> {
    names(&roots.sys("class/infiniband"))
}

/// One adapter.
///
/// # Errors
/// When a file that every adapter has cannot be read or understood.
pub fn read(roots: &Roots, name: &[u8]) -> Result<Device> {
    let path = roots.sys("class/infiniband").join(component(name));
    let ports_path = path.join("ports");
    let mut ports = names(&ports_path)?
        .iter()
        .map(|port| read_port(&ports_path.join(component(port)), name, port))
        .collect::<Result<Vec<_>>>()?;
    ports.sort_by_key(|port| port.number);
    Ok(Device {
        name: name.to_vec(),
        board_id: optional(&path.join("board_id"))?.unwrap_or_default(),
        firmware: value(&path.join("fw_ver"))?,
        hca_type: optional(&path.join("hca_type"))?.unwrap_or_default(),
        ports,
    })
}

fn read_port(path: &Path, device: &[u8], number: &[u8]) -> Result<Port> {
    let state = |file: &str| -> Result<u64> {
        let path = path.join(file);
        let text = value(&path)?;
        parse_state(&text).ok_or_else(|| Error::format(&path, 1, &text))
    };
    let rate_path = path.join("rate");
    let rate = value(&rate_path)?;
    // Intel's irdma has no standard counters; beside it only Mellanox's driver has hardware counters that are known.
    let irdma = device.starts_with(b"irdma");
    let hardware = irdma || device.starts_with(b"mlx5_");
    Ok(Port {
        number: parse_u64(number).ok_or_else(|| Error::format(path, 0, number))?,
        state: state("state")?,
        physical_state: state("phys_state")?,
        rate: parse_rate(&rate).ok_or_else(|| Error::format(&rate_path, 1, &rate))?,
        counters: if irdma { Vec::new() } else { counters(&path.join("counters"))? },
        legacy: if irdma { Vec::new() } else { if_present(counters(&path.join("counters_ext")))?.unwrap_or_default() },
        hardware: if hardware { counters(&path.join("hw_counters"))? } else { Vec::new() },
    })
}

fn counters(directory: &Path) -> Result<Vec<Counter>> {
    let mut found = Vec::new();
    for name in file_names(directory)? {
        let path = directory.join(component(&name));
        let text = match value(&path) {
            Ok(text) => text,
            Err(error) if error.is_not_found() || is_forbidden(&error) || is_unsupported(&error) => continue,
            Err(error) => return Err(error),
        };
        match crate::attributes::parse_prefixed(&text) {
            Some(count) => found.push((name, count)),
            // Ports without performance management, as old kernels of enterprise distributions say it.
            None if memchr::memmem::find(&text, b"N/A (no PMA)").is_some() => {}
            None => return Err(Error::format(&path, 1, &text)),
        }
    }
    Ok(found)
}

/// `4: ACTIVE`.
fn parse_state(text: &[u8]) -> Option<u64> {
    let at = memchr::memchr(b':', text)?;
    if memchr::memchr(b':', &text[at + 1..]).is_some() {
        return None;
    }
    parse_u64(trim(&text[..at]))
}

/// `100 Gb/sec (4X EDR)` as bytes per second.
fn parse_rate(text: &[u8]) -> Option<u64> {
    let at = memchr::memchr(b' ', text)?;
    let gigabits: f32 = std::str::from_utf8(&text[..at]).ok()?.parse().ok()?;
    let rate = f64::from(gigabits) * 125_000_000.0;
    #[expect(clippy::cast_sign_loss, reason = "checked")]
    (rate.is_finite() && rate >= 0.0).then_some(rate as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates and states as drivers print them, and as they must not be.
    #[test]
    fn texts() {
        assert_eq!(parse_rate(b"100 Gb/sec (4X EDR)"), Some(12_500_000_000));
        assert_eq!(parse_rate(b"2.5 Gb/sec (1X SDR)"), Some(312_500_000));
        for bad in [&b""[..], b"100", b"x Gb/sec", b"-1 Gb/sec", b"inf Gb/sec", b"\xff Gb/sec"] {
            assert_eq!(parse_rate(bad), None, "{bad:?}");
        }
        assert_eq!(parse_state(b"4: ACTIVE"), Some(4));
        for bad in [&b""[..], b"4", b": ACTIVE", b"4: A: B", b"99999999999999999999: X"] {
            assert_eq!(parse_state(bad), None, "{bad:?}");
        }
    }

    /// One port; a count that is not available is left out, one that is no number is an error with its file.
    #[test]
    fn adapter() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(devices(&roots).unwrap_err().is_not_found());
        let put = |path: &str, text: &str| {
            let path = dir.path().join("sys/class/infiniband/mlx4_0").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for (path, text) in [
            ("fw_ver", "2.31.5050\n"),
            ("ports/1/state", "4: ACTIVE\n"),
            ("ports/1/phys_state", "5: LinkUp\n"),
            ("ports/1/rate", "40 Gb/sec (4X QDR)\n"),
            ("ports/1/counters/link_downed", "3\n"),
            ("ports/1/counters/port_rcv_data", "N/A (no PMA)\n"),
        ] {
            put(path, text);
        }
        let device = read(&roots, b"mlx4_0").unwrap();
        assert_eq!(device.ports[0].counters, [(b"link_downed".to_vec(), 3)]);
        assert_eq!((device.ports[0].rate, device.hca_type.len()), (5_000_000_000, 0));
        put("ports/1/counters/symbol_error", "many\n");
        assert!(read(&roots, b"mlx4_0").unwrap_err().to_string().contains("symbol_error:1: unexpected \"many\""));
    }
}
