//! Reports of a made-up result directory: goldens, files as interruptions leave them, and the page in a real browser.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod fixture;
mod page;

use std::fs;
use std::path::Path;

use lab::report::{self, Summary, read};
use lab::verdict::Call;
use proptest::prelude::*;

/// The fixture and its reports.
pub(crate) fn reported() -> (tempfile::TempDir, Summary) {
    let directory = tempfile::tempdir().unwrap();
    fixture::write(directory.path());
    let summary = report::write(directory.path()).unwrap();
    (directory, summary)
}

/// Compares with `golden/NAME`; with UPDATE_GOLDENS set, writes it instead.
fn golden(name: &str, seen: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/golden").join(name);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        fs::write(&path, seen).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert!(seen == wanted, "{name} changed; look at it and run with UPDATE_GOLDENS=1:\n{seen}");
}

/// The table, the Markdown and the metrics are byte for byte what a reviewer saw last; the table fits 120 columns.
#[test]
fn reports_are_as_reviewed() {
    let (directory, summary) = reported();
    golden("table.txt", &summary.table);
    golden("report.md", &fs::read_to_string(directory.path().join("report.md")).unwrap());
    golden("lab.prom", &fs::read_to_string(directory.path().join("lab.prom")).unwrap());
    for line in summary.table.lines() {
        assert!(line.chars().count() <= 120, "{} columns: {line}", line.chars().count());
    }
}

/// The fixture's truth: monoio-uring a sixth cheaper, monoio-epoll a quarter dearer, tokio-uring one percent away.
#[test]
fn the_summary_finds_what_was_put_in() {
    let (_directory, summary) = reported();
    let cpu = &summary.verdict.figures[0];
    assert_eq!(summary.verdict.baseline.as_deref(), Some("mio"));
    assert_eq!(cpu.of("monoio-uring", None).unwrap().call, Call::Less);
    assert_eq!(cpu.of("monoio-epoll", None).unwrap().call, Call::More);
    assert_eq!(cpu.of("tokio-uring", None).unwrap().call, Call::NoEvidence);
    assert!(!cpu.band(None).unwrap().claims);
    let counts = summary.trials;
    assert_eq!((counts.rows, counts.void, counts.failed, counts.unavailable), (90, 1, 1, 6));
    assert!(!summary.is_void());
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["verdict"]["headline"], summary.verdict.headline);
    assert_eq!(json["rows"].as_array().unwrap().len(), 15);
}

/// Percentiles come from the histograms added together: with every round's p99 the same row by row, the merged one differs from no
/// round, and with one round's histogram gone the medians of the rows stand in.
#[test]
fn percentiles_are_of_merged_histograms() {
    let (directory, summary) = reported();
    let of =
        |summary: &Summary| summary.rows.iter().find(|row| row.engine == "mio" && row.cell == "raw").unwrap().clone();
    let run = read::read(directory.path()).unwrap();
    let rounds: Vec<_> = run
        .trials
        .iter()
        .zip(&run.responses)
        .filter(|(t, _)| t.engine == "mio" && t.format == "raw" && t.round > 0)
        .collect();
    let mut sum = rounds[0].1.clone().unwrap();
    for (_, histogram) in &rounds[1..] {
        sum.add(histogram.as_ref().unwrap()).unwrap();
    }
    assert_eq!(of(&summary).response_us.unwrap()[1], sum.value_at_quantile(0.99) as f64 / 1e3);
    fs::remove_file(directory.path().join(format!("{}.hdr", rounds[0].0.histograms["response"]))).unwrap();
    let summary = report::write(directory.path()).unwrap();
    assert!(summary.warnings.iter().any(|warning| warning.contains("is missing")), "{:?}", summary.warnings);
    let mut p99: Vec<f64> = rounds.iter().map(|(trial, _)| trial.response.p99_us).collect();
    p99.sort_by(f64::total_cmp);
    assert_eq!(of(&summary).response_us.unwrap()[1], p99[2]);
}

