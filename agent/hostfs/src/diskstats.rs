//! `/proc/diskstats` (Documentation/admin-guide/iostats.rst): I/O of block devices.

use std::path::Path;

use crate::text::{fields, lines, parse_u64};
use crate::{Error, Result, Roots, Source};

/// About 100 bytes a device; hosts with 20,000 multipath devices exist.
const LIMIT: usize = 8 << 20;

/// Most numbers that a line has: 4.18 added discards, 5.5 flushes.
pub const NUMBERS: usize = 17;

/// One device. The numbers are the kernel's, in its order and units: sectors of 512 bytes, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk<'a> {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Name below `/dev`.
    pub name: &'a [u8],
    /// How many of `numbers` the kernel gave.
    pub count: usize,
    /// Reads, reads merged, sectors read, ms reading, the same four for writes, I/Os now, ms with I/O, weighted ms,
    /// the same four as for reads for discards, flushes, ms flushing.
    pub numbers: [u64; NUMBERS],
}

/// Reads the file repeatedly into the same memory.
#[derive(Debug)]
pub struct Reader {
    source: Source,
}

impl Reader {
    /// A reader below `roots`.
    pub fn new(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("diskstats"), LIMIT) }
    }

    /// The content now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self) -> Result<Diskstats<'_>> {
        let (path, text) = self.source.read()?;
        Ok(Diskstats { path, text })
    }
}

/// The file's text, split on demand.
#[derive(Clone, Copy, Debug)]
pub struct Diskstats<'a> {
    path: &'a Path,
    text: &'a [u8],
}

impl<'a> Diskstats<'a> {
    /// A view of text that was read from `path`.
    pub fn new(path: &'a Path, text: &'a [u8]) -> Self {
        Self { path, text }
    }

    /// Every device in the file's order, or where its line is malformed.
    pub fn disks(self) -> impl Iterator<Item = Result<Disk<'a>>> {
        lines(self.text)
            .enumerate()
            .map(move |(index, line)| parse_line(line).ok_or_else(|| Error::format(self.path, index + 1, line)))
    }
}

/// Numbers past the seventeenth are of a newer kernel and skipped. Partitions of kernels before 2.6.25 have four.
fn parse_line(line: &[u8]) -> Option<Disk<'_>> {
    let mut split = fields(line);
    let major = split.u64()?.try_into().ok()?;
    let minor = split.u64()?.try_into().ok()?;
    let name = split.next()?;
    let mut numbers = [0; NUMBERS];
    let mut count = 0;
    for (number, field) in numbers.iter_mut().zip(split) {
        *number = parse_u64(field)?;
        count += 1;
    }
    (count >= 11).then_some(Disk { major, minor, name, count, numbers })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of old and new kernels.
    #[test]
    fn lines_of_the_file() {
        let text = b"   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n\
            259       0 nvme0n1 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18\n";
        let disks: Vec<_> = Diskstats::new(Path::new("diskstats"), text).disks().map(Result::unwrap).collect();
        assert_eq!((disks[0].major, disks[0].minor, disks[0].name, disks[0].count), (8, 0, &b"sda"[..], 11));
        assert_eq!((disks[1].count, disks[1].numbers[16]), (17, 17));
    }

    /// Short lines, and numbers that are none.
    #[test]
    fn malformed() {
        for text in
            [&b"8 0 sda 1 2 3\n"[..], b"8 0 sda 1 2 3 4 5 6 7 8 9 10 x\n", b"8 0\n", b"99999999999 0 a 1\n", b"\n"]
        {
            let error = Diskstats::new(Path::new("d"), text).disks().next().unwrap().unwrap_err().to_string();
            assert!(error.starts_with("d:1: unexpected"), "{error}");
        }
    }
}
