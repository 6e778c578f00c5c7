//! The daemon from outside: routes, selections, wrong flags, hostile clients, signals.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};

use support::{Daemon, Metrics, PATIENCE, get, request};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_highload-agent")).args(arguments).output().unwrap()
}

fn collectors(page: &str) -> Vec<String> {
    let metrics = Metrics::parse(page);
    let ran = metrics.samples.keys().filter(|series| series.name == "node_scrape_collector_success");
    ran.map(|series| series.label("collector").to_owned()).collect()
}

/// Every route, the method that is refused, and the selections of collectors.
#[test]
fn routes_and_selections() {
    let agent = Daemon::agent(&["--no-collector.uname", "--web.telemetry-path=/m"]);
    assert!(agent.get("/").contains("href=\"/m\""));
    assert_eq!(agent.get("/healthz"), "ok\n");
    assert_eq!(get(&agent.address, "/metrics").0, 404);
    assert_eq!(request(&agent.address, "POST /m HTTP/1.0\r\n\r\n").0, 405);
    assert_eq!(request(&agent.address, "HEAD /m HTTP/1.0\r\n\r\n"), (200, String::new()));
    assert_eq!(collectors(&agent.get("/m?collect[]=loadavg&collect%5B%5D=stat")), ["loadavg", "stat"]);
    let without = collectors(&agent.get("/m?exclude[]=loadavg"));
    assert!(!without.contains(&"loadavg".to_owned()) && without.contains(&"stat".to_owned()));
    assert!(!collectors(&agent.get("/m")).contains(&"uname".to_owned()));
    for (query, says) in [
        ("collect[]=nope", "there is no collector \"nope\""),
        ("collect[]=uname", "switched off"),
        ("collect[]=stat&exclude[]=cpu", "exclude each other"),
    ] {
        let (status, body) = get(&agent.address, &format!("/m?{query}"));
        assert!(status == 400 && body.contains(says), "{query}: {status} {body}");
    }
}

/// A socket that is passed as systemd passes it is served on; without one the start fails and says why. The shell
/// stands for systemd, which gives the first socket number 3 and says for which process it is.
#[test]
fn passed_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut command = Command::new("sh");
    command
        .args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0", env!("CARGO_BIN_EXE_highload-agent")])
        .args(["--web.systemd-socket", "--collector.disable-defaults", "--collector.loadavg"]);
    let agent = Daemon::start_with_stdin(&mut command, std::os::fd::OwnedFd::from(listener).into(), "serving http://");
    assert_eq!(agent.address, address);
    assert!(agent.get("/metrics").contains("\nnode_load1 "));

    let output = run(&["--web.systemd-socket"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8(output.stderr).unwrap().contains("LISTEN_FDS"));
}

/// `once` prints a page and nothing else; switched-off collectors are not on it.
#[test]
fn once() {
    let output = run(&["once", "--collector.disable-defaults", "--collector.loadavg", "--collector.tcpstat"]);
    assert!(output.status.success());
    let page = String::from_utf8(output.stdout).unwrap();
    assert_eq!(collectors(&page), ["loadavg", "tcpstat"]);
    assert!(page.contains("\nnode_load1 "), "{page}");
}

/// Usage errors end with 2 and say what would be right; an address that is taken ends with 3.
#[test]
fn wrong_starts() {
    for (arguments, says) in [
        (&["--colector.cpu"][..], "--collector.cpu"),
        (&["--collector.netdev.device-exlude=x"], "--collector.netdev.device-exclude"),
        (&["--web.config.file=x"], "unexpected argument"),
        (&["once", "--collector.netdev.device-include=("], "no regular expression"),
        (&["once", "--collector.netdev.device-include=a", "--collector.netdev.device-exclude=b"], "exclude each other"),
        (&["once", "--collector.filesystem.mount-timeout=5"], "wanted a duration"),
        (&["explain", "node_laod1"], "did you mean node_load1?"),
        (&["--log.format=xml"], "logfmt"),
    ] {
        let output = run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && error.contains(says), "{arguments:?}: {:?} {error}", output.status);
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("--web.listen-address={}", taken.local_addr().unwrap());
    let output = run(&[&address]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(3) && error.contains("--web.listen-address"), "{error}");
}

/// Clients that send garbage, too much or nothing at all keep nobody else from the page.
#[test]
fn hostile_clients() {
    let agent = Daemon::agent(&["--collector.disable-defaults", "--collector.loadavg"]);
    // Connections that send half a request and stay: fewer than the limit, which is the kernel's queue's business.
    let slow: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(&agent.address).unwrap();
            stream.write_all(b"GET /metrics HT").unwrap();
            stream
        })
        .collect();
    assert!(agent.get("/metrics").contains("node_load1"));
    for bytes in [
        "\r\n\r\n\0\0\0\u{1}\u{2}".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000)),
        format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(1000)),
        "GET /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n".to_owned(),
    ] {
        let mut stream = TcpStream::connect(&agent.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // The server may hang up before it has read everything.
        let _ = stream.write_all(bytes.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{bytes:.40}: {answer}");
    }
    assert!(agent.get("/metrics").contains("node_load1"));
    drop(slow);
}

/// Parallel scrapes are all answered, and SIGTERM ends the daemon with 0.
#[test]
fn parallel_scrapes_and_stop() {
    let agent = Daemon::agent(&[]);
    let pages: Vec<String> = std::thread::scope(|scope| {
        let scrapes: Vec<_> = (0..20).map(|_| scope.spawn(|| agent.get("/metrics"))).collect();
        scrapes.into_iter().map(|scrape| scrape.join().unwrap()).collect()
    });
    for page in pages {
        Metrics::parse(&page);
    }
    assert_eq!(agent.terminate(), Some(0));
}
