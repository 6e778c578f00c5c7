//! Limits as text, for a terminal: at most 120 columns, no colour.

use super::result::{Conclusion, Limit};
use crate::report::{grid, grouped};

/// The headings of [`fields`].
pub(crate) const HEADINGS: [&str; 8] =
    ["engine", "protocol", "format", "limit", "median", "largest", "spread", "saturated first"];

/// Table, then why each search stopped and how sure its limit is.
pub(crate) fn render(limits: &[Limit]) -> String {
    let Some(first) = limits.first() else { return "No limit was searched.\n".to_owned() };
    let objectives: Vec<String> = first.objectives.iter().map(ToString::to_string).collect();
    let mut table = grid::table(&HEADINGS, 3..7);
    for limit in limits {
        table.add_row(fields(limit));
    }
    let mut text = format!(
        "{}: {} that hold {}, minimum of the rounds\n\n{table}\n",
        first.scenario,
        first.over.unit(),
        objectives.join(" and ")
    );
    for limit in limits {
        text.push_str(&format!("\n{}\n", heading(limit)));
        lines(limit).iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    text
}

fn heading(limit: &Limit) -> String {
    let incomplete = if limit.complete { "" } else { ", incomplete" };
    format!("{} {} {}: {}{incomplete}", limit.engine, limit.protocol, limit.format, headline(limit))
}

/// What was found, in words of its own for each way in which a search ends.
pub(crate) fn headline(limit: &Limit) -> String {
    match (limit.conclusion, limit.limit) {
        (Conclusion::Found, Some(load)) => limit.over.show(load),
        (Conclusion::MoreThan, Some(load)) => format!("more than {}, not found", limit.over.show(load)),
        (Conclusion::BelowSmallest, _) => "not even the smallest load holds".to_owned(),
        (Conclusion::Unavailable, _) => "cannot run here".to_owned(),
        _ => "no limit".to_owned(),
    }
}

/// Why it stopped there, what would move it, and how sure it is.
pub(crate) fn lines(limit: &Limit) -> Vec<String> {
    let mut lines = vec![limit.stopped.clone()];
    lines.extend(limit.knob.iter().map(|knob| format!("knob: {knob}")));
    if !limit.confidence.is_empty() {
        lines.push(limit.confidence.clone());
    }
    let unsteady = limit.rounds.iter().filter(|round| round.steady == Some(false)).count();
    if unsteady > 0 {
        lines.push(format!(
            "in {unsteady} rounds a load a tenth below the limit broke when it was held: keep more in hand"
        ));
    }
    lines
}

/// One row of the table.
pub(crate) fn fields(limit: &Limit) -> Vec<String> {
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), grouped);
    let found = match (limit.conclusion, limit.limit) {
        (Conclusion::MoreThan, Some(load)) => format!("> {}", grouped(load)),
        (_, load) => shown(load),
    };
    vec![
        limit.engine.clone(),
        limit.protocol.clone(),
        limit.format.clone(),
        found,
        shown(limit.median),
        shown(limit.largest),
        limit.spread.map_or_else(|| "–".to_owned(), |spread| format!("{:.1} %", spread * 100.0)),
        limit.resource.clone().unwrap_or_else(|| "–".to_owned()),
    ]
}
