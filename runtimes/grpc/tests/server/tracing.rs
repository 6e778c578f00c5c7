//! Tracing across processes: what a caller began goes on, what is sampled arrives, and nothing needs a collector.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;
use server_grpc::trace::lines::SpanLine;
use tempfile::TempDir;

use crate::BINARY;
use crate::process::Running;
use crate::tools::{curl, h2load, run};

const RECEIVER: &str = env!("CARGO_BIN_EXE_otlp-receiver");
const TREE: &str = env!("CARGO_BIN_EXE_span-tree");
const PARENT: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn spans(path: &Path) -> Vec<SpanLine> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn lines_to(path: &Path) -> String {
    format!("lines:{}", path.display())
}

/// A request with a caller goes through gateway and server as one trace, whose tree `span-tree` prints from both files; the
/// gateway's log of a refusal names the same trace.
#[test]
fn one_trace_through_two_processes() {
    let files = TempDir::new().unwrap();
    let (front, back) = (files.path().join("gateway.jsonl"), files.path().join("grpc.jsonl"));
    // Neither samples on its own: the caller's flag decides.
    let spans_on = ["--tracing", "spans", "--sample", "0", "--export"];
    let behind = Running::start(BINARY, &[&["--serve", "grpc"], &spans_on[..], &[&lines_to(&back)]].concat());
    let serve = ["--serve", "gateway", "--log", "--upstream", &behind.address];
    let gateway = Running::start(BINARY, &[&serve, &spans_on[..], &[&lines_to(&front)]].concat());
    let state = "tracestate: congo=t61rcWkgMzE";
    let traced = curl(&gateway.address, "/demo/notes", Some(br#"{"text":"x"}"#), &["-H", PARENT, "-H", state]);
    assert_eq!(traced.status, "200");
    let refused = curl(&gateway.address, "/elsewhere", None, &["-H", PARENT]);
    assert_eq!(refused.status, "404");
    // Without a caller, and with one that does not record, nothing is recorded.
    curl(&gateway.address, "/demo/notes", None, &[]);
    curl(&gateway.address, "/demo/notes", None, &["-H", &PARENT.replace("-01", "-00")]);
    let (_, said) = gateway.stop();
    behind.stop();

    let (front_spans, back_spans) = (spans(&front), spans(&back));
    assert!(front_spans.iter().chain(&back_spans).all(|span| span.trace_id == TRACE));
    let names = |spans: &[SpanLine]| spans.iter().map(|span| span.name.clone()).collect::<HashSet<_>>();
    let expected = ["POST /demo/notes", "decode", "demo.NoteService/Add", "encode", "other"].map(str::to_owned);
    assert_eq!(names(&front_spans), HashSet::from(expected));
    assert_eq!(names(&back_spans), HashSet::from(["demo.NoteService/Add", "store"].map(str::to_owned)));

    let tree = run(TREE, &[front.to_str().unwrap(), back.to_str().unwrap()]);
    let shape: Vec<&str> = tree.lines().map(|line| line.rsplit_once("  ").map_or(line, |(shape, _)| shape)).collect();
    assert!(tree.starts_with(&format!("trace {TRACE}: 7 spans")), "{tree}");
    for line in ["├─ demo.NoteService/Add", "│  └─ demo.NoteService/Add  grpc", "│     └─ store", "└─ encode"]
    {
        assert!(shape.contains(&line), "{line} in {tree}");
    }
    let logged: Value = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|line: &Value| line["fields"]["message"] == "refused")
        .unwrap();
    assert_eq!((&logged["fields"]["trace_id"], &logged["fields"]["status"]), (&TRACE.into(), &404.into()), "{said}");
    assert_eq!(logged["fields"]["span_id"].as_str().map(str::len), Some(16));
}

/// While nobody traces in the gateway, the caller's headers reach the server behind as they came.
#[test]
fn a_hop_that_takes_no_part() {
    let files = TempDir::new().unwrap();
    let path = files.path().join("grpc.jsonl");
    let export = lines_to(&path);
    let behind =
        Running::start(BINARY, &["--serve", "grpc", "--tracing", "spans", "--sample", "0", "--export", &export]);
    let gateway = Running::start(BINARY, &["--serve", "gateway", "--upstream", &behind.address]);
    curl(&gateway.address, "/demo/notes", None, &["-H", PARENT]);
    gateway.stop();
    behind.stop();
    let spans = spans(&path);
    let root = spans.iter().find(|span| span.kind == "server").unwrap();
    assert_eq!((root.trace_id.as_str(), root.parent_id.as_deref()), (TRACE, Some("00f067aa0ba902b7")));
}

/// All spans that the server says it has recorded arrive at a collector, none when nothing is sampled, and about the share
/// that was asked for in between.
#[test]
fn sampled_spans_arrive() {
    for (share, requests, expected) in [("1", 200, 600..=600), ("0", 200, 0..=0), ("0.1", 2_000, 300..=900)] {
        let receiver = Running::start(RECEIVER, &[]);
        let export = format!("otlp:http://{}/v1/traces", receiver.address);
        let args = ["--serve", "json", "--tracing", "spans", "--sample", share, "--export", &export];
        let server = Running::start(BINARY, &args);
        let url = format!("http://{}/demo/notes?limit=1", server.address);
        assert_eq!(h2load(&["-n", &requests.to_string(), "-c", "4", &url]), requests);
        let (_, said) = server.stop();
        let (received, _) = receiver.stop();
        let total: Value = serde_json::from_str(said.trim()).unwrap_or_else(|_| panic!("one line, not {said}"));
        let recorded = total["spans"].as_u64().unwrap();
        // A request is three spans: the request, store, encode.
        assert!(expected.contains(&recorded), "{share}: {recorded}");
        assert_eq!((received["spans"].as_u64(), received["refused"].as_u64()), (Some(recorded), Some(0)), "{said}");
    }
}

/// A collector that is not there costs the spans, is told, and neither a request nor the server's end suffers.
#[test]
fn no_collector() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let export = format!("otlp:http://{free}/v1/traces");
    let server = Running::start(BINARY, &["--serve", "json", "--log", "--tracing", "spans", "--export", &export]);
    assert_eq!(curl(&server.address, "/demo/notes?limit=1", None, &[]).status, "200");
    let (_, said) = server.stop();
    assert!(said.contains("\"spans\":3"), "{said}");
    assert!(said.contains("\"level\":\"ERROR\"") || said.contains("\"error\":\""), "{said}");
}

/// Timers, as in the talk: a line for each name, with how often and how long; no trace.
#[test]
fn timers() {
    let server = Running::start(BINARY, &["--serve", "json", "--tracing", "timers"]);
    for _ in 0..3 {
        curl(&server.address, "/demo/notes", Some(br#"{"text":"x"}"#), &[]);
    }
    let (_, said) = server.stop();
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = lines.iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["POST /demo/notes", "decode", "encode", "store"]);
    assert!(lines.iter().all(|line| line["count"] == 3 && line["mean_ns"].as_u64() > Some(0)), "{said}");
}

/// Files that are no spans are named with their line.
#[test]
fn tree_of_something_else() {
    let files = TempDir::new().unwrap();
    let path = files.path().join("x.jsonl");
    std::fs::write(&path, "{\"trace_id\":\"1\"}\n").unwrap();
    let output = std::process::Command::new(TREE).arg(&path).output().unwrap();
    let says = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && says.contains("x.jsonl line 1"), "{says}");
}
