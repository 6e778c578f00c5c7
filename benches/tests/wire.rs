//! `lab wire` and `lab flame` end to end, at the smallest size: real servers, real load, what is printed and what is left.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn lab(arguments: &[&str], out: &Path) -> Output {
    // Debug servers on a box that runs other tests meanwhile: what is asked here is what comes out, not how fast.
    Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(arguments)
        .args(["--profile", "dev", "--out"])
        .arg(out)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A scenario that no busy box makes void.
fn scenario(folder: &Path) -> String {
    let text = "name = \"small\"\nquestion = \"Does it work?\"\nengines = [\"mio\"]\nprotocols = [\"frame\"]\nformats = [\"raw\"]\n\
         [workload]\nservice = \"note\"\nadd_share = 1.0\npayload_bytes = 64\n\
         [[workloads]]\nservice = \"note\"\nadd_share = 1.0\npayload_bytes = 512\n\
         [[workloads]]\nservice = \"content\"\npayload_bytes = 1\n\
         [load]\nmode = \"open\"\nrate = 400\nconnections = 8\nwarmup_seconds = 0.05\nmeasure_seconds = 0.25\n\
         [rounds]\ncount = 2\nseed = 7\nsyscalls = false\n\
         [voids]\nretries = 0\nforeign_cpu_share = 1.0\nsteal_share = 1.0\nschedule_lag_p99_us = 1e9\nrate_shortfall = 0.95\n";
    let path = folder.join("small.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Every format beside raw gets its share, its bytes are those of the wire, the calculator answers, and `lab report` says the same again.
#[test]
fn formats_are_compared_on_live_connections() {
    let folder = tempfile::tempdir().unwrap();
    let (scenario, out) = (scenario(folder.path()), folder.path().join("out"));
    let ran = lab(
        &[
            "wire",
            &scenario,
            "--formats",
            "json,msgpack,protobuf",
            "--users",
            "1000",
            "--rate",
            "0.5",
            "--bytes",
            "300",
        ],
        &out,
    );
    assert!(ran.status.success(), "{}", said(&ran));
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        text.contains("1,000 users × 0.5/s × 300 B = 500 messages/s (add over frame on mio): json takes"),
        "{text}"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 120 || line.contains('/')), "{text}");
    let again = Command::new(env!("CARGO_BIN_EXE_lab")).args(["report", "--json"]).arg(&out).output().unwrap();
    let summary: Value = serde_json::from_slice(&again.stdout).unwrap();
    let shares = summary["codec"].as_array().unwrap();
    assert_eq!(shares.len(), 9, "three formats, three requests: {shares:?}");
    let published = |format: &str| {
        let of = |share: &&Value| share["ask"] == "publish" && share["format"] == format;
        shares.iter().find(of).unwrap()["wire_bytes"].as_f64().unwrap()
    };
    // A rich record of some 1.3 kB of JSON goes there and back; MessagePack quotes nothing, protobuf leaves names out.
    let [json, msgpack, protobuf] = ["json", "msgpack", "protobuf"].map(published);
    assert!(json > 2_500.0 && msgpack < json && protobuf < msgpack, "{json} {msgpack} {protobuf}");
    for share in shares.iter().filter(|share| share["ask"] != "publish") {
        let text = if share["ask"] == "add 64 B" { 64.0 } else { 512.0 };
        let wire = share["wire_bytes"].as_f64().unwrap();
        // Two headers of 12 bytes, the text twice; times, ids and names on top.
        assert!(wire > 24.0 + 2.0 * text && wire < 24.0 + 2.0 * text + 250.0, "{share}");
        assert_eq!(share["rounds"], 2);
        assert!(share["share"]["value"].as_f64().unwrap() < 1.0, "{share}");
    }
    let bytes =
        |format: &str| shares.iter().find(|share| share["format"] == format).unwrap()["wire_bytes"].as_f64().unwrap();
    assert!(bytes("protobuf") < bytes("json"));
    assert_eq!(summary["calculator"].as_array().unwrap().len(), 8, "a line a format and kind of request, raw included");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("id=\"h-codec\"") && page.contains("id=\"h-calculator\"") && page.contains("id=\"h-sizes\""));
    assert!(std::fs::read_to_string(out.join("report.md")).unwrap().contains("## The codec's share"));
}

