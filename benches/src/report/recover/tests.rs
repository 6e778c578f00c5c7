//! Reports of made-up rows.

use super::*;
use crate::recover::result::{Phase, Price, Score, StormScore, Tick};
use crate::result::Surroundings;

fn row(engine: &str, story: Story, limiter: Option<&str>) -> Row {
    let phase = |name: &str, factor: f64, begins_seconds: f64| Phase {
        name: name.to_owned(),
        factor,
        begins_seconds,
        seconds: 1.0,
        due: 1_000,
        tries: 1_000,
        ..Phase::default()
    };
    Row {
        schema: SCHEMA,
        engine: engine.to_owned(),
        interface: "epoll".to_owned(),
        protocol: "http1".to_owned(),
        format: "json".to_owned(),
        service: "note".to_owned(),
        story,
        limiter: limiter.map(str::to_owned),
        retries: 0,
        limit: 1_000.0,
        deadline_ms: 250.0,
        connections: 10,
        in_flight: 1,
        status: Status::Ok,
        reason: None,
        started_unix_ms: 0,
        phases: vec![phase("below", 0.8, 0.0), phase("2x", 2.0, 1.0), phase("back", 0.8, 2.0)],
        ticks: vec![Tick { due: 100, good: 90, ..Tick::default() }; 30],
        score: None,
        storm: None,
        price: None,
        generator_core_share: 0.5,
        schedule_lag_p99_us: 10.0,
        surroundings: Surroundings::default(),
        ready: serde_json::Value::Null,
        counters: serde_json::Value::Null,
    }
}

fn overload(limiter: Option<&str>, goodput_at_2: f64, recovery_seconds: Option<f64>) -> Row {
    let metastable = recovery_seconds.is_none();
    let score = Score { goodput_at_1_5: 1.0, goodput_at_2, recovery_seconds, metastable, ..Score::default() };
    Row { score: Some(score), ..row("mio", Story::Overload, limiter) }
}

fn written(rows: &[Row]) -> (tempfile::TempDir, Summary) {
    let folder = tempfile::tempdir().unwrap();
    let text: String = rows.iter().map(|row| serde_json::to_string(row).unwrap() + "\n").collect();
    std::fs::write(folder.path().join(FILE), text + "{\"torn\":").unwrap();
    let summary = write(folder.path()).unwrap();
    (folder, summary)
}

/// Shows that the report says what the rows say: goodput with and without, who never recovered, prices and storms; that rows
/// that do not count are listed with their reason; and that a torn last line costs nothing else.
#[test]
fn says_what_the_rows_say() {
    let price = Price { served_us: 220.0, refused_us: 11.0, ratio: 0.05 };
    let storm = StormScore { cut_off: 10, strangers: 10, refused_connections: 10, ..StormScore::default() };
    let void = Row { status: Status::Void, reason: Some("too busy".to_owned()), ..overload(Some("vegas"), 0.1, None) };
    let rows = [
        overload(None, 0.02, None),
        overload(Some("fixed:16"), 0.94, Some(0.2)),
        Row { price: Some(price), ..row("mio", Story::Price, Some("fixed:0")) },
        Row { storm: Some(storm), ..row("mio", Story::Storm, Some("fixed:16")) },
        void,
    ];
    let (folder, summary) = written(&rows);
    let expected = "At twice the limit 94 % of its goodput is kept with a limiter, 2 % without. 1 of 2 overloads outlived their cause.";
    assert_eq!(summary.headline, expected);
    assert_eq!(summary.least_goodput(), Some(("mio", 0.94)));
    for piece in
        ["fixed:16", "never", "0.2 s", "11.0", "5 %", "too busy", "warning: recover.jsonl: the last line is torn"]
    {
        assert!(summary.table.contains(piece), "{piece} is not in:\n{}", summary.table);
    }
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert_eq!(page.matches("<svg viewBox=\"0 0 1560").count(), 3, "a plot for each story that was told");
    assert!(page.contains("storm, fixed:16") && !page.contains("<script"));
    assert!(
        std::fs::read_to_string(folder.path().join("report.md")).unwrap().contains("| mio | http1 json | no limiter |")
    );
    assert!(!summary.is_void());
    assert!(written(&rows[4..]).1.is_void());
}

/// Shows that rows survive the way to text and back, and that a row of which fields are missing that were added later is read.
#[test]
fn rows_are_read_again() {
    let row = overload(Some("fixed:16"), 0.9, Some(1.5));
    let mut value = serde_json::to_value(&row).unwrap();
    assert_eq!(serde_json::from_value::<Row>(value.clone()).unwrap(), row);
    for name in ["ready", "counters", "surroundings", "storm", "price"] {
        value.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(serde_json::from_value::<Row>(value).unwrap(), row);
}
