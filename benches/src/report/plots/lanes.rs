//! Several counts over time, with marks where something was changed.

use super::{Panel, ticks};
use crate::report::svg::{Axis, Frame, Ink, Side, draw};
use crate::report::words::grouped;

/// Most points of a lane: more would not be seen at the width of a page.
const POINTS: usize = 240;

/// One count.
pub(in crate::report) struct Lane {
    /// Its name.
    pub(in crate::report) name: &'static str,
    /// Its colour's place among those of CPU modes.
    pub(in crate::report) mode: usize,
    /// Seconds and value, ascending.
    pub(in crate::report) points: Vec<(f64, f64)>,
}

/// A moment at which something was changed.
pub(in crate::report) struct Mark {
    /// Seconds.
    pub(in crate::report) at: f64,
    /// To what.
    pub(in crate::report) text: String,
}

/// Lanes in one panel; `None` when there is nothing to draw.
pub(in crate::report) fn lanes(id: &str, caption: &str, unit: &str, lanes: &[Lane], marks: &[Mark]) -> Option<Panel> {
    let last =
        lanes.iter().filter_map(|lane| Some(lane.points.last()?.0)).reduce(f64::max).filter(|last| *last > 0.0)?;
    let drawn: Vec<Vec<(f64, f64)>> = lanes.iter().map(|lane| thin(&lane.points)).collect();
    let highest = drawn.iter().flatten().map(|point| point.1).fold(1.0, f64::max) * 1.12;
    let step = ticks::nice(last / 6.0);
    let seconds = (0..=7).map(|i| f64::from(i) * step).filter(|t| *t <= last).map(|t| (t, ticks::trimmed(t)));
    let tops: Vec<String> = lanes
        .iter()
        .zip(&drawn)
        .map(|(lane, points)| {
            format!("{} at most {}", lane.name, grouped(points.iter().map(|p| p.1).fold(0.0, f64::max)))
        })
        .collect();
    let changes: Vec<String> = marks.iter().map(|mark| format!("{} at {:.1} s", mark.text, mark.at)).collect();
    let frame = Frame {
        id: id.to_owned(),
        title: caption.to_owned(),
        description: format!("Over seconds, {unit}: {}. Load: {}.", tops.join(", "), changes.join(", ")),
        size: (520.0, 230.0),
        margins: [52.0, 92.0, 26.0, 40.0],
        x: Axis { range: (0.0, last), ticks: seconds.collect(), name: "seconds".into() },
        y: Axis { range: (0.0, highest), ticks: ticks::linear(0.0, highest), name: unit.to_owned() },
    };
    let svg = draw(&frame, |plot| {
        for mark in marks {
            plot.line(&[(mark.at, 0.0), (mark.at, highest)], Ink::Muted, 1.0);
            plot.text((mark.at, highest), (4.0, 8.0), &mark.text, Ink::Muted, Side::Right);
        }
        let mut tops: Vec<f64> = Vec::new();
        for (lane, points) in lanes.iter().zip(&drawn) {
            plot.line(points, Ink::Mode(lane.mode), 1.6);
            let Some(end) = points.last() else { continue };
            let top = plot.top_of(end.1);
            let mut wanted = top;
            while let Some(other) = tops.iter().find(|other| (wanted - **other).abs() < 14.0) {
                wanted = other - 14.5;
            }
            tops.push(wanted);
            plot.text((last, end.1), (8.0, wanted - top), lane.name, Ink::Mode(lane.mode), Side::Right);
        }
    });
    Some(Panel { caption: caption.to_owned(), svg })
}

/// At most [`POINTS`] points: means of neighbours.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(POINTS).max(1);
    let mean = |chunk: &[(f64, f64)]| {
        let count = chunk.len() as f64;
        let sum = chunk.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / count, sum.1 / count)
    };
    points.chunks(size).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that a panel says in words what it draws, that many points become few, and that nothing gives no panel.
    #[test]
    fn panels() {
        let points: Vec<(f64, f64)> = (0..1_000).map(|i| (f64::from(i) / 10.0, f64::from(i % 10))).collect();
        assert!(thin(&points).len() <= POINTS);
        let lane = |points: Vec<(f64, f64)>| [Lane { name: "in time", mode: 0, points }];
        let marks = [Mark { at: 3.0, text: "2x".to_owned() }];
        let panel = lanes("a", "with a limiter", "per second", &lane(points), &marks).unwrap();
        assert!(panel.svg.contains("2x at 3.0 s") && panel.svg.contains("in time at most"), "{}", panel.svg);
        assert!(lanes("a", "b", "c", &lane(Vec::new()), &marks).is_none());
    }
}
