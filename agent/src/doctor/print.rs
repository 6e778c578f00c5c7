//! The report for people and for programs.

use std::fmt::Write;

use serde_json::json;

use super::Report;

/// Version of the JSON form; fields are only ever added.
const SCHEMA: u32 = 1;

/// A line a gap, a line a collector without anything to read, and a line that sums up.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |kind: &str, rest: &str| {
        // A reason may hold the newlines of somebody's error.
        writeln!(text, "{kind:<6} {}", rest.replace(['\n', '\r'], " ")).expect("a String takes everything");
    };
    for gap in &report.gaps {
        let collectors = gap.collectors.join(", ");
        line("gap", &format!("{collectors}: no {}: {}. To change it: {}", gap.missing, gap.reason, gap.remedy));
    }
    for absent in &report.absent {
        line("none", &format!("{}: {}", absent.collector, absent.reason));
    }
    if !report.off.is_empty() {
        line("off", &report.off.join(", "));
    }
    let counts = [report.gaps.len(), report.absent.len(), report.working.len(), report.off.len()];
    let [gaps, absent, working, off] = counts;
    line(
        "sum",
        &format!("{gaps} gaps, {absent} collectors with nothing to read here, {working} that work, {off} switched off"),
    );
    text
}

/// One JSON object and a newline.
pub fn json(report: &Report) -> String {
    let object = json!({
        "schema": SCHEMA,
        "gaps": report.gaps,
        "absent": report.absent,
        "working": report.working,
        "off": report.off,
    });
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use super::super::{Absent, Gap};
    use super::*;

    /// Every part in both forms; a newline in an error does not make a second line.
    #[test]
    fn both_forms() {
        let report = Report {
            gaps: vec![Gap::new(&["io_uring"], "x_total", "a\nb", "sysctl y")],
            absent: vec![Absent { collector: "mdadm".into(), reason: "/proc/mdstat".into() }],
            working: vec!["loadavg".into()],
            off: vec!["systemd".into()],
        };
        let text = text(&report);
        assert_eq!(text.lines().count(), 4);
        assert!(
            text.starts_with("gap    io_uring: no x_total: a b. To change it: sysctl y\nnone   mdadm: /proc/mdstat\n")
        );
        assert!(text.ends_with("1 gaps, 1 collectors with nothing to read here, 1 that work, 1 switched off\n"));
        let object: serde_json::Value = serde_json::from_str(&json(&report)).unwrap();
        assert_eq!(object["gaps"][0]["collectors"][0], "io_uring");
        assert_eq!((&object["schema"], &object["absent"][0]["reason"]), (&1.into(), &"/proc/mdstat".into()));
    }
}
