//! Tape drives: `/sys/class/scsi_tape/st*/stats` (Documentation/scsi/st.rst).

use crate::attributes::{component, names, number};
use crate::{Result, Roots};

/// The files that are read.
pub const FILES: [&str; 10] = [
    "in_flight",
    "io_ns",
    "other_cnt",
    "read_byte_cnt",
    "read_cnt",
    "read_ns",
    "resid_cnt",
    "write_byte_cnt",
    "write_cnt",
    "write_ns",
];

/// One drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tape {
    /// Its name: `st0`.
    pub name: Vec<u8>,
    /// The numbers of [`FILES`].
    pub counts: [u64; FILES.len()],
}

/// Every drive, sorted by name; variants such as `nst0` and `st0a` are the same drive and are left out.
///
/// # Errors
/// When a count cannot be read; without drives the directory is not there.
pub fn read(roots: &Roots) -> Result<Vec<Tape>> {
    let class = roots.sys("class/scsi_tape");
    let mut tapes = Vec::new();
    for name in names(&class)? {
        let Some(rest) = name.strip_prefix(b"st") else { continue };
        if rest.is_empty() || !rest.iter().all(u8::is_ascii_digit) {
            continue;
        }
        let stats = class.join(component(&name)).join("stats");
        let mut counts = [0; FILES.len()];
        for (slot, file) in counts.iter_mut().zip(FILES) {
            *slot = number(&stats.join(file))?;
        }
        tapes.push(Tape { name, counts });
    }
    Ok(tapes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One drive under its several names; every count is needed.
    #[test]
    fn drives() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(read(&roots).unwrap_err().is_not_found());
        let class = dir.path().join("sys/class/scsi_tape");
        for variant in ["nst0", "st0a", "st", "other"] {
            std::fs::create_dir_all(class.join(variant)).unwrap();
        }
        assert!(read(&roots).unwrap().is_empty());
        std::fs::create_dir_all(class.join("st0/stats")).unwrap();
        for (index, file) in FILES.iter().enumerate() {
            assert!(read(&roots).is_err());
            std::fs::write(class.join("st0/stats").join(file), format!("{index}\n")).unwrap();
        }
        assert_eq!(read(&roots).unwrap()[0].counts, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
}
