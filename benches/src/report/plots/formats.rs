//! What formats cost: the codec's share in bars, bytes and nanoseconds over the size of a message.

use super::curves::{Along, Curve, over};
use super::{Panel, ticks};
use crate::estimates::Estimate;
use crate::report::Report;
use crate::report::palette::{SLOTS, slot};
use crate::report::svg::{Axis, Frame, Ink, Side, draw};
use crate::report::words::number;
use crate::sizes::Size;
use crate::verdict::codec::Share;

/// Height of a bar's line, in CSS pixels.
const LINE: f64 = 19.0;

/// Left, right, top, bottom of the bars.
const MARGINS: [f64; 4] = [216.0, 46.0, 8.0, 40.0];

/// One panel a framing and request: for each engine and format a bar of what raw costs and on top of it the codec.
pub(in crate::report) fn codec(shares: &[Share]) -> Vec<Panel> {
    let mut asked: Vec<(&str, &str)> = Vec::new();
    for share in shares {
        if !asked.contains(&(&share.protocol, &share.ask)) {
            asked.push((&share.protocol, &share.ask));
        }
    }
    let panel = |(index, (protocol, ask)): (usize, (&str, &str))| {
        let mut bars: Vec<&Share> =
            shares.iter().filter(|share| (&*share.protocol, &*share.ask) == (protocol, ask)).collect();
        // Stable, so formats keep their order within an engine.
        bars.sort_by(|a, b| a.engine.cmp(&b.engine));
        bars_panel(index, &format!("{ask}, {protocol}"), &bars)
    };
    asked.into_iter().enumerate().map(panel).collect()
}

fn bars_panel(index: usize, caption: &str, bars: &[&Share]) -> Panel {
    let highest = bars.iter().map(|share| share.format_us.max(share.raw_us + share.codec_us.interval[1]));
    let highest = highest.fold(f64::MIN_POSITIVE, f64::max) * 1.03;
    let says = |share: &&Share| {
        format!("{} {}: {} of {} µs", share.engine, share.format, number(share.codec_us.value), number(share.format_us))
    };
    let frame = Frame {
        id: format!("codec-{index}"),
        title: format!("The codec's share of server CPU, {caption}"),
        description: format!("{}.", bars.iter().map(says).collect::<Vec<_>>().join("; ")),
        size: (480.0, bars.len() as f64 * LINE + MARGINS[2] + MARGINS[3]),
        margins: MARGINS,
        x: Axis {
            range: (0.0, highest),
            ticks: ticks::linear(0.0, highest),
            name: "raw and codec, µs per request".into(),
        },
        y: Axis { range: (0.0, bars.len() as f64), ..Axis::default() },
    };
    let svg = draw(&frame, |plot| {
        let mut before = "";
        for (line, share) in bars.iter().enumerate() {
            let (top, bottom) = ((bars.len() - line) as f64 - 0.14, (bars.len() - line) as f64 - 0.86);
            let middle = top.midpoint(bottom);
            let area = |from: f64, to: f64| [(from, bottom), (to, bottom), (to, top), (from, top)];
            let end = (share.raw_us + share.codec_us.value).max(0.0);
            plot.area(&area(0.0, share.raw_us.min(end)), Ink::Grid);
            if end > share.raw_us {
                plot.area(&area(share.raw_us, end), Ink::Engine(slot(&share.engine, share.twin_of.as_deref())));
            }
            let [low, high] = share.codec_us.interval.map(|codec| (share.raw_us + codec).clamp(0.0, highest));
            plot.line(&[(low, middle), (high, middle)], Ink::Text, 1.4);
            plot.text((0.0, middle), (-8.0, 0.0), &share.format, Ink::Text, Side::Left);
            if share.engine != before {
                plot.text((0.0, middle), (-MARGINS[0] + 2.0, 0.0), &share.engine, Ink::Muted, Side::Right);
                before = &share.engine;
            }
            plot.text(
                (highest, middle),
                (6.0, 0.0),
                &format!("{:.0}%", share.share.value * 100.0),
                Ink::Text,
                Side::Right,
            );
        }
    });
    Panel { caption: caption.to_owned(), svg }
}

/// Bytes on the connection over bytes said, and nanoseconds of a codec by itself over the bytes that it makes.
pub(in crate::report) fn sizes(report: &Report) -> Vec<Panel> {
    let mut panels = wire_bytes(report);
    panels.extend(nanoseconds("codecs", &report.run.estimates));
    panels
}

/// Nanoseconds and encoded bytes over the size of a message, or nanoseconds over the share of it that is wanted. `id` is unique on
/// the page.
pub(in crate::report) fn codecs(estimates: &[Estimate], sizes: &[Size], id: &str) -> Vec<Panel> {
    let mut panels = nanoseconds(id, estimates);
    panels.extend(encoded_bytes(id, sizes));
    panels
}

/// Encoded bytes of a text over its length, a curve a format.
fn encoded_bytes(id: &str, sizes: &[Size]) -> Option<Panel> {
    let mut curves: Vec<Curve> = Vec::new();
    for size in sizes {
        let Some(text) = size.set.strip_prefix("text-").and_then(bytes) else { continue };
        let point = (text, size.bytes);
        match curves.iter_mut().find(|curve| curve.name == size.format) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve { name: size.format.clone(), slot: curves.len() % SLOTS, points: vec![point] }),
        }
    }
    let along = Along { name: "bytes of text in the message", ticks: ticks::logarithmic };
    over(&format!("{id}-bytes"), "bytes of a message", "bytes", &along, &curves)
}

