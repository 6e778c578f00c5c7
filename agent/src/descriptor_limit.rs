//! The limit of open descriptors (RLIMIT_NOFILE) of the agent itself.
//!
//! The soft limit is 1024 on most systems, for the sake of programs that use select(2); this is none of them, so it takes
//! what the hard limit grants, as systemd recommends to daemons.
//!
//! Source: getrlimit(2), systemd.exec(5).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are left for everything but kept cgroup files: files of machine collectors, connections, a census.
const RESERVE: u64 = 1024;

/// Raises the soft limit to the hard one.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    // A refusal leaves the limit as it was, and `spare` asks for what is in force.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// How many of `wanted` descriptors can be kept open without coming near the limit in force.
pub fn spare(wanted: u64) -> u64 {
    wanted.min(getrlimit(Resource::Nofile).current.map_or(u64::MAX, |limit| limit.saturating_sub(RESERVE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After it was raised the soft limit is the hard one, and what is spare leaves the reserve.
    #[test]
    fn raised() {
        raise();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(spare(0), 0);
        assert!(limit.current.is_none_or(|limit| spare(u64::MAX) == limit.saturating_sub(RESERVE)));
    }
}
