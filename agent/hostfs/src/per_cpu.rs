//! Tables with a column per CPU: `/proc/softirqs` and `/proc/interrupts` (proc(5)).
//!
//! A heading names the online CPUs; each line is a label, a number per CPU and, for interrupts, a description.

use std::path::Path;

use crate::text::{fields, lines, parse_u64, trim};
use crate::{Error, Result, Roots, Source};

/// 11 bytes a CPU and line: 1,024 CPUs with 2,000 lines.
const LIMIT: usize = 32 << 20;

/// Most CPUs that a heading may have.
const CPU_LIMIT: usize = 16_384;

/// One line.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// `NET_RX`, `24`, `LOC`.
    pub label: &'a [u8],
    numbers: &'a [u8],
    /// What follows the numbers, trimmed.
    pub description: &'a [u8],
    columns: usize,
}

impl<'a> Row<'a> {
    /// One number per CPU, in the heading's order.
    pub fn numbers(self) -> impl Iterator<Item = u64> {
        fields(self.numbers).take(self.columns).map(|field| parse_u64(field).expect("checked when the row was made"))
    }
}

/// Reads one of the tables repeatedly into the same memory.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    cpus: Vec<u32>,
}

impl Reader {
    /// A reader of `softirqs`.
    pub fn softirqs(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("softirqs"), LIMIT), cpus: Vec::new() }
    }

    /// A reader of `interrupts`.
    pub fn interrupts(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("interrupts"), LIMIT), cpus: Vec::new() }
    }

    /// The content now.
    ///
    /// # Errors
    /// When the file cannot be read or does not start with a heading.
    pub fn read(&mut self) -> Result<Table<'_>> {
        let (path, text) = self.source.read()?;
        Table::new(path, text, &mut self.cpus)
    }
}

/// A table's text, split on demand.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    path: &'a Path,
    text: &'a [u8],
    cpus: &'a [u32],
}

impl<'a> Table<'a> {
    /// Reads the heading into `cpus`.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(path: &'a Path, text: &'a [u8], cpus: &'a mut Vec<u32>) -> Result<Self> {
        let heading = lines(text).next().unwrap_or(b"");
        let malformed = || Error::format(path, 1, heading);
        cpus.clear();
        for field in fields(heading) {
            let number = field.strip_prefix(b"CPU").and_then(parse_u64).and_then(|number| u32::try_from(number).ok());
            cpus.push(number.filter(|_| cpus.len() < CPU_LIMIT).ok_or_else(malformed)?);
        }
        if cpus.is_empty() { Err(malformed()) } else { Ok(Self { path, text, cpus }) }
    }

    /// Numbers of the CPUs that have a column.
    pub fn cpus(self) -> &'a [u32] {
        self.cpus
    }

    /// Every line after the heading, or where it is malformed. A line with fewer numbers than there are CPUs
    /// (`ERR: 0`, which is of all of them) has that many.
    pub fn rows(self) -> impl Iterator<Item = Result<Row<'a>>> {
        lines(self.text)
            .enumerate()
            .skip(1)
            .filter(|(_, line)| !trim(line).is_empty())
            .map(move |(index, line)| self.row(line).ok_or_else(|| Error::format(self.path, index + 1, line)))
    }

    fn row(self, line: &'a [u8]) -> Option<Row<'a>> {
        let colon = memchr::memchr(b':', line)?;
        let numbers = &line[colon + 1..];
        let mut split = fields(numbers);
        let mut columns = 0;
        while columns < self.cpus.len() {
            let before = split.clone();
            match split.next().map(parse_u64) {
                Some(Some(_)) => columns += 1,
                _ => {
                    split = before;
                    break;
                }
            }
        }
        (columns > 0).then(|| Row { label: trim(&line[..colon]), numbers, description: trim(split.rest()), columns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] =
        b"           CPU0       CPU3       \n 24:          1          0  IO-APIC   5-edge      ACPI:Ged\n\
        LOC:     276076     281480   Local timer interrupts\nERR:          0\n";

    /// Columns, descriptions and the short line.
    #[test]
    fn interrupts() {
        let mut cpus = Vec::new();
        let table = Table::new(Path::new("interrupts"), TEXT, &mut cpus).unwrap();
        assert_eq!(table.cpus(), [0, 3]);
        let rows: Vec<_> = table.rows().map(Result::unwrap).collect();
        assert_eq!((rows[0].label, rows[0].description), (&b"24"[..], &b"IO-APIC   5-edge      ACPI:Ged"[..]));
        assert_eq!(rows[1].numbers().collect::<Vec<_>>(), [276_076, 281_480]);
        assert_eq!((rows[2].numbers().count(), rows[2].description), (1, &b""[..]));
    }

    /// No heading, no numbers.
    #[test]
    fn malformed() {
        let mut cpus = Vec::new();
        for text in [&b""[..], b"CPUx\n", b"hello\n"] {
            assert!(Table::new(Path::new("t"), text, &mut cpus).is_err());
        }
        for row in [&b"CPU0\nNMI: x\n"[..], b"CPU0\nnothing\n", b"CPU0\nNMI: 99999999999999999999\n"] {
            let error = Table::new(Path::new("t"), row, &mut cpus).unwrap().rows().next().unwrap().unwrap_err();
            assert!(error.to_string().starts_with("t:2: unexpected"));
        }
    }
}
