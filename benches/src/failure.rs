//! How the lab fails: the kind decides the exit code, the sentence names value seen, value needed and knob.

use std::process::ExitCode;

/// Exit codes, the same for every subcommand; scripts rely on them.
pub mod exit {
    /// A goal, gate or SLO was missed.
    pub const MISSED: u8 = 1;
    /// The command line, the scenario or the engines file is wrong.
    pub const USAGE: u8 = 2;
    /// This environment cannot do it.
    pub const ENVIRONMENT: u8 = 3;
    /// The run is void: interrupted, or no trial of it counts.
    pub const VOID: u8 = 4;
}

/// A failure with a known kind. Anything else is a failure of the environment.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Somebody asked for something that does not exist.
    #[error("{0}")]
    Usage(String),
    /// The machine, its limits or its files are in the way.
    #[error("{0}")]
    Environment(String),
    /// What was measured does not count.
    #[error("{0}")]
    Void(String),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::Environment(_) => exit::ENVIRONMENT,
            Self::Void(_) => exit::VOID,
        }
    }
}

/// The exit code of an error: its [`Failure`]'s, wherever it is in the chain.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(
        error.chain().find_map(|cause| cause.downcast_ref::<Failure>()).map_or(exit::ENVIRONMENT, Failure::code),
    )
}

/// A usage failure for an unknown name: says the nearest right one and lists all.
pub fn unknown<'a>(what: &str, seen: &str, known: impl IntoIterator<Item = &'a str>) -> Failure {
    let known: Vec<&str> = known.into_iter().collect();
    let hint = nearest(seen, known.iter().copied()).map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
    Failure::Usage(format!("unknown {what} {seen:?}{hint} (known: {})", known.join(", ")))
}

/// The known name that is nearest to `seen`, if any is near enough to be a slip of the hand.
pub fn nearest<'a>(seen: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Jaro-Winkler similarity from which a name counts as meant; the value clap uses for its own hints.
    const NEAR: f64 = 0.7;
    // Two letters in each other's place, or one too many, are a slip whatever Jaro-Winkler, which favours a long common start, makes of it.
    let score = |name: &str| match strsim::osa_distance(seen, name) {
        0 | 1 => 1.0,
        _ => strsim::jaro_winkler(seen, name),
    };
    known
        .into_iter()
        .map(|name| (score(name), name))
        .filter(|(score, _)| *score > NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows which name is taken for meant: the one a slip away, then the one that begins alike, or none.
    #[test]
    fn the_nearest_name_is_meant() {
        let engines = ["mio", "monoio-uring", "tokio", "tokio-uring"];
        for (seen, meant) in
            [("moi", Some("mio")), ("tokoi", Some("tokio")), ("tokio-urin", Some("tokio-uring")), ("nginx", None)]
        {
            assert_eq!(nearest(seen, engines), meant, "{seen}");
        }
    }
}
