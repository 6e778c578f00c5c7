//! `/proc/loadavg` (proc(5)): `0.21 0.37 0.39 1/719 19737`; the last two fields are not load.

use std::path::Path;

use crate::text::{fields, parse_f64};
use crate::{Error, Result, Roots, Source};

/// Load averages, as the kernel prints them: tasks that run or sleep uninterruptibly, averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadAverage {
    /// Over one minute.
    pub one: f64,
    /// Over five minutes.
    pub five: f64,
    /// Over fifteen minutes.
    pub fifteen: f64,
}

/// Reads the file repeatedly.
#[derive(Debug)]
pub struct Reader {
    source: Source,
}

impl Reader {
    /// A reader below `roots`.
    pub fn new(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("loadavg"), 256) }
    }

    /// The load averages now.
    ///
    /// # Errors
    /// When the file cannot be read or does not start with three numbers.
    pub fn read(&mut self) -> Result<LoadAverage> {
        let (path, text) = self.source.read()?;
        parse(path, text)
    }
}

/// Parses the file's text.
///
/// # Errors
/// When it does not start with three numbers.
pub fn parse(path: &Path, text: &[u8]) -> Result<LoadAverage> {
    let mut numbers = fields(text).map(parse_f64);
    let mut number = || numbers.next().flatten().filter(|load| load.is_finite() && *load >= 0.0);
    match (number(), number(), number()) {
        (Some(one), Some(five), Some(fifteen)) => Ok(LoadAverage { one, five, fifteen }),
        _ => Err(Error::format(path, 1, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A real line, and what is not one.
    #[test]
    fn lines() {
        let path = Path::new("/proc/loadavg");
        let load = parse(path, b"0.21 0.37 12.39 1/719 19737\n").unwrap();
        assert_eq!(load, LoadAverage { one: 0.21, five: 0.37, fifteen: 12.39 });
        for text in [&b""[..], b"0.1 0.2", b"0.1 x 0.3 1/2 3", b"nan 0 0 1/1 1", b"\xff 1 1"] {
            assert!(parse(path, text).unwrap_err().to_string().starts_with("/proc/loadavg:1: unexpected"));
        }
    }
}
