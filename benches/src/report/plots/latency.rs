//! Response time by percentile.

use super::curves::{End, label_ends};
use super::{Panel, by_cell, place, ticks};
use crate::report::Report;
use crate::report::rows::Row;
use crate::report::svg::{Axis, Frame, Ink, draw};
use crate::report::words::number;

/// Samples that must lie beyond a percentile for it to be drawn.
const BEYOND: f64 = 10.0;

/// Percentiles that get a tick.
const PERCENTILES: [(f64, &str); 6] =
    [(0.0, "0"), (0.5, "50"), (0.9, "90"), (0.99, "99"), (0.999, "99.9"), (0.9999, "99.99")];

/// A row and its points in the plot's coordinates.
type Curve<'a> = (&'a Row, Vec<(f64, f64)>);

/// Response time by percentile: how many nines along, microseconds up, both logarithmic.
pub(in crate::report) fn latency(report: &Report) -> Vec<Panel> {
    let curves: Vec<(&str, Vec<Curve>)> = by_cell(report)
        .into_iter()
        .map(|(cell, rows)| (cell, rows.into_iter().filter_map(|row| Some((row, curve(row)?))).collect::<Vec<_>>()))
        .filter(|(_, curves)| !curves.is_empty())
        .collect();
    let points = || curves.iter().flat_map(|(_, curves)| curves).flat_map(|(_, points)| points);
    let last = points().map(|point| point.0).fold(1.0, f64::max);
    let low = points().map(|point| point.1).fold(f64::INFINITY, f64::min) - 0.05;
    let high = points().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max) + 0.05;
    let panel = |(index, (cell, curves)): (usize, &(&str, Vec<Curve>))| {
        let worst: Vec<String> = curves
            .iter()
            .filter_map(|(row, _)| Some(format!("{} {} µs", row.engine, number(row.response_us?[1]))))
            .collect();
        let percentiles = PERCENTILES.iter().map(|(p, text)| (-(1.0 - p).log10(), (*text).to_owned()));
        let frame = Frame {
            id: format!("latency-{index}"),
            title: format!("Response time by percentile, {cell}"),
            description: format!("Lines rise to the right. 99th percentiles: {}.", worst.join(", ")),
            size: (400.0, 300.0),
            margins: [48.0, 118.0, 26.0, 40.0],
            x: Axis {
                range: (0.0, last),
                ticks: percentiles.filter(|(nines, _)| *nines <= last + 1e-9).collect(),
                name: "percentile of requests".into(),
            },
            y: Axis { range: (low, high), ticks: ticks::logarithmic(low, high), name: "response time, µs".into() },
        };
        let svg = draw(&frame, |plot| {
            for (row, points) in curves {
                plot.line(points, Ink::Engine(place(row)), 2.0);
            }
            let ends: Vec<End> = curves
                .iter()
                .filter_map(|(row, points)| Some(End { name: &row.engine, slot: place(row), at: *points.last()? }))
                .collect();
            label_ends(plot, ends, last);
        });
        Panel { caption: (*cell).to_owned(), svg }
    };
    curves.iter().enumerate().map(panel).collect()
}

/// Nines and log10 of microseconds, up to where [`BEYOND`] samples are left; `None` without a merged histogram.
fn curve(row: &Row) -> Option<Vec<(f64, f64)>> {
    /// Points of a curve: 24 a nine when it has four.
    const STEPS: u32 = 96;
    let merged = row.merged.as_ref().filter(|merged| !merged.is_empty())?;
    let nines = (merged.len() as f64 / BEYOND).log10().clamp(0.1, 4.0);
    let point = |step: u32| {
        let x = nines * f64::from(step) / f64::from(STEPS);
        let value = merged.value_at_quantile(1.0 - 10_f64.powf(-x)).max(1);
        (x, (value as f64 / 1e3).log10())
    };
    Some((0..=STEPS).map(point).collect())
}
