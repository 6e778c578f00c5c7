//! Throughput over instances with the fitted law, and how far each measurement is from it.

use super::{Panel, ticks};
use crate::report::svg::{Axis, Frame, Ink, Plot, Side, draw};
use crate::report::words::number;
use crate::stats::scaling::Fit;

/// Points of a curve.
const STEPS: u32 = 80;

/// Throughput: a point a measurement, the law with its interval, and what linear scaling would be.
pub(in crate::report) fn throughput(points: &[(f64, f64)], fit: Option<&Fit>, slot: usize) -> Panel {
    let last = points.iter().map(|point| point.0).fold(1.0, f64::max);
    let most = points.iter().map(|point| point.1).fold(0.0, f64::max);
    let (right, top) = (last * 1.08, most * 1.15);
    let caption = "Requests a second over instances";
    let peak = fit
        .and_then(|fit| fit.law.peak())
        .map_or_else(String::new, |peak| format!(" The law peaks at {} instances.", number(peak)));
    let frame = Frame {
        id: "scaling-throughput".to_owned(),
        title: caption.to_owned(),
        description: format!("At most {} requests a second, with up to {last} instances.{peak}", number(most)),
        size: (400.0, 300.0),
        margins: [56.0, 60.0, 26.0, 40.0],
        x: Axis { range: (0.0, right), ticks: ticks::linear(0.0, right), name: "instances".into() },
        y: Axis { range: (0.0, top), ticks: ticks::linear(0.0, top), name: "requests/s".into() },
    };
    let svg = draw(&frame, |plot| {
        if let Some(fit) = fit {
            law(plot, fit, right, top);
        }
        points.iter().for_each(|point| plot.marker(*point, (0.0, 0.0), slot, 3.4, false));
    });
    Panel { caption: caption.to_owned(), svg }
}

fn law(plot: &Plot, fit: &Fit, right: f64, top: f64) {
    let along: Vec<f64> = (0..=STEPS).map(|step| 1.0 + (right - 1.0) * f64::from(step) / f64::from(STEPS)).collect();
    let within = |value: f64| value.clamp(0.0, top);
    let edge = |of: fn(&crate::stats::Interval) -> f64| -> Vec<(f64, f64)> {
        along.iter().map(|n| (*n, within(of(&fit.forecast(*n).interval)))).collect()
    };
    let mut outline = edge(|interval| interval.low);
    outline.extend(edge(|interval| interval.high).into_iter().rev());
    plot.area(&outline, Ink::Band);
    let linear = (top / fit.law.lambda).min(right);
    plot.line(&[(0.0, 0.0), (linear, linear * fit.law.lambda)], Ink::Muted, 1.0);
    plot.text((linear, linear * fit.law.lambda), (6.0, 0.0), "linear", Ink::Muted, Side::Right);
    let curve: Vec<(f64, f64)> = along.iter().map(|n| (*n, within(fit.law.throughput(*n)))).collect();
    plot.line(&curve, Ink::Text, 2.0);
    if let Some(end) = curve.last() {
        plot.text(*end, (6.0, 0.0), "law", Ink::Text, Side::Right);
    }
}

/// Measured less fitted, in percent of the fitted, over instances.
pub(in crate::report) fn residuals(points: &[(f64, f64)], fit: &Fit, slot: usize) -> Panel {
    let right = fit.largest * 1.08;
    let reach = fit.residuals.iter().map(|residual| residual.abs() * 100.0).fold(1.0, f64::max) * 1.15;
    let caption = "Residuals: measured less fitted, %";
    let frame = Frame {
        id: "scaling-residuals".to_owned(),
        title: caption.to_owned(),
        description: format!(
            "Typically {} % from the law. A bow instead of a cloud means that the law does not fit.",
            number(fit.residual() * 100.0)
        ),
        size: (400.0, 300.0),
        margins: [56.0, 60.0, 26.0, 40.0],
        x: Axis { range: (0.0, right), ticks: ticks::linear(0.0, right), name: "instances".into() },
        y: Axis { range: (-reach, reach), ticks: ticks::linear(-reach, reach), name: "%".into() },
    };
    let svg = draw(&frame, |plot| {
        plot.line(&[(0.0, 0.0), (right, 0.0)], Ink::Muted, 1.4);
        for ((instances, _), residual) in points.iter().zip(&fit.residuals) {
            plot.marker((*instances, residual * 100.0), (0.0, 0.0), slot, 3.4, false);
        }
    });
    Panel { caption: caption.to_owned(), svg }
}
