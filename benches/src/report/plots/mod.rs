//! The plots of the page. Each returns small multiples with their captions; a multiple is as wide as a phone.

mod curves;
mod formats;
mod host;
pub(super) mod knees;
mod lanes;
mod latency;
mod scaling;
mod ticks;

pub(super) use curves::{Curve, curves};
pub(super) use formats::{codec, codecs, sizes};
pub(super) use host::timeline;
pub(super) use lanes::{Lane, Mark, lanes};
pub(super) use latency::latency;
pub(super) use scaling::{residuals, throughput};

use super::Report;
use super::palette::slot;
use super::rows::Row;
use super::svg::{Axis, Frame, Ink, Plot, Side, draw};
use super::words::number;
use crate::verdict::{Call, Figure};

/// A plot and the words above it.
pub(super) struct Panel {
    /// What the panel is about.
    pub(super) caption: String,
    /// The `<svg>` element.
    pub(super) svg: String,
}

fn place(row: &Row) -> usize {
    slot(&row.engine, row.twin_of.as_deref())
}

/// The rows of each cell, cells in order.
fn by_cell<'a>(report: &'a Report) -> Vec<(&'a str, Vec<&'a Row>)> {
    report
        .matrix
        .cells
        .iter()
        .map(|cell| (cell.label.as_str(), report.rows.iter().filter(|row| row.cell == cell.label).collect()))
        .collect()
}

/// CPU per request: a point a round, the median, and the noise band around the baseline.
pub(super) fn cpu(report: &Report) -> Vec<Panel> {
    let figure = report.verdict.figures.first();
    let panel = |(index, (cell, rows)): (usize, (&str, Vec<&Row>))| {
        let medians: Vec<String> = rows
            .iter()
            .filter_map(|row| Some(format!("{} {} µs", row.engine, number(row.cpu_us_per_request?.median))))
            .collect();
        let seen = || rows.iter().flat_map(|row| &row.cpu_rounds).copied();
        let (lowest, highest) = (seen().fold(f64::INFINITY, f64::min) * 0.96, seen().fold(0.0, f64::max) * 1.03);
        let frame = Frame {
            id: format!("cpu-{index}"),
            title: format!("Server CPU per request, {cell}"),
            description: format!("Medians: {}.", medians.join(", ")),
            x: Axis {
                range: (lowest, highest),
                ticks: ticks::linear(lowest, highest),
                name: "server CPU, µs per request".into(),
            },
            ..rows_frame(rows.len(), [112.0, 52.0, 8.0, 40.0])
        };
        let svg = draw(&frame, |plot| {
            let baseline = rows
                .iter()
                .find(|row| Some(&row.engine) == report.verdict.baseline.as_ref())
                .and_then(|row| row.cpu_us_per_request);
            if let (Some(middle), Some(band)) = (baseline, figure.and_then(|figure| figure.band(Some(cell)))) {
                let within = |value: f64| value.clamp(lowest, highest);
                shade(plot, within(middle.median / band.factor), within(middle.median * band.factor), rows.len());
            }
            for (line, row) in rows.iter().enumerate() {
                let y = rows.len() as f64 - line as f64 - 0.5;
                plot.text((lowest, y), (-8.0, 0.0), &row.engine, Ink::Text, Side::Left);
                let Some(middle) = row.cpu_us_per_request else {
                    plot.text((lowest, y), (8.0, 0.0), &absence(row), Ink::Muted, Side::Right);
                    continue;
                };
                for (round, value) in row.cpu_rounds.iter().enumerate() {
                    // Rounds fan out over the line's height, so that equal values stay apart.
                    let spread = (round as f64 - (row.cpu_rounds.len() as f64 - 1.0) / 2.0)
                        * (12.0 / row.cpu_rounds.len() as f64);
                    plot.marker((*value, y), (0.0, spread), place(row), 2.8, false);
                }
                plot.line(&[(middle.median, y - 0.36), (middle.median, y + 0.36)], Ink::Text, 2.0);
                plot.text((highest, y), (6.0, 0.0), &number(middle.median), Ink::Text, Side::Right);
            }
        });
        Panel { caption: cell.to_owned(), svg }
    };
    let measured = |(_, (_, rows)): &(usize, (&str, Vec<&Row>))| rows.iter().any(|row| !row.cpu_rounds.is_empty());
    by_cell(report).into_iter().enumerate().filter(measured).map(panel).collect()
}

