//! The host while the run went on.

use super::{Panel, ticks};
use crate::report::palette::MODES;
use crate::report::svg::{Axis, Frame, Ink, Side, draw};
use crate::report::words::grouped;
use crate::result::HostSample;

/// Most points of a series of the timeline: more would not be seen at the width of a page.
const POINTS: usize = 240;

/// The host while the run went on.
pub(in crate::report) fn timeline(samples: &[HostSample]) -> Vec<Panel> {
    let samples = thin(samples);
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Vec::new() };
    if samples.len() < 2 || last.at_seconds <= first.at_seconds {
        return Vec::new();
    }
    let range = (first.at_seconds, last.at_seconds);
    let mut panels = vec![modes(&samples, range)];
    let plain: [(&str, &str, &[Line]); 3] = [
        ("Softirqs", "per second", &[("softirqs", 3, |s| s.softirqs_per_second)]),
        ("Context switches", "per second", &[("switches", 0, |s| s.context_switches_per_second)]),
        (
            "TCP sockets",
            "sockets",
            &[("in use", 1, |s| s.tcp_in_use as f64), ("time-wait", 2, |s| s.tcp_time_wait as f64)],
        ),
    ];
    for (index, (title, unit, lines)) in plain.into_iter().enumerate() {
        panels.push(series(&samples, range, index, title, unit, lines));
    }
    panels
}

/// Name, place among [`MODES`]' colours, value.
type Line = (&'static str, usize, fn(&HostSample) -> f64);

fn time_frame(id: String, title: &str, description: String, range: (f64, f64), y: Axis) -> Frame {
    let step = ticks::nice((range.1 - range.0) / 6.0);
    let first = (range.0 / step).ceil() * step;
    let seconds = (0..=6)
        .map(|i| first + f64::from(i) * step)
        .filter(|t| *t <= range.1)
        .map(|t| (t, format!("{t:.0}")))
        .collect();
    Frame {
        id,
        title: title.to_owned(),
        description,
        size: (520.0, 210.0),
        margins: [48.0, 76.0, 26.0, 40.0],
        x: Axis { range, ticks: seconds, name: "seconds since the run started".into() },
        y,
    }
}

fn modes(samples: &[HostSample], range: (f64, f64)) -> Panel {
    let share = |sample: &HostSample, mode: &str| sample.cpu.get(mode).copied().unwrap_or(0.0);
    let mean = |mode: &str| samples.iter().map(|sample| share(sample, mode)).sum::<f64>() / samples.len() as f64;
    let means: Vec<String> = MODES
        .iter()
        .filter(|(mode, _)| mean(mode) >= 0.0005)
        .map(|(mode, _)| format!("{mode} {:.1} %", mean(mode) * 100.0))
        .collect();
    let shares = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| (share, format!("{:.0}", share * 100.0))).to_vec();
    let y = Axis { range: (0.0, 1.0), ticks: shares, name: "% of all cores".into() };
    let description = format!("Stacked shares of all cores' time. Means: {}.", means.join(", "));
    let frame = time_frame("host-cpu".into(), "CPU time of the box by mode", description, range, y);
    let svg = draw(&frame, |plot| {
        let mut floor = vec![0.0; samples.len()];
        let mut label_top = f64::INFINITY;
        for (place, (mode, _)) in MODES.iter().enumerate() {
            if mean(mode) < 0.0005 {
                continue;
            }
            let ceiling: Vec<f64> =
                samples.iter().zip(&floor).map(|(sample, floor)| (floor + share(sample, mode)).min(1.0)).collect();
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
    let y = Axis { range: (0.0, highest), ticks: ticks::linear(0.0, highest), name: unit.to_owned() };
    let largest = |line: &Line| samples.iter().map(line.2).fold(0.0, f64::max);
    let description = lines
        .iter()
        .map(|line| format!("{}: at most {}.", line.0, grouped(largest(line))))
        .collect::<Vec<_>>()
        .join(" ");
    let frame = time_frame(format!("host-{index}"), &format!("{title} of the box"), description, range, y);
    let svg = draw(&frame, |plot| {
        let mut tops: Vec<f64> = Vec::new();
        for (name, colour, value) in lines {
            let points: Vec<(f64, f64)> = samples.iter().map(|sample| (sample.at_seconds, value(sample))).collect();
            plot.line(&points, Ink::Mode(*colour), 1.6);
            let end = points.last().copied().unwrap_or_default();
            let top = plot.top_of(end.1);
            let wanted = tops
                .iter()
                .fold(top, |wanted, other| if (wanted - other).abs() < 14.0 { other - 14.0 } else { wanted });
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
