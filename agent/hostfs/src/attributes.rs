//! One-value files of sysfs and the directories that hold them.
//!
//! Devices come and go, so nothing is kept open between reads: a walk lists a directory, sorted, and reads the files
//! that it knows. Everything is bounded: sysfs gives at most a page per file, and a directory is refused past a limit
//! that no machine reaches.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, RawDirEntry, statat};
use rustix::io::Errno;

use crate::text::{parse_u64, trim};
use crate::{Error, Result};

/// sysfs shows at most one page of an attribute; on 64 KiB page machines a real attribute still fits in this.
const VALUE_LIMIT: usize = 4096;

/// What is asked for of a directory at a time: about a hundred entries.
const DIRECTORY_BYTES: usize = 4096;

/// Most entries that are taken from one directory.
const ENTRY_LIMIT: usize = 65_536;

/// The names in a directory, sorted by bytes.
///
/// # Errors
/// When it cannot be listed, or holds more than 65,536 entries.
pub fn names(directory: &Path) -> Result<Vec<Vec<u8>>> {
    listed(directory, |_, _| true)
}

/// As [`names`], only regular files: links and directories are left out.
///
/// # Errors
/// As [`names`].
pub fn file_names(directory: &Path) -> Result<Vec<Vec<u8>>> {
    listed(directory, is_file)
}

/// As [`names`], those that consist of `prefix` and then start with a digit, as `mc[0-9]*` in a shell. No directory,
/// no names.
///
/// # Errors
/// When the directory is there and cannot be listed.
pub fn numbered(directory: &Path, prefix: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut found = if_present(names(directory))?.unwrap_or_default();
    found.retain(|name| name.strip_prefix(prefix).is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit)));
    Ok(found)
}

fn listed(directory: &Path, mut wanted: impl FnMut(&OwnedFd, &RawDirEntry<'_>) -> bool) -> Result<Vec<Vec<u8>>> {
    let failed = |error: Errno| Error::read(directory, error.into());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(directory, flags, Mode::empty()).map_err(failed)?;
    // On the stack, since most directories of sysfs have a few entries and opendir(3) takes 32 KiB for each.
    let mut buffer = [MaybeUninit::uninit(); DIRECTORY_BYTES];
    let mut entries = RawDir::new(&fd, &mut buffer);
    let mut found = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") || !wanted(&fd, &entry) {
            continue;
        }
        if found.len() == ENTRY_LIMIT {
            return Err(Error::TooLarge { path: directory.to_owned(), limit: ENTRY_LIMIT });
        }
        found.push(name.to_vec());
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether an entry is a regular file. Some file systems do not say in the listing.
fn is_file(directory: &OwnedFd, entry: &RawDirEntry<'_>) -> bool {
    match entry.file_type() {
        FileType::Unknown => statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile),
        kind => kind == FileType::RegularFile,
    }
}

/// A name of a directory entry as a path component.
pub fn component(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

/// A file's text without blanks at its ends.
///
/// # Errors
/// As the kernel says, or when the file is larger than 4 KiB.
pub fn value(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|source| Error::read(path, source))?;
    let mut buffer = [0; VALUE_LIMIT + 1];
    // The kernel hands a value over whole, so that there is nothing to read after it.
    let length = loop {
        match (&file).read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result.map_err(|source| Error::read(path, source))?,
        }
    };
    if length > VALUE_LIMIT {
        return Err(Error::TooLarge { path: path.to_owned(), limit: VALUE_LIMIT });
    }
    Ok(trim(&buffer[..length]).to_vec())
}

/// As [`value`]; `None` when the file is not there.
///
/// # Errors
/// As [`value`], but for a file that is not there.
pub fn optional(path: &Path) -> Result<Option<Vec<u8>>> {
    if_present(value(path))
}

