//! `--limit-requests`: what was typed to what it means.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Latency that `aimd` promises when none is named.
const LATENCY: Duration = Duration::from_millis(10);

/// Longest latency that can be promised: what nobody waits for needs no limiter.
const LATENCY_LIMIT_MS: u64 = 60_000;

/// The algorithm of the second gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitRequests {
    /// So many, over all shards; 0 refuses every request.
    Fixed(u64),
    /// More while turns keep a latency, fewer when they do not.
    Aimd {
        /// Longest turn.
        latency: Duration,
    },
    /// As many as wait only a little.
    Vegas,
    /// As many as do not change the usual latency.
    Gradient2,
}

/// What was typed is no algorithm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: expected fixed:N (N from 0), aimd, aimd:MILLISECONDS (1 to {LATENCY_LIMIT_MS}), vegas or gradient2")]
pub struct UnknownAlgorithm(String);

impl FromStr for LimitRequests {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<LimitRequests, UnknownAlgorithm> {
        let unknown = || UnknownAlgorithm(text.to_owned());
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value.parse::<u64>().map_err(|_| unknown())?)),
            None => (text, None),
        };
        match (name, value) {
            ("fixed", Some(requests)) => Ok(LimitRequests::Fixed(requests)),
            ("aimd", None) => Ok(LimitRequests::Aimd { latency: LATENCY }),
            ("aimd", Some(latency)) if (1..=LATENCY_LIMIT_MS).contains(&latency) => {
                Ok(LimitRequests::Aimd { latency: Duration::from_millis(latency) })
            }
            ("vegas", None) => Ok(LimitRequests::Vegas),
            ("gradient2", None) => Ok(LimitRequests::Gradient2),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for LimitRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitRequests::Fixed(requests) => write!(f, "fixed:{requests}"),
            LimitRequests::Aimd { latency } => write!(f, "aimd:{}", latency.as_millis()),
            LimitRequests::Vegas => f.write_str("vegas"),
            LimitRequests::Gradient2 => f.write_str("gradient2"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed reads back, and what is wrong is told with what would be right.
    #[test]
    fn texts() {
        for text in ["fixed:0", "fixed:64", "aimd:10", "aimd:250", "vegas", "gradient2"] {
            assert_eq!(text.parse::<LimitRequests>().unwrap().to_string(), text);
        }
        assert_eq!("aimd".parse::<LimitRequests>().unwrap().to_string(), "aimd:10");
        for text in ["", "fixed", "fixed:", "fixed:-1", "fixed:x", "aimd:0", "aimd:60001", "vegas:3", "gradient", "64"]
        {
            let error = text.parse::<LimitRequests>().unwrap_err().to_string();
            assert!(error.contains("fixed:N") && error.starts_with(&format!("`{text}`")), "{error}");
        }
    }
}
