//! The generated part of `agent/README.md`: a table of every collector and of every metric, from the catalogue.

use std::fmt::Write;

use crate::catalogue::Metric;
use crate::collector::COLLECTORS;
use crate::scrape;

/// The marks between which the table stands.
pub const BEGIN: &str = "<!-- generated from the catalogue by tests/readme.rs; do not edit -->";
/// See [`BEGIN`].
pub const END: &str = "<!-- end of the generated part -->";

/// The text between the marks.
pub fn tables() -> String {
    let mut text = String::new();
    line(&mut text, "| collector | on by default | reads |\n|---|---|---|");
    for entry in COLLECTORS {
        let on = if entry.default_on { "yes" } else { "no" };
        line(&mut text, &format!("| `{}` | {on} | {} |", entry.name, entry.about));
    }
    for entry in COLLECTORS {
        line(&mut text, &format!("\n#### {}", entry.name));
        metrics(&mut text, entry.spec.metrics);
    }
    line(&mut text, "\n#### Of every scrape");
    metrics(&mut text, scrape::METRICS);
    text
}

fn metrics(text: &mut String, metrics: &[&Metric]) {
    line(text, "\n| metric | type | meaning | source | question |\n|---|---|---|---|---|");
    let mut sorted = metrics.to_vec();
    sorted.sort_by_key(|metric| metric.name);
    for metric in sorted {
        let labels = if metric.labels.is_empty() { String::new() } else { format!("{{{}}}", metric.labels.join(",")) };
        let cell = |text: &str| text.replace('|', "\\|").replace('*', "\\*").replace('<', "&lt;");
        line(
            text,
            &format!(
                "| `{}{labels}` | {} | {} | {} | {} |",
                metric.name,
                metric.kind.name(),
                cell(metric.help),
                cell(metric.source),
                cell(metric.question)
            ),
        );
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes everything");
}
