//! Bcachefs file systems: `/sys/fs/bcachefs/UUID` (fs/bcachefs/sysfs.c).

use std::path::Path;

use crate::attributes::{component, if_present, names, optional, optional_number};
use crate::text::{fields, lines, parse_u64, trim};
use crate::{Error, Result, Roots, read_into};

/// Largest report that is read.
const LIMIT: usize = 1 << 20;

/// One file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSystem {
    /// Its UUID.
    pub uuid: Vec<u8>,
    /// Bytes of memory that cache its trees.
    pub btree_cache: u64,
    /// Algorithm, compressed bytes, uncompressed bytes.
    pub compression: Vec<(Vec<u8>, u64, u64)>,
    /// Error and how often it was met.
    pub errors: Vec<(Vec<u8>, u64)>,
    /// Counter and its count since the file system was made.
    pub counters: Vec<(Vec<u8>, u64)>,
    /// Kind of tree write, how many, their average size in bytes.
    pub btree_writes: Vec<(Vec<u8>, u64, u64)>,
    /// Its devices.
    pub devices: Vec<Device>,
}

/// One device of a file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its number in the file system.
    pub name: Vec<u8>,
    /// Its label; empty when it has none.
    pub label: Vec<u8>,
    /// `rw`, `ro`, `evacuating`, `spare`.
    pub state: Vec<u8>,
    /// Bytes of a bucket.
    pub bucket_size: u64,
    /// Buckets.
    pub buckets: u64,
    /// How many copies one on this device counts for.
    pub durability: u64,
    /// Direction (`read`, `write`), type of data, bytes.
    pub io_done: Vec<(&'static str, Vec<u8>, u64)>,
    /// Kind of error and how often it was met since the file system was made.
    pub io_errors: Vec<(Vec<u8>, u64)>,
}

/// Every mounted file system, sorted by UUID.
///
/// # Errors
/// When a file is there and cannot be read or understood; without bcachefs the directory is not there.
pub fn read(roots: &Roots) -> Result<Vec<FileSystem>> {
    let class = roots.sys("fs/bcachefs");
    let mut found = Vec::new();
    for name in names(&class)? {
        let path = class.join(component(&name));
        if path.is_dir() {
            found.push(file_system(&path, name)?);
        }
    }
    Ok(found)
}

fn file_system(path: &Path, uuid: Vec<u8>) -> Result<FileSystem> {
    let mut file_system = FileSystem {
        uuid,
        btree_cache: optional_size(&path.join("btree_cache_size"))?,
        compression: rows(&path.join("compression_stats"), 1, |words| {
            Some((without_colon(words.first()?), parse_size(words.get(1)?)?, parse_size(words.get(2)?)?))
        })?,
        errors: rows(&path.join("errors"), 0, |words| Some((words.first()?.to_vec(), parse_u64(words.get(1)?)?)))?,
        btree_writes: rows(&path.join("btree_write_stats"), 1, |words| {
            Some((without_colon(words.first()?), parse_u64(words.get(1)?)?, parse_size(words.get(2)?)?))
        })?,
        ..FileSystem::default()
    };
    let counters = path.join("counters");
    for name in if_present(names(&counters))?.unwrap_or_default() {
        let path = counters.join(component(&name));
        if !path.is_dir() {
            file_system.counters.push((name, counter(&path)?));
        }
    }
    for name in names(path)? {
        if let Some(number) = name.strip_prefix(b"dev-") {
            let path = path.join(component(&name));
            if path.is_dir() {
                file_system.devices.push(device(&path, number)?);
            }
        }
    }
    Ok(file_system)
}

fn device(path: &Path, number: &[u8]) -> Result<Device> {
    Ok(Device {
        name: number.to_vec(),
        label: optional(&path.join("label"))?.unwrap_or_default(),
        state: optional(&path.join("state"))?.unwrap_or_default(),
        bucket_size: optional_size(&path.join("bucket_size"))?,
        buckets: optional_number(&path.join("nbuckets"))?.unwrap_or(0),
        durability: optional_number(&path.join("durability"))?.unwrap_or(0),
        io_done: report(&path.join("io_done"), parse_io_done)?,
        io_errors: report(&path.join("io_errors"), parse_io_errors)?,
    })
}

fn optional_size(path: &Path) -> Result<u64> {
    match optional(path)? {
        Some(text) if !text.is_empty() => parse_size(&text).ok_or_else(|| Error::format(path, 1, &text)),
        _ => Ok(0),
    }
}

/// Reads a report with a parser; nothing when the file is not there.
fn report<T: Default>(path: &Path, parse: impl Fn(&Path, &[u8]) -> Result<T>) -> Result<T> {
    let mut text = Vec::new();
    match read_into(path, &mut text, LIMIT) {
        Ok(()) => parse(path, &text),
        Err(error) if error.is_not_found() => Ok(T::default()),
        Err(error) => Err(error),
    }
}

/// The rows of a table after `heading` lines; shorter rows than a table has columns are skipped.
fn rows<T>(path: &Path, heading: usize, parse: impl Fn(&[&[u8]]) -> Option<T>) -> Result<Vec<T>> {
    report(path, |path, text| {
        let mut found = Vec::new();
        for (index, line) in lines(text).enumerate().skip(heading) {
            let words: Vec<&[u8]> = fields(line).collect();
            if words.len() >= 2 + heading {
                found.push(parse(&words).ok_or_else(|| Error::format(path, index + 1, line))?);
            }
        }
        Ok(found)
    })
}

