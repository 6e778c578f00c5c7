//! `/proc/vmstat`: the memory management's counters, `name value` a line.

use std::path::Path;

use crate::text::{fields, lines, parse_i64, parse_u64};
use crate::{Error, Result, Roots, Source};

const LIMIT: usize = 256 << 10;

/// Reads the file repeatedly into the same memory.
#[derive(Debug)]
pub struct Reader {
    source: Source,
}

impl Reader {
    /// A reader below `roots`.
    pub fn new(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("vmstat"), LIMIT) }
    }

    /// The content now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self) -> Result<Vmstat<'_>> {
        let (path, text) = self.source.read()?;
        Ok(Vmstat { path, text })
    }
}

/// The file's text, split on demand.
#[derive(Clone, Copy, Debug)]
pub struct Vmstat<'a> {
    path: &'a Path,
    text: &'a [u8],
}

impl<'a> Vmstat<'a> {
    /// A view of text that was read from `path`.
    pub fn new(path: &'a Path, text: &'a [u8]) -> Self {
        Self { path, text }
    }

    /// Hands the number of every line whose name is `wanted` to `each`. Other lines are not looked into.
    ///
    /// # Errors
    /// At the first malformed line that is wanted.
    pub fn for_each(self, mut wanted: impl FnMut(&[u8]) -> bool, mut each: impl FnMut(&'a [u8], f64)) -> Result<()> {
        for (index, line) in lines(self.text).enumerate() {
            let mut split = fields(line);
            let malformed = || Error::format(self.path, index + 1, line);
            let name = split.next().ok_or_else(malformed)?;
            if wanted(name) {
                let value = split.next().and_then(number).ok_or_else(malformed)?;
                each(name, value);
            }
        }
        Ok(())
    }
}

fn number(text: &[u8]) -> Option<f64> {
    parse_u64(text).map(|value| value as f64).or_else(|| parse_i64(text).map(|value| value as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wanted lines are parsed, others may be anything.
    #[test]
    fn wanted_lines() {
        let vmstat = Vmstat::new(Path::new("vmstat"), b"pgfault 12\nodd x\noom_kill 3\n");
        let mut seen = Vec::new();
        vmstat.for_each(|name| name != b"odd", |name, value| seen.push((name, value))).unwrap();
        assert_eq!(seen, [(&b"pgfault"[..], 12.0), (b"oom_kill", 3.0)]);
        let error = vmstat.for_each(|_| true, |_, _| {}).unwrap_err().to_string();
        assert!(error.starts_with("vmstat:2: unexpected"), "{error}");
    }
}