/// As [`value`]; `None` when the device has no such value at the moment: no file, not supported, invalid at present.
///
/// # Errors
/// As [`value`], for everything else.
pub fn supported(path: &Path) -> Result<Option<Vec<u8>>> {
    match value(path) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() || is_unsupported(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file's only number, decimal.
///
/// # Errors
/// As [`value`], and when the text is no number that fits.
pub fn number(path: &Path) -> Result<u64> {
    let text = value(path)?;
    parse_u64(&text).ok_or_else(|| Error::format(path, 1, &text))
}

/// As [`number`]; `None` when the file is not there.
///
/// # Errors
/// As [`number`], but for a file that is not there.
pub fn optional_number(path: &Path) -> Result<Option<u64>> {
    if_present(number(path))
}

/// `None` for what is not there.
///
/// # Errors
/// Every other error of `result`.
pub fn if_present<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the driver said that it has no such value: `EINVAL`, `EOPNOTSUPP`, `ENODEV` or `ENODATA`.
pub fn is_unsupported(error: &Error) -> bool {
    matches!(error, Error::Read { source, .. } if matches!(
        source.raw_os_error(),
        Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENODEV | libc::ENODATA)
    ))
}

/// Whether the reader lacks the right to the file.
pub fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
}

/// Whether a part of the path is a file: a file of a class directory that lies among its devices.
pub fn is_not_a_directory(error: &Error) -> bool {
    matches!(error, Error::Read { source, .. } if source.raw_os_error() == Some(libc::ENOTDIR))
}

/// A number whose base its prefix says: `0x`, `0b`, `0o` or `0` for octal, else decimal. Drivers write all of them.
pub fn parse_prefixed(text: &[u8]) -> Option<u64> {
    let (digits, base) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        [b'0', b'b' | b'B', digits @ ..] => (digits, 2),
        [b'0', b'o' | b'O', digits @ ..] | [b'0', digits @ ..] if !digits.is_empty() => (digits, 8),
        digits => (digits, 10),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &digit| {
        value.checked_mul(u64::from(base))?.checked_add(u64::from(char::from(digit).to_digit(base)?))
    })
}

/// As [`parse_prefixed`], with an optional sign.
pub fn parse_prefixed_signed(text: &[u8]) -> Option<i64> {
    match text.strip_prefix(b"-") {
        Some(digits) => 0i64.checked_sub_unsigned(parse_prefixed(digits)?),
        None => i64::try_from(parse_prefixed(text.strip_prefix(b"+").unwrap_or(text))?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every base that a driver may use, and what is not a number.
    #[test]
    fn prefixes() {
        for (text, number) in [
            (&b"0"[..], Some(0)),
            (b"42", Some(42)),
            (b"0x2a", Some(42)),
            (b"0X2A", Some(42)),
            (b"052", Some(42)),
            (b"0o52", Some(42)),
            (b"0b101010", Some(42)),
            (b"0xffffffffffffffff", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"0x10000000000000000", None),
            (b"", None),
            (b"0x", None),
            (b"089", None),
            (b"-1", None),
            (b"4 2", None),
            (b"\xff", None),
        ] {
            assert_eq!(parse_prefixed(text), number, "{:?}", String::from_utf8_lossy(text));
        }
        assert_eq!(parse_prefixed_signed(b"-0x8000000000000000"), Some(i64::MIN));
        assert_eq!(parse_prefixed_signed(b"+7"), Some(7));
        assert_eq!(parse_prefixed_signed(b"9223372036854775808"), None);
        assert_eq!(parse_prefixed_signed(b"--1"), None);
    }

    /// A directory comes sorted; links are no files; what is not there is `None` where that is allowed.
    #[test]
    fn walk() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("mc10", "1\n"), ("mc2", " 7 \n"), ("mcx", ""), ("other", "9")] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        std::os::unix::fs::symlink("mc2", dir.path().join("mc3")).unwrap();
        assert_eq!(numbered(dir.path(), b"mc").unwrap(), [&b"mc10"[..], b"mc2", b"mc3"]);
        assert_eq!(file_names(dir.path()).unwrap(), [&b"mc10"[..], b"mc2", b"mcx", b"other"]);
        assert_eq!(number(&dir.path().join("mc3")).unwrap(), 7);
        assert!(number(&dir.path().join("mcx")).is_err());
        assert_eq!(optional_number(&dir.path().join("none")).unwrap(), None);
        assert!(numbered(&dir.path().join("none"), b"mc").unwrap().is_empty());
        std::fs::write(dir.path().join("huge"), vec![b'1'; VALUE_LIMIT + 1]).unwrap();
        assert!(matches!(value(&dir.path().join("huge")), Err(Error::TooLarge { .. })));
    }
}
