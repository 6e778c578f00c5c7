//! `report.html` of recoveries: goodput over time, the tables, and how it was measured. The page is that of climbs.

use anyhow::{Context, Result};
use askama::Template as _;

use super::{Run, table, variant};
use crate::recover::result::{Row, Story};
use crate::report::page::{Legend, Page, Section, facts};
use crate::report::palette::{css, slot};
use crate::report::plots::{Lane, Mark, Panel, lanes};
use crate::report::svg::swatch;
use crate::result::Status;

/// How it was measured and what is wrong with that.
const METHOD: [&str; 6] = [
    "Both ends run on one box over loopback, the server on its core and the users on another. A sender does its peer's receive work in softirq, so part of a refusal's cost is charged to the users and the other way round.",
    "Open loop: wishes of users come up at the offered rate (Poisson), whatever became of earlier ones. Each becomes a request on the next of the shared connections; when too many are in flight there it waits at the user's end.",
    "A user gives up when the deadline passes. The server cannot know: it still makes the reply, which is then wasted. Goodput counts only right replies in time, by the time of the reply.",
    "Users who try again do so at once when a deadline passed, and after half a second to one and a half when they were refused, as Retry-After asks.",
    "The price of a refusal is the server's CPU clock over a phase in which --limit-requests fixed:0 refuses everything, divided by its requests, beside the same rate over the same connections served.",
    "Every story has a fresh server. Rows whose generator was saturated, or whose box was busy with other things, are void: listed, and left out.",
];

/// The whole page.
pub(super) fn render(run: &Run) -> Result<String> {
    let host = run.host.as_ref();
    Page {
        palette: css(),
        scenario: run.plan.as_ref().map_or("recover", |plan| &plan.scenario),
        headline: table::headline(run),
        question: run.plan.as_ref().map_or("", |plan| plan.question.trim()),
        sound: run.rows.iter().any(|row| row.status == Status::Ok),
        legend: legend(run),
        sections: sections(run),
        tables: table::grids(run),
        notes: table::notes(run),
        timeline: Vec::new(),
        facts: host.map(facts).unwrap_or_default(),
        groups: host.map_or(&[], |host| &host.groups),
        method: &METHOD,
    }
    .render()
    .context("filling in the template")
}

/// The engines, each once.
fn legend(run: &Run) -> Vec<Legend> {
    let mut legend: Vec<Legend> = Vec::new();
    for row in &run.rows {
        if !legend.iter().any(|other| other.name == row.engine) {
            legend.push(Legend {
                swatch: swatch(slot(&row.engine, None)),
                name: row.engine.clone(),
                interface: row.interface.clone(),
            });
        }
    }
    legend
}

/// One section an engine and format: its overloads, then its storm.
fn sections(run: &Run) -> Vec<Section> {
    let mut cells: Vec<(&str, &str, &str)> = Vec::new();
    for row in run.told(Story::Overload).chain(run.told(Story::Storm)) {
        let cell = (row.engine.as_str(), row.protocol.as_str(), row.format.as_str());
        if !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    let section = |(place, (engine, protocol, format)): (usize, (&str, &str, &str))| {
        let of_cell = |row: &&Row| (&*row.engine, &*row.protocol, &*row.format) == (engine, protocol, format);
        let rows = run.told(Story::Overload).chain(run.told(Story::Storm)).filter(of_cell);
        Section {
            id: format!("cell-{place}"),
            title: format!("{engine}, {protocol} {format}"),
            text: "Per second: what users wished for, what they got in time, and what was refused.".into(),
            panels: rows.enumerate().filter_map(|(number, row)| panel(row, place, number)).collect(),
        }
    };
    cells.into_iter().enumerate().map(section).collect()
}

fn panel(row: &Row, place: usize, number: usize) -> Option<Panel> {
    let per_second = 1.0 / crate::recover::result::TICK_SECONDS;
    let at = |tick: usize| (tick as f64 + 0.5) / per_second;
    let lane = |name: &'static str, of: fn(&crate::recover::result::Tick) -> u64, mode: usize| Lane {
        name,
        mode,
        points: row.ticks.iter().enumerate().map(|(tick, counts)| (at(tick), of(counts) as f64 * per_second)).collect(),
    };
    let all = [
        lane("wished for", |tick| tick.due, 4),
        lane("in time", |tick| tick.good, 0),
        lane("refused", |tick| tick.refused, 3),
        lane("given up", |tick| tick.late, 2),
    ];
    let marks: Vec<Mark> = row
        .phases
        .iter()
        .map(|phase| Mark {
            at: phase.begins_seconds,
            text: format!("{}x", crate::report::words::number(phase.factor)),
        })
        .collect();
    let story = if row.story == Story::Storm { "storm, " } else { "" };
    let caption = format!("{story}{}", variant(row));
    lanes(&format!("lanes-{place}-{number}"), &caption, "per second", &all, &marks)
}
