//! Where ticks stand and what they say.

use crate::report::words::grouped;

/// 1, 2 or 5 times a power of ten, at least `step`.
pub(super) fn nice(step: f64) -> f64 {
    let power = 10_f64.powf(step.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|nice| *nice >= step * 0.999).unwrap_or(step)
}

/// About four ticks between two values.
pub(super) fn linear(lowest: f64, highest: f64) -> Vec<(f64, String)> {
    let step = nice((highest - lowest) / 4.5);
    let first = (lowest / step).ceil();
    let text = |value: f64| match value {
        0.0 => "0".to_owned(),
        _ if value >= 1e6 => format!("{}M", trimmed(value / 1e6)),
        _ if value >= 1e4 => format!("{}k", trimmed(value / 1e3)),
        _ => trimmed(value),
    };
    (0..=9)
        .map(|i| (first + f64::from(i)) * step)
        .filter(|value| *value <= highest)
        .map(|value| (value, text(value)))
        .collect()
}

/// At most two decimals, none that are zeros.
pub(super) fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Ticks between two logarithms: decades, with 2 and 5 where there are fewer than three decades.
pub(super) fn logarithmic(low: f64, high: f64) -> Vec<(f64, String)> {
    let factors: &[f64] = if high - low < 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let decades = (low.floor() as i32)..=(high.ceil() as i32);
    let values = decades.flat_map(|decade| factors.iter().map(move |factor| factor * 10_f64.powi(decade)));
    let text = |value: f64| if value >= 1e3 { grouped(value) } else { trimmed(value) };
    values.map(|value| (value.log10(), text(value))).filter(|(at, _)| (low..=high).contains(at)).collect()
}

/// Ratios that read well, as many as have room.
pub(super) fn ratios(reach: f64) -> Vec<(f64, String)> {
    let all: &[f64] = match reach {
        r if r < 0.25 => &[0.9, 0.95, 1.0, 1.05, 1.1],
        r if r < 0.6 => &[0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4],
        r if r < 1.1 => &[0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0],
        _ => &[0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0],
    };
    all.iter().map(|ratio| (ratio.log2(), trimmed(*ratio))).filter(|(at, _)| at.abs() <= reach).collect()
}
