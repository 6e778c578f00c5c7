//! `lab cost` end to end at a small count: figures that must be there, files, and the same sheet from the files alone.

#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::process::Command;

use serde_json::Value;

/// Shows that a row has all three prices and the users that they come to, that other demands need no new measurement, and that
/// they move the figures in the ratio of the demands.
#[test]
fn a_row_has_its_prices() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let lab = |arguments: &[&str]| {
        // A lock of its own, so that tests run beside each other.
        let output = Command::new(env!("CARGO_BIN_EXE_lab"))
            .env("TMPDIR", folder.path())
            .arg("cost")
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let out_path = out.to_str().unwrap();
    let (code, stdout, stderr) = lab(&[
        "--only",
        "mio",
        "--formats",
        "json",
        "--users",
        "1000",
        "--rate",
        "2000",
        "--measure",
        "0.5",
        "--profile",
        "dev",
        "--out",
        out_path,
        "--json",
        "--progress",
        "none",
    ]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let sheet: Value = serde_json::from_str(&stdout).unwrap();
    let row = &sheet["rows"][0];
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("a figure is missing: {row}"));
    // A connection has a socket, an inode, a file: some kilobytes whatever the kernel.
    assert!((1_000.0..20_000.0).contains(&number(&row["idle"]["kernel_bytes"])), "{row}");
    // A loaded box may void the messages; what must be there then is the reason.
    if row["message"].is_null() {
        assert!(row["reason"].as_str().unwrap().contains("messages do not count"), "{row}");
        return;
    }
    assert!(number(&row["message"]["cpu_user_ns"]) + number(&row["message"]["cpu_system_ns"]) > 0.0, "{row}");
    assert!(number(&row["message"]["bytes_in"]) > 12.0 && number(&row["message"]["bytes_out"]) > 12.0, "{row}");
    assert!(number(&row["handshake_us"]) >= 0.0, "{row}");
    for file in ["cost.json", "cost.csv", "cost.md", "climbs.jsonl", "report.html"] {
        assert!(out.join(file).is_file(), "{file} is missing");
    }
    let csv = std::fs::read_to_string(out.join("cost.csv")).unwrap();
    let columns: Vec<usize> = csv.lines().map(|line| line.split(',').count()).collect();
    assert_eq!(columns.len(), 2, "{csv}");
    assert_eq!(columns[0], columns[1], "{csv}");
    let (code, stdout, stderr) = lab(&["--from", out_path, "--rate-per-user", "0.33", "--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let other: Value = serde_json::from_str(&stdout).unwrap();
    let fits = |sheet: &Value, name: &str| number(&sheet["rows"][0]["fits"][name]);
    for (name, wanted) in [("per_core", 10.0), ("per_gigabit", 10.0), ("per_gigabyte", 1.0)] {
        let ratio = fits(&sheet, name) / fits(&other, name);
        assert!((ratio / wanted - 1.0).abs() < 1e-9, "{name}: {ratio}");
    }
}

/// Values out of range and directories that are no result are usage errors.
#[test]
fn wrong_arguments_are_named() {
    for (arguments, wanted) in [
        (&["--rate-per-user", "0"][..], "--rate-per-user 0: must be between"),
        (&["--only", "tokoi"][..], "did you mean \"tokio\"?"),
        (&["--from", "/nonexistent"][..], "holds no climbs.jsonl"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_lab")).arg("cost").args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(wanted), "{arguments:?}: {said}");
    }
}
