//! The report of spreads: how the requests of one client fared over several servers, and what its breakers did. From files alone.

mod html;
mod picture;
mod prom;
mod table;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use super::read::{self, document, lines, text};
use crate::failure::Failure;
use crate::result::{Fingerprint, HostSample, Status};
use crate::spread::result::{Row, SCHEMA};

/// A result directory of spreads in memory.
#[derive(Debug, Default)]
pub struct Run {
    /// `plan.json`, as far as reports need it.
    pub plan: Option<Plan>,
    /// `host.json`.
    pub host: Option<Fingerprint>,
    /// `spreads.jsonl`, in the order of the file.
    pub rows: Vec<Row>,
    /// `timeline.jsonl`.
    pub timeline: Vec<HostSample>,
    /// What was wrong with the files, in sentences.
    pub warnings: Vec<String>,
}

/// What reports take from `plan.json`.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct Plan {
    /// The scenario's name.
    pub scenario: String,
    /// Its question.
    pub question: String,
}

/// What a report comes to; `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The scenario's name, if there is a plan.
    pub scenario: Option<String>,
    /// What the run says in a sentence or two.
    pub headline: String,
    /// The rows.
    pub rows: Vec<Row>,
    /// What was wrong with the files.
    pub warnings: Vec<String>,
    /// The files written.
    pub files: Vec<PathBuf>,
    /// The tables of the terminal.
    #[serde(skip)]
    pub table: String,
}

impl Summary {
    /// Whether no row counts.
    pub fn is_void(&self) -> bool {
        self.rows.iter().all(|row| row.status != Status::Ok)
    }
}

/// Whether `directory` holds spreads.
pub fn is_here(directory: &Path) -> bool {
    directory.join("spreads.jsonl").exists()
}

/// Reads the result directory and writes `report.md`, `report.html` and `lab.prom` into it.
///
/// # Errors
/// A [`Failure::Usage`] when it is no result directory; those of reading and writing its files.
pub fn write(directory: &Path) -> Result<Summary> {
    let run = read(directory)?;
    let headline = table::headline(&run);
    let mut files = Vec::new();
    for (name, text) in
        [("report.md", table::markdown(&run)), ("report.html", html::render(&run)?), ("lab.prom", prom::render(&run))]
    {
        let path = directory.join(name);
        super::replace(&path, &text).map_err(|error| Failure::Environment(format!("{}: {error:#}", path.display())))?;
        files.push(path);
    }
    let table = table::render(&run);
    let scenario = run.plan.map(|plan| plan.scenario);
    Ok(Summary { schema: SCHEMA, scenario, headline, rows: run.rows, warnings: run.warnings, files, table })
}

fn read(directory: &Path) -> Result<Run> {
    let mut run = Run::default();
    let Some(rows) = text(&directory.join("spreads.jsonl"))? else {
        return Err(Failure::Usage(format!("{} holds no spreads.jsonl", directory.display())).into());
    };
    run.rows = lines("spreads.jsonl", &rows, &mut run.warnings);
    run.plan = document(directory, "plan.json", &mut run.warnings)?;
    run.host = document(directory, "host.json", &mut run.warnings)?;
    if let Some(timeline) = text(&directory.join("timeline.jsonl"))? {
        run.timeline = lines("timeline.jsonl", &timeline, &mut run.warnings);
        run.timeline.retain(read::sound);
    }
    Ok(run)
}

impl Run {
    /// Engines with their cases, in the order of the file, each with its rows that count.
    fn cases(&self) -> Vec<Vec<&Row>> {
        let mut cases: Vec<Vec<&Row>> = Vec::new();
        for row in self.rows.iter().filter(|row| row.status == Status::Ok) {
            match cases.iter_mut().find(|rows| (&rows[0].engine, &rows[0].case) == (&row.engine, &row.case)) {
                Some(rows) => rows.push(row),
                None => cases.push(vec![row]),
            }
        }
        // Without faults first, then with breakers: the way from what should be to what is worst.
        cases.sort_by_key(|rows| (rows[0].engine.clone(), !rows[0].faults.is_empty(), !rows[0].breaker));
        cases
    }
}
