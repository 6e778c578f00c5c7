//! Lists of CPUs as sysfs writes them (Documentation/admin-guide/cputopology.rst): `0-3,8,10-11`.

use std::path::Path;

use crate::text::{parse_u64, trim};
use crate::{Error, Result};

/// Largest CPU number that is taken; Linux ends at 8,191.
const CPU_LIMIT: u64 = 65_535;

/// The CPUs of a list, in its order. An empty text is an empty list.
///
/// # Errors
/// When the text is no list, or names CPUs past 65,535.
pub fn parse(path: &Path, text: &[u8]) -> Result<Vec<u32>> {
    let list = trim(text);
    let mut cpus = Vec::new();
    if list.is_empty() {
        return Ok(cpus);
    }
    for range in list.split(|byte| *byte == b',') {
        let mut ends = range.split(|byte| *byte == b'-').map(parse_u64);
        let (first, last) = match (ends.next(), ends.next(), ends.next()) {
            (Some(Some(only)), None, _) => (only, only),
            (Some(Some(first)), Some(Some(last)), None) => (first, last),
            _ => return Err(Error::format(path, 1, text)),
        };
        if first > last || last > CPU_LIMIT || cpus.len() as u64 > CPU_LIMIT {
            return Err(Error::format(path, 1, text));
        }
        cpus.extend((first..=last).map(|cpu| u32::try_from(cpu).expect("at most 65,535")));
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranges, single CPUs, nothing, and what is no list.
    #[test]
    fn lists() {
        let parse = |text: &[u8]| parse(Path::new("isolated"), text);
        assert_eq!(parse(b"0-2,8,10-11\n").unwrap(), [0, 1, 2, 8, 10, 11]);
        assert!(parse(b"\n").unwrap().is_empty());
        for text in [&b"3-1"[..], b"x", b"1,", b"1-2-3", b"0-99999999999", b"-1"] {
            assert!(parse(text).is_err());
        }
    }
}