/// Bytes of a request and its reply on the connection, a curve a format, a panel a framing and kind of request.
fn wire_bytes(report: &Report) -> Vec<Panel> {
    let engine = report.verdict.baseline.as_deref();
    let curves = crate::verdict::codec::curves(&report.matrix);
    let mut asked: Vec<(&str, &str)> = Vec::new();
    let measured = || curves.iter().filter(|curve| Some(curve.engine.as_str()) == engine && curve.points.len() > 1);
    for curve in measured() {
        if !asked.contains(&(&curve.protocol, &curve.ask)) {
            asked.push((&curve.protocol, &curve.ask));
        }
    }
    let along = Along { name: "bytes said: both bodies in raw", ticks: ticks::logarithmic };
    let panel = |(index, (protocol, ask)): (usize, (&str, &str))| {
        let same = measured().filter(|curve| (&*curve.protocol, &*curve.ask) == (protocol, ask));
        let drawn: Vec<Curve> = same
            .enumerate()
            .map(|(place, curve)| Curve {
                name: curve.format.clone(),
                slot: place % SLOTS,
                points: curve
                    .points
                    .iter()
                    .filter_map(|point| Some((point.content_bytes, point.wire_bytes?)))
                    .collect(),
            })
            .filter(|curve| !curve.points.is_empty())
            .collect();
        over(&format!("bytes-{index}"), &format!("Bytes on the connection, {ask}, {protocol}"), "bytes", &along, &drawn)
    };
    asked.into_iter().enumerate().filter_map(panel).collect()
}

/// Where a bench of criterion's stands in a plot.
#[derive(Debug, PartialEq)]
struct Spot {
    panel: String,
    curve: String,
    along: &'static str,
    x: f64,
}

/// Groups are named `OPERATION/SET` and `project-4/HOW/SHARE-percent/WHERE`; the sets of a sweep over sizes are `text-16` to
/// `text-256k`. Benches with other names have no place on an axis.
fn spot(estimate: &Estimate) -> Option<Spot> {
    let parts: Vec<&str> = estimate.group.split('/').collect();
    match parts[..] {
        [operation, set] => Some(Spot {
            panel: format!("{operation}, ns per message"),
            curve: estimate.function.clone(),
            along: "bytes of text in the message",
            x: bytes(set.strip_prefix("text-")?)?,
        }),
        ["project-4", how, share, position] => Some(Spot {
            panel: format!("4 fields, {position}, {how}, ns"),
            curve: [Some(estimate.function.as_str()), estimate.value.as_deref()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" "),
            along: "share of the record that the fields take, %",
            x: share.strip_suffix("-percent")?.parse().ok().filter(|share| *share > 0.0)?,
        }),
        _ => None,
    }
}

/// `16`, `4k`: kibibytes.
fn bytes(size: &str) -> Option<f64> {
    let (digits, factor) = size.strip_suffix('k').map_or((size, 1.0), |digits| (digits, 1024.0));
    digits.parse::<u32>().ok().filter(|count| *count > 0).map(|count| f64::from(count) * factor)
}

/// Nanoseconds of one message over its size, or over the share of it that is wanted, a curve a format, from criterion's benches.
fn nanoseconds(id: &str, estimates: &[Estimate]) -> Vec<Panel> {
    let mut panels: Vec<(Spot, Vec<Curve>)> = Vec::new();
    for (spot, nanoseconds) in estimates.iter().filter_map(|estimate| Some((spot(estimate)?, estimate.nanoseconds))) {
        let place = panels.iter().position(|(first, _)| first.panel == spot.panel).unwrap_or_else(|| {
            panels.push((Spot { curve: String::new(), panel: spot.panel.clone(), ..spot }, Vec::new()));
            panels.len() - 1
        });
        let curves = &mut panels[place].1;
        let point = (spot.x, nanoseconds);
        match curves.iter_mut().find(|curve| curve.name == spot.curve) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve { name: spot.curve, slot: curves.len() % SLOTS, points: vec![point] }),
        }
    }
    let panel = |(index, (first, mut curves)): (usize, (Spot, Vec<Curve>))| {
        curves.iter_mut().for_each(|curve| curve.points.sort_by(|a, b| a.0.total_cmp(&b.0)));
        let along = Along { name: first.along, ticks: ticks::logarithmic };
        over(&format!("{id}-ns-{index}"), &first.panel, "ns per message", &along, &curves)
    };
    panels.into_iter().enumerate().filter_map(panel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(group: &str, function: &str, value: Option<&str>) -> Estimate {
        Estimate {
            group: group.into(),
            function: function.into(),
            value: value.map(str::to_owned),
            nanoseconds: 10.0,
            interval: [9.0, 11.0],
        }
    }

    /// Shows which benches have a place in a plot, and where.
    #[test]
    fn benches_have_their_place() {
        let sweep = spot(&estimate("encode/text-4k", "json", None)).unwrap();
        assert_eq!((sweep.panel.as_str(), sweep.curve.as_str(), sweep.x), ("encode, ns per message", "json", 4096.0));
        let project = spot(&estimate("project-4/validated/15-percent/last", "json", Some("serde"))).unwrap();
        assert_eq!((project.curve.as_str(), project.x), ("json serde", 15.0));
        for other in ["encode/note", "encode/text-", "encode/text-0", "project-4/validated/x-percent/last", "a/b/c"] {
            assert_eq!(spot(&estimate(other, "json", None)), None, "{other}");
        }
    }

    /// Shows a panel for each operation with a curve for each format, its points in order.
    #[test]
    fn sweeps_become_panels() {
        let all = [
            estimate("encode/text-1k", "json", None),
            estimate("encode/text-16", "json", None),
            estimate("decode/text-16", "json", None),
            estimate("encode/text-16", "raw", None),
        ];
        let panels = nanoseconds("codecs", &all);
        assert_eq!(panels.len(), 2);
        assert!(panels[0].svg.contains("json") && panels[0].svg.contains("raw"));
    }
}
