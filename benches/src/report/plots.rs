//! The plots of the page. Each returns small multiples with their captions; a multiple is as wide as a phone.

use super::Report;
use super::palette::{MODES, slot};
use super::rows::Row;
use super::svg::{Axis, Frame, Ink, Plot, Side, draw};
use super::words::{grouped, number};
use crate::result::HostSample;
use crate::verdict::{Call, Figure};

/// A plot and the words above it.
pub(super) struct Panel {
    /// What the panel is about.
    pub(super) caption: String,
    /// The `<svg>` element.
    pub(super) svg: String,
}

/// Most points of a series of the timeline: more would not be seen at the width of a page.
const POINTS: usize = 240;

/// Samples that must lie beyond a percentile for it to be drawn.
const BEYOND: f64 = 10.0;

/// Percentiles that get a tick.
const PERCENTILES: [(f64, &str); 6] = [(0.0, "0"), (0.5, "50"), (0.9, "90"), (0.99, "99"), (0.999, "99.9"), (0.9999, "99.99")];

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

/// Response time by percentile: how many nines along, microseconds up, both logarithmic.
pub(super) fn latency(report: &Report) -> Vec<Panel> {
    let curves: Vec<(&str, Vec<(&Row, Vec<(f64, f64)>)>)> = by_cell(report)
        .into_iter()
        .map(|(cell, rows)| (cell, rows.into_iter().filter_map(|row| Some((row, curve(row)?))).collect::<Vec<_>>()))
        .filter(|(_, curves)| !curves.is_empty())
        .collect();
    let points = || curves.iter().flat_map(|(_, curves)| curves).flat_map(|(_, points)| points);
    let last = points().map(|point| point.0).fold(1.0, f64::max);
    let low = points().map(|point| point.1).fold(f64::INFINITY, f64::min) - 0.05;
    let high = points().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max) + 0.05;
    let panel = |(index, (cell, curves)): (usize, &(&str, Vec<(&Row, Vec<(f64, f64)>)>))| {
        let worst: Vec<String> = curves.iter().filter_map(|(row, _)| Some(format!("{} {} µs", row.engine, number(row.response_us?[1])))).collect();
        let ticks = PERCENTILES.iter().map(|(p, text)| (-(1.0 - p).log10(), (*text).to_owned()));
        let frame = Frame {
            id: format!("latency-{index}"),
            title: format!("Response time by percentile, {cell}"),
            description: format!("Lines rise to the right. 99th percentiles: {}.", worst.join(", ")),
            size: (400.0, 300.0),
            margins: [48.0, 118.0, 26.0, 40.0],
            x: Axis { range: (0.0, last), ticks: ticks.filter(|(nines, _)| *nines <= last + 1e-9).collect(), name: "percentile of requests".into() },
            y: Axis { range: (low, high), ticks: logarithmic(low, high), name: "response time, µs".into() },
        };
        let svg = draw(&frame, |plot| {
            for (row, points) in curves {
                plot.line(points, Ink::Engine(place(row)), 2.0);
            }
            label_ends(plot, curves, last);
        });
        Panel { caption: (*cell).to_owned(), svg }
    };
    curves.iter().enumerate().map(panel).collect()
}

/// Nines and log10 of microseconds, up to where [`BEYOND`] samples are left; `None` without a merged histogram.
fn curve(row: &Row) -> Option<Vec<(f64, f64)>> {
    /// Points per nine.
    const STEPS: f64 = 24.0;
    let merged = row.merged.as_ref().filter(|merged| !merged.is_empty())?;
    let nines = (merged.len() as f64 / BEYOND).log10().clamp(0.1, 4.0);
    let steps = (nines * STEPS).ceil() as u32;
    let point = |step: u32| {
        let x = nines * f64::from(step) / f64::from(steps);
        let value = merged.value_at_quantile(1.0 - 10_f64.powf(-x)).max(1);
        (x, (value as f64 / 1e3).log10())
    };
    Some((0..=steps).map(point).collect())
}

