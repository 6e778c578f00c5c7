//! `lab.prom` of spreads: the state of each breaker and what it did, for a textfile collector.

use std::fmt::Write as _;

use super::Run;
use super::table::middle;
use crate::load::breaker::State;
use crate::load::spread::ServerSeen;
use crate::report::prom::{head, label};

/// Gauges of a server, of the last round that counts.
const SERVER: [(&str, &str, fn(&ServerSeen) -> f64); 6] = [
    (
        "highload_lab_breaker_state",
        "State of the client's circuit breaker at the end: 0 closed, 1 half open, 2 open.",
        |s| match s.state {
            State::Closed => 0.0,
            State::HalfOpen => 1.0,
            State::Open => 2.0,
        },
    ),
    ("highload_lab_breaker_bans", "How often the client banned the server.", |s| f64::from(s.bans)),
    ("highload_lab_breaker_banned_seconds", "Seconds for which the server was banned or probed.", |s| s.banned_seconds),
    ("highload_lab_client_attempts", "Requests that the client sent to the server.", |s| s.sent as f64),
    ("highload_lab_client_failed_attempts", "Requests that the server failed.", |s| {
        s.failed.values().sum::<u64>() as f64
    }),
    ("highload_lab_client_service_seconds_p99", "99th percentile from an attempt to its right reply.", |s| {
        s.service_time.p99_us / 1e6
    }),
];

/// The whole file.
pub(super) fn render(run: &Run) -> String {
    let mut text = String::new();
    let scenario = label(run.plan.as_ref().map_or("unknown", |plan| &plan.scenario));
    let cases = run.cases();
    let of_case = |rows: &[&crate::spread::result::Row]| {
        format!("scenario=\"{scenario}\",engine=\"{}\",case=\"{}\"", label(&rows[0].engine), label(&rows[0].case))
    };
    for (name, help, value) in SERVER {
        head(&mut text, name, help);
        for rows in &cases {
            let Some(last) = rows.last() else { continue };
            for (place, server) in last.seen.servers.iter().enumerate() {
                let _ = writeln!(text, "{name}{{{},server=\"{}\"}} {}", of_case(rows), place + 1, value(server));
            }
        }
    }
    let name = "highload_lab_client_goodput_ratio";
    head(&mut text, name, "Requests with a right reply divided by those that were due, median of rounds.");
    for rows in &cases {
        let _ = writeln!(text, "{name}{{{}}} {}", of_case(rows), middle(rows, |row| row.goodput_ratio));
    }
    let name = "highload_lab_response_seconds_p99";
    head(&mut text, name, "99th percentile of the response time.");
    for rows in &cases {
        let _ = writeln!(text, "{name}{{{}}} {}", of_case(rows), middle(rows, |row| row.response.p99_us / 1e6));
    }
    text
}
