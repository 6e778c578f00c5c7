//! Merging of equal pages: `/sys/kernel/mm/ksm` (Documentation/admin-guide/mm/ksm.rst).

use crate::attributes::number;
use crate::{Result, Roots};

/// The files that are read.
pub const FILES: [&str; 9] = [
    "full_scans",
    "merge_across_nodes",
    "pages_shared",
    "pages_sharing",
    "pages_to_scan",
    "pages_unshared",
    "pages_volatile",
    "run",
    "sleep_millisecs",
];

/// The numbers of [`FILES`], in their order.
///
/// # Errors
/// When one cannot be read; kernels without KSM have none of them.
pub fn read(roots: &Roots) -> Result<[u64; FILES.len()]> {
    let directory = roots.sys("kernel/mm/ksm");
    let mut numbers = [0; FILES.len()];
    for (slot, file) in numbers.iter_mut().zip(FILES) {
        *slot = number(&directory.join(file))?;
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All files are needed, and each must be a number.
    #[test]
    fn files() {
        let dir = tempfile::tempdir().unwrap();
        let ksm = dir.path().join("sys/kernel/mm/ksm");
        let roots = Roots::below(dir.path());
        std::fs::create_dir_all(&ksm).unwrap();
        for (index, file) in FILES.iter().enumerate() {
            assert!(read(&roots).unwrap_err().is_not_found());
            std::fs::write(ksm.join(file), format!("{index}\n")).unwrap();
        }
        assert_eq!(read(&roots).unwrap(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        std::fs::write(ksm.join("run"), "").unwrap();
        assert!(read(&roots).is_err());
    }
}
