//! Tables of recoveries, for the terminal and for Markdown.

use std::fmt::Write as _;

use super::{Run, variant};
use crate::recover::result::{Row, Score, Story};
use crate::report::grid::Grid;
use crate::report::page::machine;
use crate::report::words::{NOTHING, grouped, number, optional};
use crate::result::Status;

/// What the run says in a sentence or two.
pub(super) fn headline(run: &Run) -> String {
    let scores: Vec<(&Row, &Score)> =
        run.told(Story::Overload).filter_map(|row| Some((row, row.score.as_ref()?))).collect();
    let kept = |limited: bool| {
        let goodputs =
            scores.iter().filter(|(row, _)| row.limiter.is_some() == limited).map(|(_, score)| score.goodput_at_2);
        goodputs.fold(None, |range: Option<(f64, f64)>, value| {
            Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
        })
    };
    let percent = |(low, high): (f64, f64)| match ((low * 100.0).round(), (high * 100.0).round()) {
        (low, high) if low == high => format!("{low:.0} %"),
        (low, high) => format!("{low:.0} to {high:.0} %"),
    };
    let mut sentences = Vec::new();
    match (kept(true), kept(false)) {
        (Some(with), Some(without)) => sentences.push(format!(
            "At twice the limit {} of its goodput is kept with a limiter, {} without.",
            percent(with),
            percent(without)
        )),
        (Some(with), None) => sentences.push(format!("At twice the limit {} of its goodput is kept.", percent(with))),
        (None, Some(without)) => {
            sentences.push(format!(
                "Without a limiter {} of the limit's goodput is kept at twice the limit.",
                percent(without)
            ));
        }
        (None, None) => sentences.push("No overload was told to its end.".to_owned()),
    }
    let stuck = scores.iter().filter(|(_, score)| score.metastable).count();
    if stuck > 0 {
        sentences.push(format!("{stuck} of {} overloads outlived their cause.", scores.len()));
    }
    sentences.join(" ")
}

/// Everything for the terminal.
pub(super) fn render(run: &Run) -> String {
    let mut text = format!("{}\n\n", headline(run));
    for (title, grid) in grids(run) {
        let _ = write!(text, "{title}\n{}\n\n", grid.terminal());
    }
    for note in notes(run) {
        let _ = writeln!(text, "{note}");
    }
    text
}

/// `report.md`.
pub(super) fn markdown(run: &Run) -> String {
    let name = run.plan.as_ref().map_or("recover", |plan| &plan.scenario);
    let mut text = format!("# {name}\n\n{}\n", headline(run));
    if let Some(plan) = &run.plan {
        let _ = write!(text, "\n> {}\n", plan.question.trim().replace('\n', "\n> "));
    }
    for (title, grid) in grids(run) {
        let _ = write!(text, "\n## {title}\n\n{}", grid.markdown());
    }
    text.push('\n');
    for note in notes(run) {
        let _ = writeln!(text, "- {note}");
    }
    text.push_str(&run.host.as_ref().map(machine).unwrap_or_default());
    text
}

pub(super) fn grids(run: &Run) -> Vec<(String, Grid)> {
    let mut grids = vec![("Overload: 0.8 of the limit, 1.5, 2, and back to 0.8".to_owned(), overloads(run))];
    grids.push(("Price of a refusal, at half of the limit".to_owned(), prices(run)));
    grids.push((
        "Reconnect storm: all are cut off and come back at once, and as many strangers".to_owned(),
        storms(run),
    ));
    grids.retain(|(_, grid)| !grid.rows.is_empty());
    grids
}

/// Engine and format, then the limit.
fn who(row: &Row) -> Vec<String> {
    vec![row.engine.clone(), format!("{} {}", row.protocol, row.format)]
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn recovered(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.1} s"))
}

fn overloads(run: &Run) -> Grid {
    let headings = vec![
        "engine",
        "format",
        "limiter, users",
        "limit/s",
        "goodput 1.5x",
        "goodput 2x",
        "p99 ms 2x",
        "wasted 2x",
        "refused 2x",
        "recovers",
    ];
    let rows = run.told(Story::Overload).filter_map(|row| {
        let score = row.score.as_ref()?;
        let twice = row.phases.iter().find(|phase| phase.name == "2x")?;
        let mut cells = who(row);
        cells.extend([
            variant(row),
            grouped(row.limit),
            percent(score.goodput_at_1_5),
            percent(score.goodput_at_2),
            optional((twice.accepted.count > 0).then_some(score.accepted_p99_us / 1e3)),
            percent(score.wasted_share),
            percent(twice.refused as f64 / (twice.tries.max(1)) as f64),
            recovered(score.recovery_seconds),
        ]);
        Some(cells)
    });
    Grid { headings, rows: rows.collect(), text_columns: 3 }
}

fn prices(run: &Run) -> Grid {
    let rows = run.told(Story::Price).filter_map(|row| {
        let price = row.price.as_ref()?;
        let mut cells = who(row);
        let (served, refused) = (number(price.served_us), number(price.refused_us));
        cells.extend([served, refused, percent(price.ratio)]);
        Some(cells)
    });
    let headings = vec!["engine", "format", "served, CPU µs", "refused, CPU µs", "refused/served"];
    Grid { headings, rows: rows.collect(), text_columns: 2 }
}

fn storms(run: &Run) -> Grid {
    let rows = run.told(Story::Storm).filter_map(|row| {
        let storm = row.storm.as_ref()?;
        let mut cells = who(row);
        cells.extend([
            variant(row),
            storm.cut_off.to_string(),
            storm.strangers.to_string(),
            number(storm.connect_seconds * 1e3),
            storm.refused_connections.to_string(),
            recovered(storm.recovery_seconds),
        ]);
        Some(cells)
    });
    let headings =
        vec!["engine", "format", "limiter, users", "cut off", "strangers", "connected ms", "refused", "recovers"];
    Grid { headings, rows: rows.collect(), text_columns: 3 }
}

/// What must be known beside the tables.
pub(super) fn notes(run: &Run) -> Vec<String> {
    let deadline = run.rows.first().map_or_else(|| NOTHING.to_owned(), |row| number(row.deadline_ms));
    let mut notes = vec![format!(
        "goodput: right replies within {deadline} ms, in units of the limit; p99: of those. wasted: replies that came later, among all with \
         content. recovers: from then on at least 90 % of each half second's wishes are answered in time."
    )];
    if let Some(plan) = run.plan.as_ref().filter(|plan| !plan.arguments.is_empty()) {
        notes.push(format!("every server: {}", plan.arguments.join(" ")));
    }
    for row in run.rows.iter().filter(|row| row.status != Status::Ok) {
        let reason = row.reason.as_deref().unwrap_or("no reason given");
        notes.push(format!(
            "{:?}: {} {} {:?}, {}: {reason}",
            row.status,
            row.engine,
            row.format,
            row.story,
            variant(row)
        ));
    }
    notes.extend(run.warnings.iter().map(|warning| format!("warning: {warning}")));
    notes
}
