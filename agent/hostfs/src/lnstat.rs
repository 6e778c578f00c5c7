//! Network caches: `/proc/net/stat/*` (lnstat(8)). A line of names, then one line of hexadecimal counts per CPU.

use std::path::Path;

use crate::attributes::{component, if_present, names};
use crate::text::{fields, lines, parse_hex};
use crate::{Error, Result, Roots, read_into};

/// The counts of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// The file's name: `arp_cache`.
    pub name: Vec<u8>,
    /// Column name and count per CPU, sorted by column name.
    pub columns: Vec<(Vec<u8>, Vec<u64>)>,
}

/// Every file, sorted by name; none when the kernel has none.
///
/// # Errors
/// When a file cannot be read or understood.
pub fn read(roots: &Roots) -> Result<Vec<Cache>> {
    let directory = roots.proc("net/stat");
    let mut text = Vec::new();
    let mut caches = Vec::new();
    for name in if_present(names(&directory))?.unwrap_or_default() {
        let path = directory.join(component(&name));
        // A line of at most 400 bytes for each of at most 8192 CPUs.
        read_into(&path, &mut text, 4 << 20)?;
        caches.push(Cache { columns: parse(&path, &text)?, name });
    }
    Ok(caches)
}

/// Parses a file; columns of one name are joined.
///
/// # Errors
/// When a count is no hexadecimal number, or a line has more counts than the heading names.
pub fn parse(path: &Path, text: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u64>)>> {
    let mut rows = lines(text).enumerate();
    let heading: Vec<&[u8]> = rows.next().map(|(_, line)| fields(line).collect()).unwrap_or_default();
    let mut columns: Vec<(Vec<u8>, Vec<u64>)> = Vec::new();
    for (index, line) in rows {
        for (column, word) in fields(line).enumerate() {
            let bad = || Error::format(path, index + 1, word);
            let (name, count) = (heading.get(column).ok_or_else(bad)?, parse_hex(word).ok_or_else(bad)?);
            match columns.iter_mut().find(|(known, _)| known == name) {
                Some((_, counts)) => counts.push(count),
                None => columns.push((name.to_vec(), vec![count])),
            }
        }
    }
    columns.sort_unstable();
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two CPUs; then an empty file, a word too many and what is no number.
    #[test]
    fn files() {
        let path = Path::new("arp_cache");
        let columns =
            parse(path, b"entries  allocs lookups\n00000014  00000001  0000000a\n00000014  0000000d  ffffffff\n")
                .unwrap();
        assert_eq!(
            columns,
            [
                (b"allocs".to_vec(), vec![1, 13]),
                (b"entries".to_vec(), vec![20, 20]),
                (b"lookups".to_vec(), vec![10, 0xffff_ffff])
            ]
        );
        assert!(parse(path, b"").unwrap().is_empty());
        for bad in [&b"a\n1 2\n"[..], b"a\nxyz\n", b"a\n1\n11111111111111111\n", b"a\n\xff\n"] {
            assert!(parse(path, bad).unwrap_err().to_string().starts_with("arp_cache:"), "{bad:?}");
        }
    }
}
