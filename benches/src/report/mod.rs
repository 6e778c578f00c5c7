//! From a result directory to its reports. Works from files alone, any number of times.
//!
//! `plan.json`, `host.json`, `trials.jsonl`, `timeline.jsonl` and `histograms/` go in ([`read`]); the table of the terminal,
//! `report.md`, `report.html` and `lab.prom` come out. The statistics are [`crate::verdict`]'s, the plots are plotters'.

pub mod climbs;
pub mod codecs;
pub mod flame;
mod flames;
mod formats;
pub(crate) mod grid;
mod html;
pub mod limits;
mod markdown;
mod page;
mod palette;
mod plots;
mod prom;
pub mod read;
pub mod recover;
pub mod rows;
pub mod scaling;
pub mod spread;
mod svg;
mod table;
pub(crate) mod words;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::calculator;
use crate::failure::Failure;
use crate::result::{Pass, SCHEMA, Status};
use crate::stats::RESAMPLES;
use crate::verdict::codec::{self, Share};
use crate::verdict::{self, Matrix, Verdict};
use flames::Flames;
use read::Run;
use rows::Row;
pub(crate) use table::wrapped;
pub(crate) use words::grouped;

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
    /// Flame graphs taken.
    pub flames: usize,
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
    /// What each format costs beyond raw; empty unless raw and another format count.
    pub codec: Vec<Share>,
    /// What the scenario's demand takes in each format; empty unless it has one.
    pub calculator: Vec<calculator::Line>,
    /// Where the CPU went, one a flame graph.
    pub flames: Vec<flames::Graphed>,
    /// What was wrong with the files.
    pub warnings: Vec<String>,
    /// The files written.
    pub files: Vec<PathBuf>,
    /// The table of the terminal, headline included, at most 120 columns.
    #[serde(skip)]
    pub table: String,
    /// The same for a comparison of formats: the codec's share and the calculator's lines.
    #[serde(skip)]
    pub formats: String,
    /// The same for flame graphs.
    #[serde(skip)]
    pub hottest: String,
}

impl Summary {
    /// What a person wants of it first: of a comparison of formats the codec's share, of flame graphs alone what is hot.
    pub fn text(&self) -> String {
        let first = if self.trials.counted == 0 && !self.flames.is_empty() {
            &self.hottest
        } else if self.calculator.is_empty() {
            &self.table
        } else {
            &self.formats
        };
        first.clone()
    }

    /// Whether no trial counts and no flame graph was taken, so that the run as a whole is void (exit code 4).
    pub fn is_void(&self) -> bool {
        self.trials.counted == 0 && self.trials.flames == 0
    }
}

/// Everything that a renderer needs.
struct Report<'a> {
    run: &'a Run,
    matrix: Matrix<'a>,
    verdict: Verdict,
    rows: Vec<Row>,
    counts: Counts,
    shares: Vec<Share>,
    calculator: Vec<calculator::Line>,
    flames: Flames,
}

impl<'a> Report<'a> {
    fn new(run: &'a Run, flames: Flames) -> Self {
        let matrix = Matrix::new(&run.trials, run.plan.as_ref());
        let mut verdict = verdict::judge(&matrix, RESAMPLES);
        if matrix.cells.is_empty() && !flames.graphs.is_empty() {
            verdict.headline = flames.headline();
        }
        verdict.notes.extend(own_servers(run));
        let ended = |status| run.trials.iter().filter(|trial| trial.status == status).count();
        let counts = Counts {
            rows: run.trials.len(),
            counted: run.trials.iter().filter(|t| t.status == Status::Ok && t.pass == Pass::Timing).count(),
            void: ended(Status::Void),
            failed: ended(Status::Failed),
            unavailable: ended(Status::Unavailable),
            planned: run.plan.as_ref().map_or(0, |plan| plan.trials.len()),
            flames: flames.graphs.len(),
        };
        let rows = rows::rows(&matrix, &verdict, run);
        let shares = codec::shares(&matrix, &verdict, RESAMPLES);
        let planned = run.plan.as_ref().and_then(|plan| plan.calculator.as_ref());
        let calculator = planned.map_or_else(Vec::new, |planned| calculator::lines(planned, &codec::curves(&matrix)));
        Self { run, matrix, verdict, rows, counts, shares, calculator, flames }
    }
}

/// What each server of one's own is, and what it was asked, in a sentence each: a comparison with engines that were asked
/// something else must say so.
fn own_servers(run: &Run) -> Vec<String> {
    let mut notes = Vec::new();
    for trial in run.trials.iter().filter(|trial| trial.twin_of.is_none()) {
        let Some(own) = trial.ready["own"].as_str() else { continue };
        let processes = trial.ready["processes"].as_array().map_or(0, Vec::len);
        let group = trial.ready["control_group"].as_str();
        let measured = match group {
            Some(group) => format!("the control group {group}"),
            None => format!("its {processes} process(es)"),
        };
        let placed = match trial.ready["cpus_allowed"].as_str() {
            Some(cpus) => format!("; it ran before the lab, on CPUs {cpus}, and is the same process in every round"),
            None => String::new(),
        };
        let note = format!("{} is {own}; CPU, memory and system calls are those of {measured}{placed}", trial.engine);
        if !notes.iter().any(|known: &String| known.split("; ").next() == note.split("; ").next()) {
            notes.push(note);
        }
    }
    notes
}

/// Reads the result directory `directory` and writes `report.md`, `report.html` and `lab.prom` into it.
///
/// # Errors
/// A [`Failure::Usage`] when it is no result directory; those of reading and writing its files.
pub fn write(directory: &Path) -> Result<Summary> {
    let mut run = read::read(directory)?;
    let flames = flames::read(directory, &mut run)?;
    let report = Report::new(&run, flames);
    let mut texts = report.flames.files()?;
    texts.extend([
        ("report.md".to_owned(), markdown::render(&report)),
        ("report.html".to_owned(), html::render(&report)?),
        ("lab.prom".to_owned(), prom::render(&report)),
    ]);
    let mut files = Vec::new();
    for (name, text) in texts {
        let path = directory.join(name);
        replace(&path, &text).map_err(|error| Failure::Environment(format!("{}: {error:#}", path.display())))?;
        files.push(path);
    }
    let (table, formats, hottest) = (table::render(&report), formats::terminal(&report), report.flames.terminal());
    Ok(Summary {
        schema: SCHEMA,
        scenario: run.plan.as_ref().map(|plan| plan.scenario.clone()),
        trials: report.counts,
        verdict: report.verdict,
        rows: report.rows,
        codec: report.shares,
        calculator: report.calculator,
        flames: report.flames.graphs,
        warnings: run.warnings.clone(),
        files,
        table,
        formats,
        hottest,
    })
}

/// Encoded bytes by data set and format as tables of the terminal.
pub fn bytes_table(sizes: &[crate::sizes::Size]) -> String {
    formats::sizes(sizes)
}

/// Writes beside and renames, so that a reader (the agent's textfile collector) never sees half a file.
pub(crate) fn replace(path: &Path, text: &str) -> Result<()> {
    let fresh = path.with_added_extension("new");
    std::fs::write(&fresh, text).context("writing")?;
    std::fs::rename(&fresh, path).context("renaming")
}