/// Names at the ends of curves, moved apart where they would touch, with a leader to the curve.
fn label_ends(plot: &Plot, curves: &[(&Row, Vec<(f64, f64)>)], last: f64) {
    /// CSS pixels between two names.
    const GAP: f64 = 15.0;
    let mut ends: Vec<(f64, &Row, (f64, f64))> =
        curves.iter().filter_map(|(row, points)| points.last().map(|end| (plot.top_of(end.1), *row, *end))).collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut tops: Vec<f64> = ends.iter().map(|end| end.0).collect();
    for index in 1..tops.len() {
        tops[index] = tops[index].max(tops[index - 1] + GAP);
    }
    // What was pushed below the plot moves up again.
    let mut floor = 268.0;
    for top in tops.iter_mut().rev() {
        *top = top.min(floor);
        floor = *top - GAP;
    }
    for ((top, row, end), wanted) in ends.into_iter().zip(tops) {
        let moved = wanted - top;
        plot.marker(end, (0.0, 0.0), place(row), 3.4, false);
        plot.marker((last, end.1), (13.0, moved), place(row), 3.6, false);
        plot.text((last, end.1), (21.0, moved), &row.engine, Ink::Text, Side::Right);
    }
}

/// CPU per request: a point a round, the median, and the noise band around the baseline.
pub(super) fn cpu(report: &Report) -> Vec<Panel> {
    let figure = report.verdict.figures.first();
    let highest = report.rows.iter().flat_map(|row| &row.cpu_rounds).copied().fold(0.0, f64::max) * 1.04;
    if highest <= 0.0 {
        return Vec::new();
    }
    let panel = |(index, (cell, rows)): (usize, (&str, Vec<&Row>))| {
        let medians: Vec<String> = rows.iter().filter_map(|row| Some(format!("{} {} µs", row.engine, number(row.cpu_us_per_request?.median)))).collect();
        let frame = Frame {
            id: format!("cpu-{index}"),
            title: format!("Server CPU per request, {cell}"),
            description: format!("Medians: {}.", medians.join(", ")),
            x: Axis { range: (0.0, highest), ticks: linear(highest), name: "server CPU, µs per request".into() },
            ..rows_frame(rows.len(), [112.0, 52.0, 8.0, 40.0])
        };
        let svg = draw(&frame, |plot| {
            let baseline = rows.iter().find(|row| Some(&row.engine) == report.verdict.baseline.as_ref()).and_then(|row| row.cpu_us_per_request);
            if let (Some(middle), Some(band)) = (baseline, figure.and_then(|figure| figure.band(Some(cell)))) {
                shade(plot, middle.median / band.factor, (middle.median * band.factor).min(highest), rows.len());
            }
            for (line, row) in rows.iter().enumerate() {
                let y = rows.len() as f64 - line as f64 - 0.5;
                plot.text((0.0, y), (-8.0, 0.0), &row.engine, Ink::Text, Side::Left);
                let Some(middle) = row.cpu_us_per_request else {
                    plot.text((0.0, y), (8.0, 0.0), &absence(row), Ink::Muted, Side::Right);
                    continue;
                };
                for (round, value) in row.cpu_rounds.iter().enumerate() {
                    // Rounds fan out over the line's height, so that equal values stay apart.
                    let spread = (round as f64 - (row.cpu_rounds.len() as f64 - 1.0) / 2.0) * (12.0 / row.cpu_rounds.len() as f64);
                    plot.marker((*value, y), (0.0, spread), place(row), 2.8, false);
                }
                plot.line(&[(middle.median, y - 0.36), (middle.median, y + 0.36)], Ink::Text, 2.0);
                plot.text((highest, y), (6.0, 0.0), &number(middle.median), Ink::Text, Side::Right);
            }
        });
        Panel { caption: cell.to_owned(), svg }
    };
    by_cell(report).into_iter().enumerate().map(panel).collect()
}

/// Engine ÷ baseline with intervals, the noise band behind them; filled where the difference is supported.
pub(super) fn ratios(report: &Report) -> Vec<Panel> {
    let Some(figure) = report.verdict.figures.iter().find(|figure| figure.figure == Figure::Cpu) else { return Vec::new() };
    let bounds = figure.cells.iter().filter_map(|c| c.interval).chain(figure.bands.iter().map(|band| [1.0 / band.factor, band.factor]));
    // Beyond four times or a quarter an interval is cut at the edge: it would squeeze all others.
    let reach = bounds.flatten().map(|ratio| ratio.log2().abs()).fold(0.1, f64::max).min(2.0) * 1.06;
    let baseline = report.verdict.baseline.as_deref().unwrap_or_default();
    let panel = |(index, (cell, rows)): (usize, (&str, Vec<&Row>))| {
        let rows: Vec<&Row> = rows.into_iter().filter(|row| row.call.is_some()).collect();
        let says = |row: &&Row| Some(format!("{} {:.2} times, {}", row.engine, row.cpu_ratio?, super::words::call(row.call?)));
        let frame = Frame {
            id: format!("ratio-{index}"),
            title: format!("Server CPU per request divided by that of {baseline}, {cell}"),
            description: format!("{}.", rows.iter().filter_map(says).collect::<Vec<_>>().join("; ")),
            x: Axis { range: (-reach, reach), ticks: ratio_ticks(reach), name: format!("← less CPU than {baseline} · more →") },
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
                plot.line(&[(within(low), y), (within(high), y)], Ink::Engine(place(row)), if supported { 3.0 } else { 1.4 });
                plot.marker((within(ratio), y), (0.0, 0.0), place(row), 5.2, !supported);
                plot.text((reach, y), (6.0, 0.0), &format!("{ratio:.2}x"), Ink::Text, Side::Right);
            }
        });
        Panel { caption: cell.to_owned(), svg }
    };
    by_cell(report).into_iter().enumerate().filter(|(_, (_, rows))| rows.iter().any(|row| row.call.is_some())).map(panel).collect()
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

