//! Timers by name, as the talk shows them: started and stopped by hand, summed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

/// What timers of one name have measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    total: Duration,
    longest: Duration,
}

/// All timers of a process. One lock, as in the talk's days; names are those of the code, so there are few.
#[derive(Debug, Default)]
pub struct Timers(Mutex<BTreeMap<&'static str, Sum>>);

impl Timers {
    /// Stops the timer `name` that was started at `began`.
    pub(super) fn stop(&self, name: &'static str, began: Instant) {
        let elapsed = began.elapsed();
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = sums.entry(name).or_default();
        sum.count += 1;
        sum.total += elapsed;
        sum.longest = sum.longest.max(elapsed);
    }

    /// A line of JSON for each name.
    pub(super) fn report(&self) -> Vec<String> {
        let sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |(name, sum): (&&str, &Sum)| {
            let mean = sum.total.as_nanos() / u128::from(sum.count.max(1));
            let (mean, longest) =
                (u64::try_from(mean).unwrap_or(u64::MAX), u64::try_from(sum.longest.as_nanos()).unwrap_or(u64::MAX));
            json!({"event": "timer", "name": name, "count": sum.count, "mean_ns": mean, "longest_ns": longest})
                .to_string()
        };
        sums.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two stops of one name are one line with both.
    #[test]
    fn sums() {
        let timers = Timers::default();
        let now = Instant::now();
        timers.stop("store", now);
        timers.stop("store", now.checked_sub(Duration::from_secs(2)).unwrap());
        let lines = timers.report();
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!((lines.len(), line["name"].as_str(), line["count"].as_u64()), (1, Some("store"), Some(2)));
        assert!(line["longest_ns"].as_u64() >= Some(2_000_000_000), "{line}");
        assert!(line["mean_ns"].as_u64() >= Some(1_000_000_000), "{line}");
    }
}
