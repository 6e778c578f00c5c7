//! `highload-agent explain NAME`: a catalogue entry in words.

use std::fmt::Write;

use crate::catalogue::{self, Metric};
use crate::collector::COLLECTORS;

/// Least likeness (Jaro-Winkler, 0 to 1) at which another name is offered; below it the offer is noise.
const LIKENESS: f64 = 0.85;

/// What the entry says, a line each.
pub fn text(metric: &Metric) -> String {
    let mut text = String::new();
    let labels = metric.labels.join(", ");
    let collector = collector_of(metric).unwrap_or("the scrape itself");
    for (title, value) in [
        ("name", metric.name),
        ("type", metric.kind.name()),
        ("labels", if labels.is_empty() { "none" } else { &labels }),
        ("unit", if metric.unit.is_empty() { "none" } else { metric.unit }),
        ("meaning", metric.help),
        ("source", metric.source),
        ("answers", metric.question),
        ("collector", collector),
    ] {
        writeln!(text, "{title:<10} {value}").expect("a String takes everything");
    }
    text
}

/// The collector that exports the entry.
fn collector_of(metric: &Metric) -> Option<&'static str> {
    let exports = |entry: &&crate::collector::Entry| entry.spec.metrics.iter().any(|own| std::ptr::eq(*own, metric));
    COLLECTORS.iter().find(exports).map(|entry| entry.name)
}

/// `; did you mean …?` when a name is near enough, else nothing.
pub fn nearest(name: &str) -> String {
    let likeness = |metric: &Metric| strsim::jaro_winkler(metric.name, name);
    catalogue::all()
        .map(|metric| (likeness(metric), metric.name))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(String::new(), |(_, near)| format!("; did you mean {near}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry in full, and a misspelt name.
    #[test]
    fn explains() {
        let text = text(catalogue::find("node_load1").unwrap());
        for part in ["gauge", "/proc/loadavg", "last minute?", "collector  loadavg"] {
            assert!(text.contains(part), "{part} not in:\n{text}");
        }
        assert_eq!(nearest("node_loda1"), "; did you mean node_load1?");
        assert_eq!(nearest("zzz"), "");
    }
}
