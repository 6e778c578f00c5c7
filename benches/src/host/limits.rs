//! Raises this process's own limit of open files.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::check::Fix;
use super::checks::RESERVED_FILES;
use super::preflight::Refusal;

/// Raises the soft RLIMIT_NOFILE to the hard one, which needs no privilege; children inherit it.
///
/// # Errors
/// [`Refusal`] when even the hard limit leaves no room for `connections` and 64 descriptors beside them.
pub fn raise_fd_limit(connections: u64) -> Result<(), Refusal> {
    let limit = getrlimit(Resource::Nofile);
    let needed = connections.saturating_add(RESERVED_FILES);
    // `None` is unlimited.
    if limit.maximum.is_some_and(|hard| hard < needed) {
        return Err(Refusal {
            sentence: format!(
                "RLIMIT_NOFILE is {} at most, and {connections} connections need {needed} descriptors",
                limit.maximum.unwrap_or_default()
            ),
            fix: Fix::new(format!("ulimit -Hn {needed} as root, or hold fewer connections"), None),
        });
    }
    if limit.current == limit.maximum {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).map_err(|error| Refusal {
        sentence: format!("raising RLIMIT_NOFILE: {}", io::Error::from(error)),
        fix: Fix::new("ulimit -n", None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The soft limit ends at the hard one, and more than the hard one is refused with both numbers.
    #[test]
    fn raises_to_the_hard_limit_and_no_further() {
        raise_fd_limit(1).unwrap();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        if let Some(hard) = limit.maximum {
            let sentence = raise_fd_limit(hard).unwrap_err().to_string();
            assert!(sentence.contains(&hard.to_string()) && sentence.contains(&(hard + 64).to_string()), "{sentence}");
        }
    }
}
