//! `lab.prom`: the run's figures for the agent's (or node_exporter's) textfile collector.
//!
//! Text exposition format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). Families whose values are all missing are left out.

use std::fmt::Write as _;

use super::Report;
use super::rows::Row;
use crate::verdict::Figure;

type Value = fn(&Row) -> Option<f64>;

/// Gauges of a row: name, help, value in base units.
const GAUGES: [(&str, &str, Value); 9] = [
    (
        "highload_lab_server_cpu_seconds_per_request",
        "Server CPU time per completed request, median of rounds.",
        |row| Some(row.cpu_us_per_request?.median / 1e6),
    ),
    ("highload_lab_server_cpu_ratio", "Server CPU per request divided by the baseline's.", |row| row.cpu_ratio),
    ("highload_lab_response_seconds_p50", "Median response time from the intended send time.", |row| {
        Some(row.response_us?[0] / 1e6)
    }),
    ("highload_lab_response_seconds_p99", "99th percentile of the response time.", |row| {
        Some(row.response_us?[1] / 1e6)
    }),
    ("highload_lab_response_seconds_p999", "99.9th percentile of the response time.", |row| {
        Some(row.response_us?[2] / 1e6)
    }),
    ("highload_lab_server_syscalls_per_request", "System calls of the server per completed request.", |row| {
        row.syscalls_per_request
    }),
    ("highload_lab_server_resident_memory_bytes", "Resident set size of the server, median of rounds.", |row| {
        row.rss_bytes
    }),
    ("highload_lab_requests_per_second", "Completed requests per second, median of rounds.", |row| row.rate),
    ("highload_lab_rounds_counted", "Rounds that count.", |row| Some(row.counted as f64)),
];

/// The whole file.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    let scenario = label(report.run.plan.as_ref().map_or("unknown", |plan| &plan.scenario));
    for (name, help, value) in GAUGES {
        let samples: Vec<(&Row, f64)> = report.rows.iter().filter_map(|row| Some((row, value(row)?))).collect();
        if samples.is_empty() {
            continue;
        }
        head(&mut text, name, help);
        for (row, value) in samples {
            let (engine, interface, cell) = (label(&row.engine), label(&row.interface), label(&row.cell));
            let _ = writeln!(
                text,
                "{name}{{scenario=\"{scenario}\",cell=\"{cell}\",engine=\"{engine}\",interface=\"{interface}\"}} {value}"
            );
        }
    }
    bands(report, &scenario, &mut text);
    let name = "highload_lab_trials";
    head(&mut text, name, "Rows of the run by how they ended.");
    let counts = report.counts;
    let ended = [
        ("ok", counts.rows - counts.void - counts.failed - counts.unavailable),
        ("void", counts.void),
        ("failed", counts.failed),
        ("unavailable", counts.unavailable),
    ];
    for (status, count) in ended {
        let _ = writeln!(text, "{name}{{scenario=\"{scenario}\",status=\"{status}\"}} {count}");
    }
    if let Some(end) = report
        .run
        .trials
        .iter()
        .map(|trial| trial.started_unix_ms as f64 / 1e3 + trial.measured_seconds)
        .reduce(f64::max)
    {
        let name = "highload_lab_run_end_timestamp_seconds";
        head(&mut text, name, "End of the last trial, seconds since the Unix epoch.");
        let _ = writeln!(text, "{name}{{scenario=\"{scenario}\"}} {end}");
    }
    text
}

fn bands(report: &Report, scenario: &str, text: &mut String) {
    let figures: Vec<_> =
        report.verdict.figures.iter().filter_map(|figure| Some((figure.figure, figure.band(None)?.factor))).collect();
    if figures.is_empty() {
        return;
    }
    let name = "highload_lab_noise_band_ratio";
    head(text, name, "How far one engine under two names came out from itself, as a ratio of at least 1.");
    for (figure, factor) in figures {
        let figure = match figure {
            Figure::Cpu => "cpu",
            Figure::P99 => "p99",
            Figure::Syscalls => "syscalls",
            Figure::Rss => "rss",
        };
        let _ = writeln!(text, "{name}{{scenario=\"{scenario}\",figure=\"{figure}\"}} {factor}");
    }
}

pub(super) fn head(text: &mut String, name: &str, help: &str) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
}

/// A label value, escaped as the format wants it.
pub(super) fn label(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
