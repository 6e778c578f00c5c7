//! `/proc/swaps` (proc(5)): `Filename Type Size Used Priority`, a line an area, sizes in KiB.

use std::path::Path;

use crate::text::{fields, lines, parse_i64, parse_u64};
use crate::{Error, Result, Roots, Source};

/// One swap area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area<'a> {
    /// Device or file.
    pub device: &'a [u8],
    /// `partition` or `file`.
    pub kind: &'a [u8],
    /// Its size in KiB.
    pub size_kib: u64,
    /// KiB in use.
    pub used_kib: u64,
    /// Areas of higher priority are used first.
    pub priority: i64,
}

/// Reads the file repeatedly.
#[derive(Debug)]
pub struct Reader {
    source: Source,
}

impl Reader {
    /// A reader below `roots`.
    pub fn new(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("swaps"), 1 << 20) }
    }

    /// The areas, in the file's order.
    ///
    /// # Errors
    /// When the file cannot be read or a line has no five fields.
    pub fn read(&mut self) -> Result<Vec<Area<'_>>> {
        let (path, text) = self.source.read()?;
        parse(path, text)
    }
}

/// Parses the file's text; its first line is a heading.
///
/// # Errors
/// When a line has no five fields, or a number is none. Names with blanks are escaped by the kernel.
pub fn parse<'a>(path: &Path, text: &'a [u8]) -> Result<Vec<Area<'a>>> {
    let mut areas = Vec::new();
    for (index, line) in lines(text).enumerate().skip(1) {
        let columns: Vec<&[u8]> = fields(line).collect();
        let area = match columns[..] {
            [device, kind, size, used, priority] => (|| {
                let (size_kib, used_kib) = (parse_u64(size)?, parse_u64(used)?);
                Some(Area { device, kind, size_kib, used_kib, priority: parse_i64(priority)? })
            })(),
            _ => None,
        };
        areas.push(area.ok_or_else(|| Error::format(path, index + 1, line))?);
    }
    Ok(areas)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two areas; then what is short, long or no number.
    #[test]
    fn areas() {
        let path = Path::new("/proc/swaps");
        let text = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/zram0 partition\t1048572\t\t776\t\t100\n/swap\\040file file 10 0 -2\n";
        let parsed = parse(path, text).unwrap();
        assert_eq!((parsed[0].used_kib, parsed[1].priority, parsed[1].device), (776, -2, &b"/swap\\040file"[..]));
        assert!(parse(path, b"").unwrap().is_empty());
        for bad in ["\na b 1 2\n", "\na b 1 2 3 4\n", "\na b x 2 3\n", "\na b 18446744073709551616 2 3\n", "\n\n"] {
            assert!(parse(path, bad.as_bytes()).unwrap_err().to_string().starts_with("/proc/swaps:2:"), "{bad:?}");
        }
    }
}
