//! Memory error counts of `/sys/devices/system/edac/mc` (Documentation/admin-guide/RAS/main.rst).

use std::path::Path;

use crate::attributes::{component, number, numbered, optional, optional_number};
use crate::{Result, Roots};

/// One memory controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controller {
    /// Its number.
    pub number: Vec<u8>,
    /// Errors that were corrected, since the counts were last reset.
    pub correctable: u64,
    /// Corrected errors that could not be attributed to a row.
    pub correctable_unknown: u64,
    /// Errors that were not corrected.
    pub uncorrectable: u64,
    /// Uncorrected errors that could not be attributed to a row.
    pub uncorrectable_unknown: u64,
    /// Its rows, when the driver has the row layout.
    pub rows: Vec<Row>,
}

/// One chip-select row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub number: Vec<u8>,
    /// Corrected errors.
    pub correctable: u64,
    /// Uncorrected errors.
    pub uncorrectable: u64,
    /// Its channels.
    pub channels: Vec<Channel>,
}

/// One channel of a row: usually one DIMM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channel {
    /// Its number.
    pub number: Vec<u8>,
    /// The label of the DIMM, as the firmware or the administrator gave it.
    pub label: Option<Vec<u8>>,
    /// Corrected errors.
    pub correctable: u64,
    /// Uncorrected errors, where the driver counts them by channel.
    pub uncorrectable: Option<u64>,
}

/// Every controller, sorted by directory name; none without EDAC.
///
/// # Errors
/// When a count of a controller or row cannot be read.
pub fn read(roots: &Roots) -> Result<Vec<Controller>> {
    let directory = roots.sys("devices/system/edac/mc");
    numbered(&directory, b"mc")?.iter().map(|name| controller(&directory.join(component(name)), &name[2..])).collect()
}

fn controller(path: &Path, name: &[u8]) -> Result<Controller> {
    Ok(Controller {
        number: digits(name),
        correctable: number(&path.join("ce_count"))?,
        correctable_unknown: number(&path.join("ce_noinfo_count"))?,
        uncorrectable: number(&path.join("ue_count"))?,
        uncorrectable_unknown: number(&path.join("ue_noinfo_count"))?,
        rows: numbered(path, b"csrow")?
            .iter()
            .map(|name| row(&path.join(component(name)), &name[5..]))
            .collect::<Result<_>>()?,
    })
}

fn row(path: &Path, name: &[u8]) -> Result<Row> {
    let mut channels = Vec::new();
    for file in numbered(path, b"ch")? {
        let Some(channel) = file[2..].strip_suffix(b"_ce_count") else { continue };
        if !channel.iter().all(u8::is_ascii_digit) {
            continue;
        }
        let beside = |suffix: &[u8]| path.join(component(&[b"ch", channel, suffix].concat()));
        channels.push(Channel {
            number: channel.to_vec(),
            label: optional(&beside(b"_dimm_label"))?,
            correctable: number(&beside(b"_ce_count"))?,
            uncorrectable: optional_number(&beside(b"_ue_count"))?,
        });
    }
    Ok(Row {
        number: digits(name),
        correctable: number(&path.join("ce_count"))?,
        uncorrectable: number(&path.join("ue_count"))?,
        channels,
    })
}

fn digits(name: &[u8]) -> Vec<u8> {
    name.iter().copied().take_while(u8::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    /// A controller with a row of two channels, one without a label; then a missing and a broken count.
    #[test]
    fn controllers() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(read(&roots).unwrap().is_empty());
        let put = |path: &str, text: &str| {
            let path = dir.path().join("sys/devices/system/edac/mc/mc0").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for (file, text) in [
            ("ce_count", "1\n"),
            ("ce_noinfo_count", "2\n"),
            ("ue_count", "5\n"),
            ("csrow0/ce_count", "3\n"),
            ("csrow0/ue_count", "4\n"),
            ("csrow0/ch0_ce_count", "7\n"),
            ("csrow0/ch0_ue_count", "8\n"),
            ("csrow0/ch0_dimm_label", "DIMM_A1\n"),
            ("csrow0/ch1_ce_count", "9\n"),
        ] {
            put(file, text);
        }
        assert!(read(&roots).unwrap_err().is_not_found(), "ue_noinfo_count is needed");
        put("ue_noinfo_count", "6\n");
        let controllers = read(&roots).unwrap();
        assert_eq!((controllers[0].correctable, controllers[0].uncorrectable_unknown), (1, 6));
        let channels = &controllers[0].rows[0].channels;
        assert_eq!(channels[0].label.as_deref(), Some(&b"DIMM_A1"[..]));
        assert_eq!((channels[1].correctable, channels[1].uncorrectable, &channels[1].label), (9, None, &None));
        put("csrow0/ue_count", "99999999999999999999\n");
        assert!(matches!(read(&roots), Err(Error::Format { .. })));
    }
}
