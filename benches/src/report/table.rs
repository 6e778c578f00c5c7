//! The table of the terminal: at most 120 columns, no colour, since it is pasted into issues as often as it is read.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::rows::Row;
use super::words::{NOTHING, call, grouped, mebibytes, number, optional};
use super::{Counts, Report};
use crate::result::Load;
use crate::verdict::{Call, detectable, rounds_wanted, unsteady, width};

/// Widest line.
pub(super) const WIDTH: u16 = 120;

/// Notes that are shown.
const NOTES: usize = 12;

/// A line below the headings and nothing else.
pub(super) const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// Headline, table and what must be known beside it.
pub(super) fn render(report: &Report) -> String {
    let mut text = wrapped(&report.verdict.headline);
    if !report.rows.is_empty() {
        text.push_str(&format!("\n{}{}\n", wrapped(&caption(report)), table(report)));
    }
    text.push_str(&legend(report));
    text
}

/// What is the same in all cells.
pub(super) fn caption(report: &Report) -> String {
    let cells = &report.matrix.cells;
    let Some(first) = cells.first() else { return String::new() };
    let same = |of: &dyn Fn(&crate::verdict::Cell) -> String| {
        let value = of(first);
        cells.iter().all(|cell| of(cell) == value).then_some(value)
    };
    let parts = [
        same(&|cell| format!("{} {}", cell.protocol, cell.service)),
        same(&|cell| offered(&cell.load)),
        same(&|cell| format!("{} connections", grouped(f64::from(cell.load.connections)))),
        same(&|cell| format!("{} in flight each", cell.load.in_flight)),
        same(&|cell| if cell.load.page.is_some() { cell.ask() } else { format!("{} B", cell.load.payload_bytes) }),
        same(&|cell| format!("{} s measured", cell.load.measure_seconds)),
        report.run.plan.as_ref().map(|plan| format!("{} rounds", plan.rounds)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn offered(load: &Load) -> String {
    match load.rate {
        Some(rate) => {
            let arrivals = load.arrivals.as_ref().map_or_else(String::new, |arrivals| format!(", {arrivals} arrivals"));
            format!("{} loop at {} requests/s{arrivals}", load.mode, grouped(rate))
        }
        None => format!("{} loop", load.mode),
    }
}

fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(headings(report));
    for (place, row) in report.rows.iter().enumerate() {
        let first = place == 0 || report.rows[place - 1].cell != row.cell;
        let mut fields = vec![if first { row.cell.clone() } else { String::new() }];
        fields.extend(self::fields(row, report.verdict.baseline.as_deref()));
        table.add_row(fields);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The headings of [`fields`], with the cell's label before them.
pub(super) fn headings(report: &Report) -> Vec<String> {
    let baseline = report.verdict.baseline.as_deref().unwrap_or("baseline");
    let versus = format!("CPU vs {baseline} (95%)");
    ["format", "engine", "CPU µs/req", &versus, "p50 µs", "p99 µs", "sys/req", "RSS MiB", "req/s", "rounds"]
        .map(str::to_owned)
        .into()
}

/// The fields of a row but the cell's label.
pub(super) fn fields(row: &Row, baseline: Option<&str>) -> Vec<String> {
    let cpu = row.cpu_us_per_request.map_or_else(
        || NOTHING.to_owned(),
        |cpu| format!("{} ({}–{})", number(cpu.median), number(cpu.min), number(cpu.max)),
    );
    let [p50, p99, _, _] = row.response_us.map_or([None; 4], |response| response.map(Some));
    vec![
        row.engine.clone(),
        cpu,
        versus(row, baseline),
        optional(p50),
        optional(p99),
        optional(row.syscalls_per_request),
        mebibytes(row.rss_bytes),
        row.rate.map_or_else(|| NOTHING.to_owned(), grouped),
        format!("{}/{}{}", row.counted, row.planned, if unsteady(row.drifting, row.counted) { " ~" } else { "" }),
    ]
}

fn versus(row: &Row, baseline: Option<&str>) -> String {
    if baseline == Some(row.engine.as_str()) {
        return "baseline".to_owned();
    }
    if let Some(original) = &row.twin_of {
        return format!("A/A twin of {original}");
    }
    match (row.cpu_ratio, row.cpu_interval, row.call) {
        (Some(ratio), Some([low, high]), found) => {
            let mark = match found {
                Some(Call::Less) => "▼ ",
                Some(Call::More) => "▲ ",
                Some(Call::TooFew) => "? ",
                _ => "",
            };
            format!("{mark}{ratio:.2}x ({low:.2}–{high:.2})")
        }
        (_, _, Some(found)) => call(found).to_owned(),
        _ => NOTHING.to_owned(),
    }
}

/// What the marks mean, the noise band, and what does not count.
pub(super) fn legend(report: &Report) -> String {
    let mut lines = vec![
        "▼ less, ▲ more than the baseline, supported by test, interval and noise band; ? too few rounds; no mark: no evidence of a difference.".to_owned(),
    ];
    if let Some(band) = band(report) {
        lines.push(band);
    }
    lines.extend(could_have_seen(report));
    lines.push(ended(&report.counts));
    lines.extend(notes(&report.verdict.notes));
    lines.extend(report.run.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.iter().map(|line| wrapped(line)).collect()
}

/// The first notes; the report has all of them. A large run on a noisy box has hundreds, and they would push the table off the screen.
fn notes(notes: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = notes.iter().take(NOTES).map(|note| format!("note: {note}")).collect();
    if notes.len() > NOTES {
        lines.push(format!("note: {} more of this kind are in the report", notes.len() - NOTES));
    }
    lines
}

/// A sentence in lines of at most [`WIDTH`] columns, further lines set in. Characters stand for columns: all of ours are one wide.
pub(crate) fn wrapped(sentence: &str) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in sentence.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > usize::from(WIDTH) {
            text.push_str("\n ");
            column = 1;
        }
        if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text + "\n"
}

/// The primary figure's noise band in a sentence.
pub(super) fn band(report: &Report) -> Option<String> {
    let figure = report.verdict.figures.first()?;
    let band = figure.band(None)?;
    let cells: Vec<String> = figure
        .bands
        .iter()
        .filter_map(|band| Some(format!("{} {}", band.cell.as_ref()?, width(band.factor))))
        .collect();
    Some(format!(
        "Noise band from {} and {}, one engine under two names: {} over all, {}.",
        band.original,
        band.twin,
        width(band.factor),
        cells.join(", ")
    ))
}

/// What the primary figure's comparisons could have seen, in a sentence.
pub(super) fn could_have_seen(report: &Report) -> Option<String> {
    let figure = report.verdict.figures.first()?;
    let seen = detectable(&figure.overall)?;
    let more = rounds_wanted(&figure.overall).map_or_else(String::new, |more| format!("; {more}"));
    Some(format!(
        "This run could have seen, in four of five repetitions, differences in {} of: {seen}{more}.",
        figure.figure.name()
    ))
}

/// How the trials ended, in a sentence.
pub(super) fn ended(counts: &Counts) -> String {
    let planned = if counts.planned > 0 { format!(" of {} planned", counts.planned) } else { String::new() };
    format!(
        "{} trials ran{planned}: {} void, {} failed, {} unavailable; {} timing trials count.",
        counts.rows, counts.void, counts.failed, counts.unavailable, counts.counted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that few notes are all shown, and that of many the rest is counted.
    #[test]
    fn many_notes_are_counted() {
        let many: Vec<String> = (0..NOTES + 3).map(|index| format!("round {index}")).collect();
        assert_eq!(notes(&many[..NOTES]).len(), NOTES);
        assert_eq!(notes(&many).last().unwrap(), "note: 3 more of this kind are in the report");
    }
}
