//! Curves over the number of users or the size of a message, an engine or a format each, both axes logarithmic.

use super::{Panel, ticks};
use crate::report::svg::{Axis, Frame, Ink, Plot, Side, draw};
use crate::report::words::number;

/// The curve of an engine or a format.
pub(in crate::report) struct Curve {
    /// Its name.
    pub(in crate::report) name: String,
    /// Its place in the palette.
    pub(in crate::report) slot: usize,
    /// Where along and how high, both above zero, ascending.
    pub(in crate::report) points: Vec<(f64, f64)>,
}

/// The axis along which curves run: what it is called, and its ticks between two logarithms.
pub(in crate::report) struct Along {
    /// Its name, with the unit.
    pub(in crate::report) name: &'static str,
    /// Ticks between the logarithms of two values.
    pub(in crate::report) ticks: fn(f64, f64) -> Vec<(f64, String)>,
}

/// Curves over the number of users; `None` when there is nothing to draw.
pub(in crate::report) fn curves(id: &str, caption: &str, unit: &str, curves: &[Curve]) -> Option<Panel> {
    over(id, caption, unit, &Along { name: "connected users", ticks: users }, curves)
}

/// Curves in one panel; `None` when there is nothing to draw.
pub(in crate::report) fn over(id: &str, caption: &str, unit: &str, along: &Along, curves: &[Curve]) -> Option<Panel> {
    let drawn = |curve: &Curve| curve.points.iter().map(|(x, y)| (x.log10(), y.log10())).collect::<Vec<_>>();
    let points: Vec<(f64, f64)> = curves.iter().flat_map(drawn).collect();
    if points.is_empty() {
        return None;
    }
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        points.iter().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at)))
    };
    let ((first, last), (low, high)) = (bounds(|point| point.0), bounds(|point| point.1));
    // One plateau, or one value, still needs an axis.
    let (first, last) = if last - first < 0.1 { (first - 0.5, last + 0.5) } else { (first, last) };
    let (low, high) = (low - 0.08, high + 0.08);
    let tops: Vec<String> = curves
        .iter()
        .filter_map(|curve| Some(format!("{} {} {unit}", curve.name, number(curve.points.last()?.1))))
        .collect();
    let frame = Frame {
        id: id.to_owned(),
        title: caption.to_owned(),
        description: format!("Over {}. At the right: {}.", along.name, tops.join(", ")),
        size: (400.0, 300.0),
        margins: [52.0, 126.0, 26.0, 40.0],
        x: Axis { range: (first, last), ticks: (along.ticks)(first, last), name: along.name.into() },
        y: Axis { range: (low, high), ticks: ticks::logarithmic(low, high), name: unit.to_owned() },
    };
    let svg = draw(&frame, |plot| {
        let mut ends = Vec::new();
        for curve in curves {
            let points = drawn(curve);
            plot.line(&points, Ink::Engine(curve.slot), 2.0);
            for point in &points {
                plot.marker(*point, (0.0, 0.0), curve.slot, 2.6, false);
            }
            ends.extend(points.last().map(|at| End { name: &curve.name, slot: curve.slot, at: *at }));
        }
        label_ends(plot, ends, last);
    });
    Some(Panel { caption: caption.to_owned(), svg })
}

/// Ticks of user counts: 10k, 100k, 1M, with 2 and 5 between.
fn users(first: f64, last: f64) -> Vec<(f64, String)> {
    let text = |users: f64| match users {
        _ if users >= 1e6 => format!("{}M", ticks::trimmed(users / 1e6)),
        _ if users >= 1e3 => format!("{}k", ticks::trimmed(users / 1e3)),
        _ => ticks::trimmed(users),
    };
    ticks::logarithmic(first, last).into_iter().map(|(at, _)| (at, text(10_f64.powf(at)))).collect()
}

/// The end of a curve, in the plot's coordinates.
pub(super) struct End<'a> {
    /// What stands there.
    pub(super) name: &'a str,
    /// Its place in the palette.
    pub(super) slot: usize,
    /// Where the curve ends.
    pub(super) at: (f64, f64),
}

/// Names at the ends of curves, moved apart where they would touch, beside their markers.
pub(super) fn label_ends(plot: &Plot, ends: Vec<End>, last: f64) {
    /// CSS pixels between two names.
    const GAP: f64 = 15.0;
    let mut ends: Vec<(f64, End)> = ends.into_iter().map(|end| (plot.top_of(end.at.1), end)).collect();
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
    for ((top, end), wanted) in ends.into_iter().zip(tops) {
        let moved = wanted - top;
        plot.marker(end.at, (0.0, 0.0), end.slot, 3.4, false);
        plot.marker((last, end.at.1), (13.0, moved), end.slot, 3.6, false);
        plot.text((last, end.at.1), (21.0, moved), end.name, Ink::Text, Side::Right);
    }
}
