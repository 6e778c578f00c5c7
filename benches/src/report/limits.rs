//! The report of a search for limits: latency against load with the knee marked, and the tables. From files alone.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use askama::Template as _;

use super::grid::Grid;
use super::page::{Legend, Page, Section, facts};
use super::palette::{css, slot};
use super::plots::{Panel, knees};
use super::read::{document, lines, text};
use super::svg::swatch;
use super::words::{grouped, number};
use crate::failure::Failure;
use crate::limit::result::{Conclusion, FILE, Limit};
use crate::limit::session::Plan;
use crate::limit::step::{Outcome, Step};
use crate::limit::table;
use crate::result::Fingerprint;

/// How it was measured and what is wrong with that.
const METHOD: [&str; 6] = [
    "A round climbs by doubling the load until an objective is missed, halves the gap down to the resolution, then holds the limit, and the load a tenth below it, for longer. A hold that breaks takes the limit down. Every load is a trial with a fresh server and a fresh generator.",
    "The limit is the minimum of the rounds. A minimum falls with the number of rounds, so their number, median and largest stand beside it.",
    "Open loop: a request has an intended send time and its response time counts from there. Offered requests that are not answered are an objective of their own.",
    "What was saturated first comes from counters read while the load ran, put to a table of rules: what was refused ranks before what was full, then who crossed its bound first.",
    "When the generator comes first, or the ceiling holds, there is no limit but a number that is exceeded. A load that broke while the box was busy with other things is tried again, and says nothing if it breaks so again.",
    "Both ends run on one box over loopback: no network card, no wire. A sender does its peer's receive work in softirq.",
];

/// What a report comes to.
#[derive(Debug)]
pub struct Summary {
    /// The rows.
    pub limits: Vec<Limit>,
    /// What was wrong with the files.
    pub warnings: Vec<String>,
    /// The files written.
    pub files: Vec<PathBuf>,
    /// The text of the terminal.
    pub table: String,
}

impl Summary {
    /// Whether no row says anything.
    pub fn is_void(&self) -> bool {
        self.limits.iter().all(|limit| matches!(limit.conclusion, Conclusion::Void | Conclusion::Unavailable))
    }
}

/// Whether `directory` holds a search for limits.
pub fn is_here(directory: &Path) -> bool {
    directory.join("steps.jsonl").exists()
}

struct Run {
    plan: Option<Plan>,
    host: Option<Fingerprint>,
    limits: Vec<Limit>,
    steps: Vec<Step>,
    warnings: Vec<String>,
}

/// Reads the result directory and writes `report.html` and `report.md`.
///
/// # Errors
/// A usage failure when it is no such directory; those of reading and writing its files.
pub fn write(directory: &Path) -> Result<Summary> {
    let run = read(directory)?;
    let table = table::render(&run.limits);
    let page = render(&run)?;
    let mut files = Vec::new();
    for (name, text) in [("report.md", format!("```text\n{table}```\n")), ("report.html", page)] {
        let path = directory.join(name);
        super::replace(&path, &text).map_err(|error| Failure::Environment(format!("{}: {error:#}", path.display())))?;
        files.push(path);
    }
    Ok(Summary { limits: run.limits, warnings: run.warnings, files, table })
}

fn read(directory: &Path) -> Result<Run> {
    let mut warnings = Vec::new();
    let Some(steps) = text(&directory.join("steps.jsonl"))? else {
        return Err(Failure::Usage(format!("{} holds no steps.jsonl", directory.display())).into());
    };
    let steps = lines("steps.jsonl", &steps, &mut warnings);
    // Missing when the lab was killed: the steps are there all the same.
    let limits = text(&directory.join(FILE))?.map(|text| lines(FILE, &text, &mut warnings)).unwrap_or_default();
    let plan = document(directory, "plan.json", &mut warnings)?;
    let host = document(directory, "host.json", &mut warnings)?;
    Ok(Run { plan, host, limits, steps, warnings })
}

