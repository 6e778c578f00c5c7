//! Block caches: `/sys/fs/bcache/UUID` (Documentation/admin-guide/bcache.rst).
//!
//! The driver prints large numbers for people: `20.4G` is 20 and 4/10 (of 1024) GiB, see bch_hprint() in
//! drivers/md/bcache/util.c. They are turned back as far as that goes.

use std::path::{Path, PathBuf};

use crate::attributes::{component, if_present, names, numbered, optional, value};
use crate::text::{fields, lines, parse_u64};
use crate::{Error, Result, Roots};

/// One cache set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSet {
    /// Its UUID.
    pub uuid: Vec<u8>,
    /// Values of [`SET_FILES`].
    pub values: [u64; SET_FILES.len()],
    /// Totals of all its backing devices.
    pub total: Period,
    /// Its backing devices, sorted by name.
    pub backing: Vec<Backing>,
    /// Its cache devices, sorted by name.
    pub caches: Vec<Cache>,
}

/// Files of a cache set whose only value is a number.
pub const SET_FILES: [&str; 10] = [
    "average_key_size",
    "btree_cache_size",
    "cache_available_percent",
    "congested",
    "root_usage_percent",
    "tree_depth",
    "internal/active_journal_entries",
    "internal/btree_nodes",
    "internal/btree_read_average_duration_us",
    "internal/cache_read_races",
];

/// How requests met a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// Bytes that went past the cache.
    pub bypassed: u64,
    /// Requests found in the cache.
    pub hits: u64,
    /// Requests not found in the cache.
    pub misses: u64,
    /// Requests meant to go past the cache that were found in it.
    pub bypass_hits: u64,
    /// Requests meant to go past the cache that were not found in it.
    pub bypass_misses: u64,
    /// Insertions that lost a race against a write.
    pub miss_collisions: u64,
    /// Readaheads; kernels since 5.17 count none.
    pub readaheads: u64,
}

/// One backing device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backing {
    /// Its name: `bdev0`.
    pub name: Vec<u8>,
    /// Bytes in the cache that are not on the device yet.
    pub dirty: u64,
    /// What the writeback controller says.
    pub writeback: Writeback,
}

/// State of the writeback controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writeback {
    /// Bytes per second.
    pub rate: u64,
    /// Dirty bytes that are aimed at.
    pub target: u64,
    /// Proportional term.
    pub proportional: i64,
    /// Integral term.
    pub integral: i64,
    /// Last change of the rate.
    pub change: i64,
}

/// One cache device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// Its name: `cache0`.
    pub name: Vec<u8>,
    /// Errors, decaying.
    pub io_errors: u64,
    /// Bytes of metadata written.
    pub metadata_written: u64,
    /// Bytes of data written.
    pub written: u64,
    /// Percent of buckets that are unused, and percent that hold metadata, when they were asked for.
    pub priority: Option<(u64, u64)>,
}

/// Every cache set, sorted by UUID; none without bcache. `priority` reads the usage of buckets too, which takes the
/// driver as long as walking all of them.
///
/// # Errors
/// When a file that every set has cannot be read or understood.
pub fn read(roots: &Roots, priority: bool) -> Result<Vec<CacheSet>> {
    let class = roots.sys("fs/bcache");
    let mut found = Vec::new();
    for name in if_present(names(&class))?.unwrap_or_default() {
        if memchr::memchr(b'-', &name).is_some() {
            found.push(cache_set(&class.join(component(&name)), name, priority)?);
        }
    }
    Ok(found)
}

fn cache_set(path: &Path, uuid: Vec<u8>, priority: bool) -> Result<CacheSet> {
    let mut values = [0; SET_FILES.len()];
    for (slot, file) in values.iter_mut().zip(SET_FILES) {
        *slot = human(&path.join(file))?;
    }
    let total = path.join("stats_total");
    let total = Period {
        bypassed: human(&total.join("bypassed"))?,
        hits: human(&total.join("cache_hits"))?,
        misses: human(&total.join("cache_misses"))?,
        bypass_hits: human(&total.join("cache_bypass_hits"))?,
        bypass_misses: human(&total.join("cache_bypass_misses"))?,
        miss_collisions: human(&total.join("cache_miss_collisions"))?,
        readaheads: if_present(human(&total.join("cache_readaheads")))?.unwrap_or(0),
    };
    let mut backing = Vec::new();
    for name in numbered(path, b"bdev")? {
        let path = path.join(component(&name));
        backing.push(Backing { dirty: human(&path.join("dirty_data"))?, writeback: writeback(&path)?, name });
    }
    let mut caches = Vec::new();
    for name in numbered(path, b"cache")? {
        let path = path.join(component(&name));
        caches.push(Cache {
            io_errors: human(&path.join("io_errors"))?,
            metadata_written: human(&path.join("metadata_written"))?,
            written: human(&path.join("written"))?,
            priority: if priority { Some(usage(&path.join("priority_stats"))?) } else { None },
            name,
        });
    }
    Ok(CacheSet { uuid, values, total, backing, caches })
}

