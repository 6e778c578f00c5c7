//! A kernel file that is read again and again: kept open, read from its start into the same memory.
//!
//! Opening costs about as much as reading a small file of procfs, and a kept descriptor costs a few hundred bytes.
//! procfs and sysfs make their text anew for every read at offset 0, so one descriptor serves for ever; when a
//! device behind a sysfs file is gone the kernel says `ENODEV`, and the file is opened again once.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// What is read at first. Most files hold one value, and an agent has hundreds of them; the buffer of a larger one
/// doubles until the file fits, and stays.
const FIRST_READ: usize = 256;

/// A file to read repeatedly.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    limit: usize,
    /// A first read that leaves room in the buffer and is at most as long has got everything.
    complete: usize,
    file: Option<File>,
    buffer: Vec<u8>,
    length: usize,
}

/// sysfs shows at most a page of an attribute (Documentation/filesystems/sysfs.rst).
const ATTRIBUTE_LIMIT: usize = 4096;

impl Source {
    /// A source that reads at most `limit` bytes of `path`. Nothing is opened yet.
    pub fn new(path: PathBuf, limit: usize) -> Self {
        Self { path, limit, complete: 0, file: None, buffer: Vec::new(), length: 0 }
    }

    /// A source for an attribute of sysfs, at most 4 KiB, which the kernel hands over whole: that saves the read that
    /// finds the end. Files of procfs come in pieces of the kernel's choice and are no attributes.
    pub fn attribute(path: PathBuf) -> Self {
        Self { complete: ATTRIBUTE_LIMIT, ..Self::new(path, ATTRIBUTE_LIMIT) }
    }

    /// A source for a table of procfs whose lines have at most `line` bytes. The kernel hands over as many lines as fit in
    /// a page, 4 KiB or more, so that a shorter answer than that by a line is the whole table. Where the kernel
    /// walks all its sockets to find the end, the read that is saved is half of the work.
    pub fn table(path: PathBuf, limit: usize, line: usize) -> Self {
        Self { complete: ATTRIBUTE_LIMIT - line, ..Self::new(path, limit) }
    }

    /// The open file; `None` before the first read and after a failed one.
    pub(crate) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole text as it is now, with the path for errors about it.
    ///
    /// # Errors
    /// [`Error::Read`] as the kernel says; [`Error::TooLarge`] past the limit.
    pub fn read(&mut self) -> Result<(&Path, &[u8])> {
        self.refresh()?;
        Ok(self.text())
    }

    /// As [`Source::read`], but `None` when the file is not there.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn read_if_present(&mut self) -> Result<Option<(&Path, &[u8])>> {
        match self.refresh() {
            Ok(()) => Ok(Some(self.text())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the file without looking at it: [`Source::text`] does that.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn refresh(&mut self) -> Result<()> {
        self.length = 0;
        self.length = self.fill()?;
        Ok(())
    }

    /// Gives descriptor and memory back; the next read opens the file again.
    pub fn close(&mut self) {
        self.file = None;
        self.buffer = Vec::new();
        self.length = 0;
    }

    /// What the last successful read got, with the path for errors about it.
    pub fn text(&self) -> (&Path, &[u8]) {
        (&self.path, &self.buffer[..self.length])
    }

    /// The only number of a single-value file; `None` when the file is not there.
    ///
    /// # Errors
    /// As [`Source::read`], and when the text is no number.
    pub fn number_if_present(&mut self) -> Result<Option<u64>> {
        self.read_if_present()?.map(|(path, text)| crate::text::single_u64(path, text)).transpose()
    }

    fn fill(&mut self) -> Result<usize> {
        if let Some(file) = &self.file {
            match read_from_start(file, &mut self.buffer, self.limit, self.complete) {
                Ok(Some(length)) => return Ok(length),
                Ok(None) => return Err(Error::TooLarge { path: self.path.clone(), limit: self.limit }),
                // The device or process behind the descriptor is gone; a new one may have its name.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ESTALE | libc::ESRCH)) => {
                    self.file = None;
                }
                Err(source) => return Err(Error::read(&self.path, source)),
            }
        }
        let file = File::open(&self.path).map_err(|source| Error::read(&self.path, source))?;
        match read_from_start(&file, &mut self.buffer, self.limit, self.complete) {
            Ok(Some(length)) => {
                self.file = Some(file);
                Ok(length)
            }
            Ok(None) => Err(Error::TooLarge { path: self.path.clone(), limit: self.limit }),
            Err(source) => Err(Error::read(&self.path, source)),
        }
    }
}

/// Reads until the end, and returns the length; `None` past `limit`. The buffer's length only grows, so that no
/// byte is cleared twice.
fn read_from_start(file: &File, buffer: &mut Vec<u8>, limit: usize, complete: usize) -> io::Result<Option<usize>> {
    let mut length = 0;
    loop {
        if length == buffer.len() {
            if length > limit {
                return Ok(None);
            }
            buffer.resize((length * 2).max(FIRST_READ).min(limit + 1), 0);
        }
        match file.read_at(&mut buffer[length..], length as u64) {
            Ok(0) => return Ok(if length > limit { None } else { Some(length) }),
            Ok(read) => {
                length += read;
                if length <= complete && length < buffer.len() {
                    return Ok(Some(length));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Add;

    use super::*;

    /// A file that grows, shrinks, is replaced and passes the limit reads right each time.
    #[test]
    fn rereads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut source = Source::new(path.clone(), 10_000);
        assert!(source.read_if_present().unwrap().is_none());
        for length in [3, 9_999, 0, 10_000, 5] {
            std::fs::write(&path, vec![b'x'; length]).unwrap();
            assert_eq!(source.read().unwrap().1.len(), length);
        }
        std::fs::write(&path, vec![b'x'; 10_001]).unwrap();
        assert!(matches!(source.read(), Err(Error::TooLarge { limit: 10_000, .. })));
    }

    /// An attribute of any length up to the limit reads whole, past it not.
    #[test]
    fn attributes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut source = Source::attribute(path.clone());
        for length in [3, FIRST_READ - 1, FIRST_READ, 0, ATTRIBUTE_LIMIT, 5] {
            std::fs::write(&path, vec![b'x'; length]).unwrap();
            assert_eq!(source.read().unwrap().1.len(), length);
        }
        std::fs::write(&path, vec![b'x'; ATTRIBUTE_LIMIT + 1]).unwrap();
        assert!(matches!(source.read(), Err(Error::TooLarge { .. })));
    }

    /// A table of any length reads whole.
    #[test]
    fn tables() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut source = Source::table(path.clone(), 100_000, 128);
        for lines in [1, 2, 31, 32, 500, 0, 33] {
            std::fs::write(&path, "x".repeat(127).add("\n").repeat(lines)).unwrap();
            assert_eq!(source.read().unwrap().1.len(), lines * 128);
        }
    }

    /// A live procfs file gives new text through the same descriptor.
    #[test]
    fn procfs_is_fresh() {
        let mut source = Source::new("/proc/uptime".into(), 4096);
        let first = source.read().unwrap().1.to_vec();
        loop {
            if source.read().unwrap().1 != first {
                break;
            }
            std::thread::yield_now();
        }
    }
}
