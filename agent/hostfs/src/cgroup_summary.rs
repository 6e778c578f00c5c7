//! `/proc/cgroups` (cgroups(7)): `#subsys_name hierarchy num_cgroups enabled`, a line a controller.

use std::path::Path;

use crate::text::{fields, lines};
use crate::{Error, Result, Roots, Source};

/// One controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controller<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Control groups in its hierarchy.
    pub cgroups: u64,
    /// Whether it is enabled (1) or switched off on the kernel's command line (0).
    pub enabled: u64,
}

/// Reads the file repeatedly.
#[derive(Debug)]
pub struct Reader {
    source: Source,
}

impl Reader {
    /// A reader below `roots`.
    pub fn new(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("cgroups"), 64 << 10) }
    }

    /// The controllers, in the file's order.
    ///
    /// # Errors
    /// When the file cannot be read or a line has no four fields.
    pub fn read(&mut self) -> Result<Vec<Controller<'_>>> {
        let (path, text) = self.source.read()?;
        parse(path, text)
    }
}

/// Parses the file's text.
///
/// # Errors
/// When a line has no four fields, or one of them is no number.
pub fn parse<'a>(path: &Path, text: &'a [u8]) -> Result<Vec<Controller<'a>>> {
    let mut controllers = Vec::new();
    for (index, line) in lines(text).enumerate() {
        if line.starts_with(b"#") {
            continue;
        }
        let mut columns = fields(line);
        let controller = (columns.next(), columns.u64(), columns.u64(), columns.u64());
        let (Some(name), Some(_hierarchy), Some(cgroups), Some(enabled)) = controller else {
            return Err(Error::format(path, index + 1, line));
        };
        controllers.push(Controller { name, cgroups, enabled });
    }
    Ok(controllers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Real lines; then what is short, no number, past u64, or not text.
    #[test]
    fn controllers() {
        let path = Path::new("/proc/cgroups");
        let text = b"#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t0\t47\t1\nmemory\t4\t1\t0\n";
        let parsed = parse(path, text).unwrap();
        assert_eq!(parsed[1], Controller { name: b"memory", cgroups: 1, enabled: 0 });
        assert_eq!(parsed.len(), 2);
        assert!(parse(path, b"").unwrap().is_empty());
        for bad in [&b"cpu 1 2"[..], b"cpu 1 2 x", b"cpu 1 18446744073709551616 1", b"\xff\n", b"a 1 1 1\n\n"] {
            assert!(parse(path, bad).is_err(), "{bad:?}");
        }
    }
}
