//! The answer of netlink about all interfaces, which `netclass` and `netdev` share.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hostfs::Result;
use hostfs::link::{Link, Reader};

/// How old an answer may be for the second of the two collectors, which run one right after the other. One that was
/// held up longer asks again.
const FRESH: Duration = Duration::from_millis(20);

/// One socket and the last answer.
#[derive(Debug, Default)]
pub(crate) struct Links {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    reader: Reader,
    /// When the answer came, until it has been used a second time.
    unused_since: Option<Instant>,
}

impl Links {
    /// Asks, and hands the answer to `use_it`.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub(crate) fn fresh<T>(&self, use_it: impl FnOnce(&[Link]) -> T) -> Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.unused_since = None;
        let value = use_it(state.reader.read()?);
        state.unused_since = Some(Instant::now());
        Ok(value)
    }

    /// Hands the answer that the other collector has just got to `use_it`, or a new one. No answer is used twice by it.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub(crate) fn second<T>(&self, use_it: impl FnOnce(&[Link]) -> T) -> Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = state.unused_since.take().is_some_and(|at| at.elapsed() < FRESH);
        let links = if is_fresh { state.reader.last() } else { state.reader.read()? };
        Ok(use_it(links))
    }
}
