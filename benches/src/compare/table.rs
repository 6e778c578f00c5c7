//! A comparison for the terminal, at most 120 columns.

use std::fmt::Write as _;

use comfy_table::Table;

use super::gate::{Check, Outcome};
use super::{Compared, FigureCompared, Line, Side};
use crate::report::grid;
use crate::report::words::{NOTHING, number, optional};
use crate::verdict::{Call, percent};

/// Everything.
pub fn render(compared: &Compared) -> String {
    let mut text = mark(&compared.unfit);
    let _ = write!(
        text,
        "{}\n\nbefore: {}\nafter:  {}\n",
        compared.headline,
        side(&compared.before),
        side(&compared.after)
    );
    for figure in &compared.figures {
        let _ = write!(text, "\n{} ({})\n{}\n", figure.name, figure.unit, table(figure));
    }
    text.push_str(
        "\n▼ less, ▲ more than before, supported by test, interval and noise band; ? too few rounds; no mark: no evidence of a \
         difference.\ncould see: the smallest difference that four of five such comparisons would claim.\n",
    );
    for note in &compared.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

/// A loud mark on what was compared all the same.
pub(super) fn mark(unfit: &[String]) -> String {
    if unfit.is_empty() {
        return String::new();
    }
    let reasons: String = unfit.iter().map(|reason| format!("!!   {reason}\n")).collect();
    format!("!! FORCED: these results are not fit to be compared, and the figures below prove nothing:\n{reasons}\n")
}

fn side(side: &Side) -> String {
    let parts = [
        Some(side.directory.display().to_string()),
        side.engine.clone(),
        side.scenario.clone(),
        side.commit.as_ref().map(|commit| format!("commit {commit:.12}")),
        side.started.clone(),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn table(figure: &FigureCompared) -> Table {
    let headings = ["engine", "load", "before", "after", "after ÷ before (95%)", "could see", "says"];
    let mut table = grid::table(&headings, 2..6);
    let one = figure.cells.len() == figure.overall.len();
    for line in &figure.overall {
        table.add_row(fields(line, "all"));
        let of_it = |cell: &&Line| cell.comparison.engine == line.comparison.engine;
        for cell in figure.cells.iter().filter(of_it).filter(|_| !one) {
            table.add_row(fields(cell, cell.comparison.cell.as_deref().unwrap_or_default()));
        }
    }
    table
}

fn fields(line: &Line, load: &str) -> Vec<String> {
    let comparison = &line.comparison;
    let mark = match comparison.call {
        Call::Less => "▼ ",
        Call::More => "▲ ",
        Call::TooFew => "? ",
        _ => "",
    };
    let ratio = match (comparison.ratio, comparison.interval) {
        (Some(ratio), Some([low, high])) => format!("{mark}{ratio:.3}x ({low:.3}–{high:.3})"),
        (Some(ratio), None) => format!("{mark}{ratio:.3}x"),
        _ => NOTHING.to_owned(),
    };
    let says = comparison.note.clone().unwrap_or_else(|| crate::report::words::call(comparison.call).to_owned());
    vec![
        comparison.engine.clone(),
        load.to_owned(),
        optional(line.before),
        optional(line.after),
        ratio,
        comparison.detectable.map_or_else(|| NOTHING.to_owned(), percent),
        says,
    ]
}

/// The checks of a gate.
pub fn checks(compared: &Compared, checks: &[Check], allowed: f64) -> String {
    let mut text = mark(&compared.unfit);
    for check in checks {
        let word = match check.outcome {
            Outcome::Passed => "passed",
            Outcome::Regressed => "REGRESSED",
            Outcome::Inconclusive => "inconclusive",
        };
        let cell = check.cell.as_ref().map_or_else(String::new, |cell| format!(" with {cell}"));
        let _ = writeln!(text, "{word:<12} {} {}{cell}: {}", check.engine, check.figure, check.why);
    }
    let count = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
    let _ = writeln!(
        text,
        "{} passed, {} regressed, {} inconclusive; {} % more is allowed",
        count(Outcome::Passed),
        count(Outcome::Regressed),
        count(Outcome::Inconclusive),
        number((allowed - 1.0) * 100.0)
    );
    for note in &compared.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}
