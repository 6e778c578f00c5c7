//! A result directory as a source of values by round, whatever kind of result it is.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::climbs;
use super::metric::Metric;
use crate::report::{climbs as climb_report, read};
use crate::result::Fingerprint;
use crate::stats::RESAMPLES;
use crate::verdict::{self, Matrix, OwnError};

/// A result in memory.
pub(super) enum Source {
    Trials(Box<read::Run>),
    Climbs(Box<climb_report::Run>),
}

/// What is held equal: the load, or the users and what they say.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// What sets it apart from the other cells.
    pub(super) label: String,
    pub(super) of: Of,
}

#[derive(Clone, Debug)]
pub(super) enum Of {
    Trial(Box<verdict::Cell>),
    Climb(climbs::Place),
}

impl Key {
    /// Whether both hold the same equal; labels are names within one comparison.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (&self.of, &other.of) {
            (Of::Trial(cell), Of::Trial(other)) => cell.same(other),
            (Of::Climb(place), Of::Climb(other)) => place == other,
            _ => false,
        }
    }
}

/// Values by round, and how well each is known where it says so.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    pub(super) values: BTreeMap<u32, f64>,
    pub(super) error: Option<Known>,
    /// Rows, those that do not count included.
    pub(super) rows: usize,
    pub(super) absence: Option<String>,
}

/// Standard error of the series' middle as a share of it, and the degrees of freedom behind that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) share: f64,
    pub(super) freedom: f64,
}

impl Known {
    /// Of a ratio of two: errors of logarithms add up in squares.
    pub(super) fn joined(self, other: Self) -> OwnError {
        OwnError { log_error: self.share.hypot(other.share), freedom: self.freedom.min(other.freedom) }
    }
}

impl Series {
    /// Each value divided by the other's of its round.
    pub(super) fn relative_to(self, other: &Self) -> Self {
        let ratio = |(round, value): (u32, f64)| Some((round, value / other.values.get(&round)?));
        let error = self.error.zip(other.error).map(|(own, other)| {
            let joined = own.joined(other);
            Known { share: joined.log_error, freedom: joined.freedom }
        });
        Self { values: self.values.into_iter().filter_map(ratio).collect(), error, ..self }
    }
}

impl Source {
    /// Reads a result directory of either kind.
    ///
    /// # Errors
    /// A usage failure when it holds no result.
    pub(super) fn load(directory: &Path) -> Result<Self> {
        if climb_report::is_here(directory) {
            return Ok(Self::Climbs(Box::new(climb_report::read(directory)?)));
        }
        Ok(Self::Trials(Box::new(read::read(directory)?)))
    }

    pub(super) fn is_climbs(&self) -> bool {
        matches!(self, Self::Climbs(_))
    }

    pub(super) fn host(&self) -> Option<&Fingerprint> {
        match self {
            Self::Trials(run) => run.host.as_ref(),
            Self::Climbs(run) => run.host.as_ref(),
        }
    }

    pub(super) fn scenario(&self) -> Option<String> {
        match self {
            Self::Trials(run) => run.plan.as_ref().map(|plan| plan.scenario.clone()),
            Self::Climbs(run) => run.plan.as_ref().map(|plan| plan.scenario.clone()),
        }
    }

    pub(super) fn warnings(&self) -> &[String] {
        match self {
            Self::Trials(run) => &run.warnings,
            Self::Climbs(run) => &run.warnings,
        }
    }

    /// CPUs of servers and generators, where the plan says.
    pub(super) fn cpus(&self) -> Option<(Vec<usize>, Vec<usize>)> {
        match self {
            Self::Trials(run) => run.plan.as_ref().map(|plan| (plan.server_cpus.clone(), plan.generator_cpus.clone())),
            Self::Climbs(_) => None,
        }
    }

    /// Schema versions of the rows, each once.
    pub(super) fn schemas(&self) -> Vec<u32> {
        let mut all: Vec<u32> = match self {
            Self::Trials(run) => run.trials.iter().map(|trial| trial.schema).collect(),
            Self::Climbs(run) => run.climbs.iter().map(|climb| climb.schema).collect(),
        };
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Engines in the order of a report, second names left out.
    pub(super) fn engines(&self) -> Vec<String> {
        match self {
            Self::Trials(run) => {
                let matrix = Matrix::new(&run.trials, None);
                let originals = matrix.engines.iter().filter(|engine| engine.twin_of.is_none());
                originals.map(|engine| engine.name.clone()).collect()
            }
            Self::Climbs(run) => {
                let mut names: Vec<String> = run.climbs.iter().map(|climb| climb.engine.clone()).collect();
                names.sort();
                names.dedup();
                names
            }
        }
    }

    /// The values of a figure.
    pub(super) fn series(&self, metric: &Metric, engine: &str, key: &Key) -> Series {
        match (self, &key.of) {
            (Self::Trials(run), Of::Trial(cell)) => of_trials(run, metric, engine, cell),
            (Self::Climbs(run), Of::Climb(place)) => climbs::series(run, metric, engine, place),
            _ => Series::default(),
        }
    }

    /// Noise bands of a figure: over all cells (no key) and in each.
    pub(super) fn bands(&self, metric: &Metric) -> Vec<(Option<Key>, f64)> {
        let (Self::Trials(run), Some(figure)) = (self, metric.trial) else { return Vec::new() };
        let matrix = Matrix::new(&run.trials, None);
        let bands = verdict::bands(&matrix, figure, RESAMPLES);
        let key = |label: &String| {
            let cell = matrix.cells.iter().find(|cell| cell.label == *label)?;
            Some(Key { label: label.clone(), of: Of::Trial(Box::new(cell.clone())) })
        };
        bands.iter().map(|band| (band.cell.as_ref().and_then(key), band.factor)).collect()
    }
}

fn of_trials(run: &read::Run, metric: &Metric, engine: &str, cell: &verdict::Cell) -> Series {
    let here = |trial: &&crate::result::Trial| trial.engine == engine && cell.holds(trial);
    let Some(figure) = metric.trial else { return Series::default() };
    let rows = || run.trials.iter().filter(here).filter(|trial| trial.pass == figure.pass());
    Series {
        values: rows().filter_map(|trial| Some((trial.round, figure.of(trial)?))).collect(),
        error: None,
        rows: rows().count(),
        absence: rows().find_map(|trial| trial.reason.clone().or_else(|| trial.server.syscalls_unavailable.clone())),
    }
}

/// The cells in which either side has a figure, in the order of a report; labels tell all of them apart.
pub(super) fn keys(metric: &Metric, before: &Source, after: &Source) -> Vec<Key> {
    match (before, after) {
        (Source::Trials(before), Source::Trials(after)) if metric.trial.is_some() => {
            let all: Vec<_> = before.trials.iter().chain(&after.trials).cloned().collect();
            let matrix = Matrix::new(&all, None);
            let key = |cell: &verdict::Cell| Key { label: cell.label.clone(), of: Of::Trial(Box::new(cell.clone())) };
            matrix.cells.iter().map(key).collect()
        }
        (Source::Climbs(before), Source::Climbs(after)) => climbs::places(metric, before, after)
            .into_iter()
            .map(|place| Key { label: place.label(), of: Of::Climb(place) })
            .collect(),
        _ => Vec::new(),
    }
}