fn human(path: &Path) -> Result<u64> {
    let text = value(path)?;
    parse_human(&text).ok_or_else(|| Error::format(path, 1, &text))
}

fn writeback(directory: &Path) -> Result<Writeback> {
    let path: PathBuf = directory.join("writeback_rate_debug");
    match optional(&path)? {
        Some(text) => parse_writeback(&path, &text),
        None => Ok(Writeback::default()),
    }
}

/// Lines such as `rate:  1.1M/sec` and `integral: -251.5k`.
///
/// # Errors
/// When a known line has no number.
pub fn parse_writeback(path: &Path, text: &[u8]) -> Result<Writeback> {
    let mut state = Writeback::default();
    for (index, line) in lines(text).enumerate() {
        let bad = || Error::format(path, index + 1, line);
        let last = fields(line).last().unwrap_or_default();
        let number = last.strip_suffix(b"/sec").unwrap_or(last);
        match fields(line).next() {
            Some(b"rate:") => state.rate = parse_human(number).ok_or_else(bad)?,
            Some(b"target:") => state.target = parse_human(number).ok_or_else(bad)?,
            Some(b"proportional:") => state.proportional = parse_human_signed(number).ok_or_else(bad)?,
            Some(b"integral:") => state.integral = parse_human_signed(number).ok_or_else(bad)?,
            Some(b"change:") => state.change = parse_human_signed(number).ok_or_else(bad)?,
            _ => {}
        }
    }
    Ok(state)
}

/// Lines `Unused: 99%` and `Metadata: 0%`, and others.
fn usage(path: &Path) -> Result<(u64, u64)> {
    let text = value(path)?;
    let (mut unused, mut metadata) = (0, 0);
    for (index, line) in lines(&text).enumerate() {
        let last = fields(line).last().unwrap_or_default();
        let percent =
            || parse_u64(last.strip_suffix(b"%").unwrap_or(last)).ok_or_else(|| Error::format(path, index + 1, line));
        match fields(line).next() {
            Some(b"Unused:") => unused = percent()?,
            Some(b"Metadata:") => metadata = percent()?,
            _ => {}
        }
    }
    Ok((unused, metadata))
}

/// `512`, `1.1k`, `20.4G`: the digits after the point are 1024ths, printed as tenths, so they are a little off.
#[expect(clippy::cast_sign_loss, reason = "the text has no sign")]
pub fn parse_human(text: &[u8]) -> Option<u64> {
    let (&last, digits) = text.split_last()?;
    let exponent = match last {
        b'0'..=b'9' => return parse_u64(text),
        b'k' => 1,
        b'M' => 2,
        b'G' => 3,
        b'T' => 4,
        b'P' => 5,
        b'E' => 6,
        b'Z' => 7,
        b'Y' => 8,
        _ => return None,
    };
    let (whole, fraction) = match memchr::memchr(b'.', digits) {
        Some(at) => (&digits[..at], parse_u64(&digits[at + 1..])? as f64 / 10.24),
        None => (digits, 0.0),
    };
    let number = (parse_u64(whole)? as f64 + fraction) * 1024f64.powi(exponent);
    Some(number as u64)
}

fn parse_human_signed(text: &[u8]) -> Option<i64> {
    match text.strip_prefix(b"-") {
        Some(digits) => 0i64.checked_sub_unsigned(parse_human(digits)?),
        None => i64::try_from(parse_human(text)?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers as the driver prints them, the largest ones, and what is none.
    #[test]
    fn human_numbers() {
        for (text, number) in [
            (&b"0"[..], Some(0)),
            (b"542", Some(542)),
            (b"3k", Some(3072)),
            (b"1.1M", Some(1_150_976)),
            (b"1.10k", Some(2024)),
            (b"9E", Some(10_376_293_541_461_622_784)),
            (b"999999Y", Some(u64::MAX)),
            (b"", None),
            (b"k", None),
            (b".5k", None),
            (b"1.k", None),
            (b"1x", None),
            (b"18446744073709551616", None),
            (b"\xff", None),
        ] {
            assert_eq!(parse_human(text), number, "{:?}", String::from_utf8_lossy(text));
        }
        assert_eq!(parse_human_signed(b"-1.1k"), Some(-1124));
        assert_eq!(parse_human_signed(b"-999999Y"), None);
    }

    /// A controller's report with negative terms; a line without its number is an error.
    #[test]
    fn controller() {
        let text = b"rate:\t\t1.1M/sec\ndirty:\t\t20.4G\ntarget:\t\t20.4G\nproportional:\t-427.5k\nintegral:\t790.0k\nchange:\t\t321.5k/sec\nnext io:\t17ms\n";
        let state = parse_writeback(Path::new("d"), text).unwrap();
        assert_eq!(
            (state.rate, state.proportional, state.integral, state.change),
            (1_150_976, -437_748, 808_960, 329_204)
        );
        assert_eq!(parse_writeback(Path::new("d"), b"").unwrap(), Writeback::default());
        assert!(parse_writeback(Path::new("d"), b"rate: fast/sec\n").unwrap_err().to_string().starts_with("d:1:"));
    }
}