fn render(run: &Run) -> Result<String> {
    let host = run.host.as_ref();
    Page {
        palette: css(),
        scenario: run.plan.as_ref().map_or("a search", |plan| &plan.scenario),
        headline: headline(run),
        question: run.plan.as_ref().map_or("", |plan| plan.question.trim()),
        sound: run.limits.iter().any(|limit| limit.limit.is_some()),
        legend: legend(run),
        sections: vec![Section {
            id: "knee".into(),
            title: "Latency against load".into(),
            text: "Every load of every round: filled where all objectives were met, hollow where one was missed. The upright line is \
                   the limit, the level one the objective."
                .into(),
            panels: panels(run),
        }],
        tables: vec![("Limits".to_owned(), limits(run)), ("Loads".to_owned(), loads(run))],
        notes: notes(run),
        timeline: Vec::new(),
        facts: host.map(facts).unwrap_or_default(),
        groups: host.map_or(&[], |host| &host.groups),
        method: &METHOD,
    }
    .render()
    .context("filling in the template")
}

fn headline(run: &Run) -> String {
    match run.limits.as_slice() {
        [] => "No round was finished.".to_owned(),
        [one] => format!("{}: {}.", one.engine, table::headline(one)),
        many => {
            let found = many.iter().filter(|limit| limit.conclusion == Conclusion::Found).count();
            format!("{found} limits of {} were found.", many.len())
        }
    }
}

fn legend(run: &Run) -> Vec<Legend> {
    let mut legend: Vec<Legend> = Vec::new();
    for limit in &run.limits {
        if legend.iter().all(|known| known.name != limit.engine) {
            let (name, interface) = (limit.engine.clone(), limit.interface.clone());
            legend.push(Legend { swatch: swatch(slot(&limit.engine, None)), name, interface });
        }
    }
    legend
}

/// A panel for each engine, framing and format.
fn panels(run: &Run) -> Vec<Panel> {
    let objectives = run.plan.as_ref().map_or(&[][..], |plan| &plan.objectives);
    // The tightest percentile that was asked for, or the 99th.
    let latency = objectives.iter().find(|objective| objective.percentile_of(&Default::default()).is_some());
    let panel = |(index, limit): (usize, &Limit)| {
        let of = |step: &&Step| {
            step.engine == limit.engine && step.protocol == limit.protocol && step.format == limit.format
        };
        let points: Vec<knees::Point> = run
            .steps
            .iter()
            .filter(of)
            .filter(|step| step.response.count > 0)
            .map(|step| knees::Point {
                load: step.load,
                latency_ms: latency
                    .and_then(|objective| objective.percentile_of(&step.response))
                    .unwrap_or(step.response.p99_us / 1e6)
                    * 1e3,
                held: step.outcome == Outcome::Held,
            })
            .collect();
        knees::knee(&knees::Knee {
            id: format!("knee-{index}"),
            caption: format!("{} {} {}", limit.engine, limit.protocol, limit.format),
            slot: slot(&limit.engine, None),
            along: limit.over.unit(),
            up: latency.map_or("p99", |objective| objective.name()),
            limit: limit.limit.filter(|_| limit.conclusion == Conclusion::Found),
            bound_ms: latency.map(|objective| objective.bound() * 1e3),
            points,
        })
    };
    run.limits.iter().enumerate().filter_map(panel).collect()
}

fn limits(run: &Run) -> Grid {
    Grid { headings: table::HEADINGS.to_vec(), rows: run.limits.iter().map(table::fields).collect(), text_columns: 3 }
}

fn loads(run: &Run) -> Grid {
    let headings = vec![
        "engine",
        "format",
        "round",
        "for",
        "load",
        "outcome",
        "p50 ms",
        "p99 ms",
        "req/s",
        "CPU %",
        "saturated first",
    ];
    let rows = run.steps.iter().map(|step| {
        vec![
            step.engine.clone(),
            format!("{} {}", step.protocol, step.format),
            step.round.to_string(),
            step.phase.name().to_owned(),
            grouped(step.load),
            step.outcome.name().to_owned(),
            number(step.response.p50_us / 1e3),
            number(step.response.p99_us / 1e3),
            grouped(step.rate_achieved),
            number(step.server_cpu_share * 100.0),
            step.saturation.first().map_or_else(String::new, |finding| finding.resource.clone()),
        ]
    });
    Grid { headings, rows: rows.collect(), text_columns: 2 }
}

fn notes(run: &Run) -> Vec<String> {
    let mut notes = Vec::new();
    for limit in &run.limits {
        let name = format!("{} {} {}", limit.engine, limit.protocol, limit.format);
        notes.extend(table::lines(limit).into_iter().map(|line| format!("{name}: {line}")));
        if !limit.complete {
            notes.push(format!("{name}: interrupted; {} rounds were finished", limit.rounds.len()));
        }
    }
    notes.extend(run.warnings.iter().cloned());
    notes
}
