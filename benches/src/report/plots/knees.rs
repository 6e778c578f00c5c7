//! Latency against load, the knee marked: both axes logarithmic, a marker for each load that was tried.

use super::{Panel, ticks};
use crate::report::svg::{Axis, Frame, Ink, Side, draw};
use crate::report::words::{grouped, number};

/// A load that was tried.
pub(in crate::report) struct Point {
    /// In the unit of the axis.
    pub(in crate::report) load: f64,
    /// Milliseconds.
    pub(in crate::report) latency_ms: f64,
    /// Whether all objectives were met.
    pub(in crate::report) held: bool,
}

/// What a panel shows.
pub(in crate::report) struct Knee {
    /// Unique on the page.
    pub(in crate::report) id: String,
    /// Engine, framing and format.
    pub(in crate::report) caption: String,
    /// The engine's place in the palette.
    pub(in crate::report) slot: usize,
    /// What loads count.
    pub(in crate::report) along: &'static str,
    /// Which percentile is drawn.
    pub(in crate::report) up: &'static str,
    /// The limit, if one was found.
    pub(in crate::report) limit: Option<f64>,
    /// The objective's bound in milliseconds.
    pub(in crate::report) bound_ms: Option<f64>,
    /// The loads.
    pub(in crate::report) points: Vec<Point>,
}

/// The panel; `None` when no load got a reply.
pub(in crate::report) fn knee(knee: &Knee) -> Option<Panel> {
    let drawn: Vec<(f64, f64, bool)> = knee
        .points
        .iter()
        .filter(|point| point.load > 0.0 && point.latency_ms > 0.0)
        .map(|point| (point.load.log10(), point.latency_ms.log10(), point.held))
        .collect();
    let bounds = |values: &mut dyn Iterator<Item = f64>, room: f64| {
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at)));
        (low - room, high + room)
    };
    if drawn.is_empty() {
        return None;
    }
    let (first, last) = bounds(&mut drawn.iter().map(|point| point.0), 0.06);
    let bound = knee.bound_ms.filter(|bound| *bound > 0.0).map(f64::log10);
    let (low, high) = bounds(&mut drawn.iter().map(|point| point.1).chain(bound), 0.1);
    let said = knee.limit.map_or_else(
        || "No limit was found.".to_owned(),
        |limit| format!("The limit is {} {}.", grouped(limit), knee.along),
    );
    let frame = Frame {
        id: knee.id.clone(),
        title: format!("{} against load, {}", knee.up, knee.caption),
        description: format!(
            "{} loads from {} to {} {}. {said}",
            drawn.len(),
            number(10_f64.powf(first + 0.06)),
            number(10_f64.powf(last - 0.06)),
            knee.along
        ),
        size: (400.0, 300.0),
        margins: [52.0, 24.0, 26.0, 40.0],
        x: Axis { range: (first, last), ticks: ticks::logarithmic(first, last), name: knee.along.into() },
        y: Axis { range: (low, high), ticks: ticks::logarithmic(low, high), name: format!("{}, ms", knee.up) },
    };
    let svg = draw(&frame, |plot| {
        if let Some(bound) = bound {
            plot.line(&[(first, bound), (last, bound)], Ink::Muted, 1.4);
        }
        if let Some(limit) = knee.limit.filter(|limit| *limit > 0.0).map(f64::log10) {
            let limit = limit.clamp(first, last);
            plot.line(&[(limit, low), (limit, high)], Ink::Text, 1.4);
            plot.text((limit, high), (-6.0, 10.0), &grouped(10_f64.powf(limit)), Ink::Text, Side::Left);
        }
        for (load, latency, held) in &drawn {
            plot.marker((*load, *latency), (0.0, 0.0), knee.slot, 3.4, !held);
        }
    });
    Some(Panel { caption: knee.caption.clone(), svg })
}
