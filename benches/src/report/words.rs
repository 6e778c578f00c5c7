//! Numbers as text, the same in the table, the Markdown and the page.

use crate::verdict::Call;

/// What stands where there is no number.
pub(crate) const NOTHING: &str = "–";

/// Three significant digits below a thousand, then whole: `0.0213`, `4.21`, `48.3`, `1,234`.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 999.5 => grouped(value),
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.0995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A whole number with commas.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

/// [`number`], or a dash.
pub(crate) fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), number)
}

/// Bytes as MiB with one decimal.
pub(crate) fn mebibytes(bytes: Option<f64>) -> String {
    bytes.map_or_else(|| NOTHING.to_owned(), |bytes| format!("{:.1}", bytes / f64::from(1 << 20)))
}

/// A call in a table's cell.
pub(crate) fn call(call: Call) -> &'static str {
    match call {
        Call::Less => "less",
        Call::More => "more",
        Call::NoEvidence => "no evidence",
        Call::TooFew => "too few rounds",
        Call::Counted => "counted",
        Call::Absent => "not measured",
    }
}
