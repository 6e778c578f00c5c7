//! The figures on which engines are compared.

use serde::Serialize;

use crate::result::{Pass, Status, Trial};

/// A figure of a trial; less is better for each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// Server CPU-microseconds per request: the primary figure, since waiting and scheduling do not enter it.
    Cpu,
    /// 99th percentile of the response time of a trial, in microseconds.
    P99,
    /// System calls per request, from the syscalls pass.
    Syscalls,
    /// Resident set size at the end of the window, in bytes.
    Rss,
}

impl Figure {
    /// Every figure, the primary one first.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::P99, Self::Syscalls, Self::Rss];

    /// As a sentence names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "server CPU per request",
            Self::P99 => "p99 response time",
            Self::Syscalls => "system calls per request",
            Self::Rss => "resident memory",
        }
    }

    /// The pass whose rows carry it.
    pub fn pass(self) -> Pass {
        match self {
            Self::Syscalls => Pass::Syscalls,
            Self::Cpu | Self::P99 | Self::Rss => Pass::Timing,
        }
    }

    /// Its value in a row that counts; `None` for other rows, and where it was not measured or is not positive.
    pub fn of(self, trial: &Trial) -> Option<f64> {
        if trial.status != Status::Ok || trial.pass != self.pass() {
            return None;
        }
        let value = match self {
            Self::Cpu => trial.server.cpu_us_per_request,
            Self::P99 => trial.response.p99_us,
            Self::Syscalls => trial.server.syscalls_per_request?,
            Self::Rss => trial.server.rss_bytes as f64,
        };
        (value.is_finite() && value > 0.0).then_some(value)
    }
}
