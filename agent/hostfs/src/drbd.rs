//! Replicated block devices: `/proc/drbd` of DRBD 8 (drbd_proc.c; the DRBD user's guide, section status information).

use std::path::Path;

use crate::text::{parse_f64, parse_u64};
use crate::{Error, Result, Roots, Source};

/// One `key:value` of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Field<'a> {
    /// The device: `drbd0`; `unknown` before the first.
    pub device: String,
    /// Its two-letter key (`oos` has three).
    pub key: &'a [u8],
    /// What it says.
    pub value: Value<'a>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A count, in the file's unit.
    Number(f64),
    /// What this node and what its peer says.
    Pair(&'a [u8], &'a [u8]),
    /// The state of the connection.
    Connection(&'a [u8]),
}

/// Keys of counts.
pub const NUMBERS: &[&str] = &["al", "ap", "bm", "dr", "dw", "ep", "lo", "nr", "ns", "oos", "pe", "ua"];

/// Reads the file repeatedly.
#[derive(Debug)]
pub struct Reader {
    source: Source,
}

impl Reader {
    /// A reader below `roots`.
    pub fn new(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("drbd"), 1 << 20) }
    }

    /// Every known field of every device, in the file's order.
    ///
    /// # Errors
    /// When the file cannot be read or understood; without the module it is not there.
    pub fn read(&mut self) -> Result<Vec<Field<'_>>> {
        let (path, text) = self.source.read()?;
        parse(path, text)
    }
}

/// Parses the file's words: `0:` starts a device, the rest are `key:value` or of no interest.
///
/// # Errors
/// When a count is no number, or a pair no pair.
pub fn parse<'a>(path: &Path, text: &'a [u8]) -> Result<Vec<Field<'a>>> {
    let mut found = Vec::new();
    let mut device = "unknown".to_owned();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        for word in line.split(u8::is_ascii_whitespace) {
            let mut parts = word.split(|&byte| byte == b':');
            let (Some(key), Some(value), None) = (parts.next(), parts.next(), parts.next()) else { continue };
            if value.is_empty() {
                if let Some(number) = parse_u64(key) {
                    device = format!("drbd{number}");
                }
                continue;
            }
            let bad = || Error::format(path, index + 1, word);
            let value = match key {
                b"ro" | b"ds" => {
                    let mut sides = value.split(|&byte| byte == b'/');
                    let (Some(local), Some(remote), None) = (sides.next(), sides.next(), sides.next()) else {
                        return Err(bad());
                    };
                    Value::Pair(local, remote)
                }
                b"cs" => Value::Connection(value),
                _ if NUMBERS.iter().any(|known| known.as_bytes() == key) => {
                    Value::Number(parse_f64(value).ok_or_else(bad)?)
                }
                _ => continue,
            };
            found.push(Field { device: device.clone(), key, value });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A real file's shape; then a count and a pair that are none.
    #[test]
    fn fields() {
        let path = Path::new("/proc/drbd");
        let text = b"version: 8.4.3 (api:1/proto:86-101)\nsrcversion: 1A9F77B1CA5FF92235C2213\n\n 1: cs:Connected ro:Primary/Secondary ds:UpToDate/Diskless C r-----\n    ns:17324442 oos:1048320\n";
        let fields = parse(path, text).unwrap();
        assert_eq!(fields[0], Field { device: "drbd1".into(), key: b"cs", value: Value::Connection(b"Connected") });
        assert_eq!(fields[1].value, Value::Pair(b"Primary", b"Secondary"));
        assert_eq!(fields[4], Field { device: "drbd1".into(), key: b"oos", value: Value::Number(1_048_320.0) });
        assert_eq!(fields.len(), 5);
        assert!(parse(path, b"").unwrap().is_empty());
        assert!(parse(path, b"\xff:\xff 99999999999999999999:\n").unwrap().is_empty());
        assert!(parse(path, b"\nns:x").unwrap_err().to_string().starts_with("/proc/drbd:2:"));
        assert!(parse(path, b"ro:Primary").is_err());
    }
}
