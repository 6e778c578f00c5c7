//! Energy counters of `/sys/class/powercap` (Documentation/power/powercap/powercap.rst), as RAPL fills it.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::attributes::{component, if_present, is_forbidden, names, number, value};
use crate::text::parse_u64;
use crate::{Result, Roots};

/// One power zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its name without the number: `package`, `core`, `dram`.
    pub name: Vec<u8>,
    /// Its number: the one in its name, else its position among the zones of this name.
    pub index: u64,
    /// Its directory.
    pub path: PathBuf,
}

impl Zone {
    /// Microjoules used, modulo the counter's range. Since Linux 5.10 only root may read them.
    ///
    /// # Errors
    /// When the counter cannot be read.
    pub fn microjoules(&self) -> Result<u64> {
        number(&self.path.join("energy_uj"))
    }
}

/// Every zone, sorted by directory name.
///
/// # Errors
/// When the directory cannot be listed, or a zone has no counter range; without powercap the directory is not there.
pub fn zones(roots: &Roots) -> Result<Vec<Zone>> {
    let class = roots.sys("class/powercap");
    let mut used: HashMap<Vec<u8>, u64> = HashMap::new();
    let mut zones = Vec::new();
    for entry in names(&class)? {
        let path = class.join(component(&entry));
        let name = match value(&path.join("name")) {
            Ok(name) => name,
            // Control types (`intel-rapl`) and plain files have no name.
            Err(error) if is_forbidden(&error) => continue,
            result => match if_present(result) {
                Ok(Some(name)) => name,
                _ => continue,
            },
        };
        let (name, index) = match split_index(&name) {
            Some((name, index)) => (name.to_vec(), index),
            None => (name.clone(), used.get(&name).copied().unwrap_or(0)),
        };
        number(&path.join("max_energy_range_uj"))?;
        used.insert(name.clone(), index.saturating_add(1));
        zones.push(Zone { name, index, path });
    }
    Ok(zones)
}

/// `package-0`: a name with one dash and a number after it.
fn split_index(name: &[u8]) -> Option<(&[u8], u64)> {
    let at = memchr::memchr(b'-', name)?;
    Some((&name[..at], parse_u64(&name[at + 1..])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers come from the name or from counting; a zone without a range is an error.
    #[test]
    fn numbering() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(zones(&roots).unwrap_err().is_not_found());
        let class = dir.path().join("sys/class/powercap");
        for (zone, name) in
            [("a:0", "package-0"), ("a:0:0", "dram"), ("a:1", "package-10"), ("a:1:0", "dram"), ("b", "psys-x-1")]
        {
            std::fs::create_dir_all(class.join(zone)).unwrap();
            std::fs::write(class.join(zone).join("name"), format!("{name}\n")).unwrap();
            std::fs::write(class.join(zone).join("max_energy_range_uj"), "262143328850\n").unwrap();
        }
        std::fs::create_dir_all(class.join("intel-rapl")).unwrap();
        let found = zones(&roots).unwrap();
        let short: Vec<_> = found.iter().map(|zone| (std::str::from_utf8(&zone.name).unwrap(), zone.index)).collect();
        assert_eq!(short, [("package", 0), ("dram", 0), ("package", 10), ("dram", 1), ("psys-x-1", 0)]);
        assert!(found[0].microjoules().unwrap_err().is_not_found());
        std::fs::write(class.join("a:0/energy_uj"), "240422366267\n").unwrap();
        assert_eq!(found[0].microjoules().unwrap(), 240_422_366_267);
        std::fs::remove_file(class.join("b/max_energy_range_uj")).unwrap();
        assert!(zones(&roots).is_err());
    }
}
