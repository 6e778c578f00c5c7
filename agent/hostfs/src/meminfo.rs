//! `/proc/meminfo` (Documentation/filesystems/proc.rst): named sizes and a few counts.

use std::path::Path;

use crate::text::{fields, lines};
use crate::{Error, Result, Roots, Source};

const LIMIT: usize = 64 << 10;

/// One line of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The kernel's name, such as `MemTotal` or `Active(anon)`.
    pub name: &'a [u8],
    /// Bytes where the kernel gives a size, else the count.
    pub value: u64,
    /// Whether the line has a unit: the value is a size, converted to bytes.
    pub is_size: bool,
}

/// Reads the file repeatedly into the same memory.
#[derive(Debug)]
pub struct Reader {
    source: Source,
}

impl Reader {
    /// A reader below `roots`.
    pub fn new(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("meminfo"), LIMIT) }
    }

    /// The content now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self) -> Result<Meminfo<'_>> {
        let (path, text) = self.source.read()?;
        Ok(Meminfo { path, text })
    }
}

/// The file's text, split on demand.
#[derive(Clone, Copy, Debug)]
pub struct Meminfo<'a> {
    path: &'a Path,
    text: &'a [u8],
}

impl<'a> Meminfo<'a> {
    /// A view of text that was read from `path`.
    pub fn new(path: &'a Path, text: &'a [u8]) -> Self {
        Self { path, text }
    }

    /// Every line in the file's order, or where it is malformed.
    pub fn fields(self) -> impl Iterator<Item = Result<Field<'a>>> {
        let broken = move |index: usize, line: &[u8]| Error::format(self.path, index + 1, line);
        lines(self.text).enumerate().map(move |(index, line)| parse_line(line).ok_or_else(|| broken(index, line)))
    }

    /// The value of one field: bytes, or a count. `None` when the kernel does not have it.
    ///
    /// # Errors
    /// When a line before it is malformed.
    pub fn value(self, name: &str) -> Result<Option<u64>> {
        for field in self.fields() {
            let field = field?;
            if field.name == name.as_bytes() {
                return Ok(Some(field.value));
            }
        }
        Ok(None)
    }
}

/// `MemTotal:       24684084 kB` or `HugePages_Total:       0`.
fn parse_line(line: &[u8]) -> Option<Field<'_>> {
    let colon = memchr::memchr(b':', line)?;
    let mut rest = fields(&line[colon + 1..]);
    let number = rest.u64()?;
    let (value, is_size) = match rest.next() {
        None => (number, false),
        // The kernel's kB are 1024 bytes.
        Some(b"kB") => (number.checked_mul(1024)?, true),
        Some(_) => return None,
    };
    (colon > 0 && rest.next().is_none()).then_some(Field { name: &line[..colon], value, is_size })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes, counts, names with brackets, and what is neither.
    #[test]
    fn lines_of_the_file() {
        let path = Path::new("/proc/meminfo");
        let text = b"MemTotal:       24684084 kB\nActive(anon):      12 kB\nHugePages_Total:       3\n";
        let meminfo = Meminfo::new(path, text);
        let all: Vec<_> = meminfo.fields().map(Result::unwrap).collect();
        assert_eq!(all[0], Field { name: b"MemTotal", value: 24_684_084 * 1024, is_size: true });
        assert_eq!(all[1].name, b"Active(anon)");
        assert_eq!(all[2], Field { name: b"HugePages_Total", value: 3, is_size: false });
        assert_eq!(meminfo.value("HugePages_Total").unwrap(), Some(3));
        assert_eq!(meminfo.value("Nothing").unwrap(), None);
        for broken in
            [&b"MemTotal 1 kB"[..], b"A: x kB", b": 1 kB", b"A: 1 MB", b"A: 1 kB x", b"A: 18446744073709551615 kB"]
        {
            let error = Meminfo::new(path, broken).fields().next().unwrap().unwrap_err().to_string();
            assert!(error.starts_with("/proc/meminfo:1: unexpected"), "{error}");
        }
    }
}
