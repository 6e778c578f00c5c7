//! `/proc/pressure/*` (Documentation/accounting/psi.rst): time in which tasks were held up by a lack of something.

use std::io;
use std::path::Path;

use crate::text::{fields, lines, parse_f64, parse_u64};
use crate::{Error, Result, Roots, Source};

/// One line of a pressure file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stall {
    /// Share of the last 10 seconds, in percent.
    pub average_10s: f64,
    /// Share of the last minute, in percent.
    pub average_60s: f64,
    /// Share of the last five minutes, in percent.
    pub average_300s: f64,
    /// Microseconds since boot.
    pub total_us: u64,
}

/// A pressure file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// At least one task was held up. The irq file has no such line.
    pub some: Option<Stall>,
    /// All tasks that were not idle were held up. Old kernels have no such line for cpu.
    pub full: Option<Stall>,
}

/// Reads one resource's file repeatedly.
#[derive(Debug)]
pub struct Reader {
    source: Source,
}

impl Reader {
    /// A reader of `cpu`, `io`, `memory` or `irq` below `roots`.
    pub fn new(roots: &Roots, resource: &str) -> Self {
        Self { source: Source::new(roots.proc("pressure").join(resource), 1024) }
    }

    /// The content now; `None` when the kernel has no such file, or was booted with `psi=0`.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn read(&mut self) -> Result<Option<Pressure>> {
        match self.source.read_if_present() {
            Ok(Some((path, text))) => parse(path, text).map(Some),
            Ok(None) => Ok(None),
            Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Parses the file's text: `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`. Also of use for cgroups' files.
///
/// # Errors
/// When a `some` or `full` line is not in that form. Unknown lines are skipped.
pub fn parse(path: &Path, text: &[u8]) -> Result<Pressure> {
    let mut pressure = Pressure::default();
    for (index, line) in lines(text).enumerate() {
        let target = match fields(line).next() {
            Some(b"some") => &mut pressure.some,
            Some(b"full") => &mut pressure.full,
            _ => continue,
        };
        *target = Some(stall(line).ok_or_else(|| Error::format(path, index + 1, line))?);
    }
    if pressure == Pressure::default() { Err(Error::format(path, 0, text)) } else { Ok(pressure) }
}

fn stall(line: &[u8]) -> Option<Stall> {
    let mut parts = fields(line).skip(1);
    let mut value = |prefix: &[u8]| parts.next()?.strip_prefix(prefix);
    Some(Stall {
        average_10s: parse_f64(value(b"avg10=")?)?,
        average_60s: parse_f64(value(b"avg60=")?)?,
        average_300s: parse_f64(value(b"avg300=")?)?,
        total_us: parse_u64(value(b"total=")?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both lines, one line, none, and broken ones.
    #[test]
    fn forms() {
        let path = Path::new("pressure/io");
        let text =
            b"some avg10=1.50 avg60=0.31 avg300=0.11 total=1869767\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        let pressure = parse(path, text).unwrap();
        assert_eq!(pressure.some.unwrap().total_us, 1_869_767);
        assert!((pressure.some.unwrap().average_10s - 1.5).abs() < 1e-9);
        assert_eq!(pressure.full.unwrap().total_us, 7);
        assert!(parse(path, b"full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n").unwrap().some.is_none());
        for text in [&b""[..], b"some avg10=0.00\n", b"some avg10=x avg60=0 avg300=0 total=0\n", b"other\n"] {
            assert!(parse(path, text).is_err());
        }
    }
}