/// Engine ÷ baseline with intervals, the noise band behind them; filled where the difference is supported.
pub(super) fn ratios(report: &Report) -> Vec<Panel> {
    let Some(figure) = report.verdict.figures.iter().find(|figure| figure.figure == Figure::Cpu) else {
        return Vec::new();
    };
    let bounds = figure
        .cells
        .iter()
        .filter_map(|c| c.interval)
        .chain(figure.bands.iter().map(|band| [1.0 / band.factor, band.factor]));
    // Beyond four times or a quarter an interval is cut at the edge: it would squeeze all others.
    let reach = bounds.flatten().map(|ratio| ratio.log2().abs()).fold(0.1, f64::max).min(2.0) * 1.06;
    let baseline = report.verdict.baseline.as_deref().unwrap_or_default();
    let panel = |(index, (cell, rows)): (usize, (&str, Vec<&Row>))| {
        let rows: Vec<&Row> = rows.into_iter().filter(|row| row.call.is_some()).collect();
        let says =
            |row: &&Row| Some(format!("{} {:.2} times, {}", row.engine, row.cpu_ratio?, super::words::call(row.call?)));
        let frame = Frame {
            id: format!("ratio-{index}"),
            title: format!("Server CPU per request divided by that of {baseline}, {cell}"),
            description: format!("{}.", rows.iter().filter_map(says).collect::<Vec<_>>().join("; ")),
            x: Axis {
                range: (-reach, reach),
                ticks: ticks::ratios(reach),
                name: format!("← less CPU than {baseline} · more →"),
            },
            ..rows_frame(rows.len(), [112.0, 52.0, 8.0, 40.0])
        };
        let svg = draw(&frame, |plot| {
            if let Some(band) = figure.band(Some(cell)) {
                let width = band.factor.log2().min(reach);
                shade(plot, -width, width, rows.len());
            }
            plot.line(&[(0.0, 0.0), (0.0, rows.len() as f64)], Ink::Muted, 1.0);
            for (line, row) in rows.iter().enumerate() {
                let y = rows.len() as f64 - line as f64 - 0.5;
                plot.text((-reach, y), (-8.0, 0.0), &row.engine, Ink::Text, Side::Left);
                let (Some(ratio), Some([low, high])) = (row.cpu_ratio, row.cpu_interval) else {
                    plot.text((-reach, y), (8.0, 0.0), &absence(row), Ink::Muted, Side::Right);
                    continue;
                };
                let within = |ratio: f64| ratio.log2().clamp(-reach, reach);
                let supported = matches!(row.call, Some(Call::Less | Call::More));
                plot.line(
                    &[(within(low), y), (within(high), y)],
                    Ink::Engine(place(row)),
                    if supported { 3.0 } else { 1.4 },
                );
                plot.marker((within(ratio), y), (0.0, 0.0), place(row), 5.2, !supported);
                plot.text((reach, y), (6.0, 0.0), &format!("{ratio:.2}x"), Ink::Text, Side::Right);
            }
        });
        Panel { caption: cell.to_owned(), svg }
    };
    by_cell(report)
        .into_iter()
        .enumerate()
        .filter(|(_, (_, rows))| rows.iter().any(|row| row.call.is_some()))
        .map(panel)
        .collect()
}

/// A frame with a line for each of `rows` engines.
fn rows_frame(rows: usize, margins: [f64; 4]) -> Frame {
    let height = rows.max(1) as f64 * 27.0 + margins[2] + margins[3];
    Frame {
        id: String::new(),
        title: String::new(),
        description: String::new(),
        size: (400.0, height),
        margins,
        x: Axis::default(),
        y: Axis { range: (0.0, rows.max(1) as f64), ..Axis::default() },
    }
}

fn shade(plot: &Plot, from: f64, to: f64, rows: usize) {
    let top = rows as f64;
    plot.area(&[(from, 0.0), (to, 0.0), (to, top), (from, top)], Ink::Band);
}

/// Why a line is empty, short enough to fit it.
fn absence(row: &Row) -> String {
    let reason = row.reason.as_deref().unwrap_or("not measured");
    let short: String = reason.chars().take(30).collect();
    if short.len() < reason.len() { format!("{}…", short.trim_end()) } else { short }
}
