//! The files of an interface below `/sys/class/net` (Documentation/ABI/testing/sysfs-class-net).

use std::path::Path;

use hostfs::attributes::{self, parse_prefixed_signed};
use hostfs::text::trim;
use hostfs::{Error, Source};

use super::{Interface, ROWS, WORDS};
use crate::collector::Failure;

/// Interfaces whose files stay open: 2 descriptors each on a live host and 22 elsewhere, of the 1,024 that a process
/// gets by default.
pub(super) const KEPT_OPEN: usize = 32;

/// A source for each of [`ROWS`] and [`WORDS`].
pub(super) struct Files {
    numbers: [Source; ROWS.len()],
    words: [Source; WORDS.len()],
}

impl Files {
    pub(super) fn close(&mut self) {
        self.numbers.iter_mut().chain(&mut self.words).for_each(Source::close);
    }
}

impl Interface {
    pub(super) fn new(directory: &Path, name: Vec<u8>) -> Self {
        let directory = directory.join(attributes::component(&name));
        let source = |file: &str| Source::attribute(directory.join(file));
        Self {
            files: Files { numbers: std::array::from_fn(|index| source(ROWS[index].file)), words: WORDS.map(source) },
            numbers: [None; 17],
            words: Default::default(),
            name,
        }
    }

    /// Reads every file.
    pub(super) fn read_files(&mut self) -> Result<(), Failure> {
        (0..ROWS.len()).try_for_each(|row| self.read_number(row))?;
        (0..WORDS.len()).try_for_each(|word| self.read_word(word))
    }

    /// Reads the number in `row` of [`ROWS`]; the driver need not have one.
    pub(super) fn read_number(&mut self, row: usize) -> Result<(), Failure> {
        self.numbers[row] = match self.files.numbers[row].read() {
            Ok((path, text)) => {
                let number = parse_prefixed_signed(trim(text));
                Some(number.ok_or_else(|| Error::format(path, 1, text))?)
            }
            Err(error) if is_nothing(&error) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(())
    }

    /// Reads the text in place `word` of [`WORDS`].
    pub(super) fn read_word(&mut self, word: usize) -> Result<(), Failure> {
        self.words[word].clear();
        match self.files.words[word].read() {
            Ok((_, text)) => self.words[word].extend_from_slice(trim(text)),
            Err(error) if is_nothing(&error) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Whether the interface has no such file or value, or the agent no right to it.
fn is_nothing(error: &Error) -> bool {
    error.is_not_found()
        || attributes::is_unsupported(error)
        || attributes::is_forbidden(error)
        || attributes::is_not_a_directory(error)
}
