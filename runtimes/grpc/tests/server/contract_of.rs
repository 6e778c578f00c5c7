//! The parts of the server contract that do not depend on how messages are framed.

use std::io::{Read, Write};
use std::time::Duration;

use contract::lifecycle;
use contract::server::{Server, failure};

use crate::tools::run;
use crate::{GRPC, JSON};

/// The ready line names what is served, and the admin address serves metrics under that name.
#[test]
fn ready_line_and_metrics() {
    for (subject, protocol, format) in [(GRPC, "grpc", "protobuf"), (JSON, "http2", "json")] {
        let server = Server::start(&subject, &["--admin", "127.0.0.1:0"]);
        let ready = &server.ready;
        assert_eq!(ready["engine"], subject.engine);
        assert_eq!((ready["protocol"].as_str(), ready["format"].as_str()), (Some(protocol), Some(format)));
        assert_eq!(ready["pid"].as_u64(), Some(u64::from(server.pid())));
        let admin = format!("http://{}/metrics", ready["admin"].as_str().expect("an admin address"));
        let metrics = run("curl", &["-sS", "--fail", &admin]);
        assert!(metrics.contains(&format!("engine=\"{}\"", subject.engine)), "{metrics}");
        assert!(metrics.contains(&format!("protocol=\"{protocol}\"")), "{metrics}");
        let counters = server.stop();
        assert_eq!((&counters["accepted"], &counters["errors"]), (&0.into(), &serde_json::json!({})));
    }
}

/// A taken port and too few descriptors are the environment's (3), a wrong argument is the user's (2).
#[test]
fn what_keeps_it_from_starting() {
    lifecycle::port_taken(&GRPC);
    lifecycle::descriptor_limit(&JSON);
    let cases: [(&[&str], &str); 7] = [
        (&["--serve", "grpc", "--limit-requests", "vegas"], "fixed:N"),
        (&["--serve", "grpc", "--fault", "drop:5"], "another engine"),
        (&["--serve", "rest"], "grpc"),
        (&["--serve", "gateway"], "--upstream"),
        (&["--serve", "json", "--sample", "1.5"], "0 to 1"),
        (&["--serve", "json", "--tracing", "spans", "--export", "otlp:localhost"], "otlp:http://"),
        (&["--serve", "json", "--export", "lines:/tmp/x"], "--tracing spans"),
    ];
    let bare = contract::Subject { args: &[], ..GRPC };
    for (args, hint) in cases {
        let (code, says) = failure(&bare, "127.0.0.1:0", args);
        assert_eq!(code, Some(2), "{args:?}: {says}");
        assert!(says.contains(hint), "{args:?}: {says}");
    }
}

/// A connection over the limit is told in HTTP/2's own words that no stream was looked at; the one before it goes on.
#[test]
fn connections_over_the_limit() {
    let server = Server::start(&GRPC, &["--limit-connections", "1"]);
    let mut first = server.connect();
    first.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    first.read_exact(&mut [0; 9]).expect("SETTINGS");
    let mut second = server.connect();
    let mut said = Vec::new();
    second.read_to_end(&mut said).expect("an end, not a reset");
    assert_eq!(said[3], 4, "SETTINGS first");
    assert!(String::from_utf8_lossy(&said).ends_with("1 connections are open, which is --limit-connections"));
    drop((first, second));
    assert_eq!(server.stop()["errors"]["busy-connections"], 1);
}

/// A request whose body does not come holds the only place in flight: the next is refused with 503, and served once the
/// first is done.
#[test]
fn requests_over_the_limit() {
    let server = Server::start(&JSON, &["--limit-requests", "fixed:1"]);
    let mut slow = server.connect();
    slow.write_all(b"POST /demo/notes HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n{\"text\"").unwrap();
    // The server may not have seen it yet; once it has, the answer is the same for as long as the body is missing.
    let mut asked = 0;
    let refused = loop {
        let reply = crate::tools::curl(&server.address.to_string(), "/demo/notes?limit=1", None, &[]);
        asked += 1;
        if reply.status == "503" {
            break reply;
        }
        assert!(asked < 200, "never refused");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!((&refused.json()["code"], refused.header("retry-after")), (&14.into(), Some("1")));
    slow.write_all(b":\"x\"}").unwrap();
    let mut reply = [0; 12];
    slow.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"HTTP/1.1 200");
    drop(slow);
    assert_eq!(server.stop()["errors"], serde_json::json!({"busy-in-flight": 1}));
}

/// Two shards serve one port: 40 connections spread over them, and all are counted.
#[test]
fn shards() {
    let server = Server::start(&JSON, &["--shards", "2"]);
    let url = format!("http://{}/demo/notes", server.address);
    let body = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(body.path(), r#"{"text":"x"}"#).unwrap();
    let served = crate::tools::h2load(&["-n", "400", "-c", "40", "-d", body.path().to_str().unwrap(), &url]);
    let pages = crate::tools::curl(&server.address.to_string(), "/demo/notes?offset=1000&limit=2", None, &[]);
    // Ids of one shard are all odd or all even.
    let ids: Vec<u64> = pages.json()["notes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|note| note["id"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(ids[1] - ids[0], 2);
    let counters = server.stop();
    assert_eq!((served, counters["accepted"].as_u64(), counters["requests"].as_u64()), (400, Some(41), Some(401)));
}
