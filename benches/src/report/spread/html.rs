//! `report.html` of spreads: the pictures, the tables, and how it was measured.

use anyhow::{Context, Result};
use askama::Template as _;

use super::{Run, picture, table};
use crate::report::page::{Legend, Page, Section, facts};
use crate::report::palette::{css, slot};
use crate::report::plots::{self, Panel};
use crate::report::svg::swatch;
use crate::result::Status;

/// How it was measured and what is wrong with that.
const METHOD: [&str; 4] = [
    "One client process with one thread asks its servers in turn, in open loop: a request has an intended send time, and its response time counts from there, retries included. All processes are on one box over loopback.",
    "A server fails an attempt by a wrong or refused reply, by bytes that are none, by closing the connection, or by not answering in time. After so many failures in a row its breaker opens: its connections are closed, what was out on them is asked again of others, and nothing is sent to it for the length of the ban. Then one request goes out as a probe; its outcome closes the breaker, or doubles the ban. The state machine is the crate failsafe's.",
    "Bad servers are bad by order (--fault), at a request whose number is stated, so that every round sees the same.",
    "Traffic is the attempts of the whole run, warm-up included; answered and lost are requests, whichever server answered.",
];

/// The whole page.
pub(super) fn render(run: &Run) -> Result<String> {
    let host = run.host.as_ref();
    Page {
        palette: css(),
        scenario: run.plan.as_ref().map_or("spread", |plan| &plan.scenario),
        headline: table::headline(run),
        question: run.plan.as_ref().map_or("", |plan| plan.question.trim()),
        sound: run.rows.iter().any(|row| row.status == Status::Ok),
        legend: legend(run),
        sections: pictures(run),
        tables: table::grids(run),
        notes: table::notes(run),
        timeline: plots::timeline(&run.timeline),
        facts: host.map(facts).unwrap_or_default(),
        groups: host.map_or(&[], |host| &host.groups),
        method: &METHOD,
    }
    .render()
    .context("filling in the template")
}

fn legend(run: &Run) -> Vec<Legend> {
    let mut legend: Vec<Legend> = Vec::new();
    for row in &run.rows {
        if !legend.iter().any(|known| known.name == row.engine) {
            let swatch = swatch(slot(&row.engine, None));
            legend.push(Legend { swatch, name: row.engine.clone(), interface: row.interface.clone() });
        }
    }
    legend
}

/// A picture of the first round of each case that counts.
fn pictures(run: &Run) -> Vec<Section> {
    let panel = |(place, rows): (usize, Vec<&crate::spread::result::Row>)| {
        let svg = picture::render(&format!("servers-{place}"), rows[0])?;
        Some(Panel { caption: format!("{}, {}", rows[0].case, rows[0].engine), svg })
    };
    let panels: Vec<Panel> = run.cases().into_iter().enumerate().filter_map(panel).collect();
    if panels.is_empty() {
        return Vec::new();
    }
    vec![Section {
        id: "servers".to_owned(),
        title: "The servers as their client saw them".to_owned(),
        text: "A circle is a server for a while: its area is the requests sent to it, its colour how they fared (green: all \
               answered; amber: some failed; orange with a cross: at least half of them did). A ring means that the breaker \
               keeps requests away, a dashed one that a probe is out. First round of each case."
            .to_owned(),
        panels,
    }]
}
