//! Fibre Channel adapters: `/sys/class/fc_host` (drivers/scsi/scsi_transport_fc.c).

use std::path::Path;

use crate::attributes::{component, file_names, names, optional, parse_prefixed, supported};
use crate::{Error, Result, Roots};

/// Attributes that are text; those whose name ends in `_name` or `_id` are hexadecimal.
pub const TEXTS: [&str; 10] = [
    "speed",
    "port_state",
    "port_type",
    "port_id",
    "port_name",
    "fabric_name",
    "symbolic_name",
    "supported_classes",
    "supported_speeds",
    "dev_loss_tmo",
];

/// Counts of the `statistics` directory.
pub const COUNTS: [&str; 14] = [
    "dumped_frames",
    "error_frames",
    "invalid_crc_count",
    "rx_frames",
    "rx_words",
    "tx_frames",
    "tx_words",
    "seconds_since_last_reset",
    "invalid_tx_word_count",
    "link_failure_count",
    "loss_of_sync_count",
    "loss_of_signal_count",
    "nos_count",
    "fcp_packet_aborts",
];

/// One port of an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name: `host3`.
    pub name: Vec<u8>,
    /// The values of [`TEXTS`], hexadecimal ones without `0x`; empty where the driver tells none.
    pub texts: [Vec<u8>; TEXTS.len()],
    /// The values of [`COUNTS`]; 0 where the driver has no such file, all ones where it does not count.
    pub counts: [u64; COUNTS.len()],
}

/// Every port, sorted by name.
///
/// # Errors
/// When a file is there and cannot be read or understood; without adapters the directory is not there.
pub fn read(roots: &Roots) -> Result<Vec<Host>> {
    let class = roots.sys("class/fc_host");
    names(&class)?.into_iter().map(|name| host(&class.join(component(&name)), name)).collect()
}

fn host(path: &Path, name: Vec<u8>) -> Result<Host> {
    let mut host = Host { name, texts: Default::default(), counts: [0; COUNTS.len()] };
    for (slot, file) in host.texts.iter_mut().zip(TEXTS) {
        let text = optional(&path.join(file))?.unwrap_or_default();
        let hexadecimal = matches!(file, "port_id" | "port_name" | "fabric_name") && text.len() > 2;
        *slot = if hexadecimal { text[2..].to_vec() } else { text };
    }
    let statistics = path.join("statistics");
    for file in file_names(&statistics)? {
        // Others are not known, or only for writing.
        let Some(index) = COUNTS.iter().position(|known| known.as_bytes() == file) else { continue };
        let path = statistics.join(component(&file));
        if let Some(text) = supported(&path)? {
            host.counts[index] = parse_prefixed(&text).ok_or_else(|| Error::format(&path, 1, &text))?;
        }
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hexadecimal names and counts, counts that the firmware does not have, and a broken one.
    #[test]
    fn hosts() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(read(&roots).unwrap_err().is_not_found());
        let host = dir.path().join("sys/class/fc_host/host1");
        std::fs::create_dir_all(&host).unwrap();
        assert!(read(&roots).unwrap_err().is_not_found(), "statistics are needed");
        std::fs::create_dir_all(host.join("statistics")).unwrap();
        for (file, text) in [
            ("port_name", "0x1000e0071bce95f2\n"),
            ("fabric_name", "0x0\n"),
            ("speed", "16 Gbit\n"),
            ("statistics/rx_frames", "0x2a\n"),
            ("statistics/nos_count", "0xffffffffffffffff\n"),
            ("statistics/reset_statistics", ""),
        ] {
            std::fs::write(host.join(file), text).unwrap();
        }
        let found = &read(&roots).unwrap()[0];
        assert_eq!((found.texts[4].as_slice(), found.texts[5].as_slice()), (&b"1000e0071bce95f2"[..], &b"0"[..]));
        assert_eq!((found.counts[3], found.counts[12], found.counts[0]), (42, u64::MAX, 0));
        std::fs::write(host.join("statistics/rx_words"), "0x1ffffffffffffffff\n").unwrap();
        assert!(read(&roots).is_err());
    }
}
