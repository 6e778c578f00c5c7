//! `lab recover` end to end at a small size: stories, rows, report, and what is wrong with arguments.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::process::{Command, Output};

use serde_json::Value;

fn lab(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lab")).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Every story of one engine: a limiter refuses past the limit, nobody refuses without one, a full gate serves nothing, a storm's
/// strangers are refused; and the report is made again from the files. Judged by counts: how fast this box is does not matter,
/// since 400 requests a second of 5 ms each are twice what any core can do.
#[test]
fn stories_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").display().to_string();
    let scenario = folder.path().join("small.toml");
    let text = include_str!("../scenarios/overload.toml")
        .replace("connections = 200", "connections = 20")
        .replace("\"200\"", "\"5000\"")
        .replace("syscalls = false", "syscalls = false\n[voids]\nsteal_share = 1.0\nforeign_cpu_share = 1.0");
    std::fs::write(&scenario, text).unwrap();
    let small = ["--profile", "dev", "--phase", "0.5", "--recovery", "1", "--limit", "200", "--only", "mio"];
    let mut args =
        vec!["recover", scenario.to_str().unwrap(), "--limiter", "fixed:4", "--retries", "2", "--out", &out, "--json"];
    args.extend(small);
    let output = lab(&args);
    assert!(output.status.success(), "{}", said(&output));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = summary["rows"].as_array().unwrap();
    let stories: Vec<&str> = rows.iter().map(|row| row["story"].as_str().unwrap()).collect();
    assert_eq!(stories, ["price", "price", "overload", "overload", "overload", "overload", "storm"]);
    let phase = |row: &Value, name: &str, count: &str| {
        let phases = row["phases"].as_array().unwrap();
        phases.iter().find(|phase| phase["name"] == name).unwrap_or_else(|| panic!("{row:#}"))[count].as_u64().unwrap()
    };
    let refused_all = &rows[1];
    assert_eq!((refused_all["limiter"].as_str(), phase(refused_all, "half", "good")), (Some("fixed:0"), 0));
    assert!(phase(refused_all, "half", "refused") > 20, "{refused_all:#}");
    for row in &rows[2..6] {
        assert_eq!(row["status"], "ok", "{row:#}");
        let refused = phase(row, "2x", "refused");
        assert_eq!(row["limiter"].is_null(), refused == 0, "{row:#}");
        let tries_more = phase(row, "2x", "tries") > phase(row, "2x", "due");
        assert_eq!(row["retries"] == 2, tries_more, "{row:#}");
        assert!(row["score"].is_object());
    }
    let storm = &rows[6]["storm"];
    assert_eq!(
        (&storm["cut_off"], &storm["strangers"], &storm["refused_connections"]),
        (&20.into(), &20.into(), &20.into())
    );
    let report = lab(&["report", &out]);
    assert!(
        report.status.success() && String::from_utf8_lossy(&report.stdout).contains("fixed:4"),
        "{}",
        said(&report)
    );
    assert!(folder.path().join("out/report.html").is_file());
    let again = lab(&args);
    assert_eq!(again.status.code(), Some(2), "a second run in the same directory: {}", said(&again));
}

/// What does not go together is refused with the value seen and the way out.
#[test]
fn wrong_arguments_are_explained() {
    let cases: [(&[&str], &str); 6] = [
        (&["overload"], "--limit"),
        (&["overload", "--limit", "0"], "must be between 1"),
        (&["overload", "--limit", "5", "--only", "mioo"], "did you mean \"mio\"?"),
        (&["overload", "--limits", "/nowhere"], "/nowhere"),
        (&["life", "--limit", "5"], "climbs"),
        (&["overload", "--limit", "5", "--deadline", "0"], "--deadline 0"),
    ];
    for (args, piece) in cases {
        let output = lab(&[&["recover"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
        assert!(said(&output).contains(piece), "{args:?}: {}", said(&output));
    }
}
