//! From a result directory to its reports. Works from files alone, any number of times.
//!
//! `plan.json`, `host.json`, `trials.jsonl`, `timeline.jsonl` and `histograms/` go in ([`read`]); the table of the terminal,
//! `report.md`, `report.html` and `lab.prom` come out. The statistics are [`crate::verdict`]'s, the plots are plotters'.

pub mod climbs;
mod html;
mod markdown;
mod palette;
mod plots;
mod prom;
pub mod read;
pub mod rows;
mod svg;
mod table;
mod words;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::failure::Failure;
use crate::result::{Pass, SCHEMA, Status};
use crate::stats::RESAMPLES;
use crate::verdict::{self, Matrix, Verdict};
use read::Run;
use rows::Row;

/// How many trials ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rows in the file.
    pub rows: usize,
    /// Timing trials that count.
    pub counted: usize,
    /// Void, of both passes.
    pub void: usize,
    /// Failed, of both passes.
    pub failed: usize,
    /// Engines that cannot run here, rows of both passes.
    pub unavailable: usize,
    /// Trials in the plan.
    pub planned: usize,
}

/// What a report comes to; `lab report --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The scenario's name, if there is a plan.
    pub scenario: Option<String>,
    /// How trials ended.
    pub trials: Counts,
    /// Headline, comparisons and noise bands.
    pub verdict: Verdict,
    /// One an engine and cell.
    pub rows: Vec<Row>,
    /// What was wrong with the files.
    pub warnings: Vec<String>,
    /// The files written.
    pub files: Vec<PathBuf>,
    /// The table of the terminal, headline included, at most 120 columns.
    #[serde(skip)]
    pub table: String,
}

impl Summary {
    /// Whether no trial counts, so that the run as a whole is void (exit code 4).
    pub fn is_void(&self) -> bool {
        self.trials.counted == 0
    }
}

/// Everything that a renderer needs.
struct Report<'a> {
    run: &'a Run,
    matrix: Matrix<'a>,
    verdict: Verdict,
    rows: Vec<Row>,
    counts: Counts,
}

impl<'a> Report<'a> {
    fn new(run: &'a Run) -> Self {
        let matrix = Matrix::new(&run.trials, run.plan.as_ref());
        let verdict = verdict::judge(&matrix, RESAMPLES);
        let ended = |status| run.trials.iter().filter(|trial| trial.status == status).count();
        let counts = Counts {
            rows: run.trials.len(),
            counted: run.trials.iter().filter(|t| t.status == Status::Ok && t.pass == Pass::Timing).count(),
            void: ended(Status::Void),
            failed: ended(Status::Failed),
            unavailable: ended(Status::Unavailable),
            planned: run.plan.as_ref().map_or(0, |plan| plan.trials.len()),
        };
        let rows = rows::rows(&matrix, &verdict, run);
        Self { run, matrix, verdict, rows, counts }
    }
}

/// Reads the result directory `directory` and writes `report.md`, `report.html` and `lab.prom` into it.
///
/// # Errors
/// A [`Failure::Usage`] when it is no result directory; those of reading and writing its files.
pub fn write(directory: &Path) -> Result<Summary> {
    let run = read::read(directory)?;
    let report = Report::new(&run);
    let page = html::render(&report)?;
    let mut files = Vec::new();
    for (name, text) in
        [("report.md", markdown::render(&report)), ("report.html", page), ("lab.prom", prom::render(&report))]
    {
        let path = directory.join(name);
        replace(&path, &text).map_err(|error| Failure::Environment(format!("{}: {error:#}", path.display())))?;
        files.push(path);
    }
    let table = table::render(&report);
    Ok(Summary {
        schema: SCHEMA,
        scenario: run.plan.as_ref().map(|plan| plan.scenario.clone()),
        trials: report.counts,
        verdict: report.verdict,
        rows: report.rows,
        warnings: run.warnings.clone(),
        files,
        table,
    })
}

/// Writes beside and renames, so that a reader (the agent's textfile collector) never sees half a file.
fn replace(path: &Path, text: &str) -> Result<()> {
    let fresh = path.with_added_extension("new");
    std::fs::write(&fresh, text).context("writing")?;
    std::fs::rename(&fresh, path).context("renaming")
}
