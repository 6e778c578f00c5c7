//! `lab compare` and `lab gate` on made-up results: what is found, what is refused, and how they end.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

#[path = "report/fixture.rs"]
mod fixture;

use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use serde_json::{Value, json};

/// Two result directories, the second one a copy to be changed.
struct Two {
    folder: tempfile::TempDir,
}

impl Two {
    fn new() -> Self {
        let two = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["before", "after"] {
            fixture::write(&two.path(name));
        }
        two
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes every row of a result.
    fn rows(&self, name: &str, change: impl Fn(&mut Value)) {
        each_line(&self.path(name).join("trials.jsonl"), change);
    }

    fn host(&self, name: &str, change: impl Fn(&mut Value)) {
        let path = self.path(name).join("host.json");
        let mut host: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut host);
        std::fs::write(path, serde_json::to_vec(&host).unwrap()).unwrap();
    }

    fn compare(&self, more: &[&str]) -> Ran {
        lab(&["compare", self.path("before").to_str().unwrap(), self.path("after").to_str().unwrap()], more)
    }

    fn gate(&self, more: &[&str]) -> Ran {
        lab(&["gate", self.path("after").to_str().unwrap(), "--against", self.path("before").to_str().unwrap()], more)
    }
}

fn each_line(path: &Path, change: impl Fn(&mut Value)) {
    let text = std::fs::read_to_string(path).unwrap();
    let changed = text.lines().map(|line| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        change(&mut row);
        row.to_string() + "\n"
    });
    let changed: String = changed.collect();
    std::fs::write(path, changed).unwrap();
}

/// Makes an engine's requests dearer.
fn dearer(engine: &'static str, factor: f64) -> impl Fn(&mut Value) {
    move |row| {
        if engine == "all" || row["engine"] == engine {
            let cpu = row["server"]["cpu_us_per_request"].as_f64().unwrap();
            row["server"]["cpu_us_per_request"] = json!(cpu * factor);
        }
    }
}

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", self.stdout, self.stderr))
    }

    #[track_caller]
    fn says(&self, code: i32, piece: &str) {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        let all = format!("{}{}", self.stdout, self.stderr);
        assert!(all.contains(piece), "{piece:?} is not in: {all}");
    }
}

