//! A source that two collectors of one scrape use, and that is read once for both.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hostfs::{Result, link, stat};

/// How old an answer may be for the second of the two collectors, which runs a fraction of a millisecond after the
/// first. One that was held up longer asks again.
const FRESH: Duration = Duration::from_millis(20);

/// What can be read again and again, and remembers what it read.
pub(crate) trait Answer {
    /// Reads anew.
    fn ask(&mut self) -> Result<()>;
}

impl Answer for link::Reader {
    fn ask(&mut self) -> Result<()> {
        self.read().map(|_| ())
    }
}

impl Answer for stat::Reader {
    fn ask(&mut self) -> Result<()> {
        self.read().map(|_| ())
    }
}

/// A reader, and whether its last answer is still good for a second use.
#[derive(Debug)]
pub(crate) struct Twice<R> {
    state: Mutex<State<R>>,
}

#[derive(Debug)]
struct State<R> {
    reader: R,
    /// When the answer came, until it has been used a second time.
    unused_since: Option<Instant>,
}

impl<R: Answer> Twice<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { state: Mutex::new(State { reader, unused_since: None }) }
    }

    /// Asks, and hands the reader with its answer to `use_it`. For the collector that runs first.
    ///
    /// # Errors
    /// The reader's.
    pub(crate) fn first<T>(&self, use_it: impl FnOnce(&R) -> T) -> Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.unused_since = None;
        state.reader.ask()?;
        state.unused_since = Some(Instant::now());
        Ok(use_it(&state.reader))
    }

    /// As [`Twice::first`], with the answer that the other collector has just got when there is one: no answer is used
    /// twice here, so that a collector which is scraped alone never shows an old one.
    ///
    /// # Errors
    /// The reader's.
    pub(crate) fn second<T>(&self, use_it: impl FnOnce(&R) -> T) -> Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.unused_since.take().is_none_or(|at| at.elapsed() >= FRESH) {
            state.reader.ask()?;
        }
        Ok(use_it(&state.reader))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Count(u32);

    impl Answer for Count {
        fn ask(&mut self) -> Result<()> {
            self.0 += 1;
            Ok(())
        }
    }

    /// The first use always asks; the second takes the first's answer at most once.
    #[test]
    fn asked_once_for_two() {
        let source = Twice::new(Count(0));
        assert_eq!(source.second(|count| count.0).unwrap(), 1);
        assert_eq!(source.second(|count| count.0).unwrap(), 2);
        assert_eq!(source.first(|count| count.0).unwrap(), 3);
        assert_eq!(source.first(|count| count.0).unwrap(), 4);
        // A host that was held up for longer than the answer is good asks again, which is as right.
        assert!((4..=5).contains(&source.second(|count| count.0).unwrap()));
        assert!((5..=6).contains(&source.second(|count| count.0).unwrap()));
    }
}
