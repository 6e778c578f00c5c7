//! `lab scale`: known throughputs become the right type and law, and a small run goes from processes to report.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{LAB, Ran, faulty_server, processes_with};
use serde_json::{Value, json};

fn lab(args: &[&str]) -> Ran {
    Ran::of(Command::new(LAB).args(args).output().unwrap())
}

/// A result directory of a built-in scenario with throughputs that `of` makes.
fn write(directory: &Path, scenario: &str, of: impl Fn(f64) -> f64) {
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(format!("{scenario}.toml")),
    )
    .unwrap();
    let scenario: Value = serde_json::to_value(toml::from_str::<toml::Value>(&text).unwrap()).unwrap();
    let mut rows = String::new();
    let mut order = Vec::new();
    for round in 1..=3_u32 {
        for instances in [1_u32, 2, 3, 4, 6, 8, 12] {
            // A percent of scatter, the same every time.
            let scatter = 1.0 + 0.01 * (f64::from(round) - 2.0) * if instances % 2 == 0 { 1.0 } else { -1.0 };
            let latency = json!({"count": 10, "mean_us": 4000.0, "p50_us": 4000.0, "p90_us": 4100.0, "p99_us": 4200.0,
                "p999_us": 4300.0, "p9999_us": 4300.0, "max_us": 4300.0});
            let row = json!({"schema": 1, "index": order.len(), "round": round, "instances": instances,
                "throughput": of(f64::from(instances)) * scatter, "of_each": [], "service_time": latency, "errors": {},
                "server_share": 0.1, "load_share": 0.2, "started_unix_ms": 0});
            rows.push_str(&(row.to_string() + "\n"));
            order.push((instances, round));
        }
    }
    std::fs::write(directory.join("scale.jsonl"), rows).unwrap();
    let plan = json!({"schema": 1, "scenario": scenario, "server_cpus": [0], "load_cpus": [1], "order": order});
    std::fs::write(directory.join("plan.json"), plan.to_string()).unwrap();
}

/// Data made by the law with λ 1,000, σ 0.05 and κ 0.02: the parameters come back inside their intervals, the peak is at seven
/// instances, and a forecast beyond twice the range warns.
#[test]
fn a_known_law_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let law = |n: f64| 1_000.0 * n / (1.0 + 0.05 * (n - 1.0) + 0.02 * n * (n - 1.0));
    write(directory.path(), "scale-shared", law);
    let path = directory.path().to_str().unwrap();
    let ran = lab(&["scale", "--from", path, "--json", "--predict", "16,25"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
    for (name, wanted) in [("lambda", 1_000.0), ("sigma", 0.05), ("kappa", 0.02)] {
        let [low, high] = [0, 1].map(|end| summary["law"][name]["interval"][end].as_f64().unwrap());
        assert!((low..=high).contains(&wanted), "{name} {wanted}: {low} to {high}");
    }
    assert_eq!(
        (summary["seen"]["kind"].as_str(), summary["seen"]["most_instances"].as_u64()),
        (Some("shared"), Some(7))
    );
    let told = summary["forecasts"].as_array().unwrap();
    assert_eq!((told[0]["beyond_twice"].as_bool(), told[1]["beyond_twice"].as_bool()), (Some(false), Some(true)));
    let near = told[0]["throughput"]["value"].as_f64().unwrap() / law(16.0);
    assert!((0.9..1.1).contains(&near), "{near}");
    assert!(
        summary["notes"].to_string().contains("WARNING: more than twice what was measured"),
        "{}",
        summary["notes"]
    );
    let page = std::fs::read_to_string(directory.path().join("report.html")).unwrap();
    assert!(page.contains("scaling-throughput-t") && page.contains("scaling-residuals-t"), "both plots are there");
    assert!(std::fs::read_to_string(directory.path().join("report.md")).unwrap().contains("Universal Scalability Law"));
    assert_eq!(lab(&["report", path]).code, Some(0));
}

/// Types that are as stated exit with 0, others with 1 and what they look like instead.
#[test]
fn types_are_told_apart() {
    for (scenario, of, code, wanted) in [
        ("scale-linear", (|n| 950.0 * n) as fn(f64) -> f64, 0, "As stated (linear)"),
        ("scale-external", |n| (98.0 * n).min(500.0), 0, "at most 5 instances are worth having"),
        ("scale-linear", |n| (950.0 * n).min(3_000.0), 1, "that is external"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), scenario, of);
        let ran = lab(&["scale", "--from", directory.path().to_str().unwrap()]);
        assert_eq!(ran.code, Some(code), "{scenario}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains(wanted), "{scenario}: {}", ran.stdout);
    }
}

/// Instances behind a rate of 100 a second: whatever the box does, no more than that passes; rows and report are whole, nothing runs on.
#[test]
fn a_small_run_goes_from_processes_to_report() {
    let folder = tempfile::tempdir().unwrap();
    let (scenario, engines, out) =
        (folder.path().join("s.toml"), folder.path().join("e.toml"), folder.path().join("out"));
    std::fs::write(
        &engines,
        format!(
            "[[engine]]\nname = \"honest\"\nbinary = {:?}\nargs = [\"none\"]\ninterface = \"epoll\"\n",
            faulty_server()
        ),
    )
    .unwrap();
    std::fs::write(
        &scenario,
        "name = \"small\"\nquestion = \"Does it run?\"\nscaling = \"external\"\nengine = \"honest\"\nformat = \"raw\"\n\
         [workload]\nservice = \"echo\"\npayload_bytes = 64\n[dependency]\nhold_ms = 2.0\nrate = 100.0\n\
         [scale]\ninstances = [1, 2, 3, 4]\nconnections = 2\nwarmup_seconds = 0.1\nmeasure_seconds = 0.5\nrounds = 1\nseed = 1\n",
    )
    .unwrap();
    let [scenario, engines, out_path] = [&scenario, &engines, &out].map(|path| path.to_str().unwrap());
    let ran = lab(&["scale", scenario, "--engines", engines, "--out", out_path, "--json"]);
    assert!(matches!(ran.code, Some(0 | 1 | 4)), "{}", ran.stderr);
    let rows: Vec<Value> = std::fs::read_to_string(out.join("scale.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 4);
    for row in &rows {
        assert_eq!(row["errors"], json!({}), "{row}");
        assert_eq!(row["of_each"].as_array().unwrap().len() as u64, row["instances"].as_u64().unwrap(), "{row}");
        let throughput = row["throughput"].as_f64().unwrap();
        // A second's worth of slots may be open when a window begins late, never more than the window holds and that.
        assert!(throughput > 0.0 && throughput < 130.0, "{row}");
    }
    assert!(out.join("report.html").is_file());
    assert_eq!(processes_with("dependency --hold-ms 2 "), Vec::<u32>::new());
}

#[test]
fn what_is_no_scaling_is_refused() {
    lab(&["scale", "scale-shard"]).says(2, "did you mean \"scale-shared\"?");
    let folder = tempfile::tempdir().unwrap();
    lab(&["scale", "--from", folder.path().to_str().unwrap()]).says(2, "holds no scale.jsonl");
    std::fs::write(folder.path().join("scale.jsonl"), "{}\n").unwrap();
    lab(&["scale", "--from", folder.path().to_str().unwrap()]).says(2, "plan.json");
    lab(&["dependency", "--upstream", "192.0.2.1:80"]).says(2, "not a loopback address");
}
