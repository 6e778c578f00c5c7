//! One line of `lab doctor`: what was looked at, what was seen, what is wanted, and what changes it.

use serde::Serialize;

/// How good or bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As wanted.
    Ok,
    /// It could not be seen from here.
    Unknown,
    /// Figures are skewed or noisier, or larger runs will not fit; the demo runs.
    Warn,
    /// The demo cannot do its work.
    Fail,
}

impl Grade {
    /// The word that a person reads.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// The command that changes a value, and the one that brings the old value back. None of them survives a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// As typed in a root shell, or an instruction where no command can do it.
    pub command: String,
    /// Restores what was seen; `None` where there is nothing to restore.
    pub undo: Option<String>,
}

impl Fix {
    /// A command, with the one that undoes it.
    pub fn new(command: impl Into<String>, undo: Option<String>) -> Self {
        Self { command: command.into(), undo }
    }

    /// `sysctl -w`, both ways. Values with spaces are quoted.
    pub fn sysctl(key: &str, wanted: &str, seen: &str) -> Self {
        let write = |value: &str| {
            if value.contains(' ') { format!("sysctl -w {key}='{value}'") } else { format!("sysctl -w {key}={value}") }
        };
        Self { command: write(wanted), undo: Some(write(seen)) }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name, for people and scripts.
    pub name: &'static str,
    /// How good or bad.
    pub grade: Grade,
    /// Value seen, with its unit.
    pub seen: String,
    /// Value wanted.
    pub wanted: String,
    /// What the value does to a run; in findings that are not ok.
    pub why: Option<String>,
    /// What changes it.
    pub fix: Option<Fix>,
}

impl Check {
    /// A finding without reason or fix.
    pub fn new(name: &'static str, grade: Grade, seen: impl Into<String>, wanted: impl Into<String>) -> Self {
        Self { name, grade, seen: seen.into(), wanted: wanted.into(), why: None, fix: None }
    }

    /// A value that could not be read, and where it was looked for.
    pub fn unknown(name: &'static str, place: &str, wanted: impl Into<String>) -> Self {
        Self::new(name, Grade::Unknown, format!("{place} is not readable"), wanted)
    }

    /// Adds what the value does to a run.
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Adds what changes it.
    pub fn fixed_by(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }
}
