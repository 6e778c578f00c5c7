//! The time for timestamps and HTTP's `Date`, read once per batch of requests.

use rustix::time::{ClockId, clock_gettime};
use wire::message::Timestamp;

/// Wall-clock time at the kernel's tick (1 to 10 ms), as text and as a timestamp.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    now: Timestamp,
    date: [u8; 29],
}

impl Clock {
    pub(crate) fn new() -> Clock {
        let mut clock = Clock { now: Timestamp { seconds: i64::MIN, nanos: 0 }, date: [b' '; 29] };
        clock.tick();
        clock
    }

    /// Reads the coarse clock, which costs a few nanoseconds; formats the date anew once a second.
    pub(crate) fn tick(&mut self) {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        if now.tv_sec != self.now.seconds {
            self.date = http_date(now.tv_sec);
        }
        let nanos = i32::try_from(now.tv_nsec).expect("the kernel's nanoseconds are below a second");
        self.now = Timestamp { seconds: now.tv_sec, nanos };
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn date(&self) -> &[u8; 29] {
        &self.date
    }
}

/// IMF-fixdate (RFC 9110, 5.6.7).
fn http_date(seconds: i64) -> [u8; 29] {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    let text = printer.timestamp_to_rfc9110_string(&time).unwrap_or_default();
    text.as_bytes().try_into().unwrap_or(*b"Thu, 01 Jan 1970 00:00:00 GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 9110, and a clock that is not before this was written.
    #[test]
    fn dates() {
        assert_eq!(&http_date(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(Clock::new().now().seconds > 1_700_000_000);
    }
}
