//! `report.md`: the report where only text goes, as in a merge request.

use std::fmt::Write as _;

use super::table::{band, caption, could_have_seen, ended, fields, headings};
use super::words::call;
use super::{Report, formats, html::METHOD};
use crate::result::Status;
use crate::verdict::{Call, percent, sentence};

/// The whole file.
pub(super) fn render(report: &Report) -> String {
    let scenario = report.run.plan.as_ref().map_or("unknown scenario", |plan| &plan.scenario);
    let mut text = format!("# {}\n\n{}\n", escape(scenario), escape(&report.verdict.headline));
    if let Some(plan) = &report.run.plan {
        let _ = write!(text, "\n> {}\n", escape(plan.question.trim()).replace('\n', "\n> "));
    }
    let _ = write!(text, "\n{}\n\n{}\n", escape(&caption(report)), ended(&report.counts));
    if !report.rows.is_empty() {
        let headings = headings(report);
        let _ = write!(
            text,
            "\n## Results\n\n| {} |\n|---|---|{}\n",
            headings.join(" | "),
            "---:|".repeat(headings.len() - 2)
        );
        for row in &report.rows {
            let fields: Vec<String> =
                fields(row, report.verdict.baseline.as_deref()).iter().map(|field| escape(field)).collect();
            let _ = writeln!(text, "| {} | {} |", escape(&row.cell), fields.join(" | "));
        }
        text.push_str("\n▼ less, ▲ more than the baseline, supported by test, interval and noise band; ? too few rounds; no mark: no evidence of a difference.\n");
    }
    findings(report, &mut text);
    formats(report, &mut text);
    flames(report, &mut text);
    section(&mut text, "Notes", report.verdict.notes.iter().chain(&report.run.warnings));
    let discarded: Vec<String> = report
        .run
        .trials
        .iter()
        .filter(|trial| trial.status != Status::Ok)
        .map(|trial| {
            let reason = trial.reason.as_deref().unwrap_or("no reason given");
            format!(
                "{:?} trial {}: {} {} round {}: {reason}",
                trial.status, trial.index, trial.engine, trial.format, trial.round
            )
        })
        .collect();
    section(&mut text, "Trials that do not count", discarded.iter());
    section(&mut text, "Method and bias", METHOD.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>().iter());
    fingerprint(report, &mut text);
    text
}

/// Every comparison of every figure over all formats.
fn findings(report: &Report, text: &mut String) {
    let Some(baseline) = &report.verdict.baseline else { return };
    let mut lines = Vec::new();
    for figure in &report.verdict.figures {
        for comparison in &figure.overall {
            lines.push(match (comparison.call, comparison.ratio, &comparison.note) {
                (Call::Less | Call::More, _, _) => sentence(comparison, baseline, figure.figure.name()),
                (found, Some(ratio), note) => {
                    let note = note.as_ref().map_or_else(String::new, |note| format!(", {note}"));
                    let seen = comparison.detectable.filter(|_| found == Call::NoEvidence);
                    let seen =
                        seen.map_or_else(String::new, |least| format!("; {} could have been seen", percent(least)));
                    format!(
                        "{}: {} {ratio:.2}x of {baseline}: {}{note}{seen}.",
                        comparison.engine,
                        figure.figure.name(),
                        call(found)
                    )
                }
                (found, None, note) => {
                    let note = note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
                    format!("{}: {} {}{note}.", comparison.engine, figure.figure.name(), call(found))
                }
            });
        }
    }
    lines.extend(band(report));
    lines.extend(could_have_seen(report));
    section(text, "Findings over all formats", lines.iter());
}

/// The codec's share and what the calculator makes of it.
fn formats(report: &Report, text: &mut String) {
    let Some(formats) = formats::formats(report) else { return };
    let _ = write!(text, "\n## The codec's share\n\n{}\n\n{}", escape(formats::EXPLANATION), formats.shares.markdown());
    if let Some(calculator) = &formats.calculator {
        let _ = writeln!(text, "\n## What a format buys\n");
        formats.answers.iter().for_each(|answer| {
            let _ = writeln!(text, "- {}", escape(answer));
        });
        let _ = write!(text, "\n{}", calculator.markdown());
    }
}

fn flames(report: &Report, text: &mut String) {
    if report.flames.graphs.is_empty() {
        return;
    }
    let _ = write!(text, "\n## Flame graphs\n\nAll of them: [flames.html](flames.html)\n\n");
    for graph in &report.flames.graphs {
        let against =
            graph.against.as_ref().map(|against| format!(", [against {}]({})", escape(&against.name), against.svg));
        let _ = writeln!(text, "- [{}]({}){}", escape(&graph.name()), graph.svg, against.unwrap_or_default());
    }
    let _ = write!(text, "\n{}", report.flames.grid(3).markdown());
    for (title, changes) in report.flames.changes() {
        let _ = write!(text, "\n{}:\n\n{}", escape(&title), changes.markdown());
    }
}

fn section<'a>(text: &mut String, title: &str, lines: impl Iterator<Item = &'a String>) {
    let lines: Vec<String> = lines.map(|line| format!("- {}\n", escape(line))).collect();
    if !lines.is_empty() {
        let _ = write!(text, "\n## {title}\n\n{}", lines.concat());
    }
}

fn fingerprint(report: &Report, text: &mut String) {
    let Some(host) = &report.run.host else { return };
    let commit = host.commit.as_deref().unwrap_or("outside a checkout");
    let _ = write!(
        text,
        "\n## Machine\n\n- command: `{}`\n- started: {}\n- commit: {commit}\n- profile: {}\n",
        host.command.join(" ").replace('`', "'"),
        host.started,
        host.profile
    );
    if let Some(plan) = &report.run.plan {
        let _ = writeln!(text, "- seed: {}", plan.seed);
    }
    for group in &host.groups {
        let facts: Vec<String> =
            group.facts.iter().map(|(name, value)| format!("{} {}", escape(name), escape(value))).collect();
        let _ = writeln!(text, "- {}: {}", escape(&group.name), facts.join("; "));
    }
}

/// Keeps text from files from becoming markup or breaking a table.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' | '*' | '_' | '`' | '[' | ']' | '#' | '\\' => safe.extend(['\\', character]),
            '<' => safe.push_str("&lt;"),
            '\n' | '\r' => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}
