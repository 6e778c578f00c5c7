//! The one error of this crate: which file, which line, what was seen.

use std::io;
use std::path::{Path, PathBuf};

/// Longest piece of a kernel file that an error message quotes, in bytes; enough to recognise a line.
const QUOTE_LIMIT: usize = 80;

/// Why a kernel file could not be turned into a struct.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be opened or read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The file's text is not in the documented format.
    #[error("{}:{line}: unexpected {seen:?}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Line number from 1; 0 when the whole file is meant.
        line: usize,
        /// The start of the text in question, at most 80 bytes, invalid UTF-8 replaced.
        seen: String,
    },
    /// The file is larger than its reader's bound.
    #[error("{}: larger than the {limit} bytes that are read of it", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound, in bytes.
        limit: usize,
    },
}

/// Equal errors read the same.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Read { path, source }, Self::Read { path: other_path, source: other_source }) => {
                path == other_path
                    && source.raw_os_error() == other_source.raw_os_error()
                    && (source.raw_os_error().is_some() || source.to_string() == other_source.to_string())
            }
            (
                Self::Format { path, line, seen },
                Self::Format { path: other_path, line: other_line, seen: other_seen },
            ) => (path, line, seen) == (other_path, other_line, other_seen),
            (Self::TooLarge { path, limit }, Self::TooLarge { path: other_path, limit: other_limit }) => {
                (path, limit) == (other_path, other_limit)
            }
            _ => false,
        }
    }
}

impl Eq for Error {}

impl Error {
    /// A failed open or read of `path`.
    pub fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    /// Text of `path` at `line` (from 1; 0 for the whole file) that is not in the documented format.
    pub fn format(path: &Path, line: usize, seen: &[u8]) -> Self {
        let end = seen.len().min(QUOTE_LIMIT);
        Self::Format { path: path.to_owned(), line, seen: String::from_utf8_lossy(&seen[..end]).into_owned() }
    }

    /// Whether the file was not there, which for most readers is not a failure but a kernel without the feature.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