fn lab(args: &[&str], more: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_lab")).args(args).args(more).output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A result and its copy: no evidence of a difference, with what could have been seen; a gate wide enough for that passes.
#[test]
fn a_copy_does_not_differ() {
    let two = Two::new();
    let compared = two.compare(&["--json"]);
    assert_eq!(compared.code, Some(0), "{}", compared.stderr);
    let compared = compared.json();
    let headline = compared["headline"].as_str().unwrap();
    assert!(headline.starts_with("No evidence of a difference in server CPU per request"), "{headline}");
    assert!(headline.contains("could have been seen"), "{headline}");
    let overall = compared["figures"][0]["overall"].as_array().unwrap();
    assert_eq!(overall.len(), 4, "the twin is nobody to compare: {overall:?}");
    for line in overall {
        assert_eq!((line["call"].as_str(), line["ratio"].as_f64()), (Some("no-evidence"), Some(1.0)), "{line}");
        let detectable = line["detectable"].as_f64().unwrap();
        assert!((1.005..1.3).contains(&detectable), "{line}");
    }
    two.gate(&["--max-regression", "30%"]).says(0, "4 passed, 0 regressed, 0 inconclusive");
    // What it could not have seen, it does not pass.
    two.gate(&["--max-regression", "0.1%"]).says(4, "could have been seen");
    two.gate(&["--max-regression", "0.1%", "--inconclusive", "pass"]).says(0, "inconclusive");
}

/// One engine 30 % dearer: it is found, alone, in table, JSON and JUnit, and the gate exits 1; by less than is allowed it passes.
#[test]
fn a_regression_is_found() {
    let two = Two::new();
    two.rows("after", dearer("monoio-uring", 1.3));
    two.compare(&[]).says(0, "monoio-uring needs 30% more server CPU per request than before");
    let junit = two.path("gate.xml");
    let gate = two.gate(&["--junit", junit.to_str().unwrap(), "--json", "--max-regression", "25%"]);
    assert_eq!(gate.code, Some(1), "{}", gate.stderr);
    let gate = gate.json();
    assert_eq!(gate["outcome"], "regressed");
    let regressed: Vec<&Value> =
        gate["checks"].as_array().unwrap().iter().filter(|check| check["outcome"] == "regressed").collect();
    assert!(!regressed.is_empty() && regressed.iter().all(|check| check["engine"] == "monoio-uring"), "{regressed:?}");
    let xml = std::fs::read_to_string(junit).unwrap();
    assert!(xml.contains("<testsuite name=\"server CPU per request\"") && xml.contains("<failure"), "{xml}");
    assert!(xml.contains("monoio-uring") && xml.contains("failures=\""), "{xml}");
    two.gate(&["--max-regression", "50%"]).says(0, "0 regressed");
    // The other way round it is an improvement.
    let improved = lab(
        &["gate", two.path("before").to_str().unwrap(), "--against", two.path("after").to_str().unwrap()],
        &["--max-regression", "25%"],
    );
    improved.says(0, "0 regressed");
}

/// A box that is slower for everybody moves every engine, which is said; divided by an engine that did not change, it is gone.
#[test]
fn a_slow_box_falls_out() {
    let two = Two::new();
    two.rows("after", dearer("all", 1.4));
    two.compare(&[]).says(0, "Every engine moved the same way");
    let relative = two.compare(&["--relative-to", "mio", "--json", "--figures", "cpu"]).json();
    let overall = relative["figures"][0]["overall"].as_array().unwrap();
    assert_eq!(overall.len(), 3, "{overall:?}");
    assert!(overall.iter().all(|line| line["call"] == "no-evidence"), "{overall:?}");
}

/// Two engines of one result are compared within its rounds, and gated; a second directory is not needed.
#[test]
fn two_engines_of_one_result() {
    let two = Two::new();
    let directory = two.path("before");
    let directory = directory.to_str().unwrap();
    lab(&["compare", directory, "--engines", "mio,monoio-epoll"], &[]).says(0, "monoio-epoll needs");
    lab(&["gate", directory, "--engines", "mio,monoio-epoll"], &[]).says(1, "REGRESSED");
    lab(&["gate", directory, "--engines", "mio,monoio-uring"], &[]).says(0, "1 passed");
    lab(&["compare", directory, "--engines", "mio"], &[]).says(2, "name a second one");
    lab(&["compare", directory, "--engines", "mio,monoio-epol"], &[]).says(2, "did you mean \"monoio-epoll\"?");
    lab(&["compare", directory, "--engines", "mio,tokio-uring", "--figures", "cpuu"], &[])
        .says(2, "did you mean \"cpu\"?");
}

/// Everything that makes two results unfit is refused by name, all reasons at once; --force compares and marks it loudly.
#[test]
fn what_is_not_fit_is_refused() {
    let facts = |host: &mut Value, name: &str, value: &str| {
        for group in host["groups"].as_array_mut().unwrap() {
            for fact in group["facts"].as_array_mut().unwrap() {
                if fact[0] == name {
                    fact[1] = json!(value);
                }
            }
        }
    };
    type Change = Box<dyn Fn(&Two)>;
    let changes: Vec<(&str, Change)> = vec![
        (
            "machines differ: release is 6.18.0 and 5.10.0",
            Box::new(move |two| two.host("after", |host| facts(host, "release", "5.10.0"))),
        ),
        ("profile measured and dev", Box::new(|two| two.host("after", |host| host["profile"] = json!("dev")))),
        (
            "with changes: commit them first",
            Box::new(|two| two.host("after", |host| host["commit"] = json!("abc+changes"))),
        ),
        ("does not know its commit", Box::new(|two| two.host("before", |host| host["commit"] = Value::Null))),
        ("rows have schema [1] and [2]", Box::new(|two| two.rows("after", |row| row["schema"] = json!(2)))),
        ("no readable host.json", Box::new(|two| std::fs::remove_file(two.path("after").join("host.json")).unwrap())),
        (
            "servers ran on CPU [0]",
            Box::new(|two| {
                let path = two.path("after").join("plan.json");
                let text = std::fs::read_to_string(&path)
                    .unwrap()
                    .replace("\"server_cpus\": [\n    0\n  ]", "\"server_cpus\": [3]");
                std::fs::write(path, text).unwrap();
            }),
        ),
    ];
    for (wanted, change) in changes {
        let two = Two::new();
        change(&two);
        two.compare(&[]).says(2, wanted);
        two.gate(&[]).says(2, "not fit to be compared");
        two.compare(&["--force"]).says(0, "!! FORCED");
        let forced = two.compare(&["--force", "--json"]).json();
        assert!(forced["unfit"].to_string().contains(wanted), "{}", forced["unfit"]);
    }
}

/// A row that was cut off costs itself and nothing else; a file of another or much older kind is named with line and field.
#[test]
fn damaged_and_older_files() {
    let two = Two::new();
    let path = two.path("after").join("trials.jsonl");
    let rows = std::fs::read(&path).unwrap();
    std::fs::write(&path, &rows[..rows.len() - 200]).unwrap();
    two.compare(&[]).says(0, "the last line is torn");
    let compared = two.compare(&["--json"]).json();
    let line = &compared["figures"][0]["overall"][0];
    assert_eq!(line["pairs"], 15, "nothing else is lost: {line}");
    two.rows("before", |row| {
        row.as_object_mut().unwrap().remove("load");
    });
    two.compare(&[]).says(2, "line 1: left out: missing field `load`");
    lab(&["compare", two.folder.path().to_str().unwrap(), two.path("after").to_str().unwrap()], &[])
        .says(2, "holds no trials.jsonl");
}

/// One round cannot show anything: the comparison says so, and the gate is inconclusive rather than green.
#[test]
fn few_rounds_are_inconclusive() {
    let two = Two::new();
    for name in ["before", "after"] {
        let path = two.path(name).join("trials.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        let one = |line: &&str| serde_json::from_str::<Value>(line).unwrap()["round"].as_u64() < Some(2);
        let kept: String = text.lines().filter(one).map(|line| line.to_owned() + "\n").collect();
        std::fs::write(path, kept).unwrap();
    }
    two.compare(&[]).says(0, "Too few rounds");
    two.gate(&[]).says(4, "too few rounds for any claim");
}

/// When nothing counts on one side both commands end as void, with the reason.
#[test]
fn what_does_not_count_is_void() {
    let two = Two::new();
    two.rows("after", |row| {
        row["status"] = json!("void");
        row["reason"] = json!("the schedule lagged: p99 9 ms");
    });
    two.compare(&["--figures", "cpu"]).says(4, "the schedule lagged");
    two.gate(&[]).says(4, "nothing to compare: the schedule lagged");
}

/// A percentage without its sign would allow a sixfold cost, and a gate that lets everything through looks green: it is refused.
#[test]
fn a_share_without_its_sign_is_refused() {
    let two = Two::new();
    two.gate(&["--max-regression", "5"]).says(2, "5 would be 500%: write 5% or 0.05");
    two.gate(&["--max-regression", "1"]).says(2, "write 1% or 0.01");
    two.gate(&["--max-regression", "1000%"]).says(0, "passed");
}

/// Nothing in common is said; so is a figure that neither side has.
#[test]
fn nothing_in_common_is_said() {
    let two = Two::new();
    two.rows("after", |row| row["load"]["connections"] = json!(999));
    two.compare(&[]).says(2, "no engine and load in common");
    let two = Two::new();
    two.gate(&["--figures", "server-bytes"]).says(2, "have no server-bytes, or no engine and load in common");
}

/// Climbs compare too: memory by the slopes' own errors, with one round each; trials and climbs do not mix.
#[test]
fn climbs_are_compared_by_their_slopes() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/half-million-2-core-vm");
    let two = Two::new();
    for name in ["users-before", "users-after"] {
        std::fs::create_dir(two.path(name)).unwrap();
        for file in ["climbs.jsonl", "plan.json", "host.json"] {
            std::fs::copy(recorded.join(file), two.path(name).join(file)).unwrap();
        }
    }
    let (before, after) = (two.path("users-before"), two.path("users-after"));
    let both = ["compare", before.to_str().unwrap(), after.to_str().unwrap()];
    let same = lab(&both, &["--json"]).json();
    let memory = same["figures"].as_array().unwrap().iter().find(|figure| figure["figure"] == "server-bytes").unwrap();
    assert_eq!(memory["overall"].as_array().unwrap().len(), 8, "{memory}");
    assert!(memory["overall"].as_array().unwrap().iter().all(|line| line["call"] == "no-evidence"), "{memory}");
    each_line(&after.join("climbs.jsonl"), |row| {
        if row["engine"] == "mio" {
            let bytes = row["slopes"]["server_user"]["bytes"].as_f64().unwrap();
            row["slopes"]["server_user"]["bytes"] = json!(bytes * 1.5);
        }
    });
    lab(&both, &["--figures", "server-bytes"]).says(0, "mio needs 50% more server memory per idle user");
    let gate = ["gate", after.to_str().unwrap(), "--against", before.to_str().unwrap(), "--figures", "server-bytes"];
    lab(&gate, &["--engines", "mio"]).says(1, "REGRESSED");
    lab(&gate, &["--engines", "ring"]).says(4, "could have been seen");
    lab(&gate, &["--engines", "ring", "--max-regression", "25%"]).says(0, "1 passed");
    lab(&["compare", before.to_str().unwrap(), two.path("before").to_str().unwrap()], &["--force"])
        .says(2, "holds climbs");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever bytes stand in a result's rows, comparing it ends in a comparison or in an error that names a directory.
    #[test]
    fn damaged_rows_never_panic(at: prop::sample::Index, bytes in prop::collection::vec(any::<u8>(), 1..12)) {
        let row = include_bytes!("report/golden/row.json");
        let folder = tempfile::tempdir().unwrap();
        let paths = ["before", "after"].map(|name| folder.path().join(name));
        for path in &paths {
            std::fs::create_dir(path).unwrap();
            std::fs::write(path.join("trials.jsonl"), row).unwrap();
        }
        let mut rows = [&row[..], &row[..]].concat();
        let place = at.index(rows.len());
        rows.splice(place..place, bytes);
        std::fs::write(paths[1].join("trials.jsonl"), rows).unwrap();
        let request = lab::compare::Request {
            before: paths[0].clone(),
            after: paths[1].clone(),
            engines: Vec::new(),
            within: false,
            figures: vec!["cpu".to_owned()],
            relative_to: None,
            force: true,
        };
        if let Err(error) = lab::compare::compare(&request) {
            let message = format!("{error:#}");
            prop_assert!(message.contains(folder.path().to_str().unwrap()), "{}", message);
        }
    }
}
