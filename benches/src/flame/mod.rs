//! CPU stacks of a server under load, as folded stacks.
//!
//! Two samplers. `pprof` is in every server behind `--admin`: it needs no privilege and sees the program's own frames; time in the
//! kernel stands at the C library's function that entered it. `perf` (linux-tools, perf_event_open(2)) sees the kernel's
//! frames too, where the kernel lets it. Sampling perturbs, so it has a pass of its own ([`crate::result::Pass::Flame`]).
//!
//! Who calls: [`crate::trial`]. What is drawn from it: [`crate::report::flame`].

mod perf;
mod pprof;

use std::path::Path;

use crate::observe::GroupProbe;
use crate::report::flame::Stacks;
use crate::result::Flame;
use crate::scenario::FlamePart;

/// Names of the samplers.
pub const SAMPLERS: [&str; 2] = ["pprof", "perf"];

/// Why there are no stacks.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This box or this server cannot be sampled so.
    #[error("{0}")]
    Unavailable(String),
    /// It should have worked.
    #[error("{0}")]
    Failed(String),
}

/// A sampler at work.
pub enum Sampling {
    /// In the server.
    Pprof(pprof::Request),
    /// Beside it.
    Perf(perf::Recording),
}

impl Sampling {
    /// Whether the server must be started with its admin port.
    pub fn needs_admin(part: &FlamePart) -> bool {
        part.sampler == SAMPLERS[0]
    }

    /// Seconds of load that a sampler needs: its own, and the time until it has started, so that it does not look at an idle server.
    pub fn load_seconds(part: &FlamePart) -> f64 {
        let starting = if part.sampler == SAMPLERS[0] { 0.5 } else { 2.0 };
        f64::from(part.seconds) + starting
    }

    /// Starts to sample `server`, whose ready line is `ready`; scratch files go into `directory`, other processes run on
    /// `cpus`. To be called from the main thread, since it may start a process ([`crate::child`]).
    ///
    /// # Errors
    /// [`Error::Unavailable`] without an admin port, or without perf.
    pub fn start(
        part: &FlamePart,
        server: &GroupProbe,
        ready: &serde_json::Value,
        directory: &Path,
        cpus: &[usize],
    ) -> Result<Self, Error> {
        if part.sampler == SAMPLERS[0] {
            return pprof::Request::send(part, ready).map(Self::Pprof);
        }
        perf::Recording::start(part, server, directory, cpus).map(Self::Perf)
    }

    /// Waits until the time is over and writes the stacks to `file` below `directory`; what the row says of them.
    ///
    /// # Errors
    /// When the sampler failed, or the server did nothing while it was sampled.
    pub fn finish(self, part: &FlamePart, directory: &Path, file: &str) -> Result<Flame, Error> {
        let folded = match self {
            Self::Pprof(request) => request.finish(),
            Self::Perf(recording) => recording.finish(),
        }?;
        let stacks = Stacks::parse(&folded).map_err(|error| Error::Failed(error.to_string()))?;
        if stacks.is_empty() {
            return Err(Error::Failed(format!(
                "{} took no sample in {} s at {} Hz: the server hardly used its CPU; give more load or flame.hertz",
                part.sampler, part.seconds, part.hertz
            )));
        }
        let path = directory.join(file);
        let parent = path.parent().unwrap_or(directory);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, &folded))
            .map_err(|error| Error::Failed(format!("{}: {error}", path.display())))?;
        Ok(Flame {
            folded: file.to_owned(),
            sampler: part.sampler.clone(),
            hertz: part.hertz,
            seconds: part.seconds,
            samples: stacks.samples(),
            kernel_share: stacks.kernel_share(),
        })
    }
}
