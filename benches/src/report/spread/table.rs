//! Headline, tables of the terminal and Markdown of spreads.

use std::fmt::Write as _;

use super::Run;
use crate::report::grid::Grid;
use crate::report::page::machine;
use crate::report::words::{grouped, number};
use crate::result::Status;
use crate::spread::result::Row;
use crate::stats::median;

/// Median of a figure over the rounds of a case.
pub(super) fn middle(rows: &[&Row], of: impl Fn(&Row) -> f64) -> f64 {
    median(&rows.iter().map(|row| of(row)).collect::<Vec<_>>()).unwrap_or(0.0)
}

/// What the run says in a sentence or two.
pub(super) fn headline(run: &Run) -> String {
    let cases = run.cases();
    let bad = |breaker: bool| cases.iter().find(|rows| !rows[0].faults.is_empty() && rows[0].breaker == breaker);
    let kept = |rows: &[&Row]| {
        let (kept, p99) =
            (middle(rows, |row| row.goodput_ratio) * 100.0, middle(rows, |row| row.response.p99_us) / 1e3);
        format!("{:.1} % of the requests were answered, p99 {} ms", kept, number(p99))
    };
    match (bad(true), bad(false)) {
        (Some(with), Some(without)) => format!(
            "With {} of {} servers gone bad and a circuit breaker, {}; without one, {}.",
            with[0].faults.len(),
            with[0].seen.servers.len(),
            kept(with),
            kept(without)
        ),
        (Some(one), None) | (None, Some(one)) => {
            format!("With {} of {} servers gone bad, {}.", one[0].faults.len(), one[0].seen.servers.len(), kept(one))
        }
        (None, None) => match cases.first() {
            Some(rows) => format!("With {} servers, {}.", rows[0].seen.servers.len(), kept(rows)),
            None => "No case counts.".to_owned(),
        },
    }
}

/// Titles and tables.
pub(super) fn grids(run: &Run) -> Vec<(String, Grid)> {
    vec![("The client's requests".to_owned(), requests(run)), ("Its servers".to_owned(), servers(run))]
}

fn requests(run: &Run) -> Grid {
    let row = |rows: Vec<&Row>| {
        let first = rows[0];
        let errors: u64 = rows.iter().map(|row| row.errors.values().sum::<u64>()).sum();
        vec![
            first.engine.clone(),
            first.case.clone(),
            if first.breaker { "yes" } else { "no" }.to_owned(),
            format!("{:.2}", middle(&rows, |row| row.goodput_ratio) * 100.0),
            grouped(errors as f64 / rows.len() as f64),
            number(middle(&rows, |row| row.response.p50_us)),
            number(middle(&rows, |row| row.response.p99_us)),
            number(middle(&rows, |row| row.response.max_us)),
            rows.len().to_string(),
        ]
    };
    Grid {
        headings: vec!["engine", "case", "breaker", "answered %", "lost", "p50 µs", "p99 µs", "max µs", "rounds"],
        rows: run.cases().into_iter().map(row).collect(),
        text_columns: 3,
    }
}

fn servers(run: &Run) -> Grid {
    let mut lines = Vec::new();
    for rows in run.cases() {
        let all = middle(&rows, |row| row.seen.servers.iter().map(|server| server.sent as f64).sum());
        for place in 0..rows[0].seen.servers.len() {
            let of = |figure: fn(&crate::load::spread::ServerSeen) -> f64| {
                middle(&rows, |row| row.seen.servers.get(place).map_or(0.0, figure))
            };
            let number_of = u32::try_from(place + 1).unwrap_or(u32::MAX);
            let states: Vec<&str> =
                rows.iter().filter_map(|row| Some(row.seen.servers.get(place)?.state.name())).collect();
            let cpu = middle(&rows, |row| row.server_cpu_us_per_request.get(place).copied().unwrap_or(0.0));
            lines.push(vec![
                rows[0].case.clone(),
                format!("{number_of}"),
                rows[0].faults.get(&number_of).cloned().unwrap_or_else(|| "well".to_owned()),
                states.first().map(|state| (*state).to_owned()).unwrap_or_default(),
                format!("{:.1}", if all > 0.0 { of(|server| server.sent as f64) / all * 100.0 } else { 0.0 }),
                grouped(of(|server| server.failed.values().sum::<u64>() as f64)),
                grouped(of(|server| f64::from(server.bans))),
                number(of(|server| server.banned_seconds)),
                number(of(|server| server.service_time.p99_us)),
                number(cpu),
            ]);
        }
    }
    Grid {
        headings: vec![
            "case",
            "server",
            "fault",
            "at the end",
            "traffic %",
            "failed",
            "bans",
            "banned s",
            "p99 µs",
            "CPU µs/reply",
        ],
        rows: lines,
        text_columns: 4,
    }
}

/// Rows that do not count, and what was wrong with the files.
pub(super) fn notes(run: &Run) -> Vec<String> {
    let rows = run.rows.iter().filter(|row| row.status != Status::Ok);
    let notes = rows.map(|row| {
        let reason = row.reason.as_deref().unwrap_or("no reason given");
        format!("{:?}: {} {} round {}: {reason}", row.status, row.engine, row.case, row.round)
    });
    notes.chain(run.warnings.iter().cloned()).collect()
}

/// The tables of the terminal.
pub(super) fn render(run: &Run) -> String {
    let mut text = format!("{}\n\n", headline(run));
    for (title, grid) in grids(run) {
        let _ = write!(text, "{title}\n{}\n\n", grid.terminal());
    }
    for note in notes(run) {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

/// `report.md`.
pub(super) fn markdown(run: &Run) -> String {
    let name = run.plan.as_ref().map_or("spread", |plan| &plan.scenario);
    let mut text = format!("# {name}\n\n{}\n", headline(run));
    if let Some(plan) = &run.plan {
        let _ = write!(text, "\n> {}\n", plan.question.trim().replace('\n', "\n> "));
    }
    for (title, grid) in grids(run) {
        let _ = write!(text, "\n## {title}\n\n{}", grid.markdown());
    }
    let notes = notes(run);
    if !notes.is_empty() {
        text.push_str("\n## Notes\n\n");
        for note in notes {
            let _ = writeln!(text, "- {}", note.replace('<', "&lt;"));
        }
    }
    text.push_str(&run.host.as_ref().map(machine).unwrap_or_default());
    text
}