/// The host while the run went on.
pub(super) fn timeline(report: &Report) -> Vec<Panel> {
    let samples = thin(&report.run.timeline);
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Vec::new() };
    if samples.len() < 2 || last.at_seconds <= first.at_seconds {
        return Vec::new();
    }
    let range = (first.at_seconds, last.at_seconds);
    let mut panels = vec![modes(&samples, range)];
    let plain: [(&str, &str, &[Line]); 3] = [
        ("Softirqs", "per second", &[("softirqs", 3, |s| s.softirqs_per_second)]),
        ("Context switches", "per second", &[("switches", 0, |s| s.context_switches_per_second)]),
        ("TCP sockets", "sockets", &[("in use", 1, |s| s.tcp_in_use as f64), ("time-wait", 2, |s| s.tcp_time_wait as f64)]),
    ];
    for (index, (title, unit, lines)) in plain.into_iter().enumerate() {
        panels.push(series(&samples, range, index, title, unit, lines));
    }
    panels
}

/// Name, place among [`MODES`]' colours, value.
type Line = (&'static str, usize, fn(&HostSample) -> f64);

fn time_frame(id: String, title: &str, description: String, range: (f64, f64), y: Axis) -> Frame {
    let step = nice((range.1 - range.0) / 6.0);
    let count = ((range.1 - range.0) / step).floor() as u32;
    let first = (range.0 / step).ceil() * step;
    let ticks = (0..=count).map(|i| first + f64::from(i) * step).filter(|t| *t <= range.1).map(|t| (t, format!("{t:.0}"))).collect();
    Frame {
        id,
        title: title.to_owned(),
        description,
        size: (520.0, 210.0),
        margins: [48.0, 76.0, 26.0, 40.0],
        x: Axis { range, ticks, name: "seconds since the run started".into() },
        y,
    }
}

fn modes(samples: &[HostSample], range: (f64, f64)) -> Panel {
    let share = |sample: &HostSample, mode: &str| sample.cpu.get(mode).copied().unwrap_or(0.0);
    let mean = |mode: &str| samples.iter().map(|sample| share(sample, mode)).sum::<f64>() / samples.len() as f64;
    let means: Vec<String> = MODES.iter().filter(|(mode, _)| mean(mode) >= 0.0005).map(|(mode, _)| format!("{mode} {:.1} %", mean(mode) * 100.0)).collect();
    let ticks = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| (share, format!("{:.0}", share * 100.0))).to_vec();
    let y = Axis { range: (0.0, 1.0), ticks, name: "% of all cores".into() };
    let description = format!("Stacked shares of all cores' time. Means: {}.", means.join(", "));
    let frame = time_frame("host-cpu".into(), "CPU time of the box by mode", description, range, y);
    let svg = draw(&frame, |plot| {
        let mut floor = vec![0.0; samples.len()];
        let mut label_top = f64::INFINITY;
        for (place, (mode, _)) in MODES.iter().enumerate() {
            if mean(mode) < 0.0005 {
                continue;
            }
            let ceiling: Vec<f64> = samples.iter().zip(&floor).map(|(sample, floor)| (floor + share(sample, mode)).min(1.0)).collect();
            let up = samples.iter().zip(&ceiling).map(|(sample, y)| (sample.at_seconds, *y));
            let down = samples.iter().zip(&floor).rev().map(|(sample, y)| (sample.at_seconds, *y));
            plot.area(&up.chain(down).collect::<Vec<_>>(), Ink::Mode(place));
            let (low, high) = (floor.last().copied().unwrap_or(0.0), ceiling.last().copied().unwrap_or(0.0));
            let middle = low.midpoint(high);
            let wanted = plot.top_of(middle).min(label_top - 14.0);
            label_top = wanted;
            plot.text((range.1, middle), (8.0, wanted - plot.top_of(middle)), mode, Ink::Text, Side::Right);
            floor = ceiling;
        }
    });
    Panel { caption: "CPU by mode".into(), svg }
}