/// A server under load is sampled, for two formats, and the difference is drawn and linked from the report.
#[test]
fn flame_graphs_are_taken_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let (scenario, out) = (scenario(folder.path()), folder.path().join("out"));
    let ran = lab(
        &[
            "flame",
            &scenario,
            "--engine",
            "mio",
            "--format",
            "json",
            "--against",
            "format=raw",
            "--seconds",
            "2",
            "--hertz",
            "499",
        ],
        &out,
    );
    assert!(ran.status.success(), "{}", said(&ran));
    let again = Command::new(env!("CARGO_BIN_EXE_lab")).args(["report", "--json"]).arg(&out).output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    let summary: Value = serde_json::from_slice(&again.stdout).unwrap();
    let graphs = summary["flames"].as_array().unwrap();
    assert_eq!((&graphs[0]["format"], &graphs[1]["format"]), (&"raw".into(), &"json".into()));
    assert_eq!(graphs[1]["against"]["trial"], graphs[0]["trial"]);
    for graph in graphs {
        let folded = std::fs::read_to_string(out.join(graph["folded"].as_str().unwrap())).unwrap();
        assert!(folded.contains("server_mio"), "the engine's own frames: {folded}");
        let svg = std::fs::read_to_string(out.join(graph["svg"].as_str().unwrap())).unwrap();
        assert!(svg.starts_with("<svg ") && svg.contains("µs per request"), "{svg}");
        assert!(graph["kernel_share"].as_f64().unwrap() > 0.0, "a server that serves makes system calls: {graph}");
    }
    assert!(out.join(graphs[1]["against"]["svg"].as_str().unwrap()).is_file());
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("href=\"flames.html\"") && page.contains("against mio frame raw"), "no link");
    assert!(std::fs::read_to_string(out.join("flames.html")).unwrap().contains("class=\"flame\""));
}

/// Sizes need no load; slips of the hand are explained; a scenario that climbs is no trial.
#[test]
fn what_needs_no_server() {
    let run = |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_lab")).args(arguments).output().unwrap();
    let sizes = run(&["wire", "--sizes"]);
    assert!(String::from_utf8_lossy(&sizes.stdout).contains("The same against json"), "{}", said(&sizes));
    for (arguments, wanted) in [
        (&["wire", "--formats", "jsn"][..], "jsn"),
        (&["wire", "--ask", "lst:5"], "did you mean \"list\"?"),
        (&["wire", "--users", "0"], "calculator.users = 0"),
        (&["wire", "ccu-curve"], "ccu-curve has no trials"),
        (&["flame", "demo", "--engine", "rin"], "did you mean \"ring\"?"),
        (&["flame", "demo", "--against", "engin=ring"], "did you mean \"engine\"?"),
        (&["flame", "demo", "--sampler", "prof"], "did you mean \"pprof\"?"),
        (&["flame", "demo", "--engine", "mio", "--against", "engine=mio"], "that is the graph itself"),
    ] {
        let ran = run(arguments);
        assert_eq!(ran.status.code(), Some(2), "{}", said(&ran));
        assert!(said(&ran).contains(wanted), "{wanted}: {}", said(&ran));
    }
}

/// perf sees the kernel's own frames where the kernel lets it; where not, the sentence names the knob.
#[test]
fn perf_is_used_or_its_knob_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (scenario, out) = (scenario(folder.path()), folder.path().join("out"));
    let ran = lab(&["flame", &scenario, "--sampler", "perf", "--seconds", "1", "--hertz", "499"], &out);
    if ran.status.code() == Some(3) {
        let said = said(&ran);
        assert!(said.contains("install linux-perf") || said.contains("kernel.perf_event_paranoid"), "{said}");
        eprintln!("perf cannot be used here: {said}");
        return;
    }
    assert!(ran.status.success(), "{}", said(&ran));
    let folded = std::fs::read_to_string(out.join("flames/0000.folded")).unwrap();
    assert!(folded.contains("server_mio") && folded.contains("_[k]"), "{folded}");
    assert!(!out.join("perf.data").exists(), "a copy of every stack was left");
}