/// `since mount: 1.2M` and `since filesystem creation: 3.4G`; the second is what is wanted.
fn counter(path: &Path) -> Result<u64> {
    report(path, |path, text| {
        let (mut known, mut count) = (false, 0);
        for (index, line) in lines(text).enumerate() {
            let Some(at) = memchr::memchr(b':', line) else { continue };
            let created = match &line[..at] {
                b"since filesystem creation" => true,
                b"since mount" => false,
                _ => continue,
            };
            let number = parse_size(trim(&line[at + 1..])).ok_or_else(|| Error::format(path, index + 1, line))?;
            known = true;
            if created {
                count = number;
            }
        }
        if known { Ok(count) } else { Err(Error::format(path, 0, text)) }
    })
}

/// Sections `read:` and `write:` of rows `type: bytes`.
fn parse_io_done(path: &Path, text: &[u8]) -> Result<Vec<(&'static str, Vec<u8>, u64)>> {
    let mut found = Vec::new();
    let mut direction = None;
    for (index, line) in lines(text).enumerate() {
        match (trim(line), direction) {
            (b"read:", _) => direction = Some("read"),
            (b"write:", _) => direction = Some("write"),
            (row, Some(direction)) => {
                if let Some((name, count)) = name_and_count(path, index, row)? {
                    found.push((direction, name, count));
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// A section `IO errors since filesystem creation` of rows `kind: count`, then other sections.
fn parse_io_errors(path: &Path, text: &[u8]) -> Result<Vec<(Vec<u8>, u64)>> {
    let mut found = Vec::new();
    let mut inside = false;
    for (index, line) in lines(text).enumerate() {
        if line.starts_with(b"IO errors since filesystem creation") {
            inside = true;
        } else if line.starts_with(b"IO errors since ") {
            break;
        } else if inside {
            found.extend(name_and_count(path, index, trim(line))?);
        }
    }
    Ok(found)
}

fn name_and_count(path: &Path, index: usize, row: &[u8]) -> Result<Option<(Vec<u8>, u64)>> {
    let Some(at) = memchr::memchr(b':', row) else { return Ok(None) };
    let count = parse_u64(trim(&row[at + 1..])).ok_or_else(|| Error::format(path, index + 1, row))?;
    Ok(Some((trim(&row[..at]).to_vec(), count)))
}

fn without_colon(word: &[u8]) -> Vec<u8> {
    word.strip_suffix(b":").unwrap_or(word).to_vec()
}

/// `512`, `1.5M`: a decimal fraction and a power of 1024.
#[expect(clippy::cast_sign_loss, reason = "checked")]
pub fn parse_size(text: &[u8]) -> Option<u64> {
    let (&last, digits) = text.split_last()?;
    let exponent = match last.to_ascii_lowercase() {
        b'k' => 1,
        b'm' => 2,
        b'g' => 3,
        b't' => 4,
        b'p' => 5,
        b'e' => 6,
        _ => 0,
    };
    let digits = if exponent == 0 { text } else { trim(digits) };
    let number: f64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let bytes = number * 1024f64.powi(exponent);
    (bytes.is_finite() && bytes >= 0.0).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes with and without unit; what is none.
    #[test]
    fn sizes() {
        assert_eq!(parse_size(b"524288"), Some(524_288));
        assert_eq!(parse_size(b"1.5M"), Some(1_572_864));
        assert_eq!(parse_size(b"2 k"), Some(2048));
        for bad in [&b""[..], b"M", b"x", b"-1", b"inf", b"1e999", b"\xff"] {
            assert_eq!(parse_size(bad), None, "{bad:?}");
        }
    }

    /// A whole file system; then reports that are not of the form.
    #[test]
    fn file_systems() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        assert!(read(&roots).unwrap_err().is_not_found());
        let put = |path: &str, text: &str| {
            let path = dir.path().join("sys/fs/bcachefs/u-1").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("btree_cache_size", "524M\n");
        put("compression_stats", "type  compressed  uncompressed  average\nlz4:  19.3G  67.0G  112k\nshort\n");
        put("errors", "btree_node_read_err 5 1234567890\n");
        put("counters/btree_node_read", "since mount:  67890\nsince filesystem creation:  1.0k\n");
        put("btree_write_stats", "        nr  size\ninitial:  19088  108k\n");
        put("dev-0/label", "ssd.ssd1\n");
        put("dev-0/io_done", "read:\nsb : 3989504\nwrite:\nuser : 1\n");
        put(
            "dev-0/io_errors",
            "IO errors since filesystem creation\n  read:    197346\n  write: 1\nIO errors since 8 y ago\n  read: 9\n",
        );
        let file_system = &read(&roots).unwrap()[0];
        assert_eq!(file_system.compression, [(b"lz4".to_vec(), 20_723_217_203, 71_940_702_208)]);
        assert_eq!(file_system.counters, [(b"btree_node_read".to_vec(), 1024)]);
        assert_eq!(file_system.btree_writes, [(b"initial".to_vec(), 19088, 110_592)]);
        let device = &file_system.devices[0];
        assert_eq!(device.io_done[1], ("write", b"user".to_vec(), 1));
        assert_eq!(device.io_errors, [(b"read".to_vec(), 197_346), (b"write".to_vec(), 1)]);
        for (file, text) in
            [("counters/btree_node_read", "what\n"), ("errors", "e x\n"), ("dev-0/io_done", "read:\nsb: x\n")]
        {
            put(file, text);
            assert!(read(&roots).is_err(), "{file}");
            put(file, "since mount: 1\n");
            std::fs::remove_file(dir.path().join("sys/fs/bcachefs/u-1").join(file)).unwrap();
        }
    }
}
