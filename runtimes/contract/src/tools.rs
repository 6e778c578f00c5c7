//! Third-party clients: curl, wrk and Python's `websockets` must be able to use any engine. All are needed: a missing one
//! fails the test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use wire::client::{Operation, Request, parse_reply};
use wire::{Format, Protocol};

use crate::Subject;
use crate::server::Server;

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed (apt-get install {program}): {error}"));
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {says}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// curl adds, lists, is told what there is not, and closes or keeps connections as it likes.
pub fn curl(subject: &Subject) {
    let server = Server::speaking(subject, Protocol::Http1, Format::Json, &[]);
    let url = |path: &str| format!("http://{}{path}", server.address);
    let added = run("curl", &["-sS", "-d", r#"{"text": "from curl"}"#, &url("/demo/notes")]);
    let added: serde_json::Value = serde_json::from_str(&added).expect("JSON");
    assert_eq!((added["id"].as_str(), added["text"].as_str()), (Some("1001"), Some("from curl")));
    let page = run("curl", &["-sS", "--http1.0", &url("/demo/notes?offset=999&limit=2")]);
    let page: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    assert_eq!((page["total"].as_str(), &page["notes"][1]), (Some("1001"), &added));
    let missing = run("curl", &["-sS", "-o", "/dev/null", "-w", "%{http_code}", &url("/nowhere")]);
    assert_eq!(missing, "404");
    let head = run("curl", &["-sS", "-I", &url("/demo/notes?limit=1")]);
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    // Two requests on one connection, as told by curl itself.
    let page = url("/demo/notes");
    let quiet = ["-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects}\n"];
    let twice = run("curl", &[&["-sS"], &quiet[..], &[&page, &page]].concat());
    assert_eq!(twice, "1\n0\n");
    // A megabyte: curl asks with 100-continue first.
    let body = std::env::temp_dir().join(format!("contract-{}-{}", subject.engine, std::process::id()));
    std::fs::write(&body, vec![b'x'; 1 << 20]).expect("a temporary file");
    let data = format!("@{}", body.display());
    let echoed = run("curl", &["-sS", "-H", "Expect: 100-continue", "--data-binary", &data, &url("/echo")]);
    std::fs::remove_file(&body).expect("it was just written");
    assert_eq!(echoed.len(), 1 << 20);
    assert_eq!(server.stop()["errors"], serde_json::json!({"not-found": 1}));
}

/// wrk for a second at 200 connections: no error of any kind.
pub fn wrk(subject: &Subject) {
    let server = Server::speaking(subject, Protocol::Http1, Format::Json, &[]);
    let url = format!("http://{}/demo/notes?limit=5", server.address);
    let report = run("wrk", &["-t1", "-c200", "-d1s", &url]);
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
    let requests: u64 = report
        .split(" requests in")
        .next()
        .and_then(|text| text.rsplit(' ').next()?.trim().parse().ok())
        .expect(&report);
    assert!(requests > 0, "{report}");
    assert!(server.stop()["requests"].as_u64() >= Some(requests));
}

/// Python's `websockets` in the first `python3` on the path: everything that the protocol has, from someone else's hand.
pub fn websockets(subject: &Subject) {
    let server = Server::speaking(subject, Protocol::WebSocket, Format::Json, &["--push", "--admin", "127.0.0.1:0"]);
    let (address, admin) = (server.address.to_string(), server.ready["admin"].as_str().expect("an admin address"));
    let output = Command::new("python3").args(["-c", include_str!("websocket_client.py"), &address, admin]).output();
    let output = output.unwrap_or_else(|error| panic!("python3 is needed: {error}"));
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(!says.contains("No module named"), "python3 needs it: `python3 -m pip install websockets`: {says}");
    assert!(output.status.success(), "{says}");
    assert_eq!(server.stop()["errors"], serde_json::json!({"not-found": 1, "too-large": 1}));
}

/// Metrics, health and a profile on the admin address, while requests go on: the profiler's signals interrupt system
/// calls, and no request may suffer from that.
pub fn admin(subject: &Subject) {
    let server = Server::speaking(subject, Protocol::Frame, Format::Json, &["--admin", "127.0.0.1:0"]);
    let admin = server.ready["admin"].as_str().expect("an admin address").to_owned();
    let get = |path: &str| run("curl", &["-sS", "--fail", &format!("http://{admin}{path}")]);
    assert_eq!(get("/healthz"), "ok\n");

    let done = AtomicBool::new(false);
    let (folded, sent) = std::thread::scope(|scope| {
        let load: Vec<_> = (0..4).map(|_| scope.spawn(|| converse(server.connect(), &done))).collect();
        // Samples are of CPU time: on a busy machine a second of the clock may hold none.
        let mut profiles = (0..20).map(|_| get("/debug/pprof/folded?seconds=1&hz=499"));
        let folded = profiles.find(|text| text.lines().any(well_formed));
        done.store(true, Ordering::Relaxed);
        let sent: u64 = load.into_iter().map(|thread| thread.join().expect("right replies throughout")).sum();
        (folded, sent)
    });
    assert!(folded.is_some(), "no profile has a stack");

    let metrics = get("/metrics");
    assert!(metrics.contains(&format!("highload_server_requests_total {sent}\n")), "{metrics}");
    assert!(metrics.contains(&format!("engine=\"{}\"", subject.engine)), "{metrics}");
    assert!(metrics.contains("highload_server_errors_total{kind=\"io\"} 0\n"), "{metrics}");
    server.stop();
}

/// Requests that wait on different connections are in flight together: when a server that was stopped goes on and finds one on
/// each of twenty, it serves as many as `--limit-requests` says and refuses others; afterwards nobody is refused who comes
/// alone. The metrics of both gates say the same.
pub fn limiter(subject: &Subject) {
    let args = ["--limit-requests", "fixed:5", "--limit-connections", "20", "--admin", "127.0.0.1:0"];
    let server = Server::speaking(subject, Protocol::Frame, Format::Raw, &args);
    let mut request = Request::new(Protocol::Frame, Format::Raw, &Operation::Echo { payload: b"x".to_vec() }, "");
    let mut bytes = Vec::new();
    request.write(1, &mut bytes);
    let mut streams: Vec<_> = (0..20).map(|_| server.connect()).collect();
    let mut ask = |stream: &mut TcpStream, send: bool| {
        if send {
            stream.write_all(&bytes).expect("it reads");
        }
        let mut buffer = [0; 256];
        let mut length = 0;
        loop {
            length += match stream.read(&mut buffer[length..]) {
                // The stopped server is a child, of which a signal tells; reads with a time-out are not restarted.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                other => other.expect("a reply"),
            };
            if let Some(reply) = parse_reply(Protocol::Frame, &buffer[..length]).expect("well-formed") {
                assert!(reply.status == 503 || request.check(&reply).is_ok(), "{reply:?}");
                return reply.status;
            }
        }
    };
    // New connections are looked at in one turn, in which these come one after the other, so some may be refused. Afterwards
    // each is alone.
    for stream in &mut streams {
        ask(stream, true);
    }
    for stream in &mut streams {
        assert_eq!(ask(stream, true), 200);
    }
    let early = refused_so_far(&server);
    server.signal(rustix::process::Signal::STOP);
    for stream in &mut streams {
        stream.write_all(&bytes).expect("20 bytes fit");
    }
    server.signal(rustix::process::Signal::CONT);
    let statuses: Vec<u16> = streams.iter_mut().map(|stream| ask(stream, false)).collect();
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert!((5..20).contains(&served), "{statuses:?}");
    for stream in &mut streams {
        assert_eq!(ask(stream, true), 200);
    }
    let mut late = server.connect();
    assert_eq!(ask(&mut late, false), 503);

    let metrics = metrics(&server);
    let lines = [
        "highload_limiter_connections_limit 20".to_owned(),
        "highload_limiter_connections_refused_total 1".to_owned(),
        "highload_limiter_requests_limit{algorithm=\"fixed:5\"} 5".to_owned(),
        format!("highload_limiter_requests_refused_total {}", early + 20 - served),
    ];
    for line in &lines {
        assert!(metrics.contains(&format!("{line}\n")), "no `{line}` in:\n{metrics}");
    }
    server.stop();
}

fn metrics(server: &Server) -> String {
    let admin = server.ready["admin"].as_str().expect("an admin address");
    run("curl", &["-sS", "--fail", &format!("http://{admin}/metrics")])
}

fn refused_so_far(server: &Server) -> usize {
    let metrics = metrics(server);
    let count = metrics.lines().find_map(|line| line.strip_prefix("highload_limiter_requests_refused_total "));
    count.expect("a counter").parse().expect("a number")
}

/// `thread;root;…;leaf samples`
fn well_formed(line: &str) -> bool {
    line.rsplit_once(' ').is_some_and(|(stack, samples)| stack.contains(';') && samples.parse::<u64>().is_ok())
}

/// Asks and checks one page after another; returns how many.
fn converse(mut stream: TcpStream, done: &AtomicBool) -> u64 {
    let page = Operation::ListNotes { offset: 10, limit: 10 };
    let mut request = Request::new(Protocol::Frame, Format::Json, &page, "");
    let mut bytes = Vec::new();
    request.write(1, &mut bytes);
    let mut buffer = vec![0; 64 << 10];
    let mut sent = 0;
    while !done.load(Ordering::Relaxed) {
        stream.write_all(&bytes).expect("it reads");
        sent += 1;
        let mut length = 0;
        loop {
            length += stream.read(&mut buffer[length..]).expect("a reply");
            if let Some(reply) = parse_reply(Protocol::Frame, &buffer[..length]).expect("well-formed") {
                request.check(&reply).expect("the right page");
                break;
            }
        }
    }
    sent
}