/// A run killed in the middle of a row: the rows before it are reported and the torn one is mentioned.
#[test]
fn a_torn_row_is_mentioned() {
    let (directory, _) = reported();
    let path = directory.path().join("trials.jsonl");
    let rows = fs::read(&path).unwrap();
    fs::write(&path, &rows[..rows.len() - 200]).unwrap();
    let summary = report::write(directory.path()).unwrap();
    assert_eq!(summary.trials.rows, 89);
    assert!(summary.table.contains("the last line is torn"), "{}", summary.table);
}

/// A row of an older lab lacks every optional field, one of a newer lab has fields of its own: both are read.
#[test]
fn older_and_newer_rows_are_read() {
    let (directory, _) = reported();
    let path = directory.path().join("trials.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let mut rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for field in ["twin_of", "reason", "limiter", "errors", "histograms", "ready", "counters"] {
        rows[20].as_object_mut().unwrap().remove(field);
    }
    for field in ["pss_bytes", "syscalls_per_request", "syscalls_unavailable"] {
        rows[20]["server"].as_object_mut().unwrap().remove(field);
    }
    rows[20]["load"].as_object_mut().unwrap().remove("arrivals");
    rows[21]["schema"] = 2.into();
    rows[21]["of_the_future"] = "unknown".into();
    fs::write(&path, rows.iter().map(|row| row.to_string() + "\n").collect::<String>()).unwrap();
    let summary = report::write(directory.path()).unwrap();
    assert_eq!(summary.trials.rows, 90);
    assert_eq!(summary.warnings, ["rows have schema 2, this lab knows 1: fields it does not know are left out"]);
}

/// When nothing counts the summary says so; the caller exits with 4.
#[test]
fn a_run_without_a_counting_trial_is_void() {
    let (directory, _) = reported();
    let path = directory.path().join("trials.jsonl");
    let text = fs::read_to_string(&path).unwrap().replace("\"status\":\"ok\"", "\"status\":\"void\"");
    fs::write(&path, text).unwrap();
    let summary = report::write(directory.path()).unwrap();
    assert!(summary.is_void());
    assert!(summary.verdict.headline.starts_with("Nothing to compare"), "{}", summary.verdict.headline);
}

#[test]
fn what_is_no_result_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let error = format!("{:#}", report::write(directory.path()).unwrap_err());
    assert!(error.contains("holds no trials.jsonl"), "{error}");
    fs::write(directory.path().join("trials.jsonl"), "not a row\n").unwrap();
    let error = format!("{:#}", report::write(directory.path()).unwrap_err());
    assert!(error.contains("holds no readable row"), "{error}");
}

/// A histogram path that leads out of the directory is not followed.
#[test]
fn histogram_paths_stay_inside() {
    let (directory, _) = reported();
    let path = directory.path().join("trials.jsonl");
    let text = fs::read_to_string(&path).unwrap().replacen("histograms/0001-response", "../../etc/passwd", 1);
    fs::write(&path, text).unwrap();
    let summary = report::write(directory.path()).unwrap();
    assert!(summary.warnings[0].contains("leads out of the result directory"), "{:?}", summary.warnings);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever bytes stand in the files of rows, reading ends in a result or an error that names the directory or file.
    #[test]
    fn damaged_rows_never_panic(at: prop::sample::Index, bytes in prop::collection::vec(any::<u8>(), 1..12)) {
        let directory = tempfile::tempdir().unwrap();
        let row = include_bytes!("golden/row.json");
        let mut rows = [&row[..], &row[..]].concat();
        let place = at.index(rows.len());
        rows.splice(place..place, bytes);
        fs::write(directory.path().join("trials.jsonl"), rows).unwrap();
        if let Err(error) = report::write(directory.path()) {
            let message = format!("{error:#}");
            prop_assert!(message.contains(directory.path().to_str().unwrap()), "{}", message);
        }
    }
}
