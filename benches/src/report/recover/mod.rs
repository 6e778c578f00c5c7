//! The report of `lab recover`: goodput past the limit and on the way back. From files alone.

mod html;
mod table;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::read::{document, lines, text};
use crate::failure::Failure;
use crate::recover::result::{FILE, Row, SCHEMA, Story};
use crate::result::{Fingerprint, Status};

/// `plan.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The scenario's name.
    pub scenario: String,
    /// Its question.
    pub question: String,
    /// Seed of arrivals and payloads.
    pub seed: u64,
    /// Further arguments of every server.
    #[serde(default)]
    pub arguments: Vec<String>,
}

/// A result directory of recoveries in memory.
#[derive(Debug, Default)]
struct Run {
    plan: Option<Plan>,
    host: Option<Fingerprint>,
    rows: Vec<Row>,
    warnings: Vec<String>,
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
    /// The rows, without their ticks.
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

    /// The least goodput that a limiter kept at twice the limit, in units of the limit, and whose it was.
    pub fn least_goodput(&self) -> Option<(&str, f64)> {
        let kept = self.rows.iter().filter(|row| row.limiter.is_some() && row.status == Status::Ok);
        let kept = kept.filter_map(|row| Some((row.engine.as_str(), row.score.as_ref()?.goodput_at_2)));
        kept.min_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// Whether `directory` holds recoveries.
pub fn is_here(directory: &Path) -> bool {
    directory.join(FILE).exists()
}

/// Reads the result directory and writes its reports.
///
/// # Errors
/// A [`Failure::Usage`] when it is no result directory; those of reading and writing its files.
pub fn write(directory: &Path) -> Result<Summary> {
    let mut run = read(directory)?;
    let headline = table::headline(&run);
    let mut files = Vec::new();
    for (name, text) in [("report.md", table::markdown(&run)), ("report.html", html::render(&run)?)] {
        let path = directory.join(name);
        super::replace(&path, &text).map_err(|error| Failure::Environment(format!("{}: {error:#}", path.display())))?;
        files.push(path);
    }
    let mut table = table::render(&run);
    table.push_str(&format!("Report: {}\n", directory.join("report.html").display()));
    // Hundreds of numbers a row, which are in the file.
    run.rows.iter_mut().for_each(|row| row.ticks.clear());
    let scenario = run.plan.map(|plan| plan.scenario);
    Ok(Summary { schema: SCHEMA, scenario, headline, rows: run.rows, warnings: run.warnings, files, table })
}

fn read(directory: &Path) -> Result<Run> {
    let mut run = Run::default();
    let Some(rows) = text(&directory.join(FILE))? else {
        return Err(Failure::Usage(format!("{} holds no {FILE}", directory.display())).into());
    };
    run.rows = lines(FILE, &rows, &mut run.warnings);
    run.plan = document(directory, "plan.json", &mut run.warnings)?;
    run.host = document(directory, "host.json", &mut run.warnings)?;
    Ok(run)
}

impl Run {
    /// Rows of a story that count, each with what it is called by.
    fn told(&self, story: Story) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.story == story && row.status == Status::Ok)
    }
}

/// What tells the stories of one engine apart: `no limiter`, `fixed:16, 3 tries more`.
fn variant(row: &Row) -> String {
    let limiter = row.limiter.as_deref().unwrap_or("no limiter");
    match row.retries {
        0 => limiter.to_owned(),
        1 => format!("{limiter}, 1 try more"),
        more => format!("{limiter}, {more} tries more"),
    }
}

#[cfg(test)]
mod tests;
