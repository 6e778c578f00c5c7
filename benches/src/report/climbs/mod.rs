//! The report of climbs: what connected users cost, and how latency and CPU move with their number. From files alone.

mod html;
pub(in crate::report) mod table;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;
use wire::Format;

use super::read::{self, document, lines, text};
use crate::climb::result::{Climb, SCHEMA};
use crate::failure::Failure;
use crate::result::{Fingerprint, HostSample, Status};

/// A result directory of climbs in memory.
#[derive(Debug, Default)]
pub struct Run {
    /// `plan.json`, as far as reports need it.
    pub plan: Option<Plan>,
    /// `host.json`.
    pub host: Option<Fingerprint>,
    /// `climbs.jsonl`, in the order of the file.
    pub climbs: Vec<Climb>,
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
    /// Seed of probes and arrivals.
    pub seed: u64,
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
    /// The rows, in the tables' order.
    pub climbs: Vec<Climb>,
    /// What was wrong with the files.
    pub warnings: Vec<String>,
    /// The files written.
    pub files: Vec<PathBuf>,
    /// The tables of the terminal.
    #[serde(skip)]
    pub table: String,
}

impl Summary {
    /// Whether no climb counts.
    pub fn is_void(&self) -> bool {
        self.climbs.iter().all(|climb| climb.status != Status::Ok)
    }
}

/// Whether `directory` holds climbs rather than trials.
pub fn is_here(directory: &Path) -> bool {
    directory.join("climbs.jsonl").exists()
}

/// Reads the result directory and writes its reports.
///
/// # Errors
/// A [`Failure::Usage`] when it is no result directory; those of reading and writing its files.
pub fn write(directory: &Path) -> Result<Summary> {
    let mut run = read(directory)?;
    sort(&mut run.climbs);
    let headline = table::headline(&run);
    let mut files = Vec::new();
    for (name, text) in [("report.md", table::markdown(&run)), ("report.html", html::render(&run)?)] {
        let path = directory.join(name);
        super::replace(&path, &text).map_err(|error| Failure::Environment(format!("{}: {error:#}", path.display())))?;
        files.push(path);
    }
    let table = table::render(&run);
    let scenario = run.plan.map(|plan| plan.scenario);
    Ok(Summary { schema: SCHEMA, scenario, headline, climbs: run.climbs, warnings: run.warnings, files, table })
}

/// Puts climbs, which ran in a shuffled order, in the one in which they are compared: by framing and format, then by engine, the
/// rounds of one beside each other.
fn sort(climbs: &mut [Climb]) {
    let place = |format: &str| Format::ALL.iter().position(|known| known.name() == format).unwrap_or(usize::MAX);
    climbs.sort_by(|a, b| {
        let key = |climb: &Climb| (place(&climb.format), climb.round, climb.index);
        let (one, other) = (key(a), key(b));
        a.protocol
            .cmp(&b.protocol)
            .then(one.0.cmp(&other.0))
            .then_with(|| a.engine.cmp(&b.engine))
            .then((one.1, one.2).cmp(&(other.1, other.2)))
    });
}

/// Reads a result directory.
///
/// # Errors
/// A [`Failure::Usage`] when it is none, or when no row of it can be read.
pub fn read(directory: &Path) -> Result<Run> {
    let mut run = Run::default();
    let Some(rows) = text(&directory.join("climbs.jsonl"))? else {
        return Err(Failure::Usage(format!("{} holds no climbs.jsonl", directory.display())).into());
    };
    run.climbs = lines("climbs.jsonl", &rows, &mut run.warnings);
    if run.climbs.is_empty() && !run.warnings.is_empty() {
        let said = format!("{} holds no readable row: {}", directory.display(), run.warnings[0]);
        return Err(Failure::Usage(said).into());
    }
    run.plan = document(directory, "plan.json", &mut run.warnings)?;
    run.host = document(directory, "host.json", &mut run.warnings)?;
    if let Some(timeline) = text(&directory.join("timeline.jsonl"))? {
        run.timeline = lines("timeline.jsonl", &timeline, &mut run.warnings);
        run.timeline.retain(read::sound);
    }
    Ok(run)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// However climbs ran, tables show raw before json of each framing, engines by name, and rounds in their order.
    #[test]
    fn tables_are_in_an_order_of_their_own() {
        let climb = |engine: &str, format: &str, round: u32, index: u32| -> Climb {
            serde_json::from_value(json!({
                "schema": 1, "index": index, "round": round, "engine": engine, "interface": "epoll", "protocol": "frame",
                "service": "echo", "format": format, "status": "ok", "users": 1, "shards": 1, "holders": 1, "namespace": "own",
                "started_unix_ms": 0, "plateaus": [],
            }))
            .unwrap()
        };
        let mut climbs = [
            climb("ring", "json", 1, 0),
            climb("mio", "raw", 2, 4),
            climb("ring", "raw", 1, 1),
            climb("mio", "json", 1, 2),
            climb("mio", "raw", 1, 3),
        ];
        sort(&mut climbs);
        let order: Vec<(&str, &str, u32)> =
            climbs.iter().map(|climb| (&*climb.format, &*climb.engine, climb.round)).collect();
        let wanted =
            [("raw", "mio", 1), ("raw", "mio", 2), ("raw", "ring", 1), ("json", "mio", 1), ("json", "ring", 1)];
        assert_eq!(order, wanted);
    }
}