fn series(samples: &[HostSample], range: (f64, f64), index: usize, title: &str, unit: &str, lines: &[Line]) -> Panel {
    let highest = samples.iter().flat_map(|sample| lines.iter().map(|line| line.2(sample))).fold(1.0, f64::max) * 1.08;
    let y = Axis { range: (0.0, highest), ticks: linear(highest), name: unit.to_owned() };
    let largest = |line: &Line| samples.iter().map(line.2).fold(0.0, f64::max);
    let description = lines.iter().map(|line| format!("{}: at most {}.", line.0, grouped(largest(line)))).collect::<Vec<_>>().join(" ");
    let frame = time_frame(format!("host-{index}"), &format!("{title} of the box"), description, range, y);
    let svg = draw(&frame, |plot| {
        let mut tops: Vec<f64> = Vec::new();
        for (name, colour, value) in lines {
            let points: Vec<(f64, f64)> = samples.iter().map(|sample| (sample.at_seconds, value(sample))).collect();
            plot.line(&points, Ink::Mode(*colour), 1.6);
            let end = points.last().copied().unwrap_or_default();
            let top = plot.top_of(end.1);
            let wanted = tops.iter().fold(top, |wanted, other| if (wanted - other).abs() < 14.0 { other - 14.0 } else { wanted });
            tops.push(wanted);
            plot.text(end, (8.0, wanted - top), name, Ink::Text, Side::Right);
        }
    });
    Panel { caption: title.to_owned(), svg }
}

/// At most [`POINTS`] samples: means of neighbours.
fn thin(samples: &[HostSample]) -> Vec<HostSample> {
    let size = samples.len().div_ceil(POINTS).max(1);
    samples.chunks(size).filter_map(mean_of).collect()
}

fn mean_of(chunk: &[HostSample]) -> Option<HostSample> {
    let count = chunk.len() as f64;
    let mut mean = chunk.last()?.clone();
    let of = |value: fn(&HostSample) -> f64| chunk.iter().map(value).sum::<f64>() / count;
    mean.softirqs_per_second = of(|s| s.softirqs_per_second);
    mean.context_switches_per_second = of(|s| s.context_switches_per_second);
    for (mode, share) in &mut mean.cpu {
        *share = chunk.iter().filter_map(|sample| sample.cpu.get(mode)).sum::<f64>() / count;
    }
    Some(mean)
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn nice(step: f64) -> f64 {
    let power = 10_f64.powf(step.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|nice| *nice >= step * 0.999).unwrap_or(step)
}

/// About four ticks from 0 to `highest`.
fn linear(highest: f64) -> Vec<(f64, String)> {
    let step = nice(highest / 4.5);
    let text = |value: f64| match value {
        0.0 => "0".to_owned(),
        _ if value >= 1e6 => format!("{}M", trimmed(value / 1e6)),
        _ if value >= 1e4 => format!("{}k", trimmed(value / 1e3)),
        _ => trimmed(value),
    };
    (0..=9).map(|i| f64::from(i) * step).filter(|value| *value <= highest).map(|value| (value, text(value))).collect()
}

/// At most two decimals, none that are zeros.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Ticks between two logarithms: decades, with 2 and 5 where there are fewer than three decades.
fn logarithmic(low: f64, high: f64) -> Vec<(f64, String)> {
    let factors: &[f64] = if high - low < 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let decades = (low.floor() as i32)..=(high.ceil() as i32);
    let values = decades.flat_map(|decade| factors.iter().map(move |factor| factor * 10_f64.powi(decade)));
    let text = |value: f64| if value >= 1e3 { grouped(value) } else { trimmed(value) };
    values.map(|value| (value.log10(), text(value))).filter(|(at, _)| (low..=high).contains(at)).collect()
}

/// Ratios that read well, as many as have room.
fn ratio_ticks(reach: f64) -> Vec<(f64, String)> {
    let all: &[f64] = match reach {
        r if r < 0.25 => &[0.9, 0.95, 1.0, 1.05, 1.1],
        r if r < 0.6 => &[0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4],
        r if r < 1.1 => &[0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0],
        _ => &[0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0],
    };
    all.iter().map(|ratio| (ratio.log2(), trimmed(*ratio))).filter(|(at, _)| at.abs() <= reach).collect()
}
