//! Start, stop, and what keeps a server from starting.

use std::io::{Read, Write};
use std::net::TcpListener;

use rustix::process::Signal;
use wire::client::{Operation, Request, parse_reply};
use wire::{Format, Protocol};

use crate::Subject;
use crate::server::{Server, failure};

const FRAME_RAW: [&str; 4] = ["--protocol", "frame", "--format", "raw"];

fn echo() -> Vec<u8> {
    let mut bytes = Vec::new();
    let operation = Operation::Echo { payload: b"x".to_vec() };
    Request::new(Protocol::Frame, Format::Raw, &operation, "").write(1, &mut bytes);
    bytes
}

/// The ready line says who serves, how and where.
pub fn ready_line(subject: &Subject) {
    let server = Server::start(subject, &FRAME_RAW);
    let ready = &server.ready;
    assert_eq!(
        (ready["engine"].as_str(), ready["interface"].as_str()),
        (Some(subject.engine), Some(subject.interface))
    );
    let naive_or_lean = if subject.engine.ends_with("+lean") { "lean" } else { "naive" };
    assert!(ready["idle"].is_null() || ready["idle"] == naive_or_lean, "{ready}");
    assert_eq!((ready["protocol"].as_str(), ready["format"].as_str()), (Some("frame"), Some("raw")));
    assert_eq!(ready["pid"].as_u64(), Some(u64::from(server.pid())));
    assert_eq!(ready["ring"].is_object(), subject.interface == "io_uring");
    assert!(ready["version"].is_string());
    assert_ne!(server.address.port(), 0);
}

/// SIGINT ends a server as SIGTERM does: counters, exit code 0.
pub fn counters_and_exit(subject: &Subject) {
    let server = Server::start(subject, &FRAME_RAW);
    let mut stream = server.connect();
    stream.write_all(&echo()).expect("it reads");
    let mut reply = [0; 13];
    stream.read_exact(&mut reply).expect("a reply");
    server.signal(Signal::INT);
    let (status, counters) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert_eq!(counters["event"], "counters");
    for (name, value) in [("accepted", 1), ("open", 0), ("requests", 1), ("bytes_in", 13), ("bytes_out", 13)] {
        assert_eq!(counters[name], value, "{name}");
    }
}

/// With SIGTERM, requests that have arrived are answered, idle connections end, and nobody new is accepted.
pub fn drains_what_has_arrived(subject: &Subject) {
    let server = Server::start(subject, &FRAME_RAW);
    let mut idle = server.connect();
    let mut asking: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for stream in &mut asking {
        stream.write_all(&echo()).expect("it reads");
    }
    let address = server.address;
    let counters = server.stop();
    assert_eq!(counters["errors"], serde_json::json!({}));
    for stream in &mut asking {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an end, not a reset");
        let reply = parse_reply(Protocol::Frame, &bytes).expect("well-formed").expect("a whole reply");
        assert_eq!((reply.body, reply.consumed), (&b"x"[..], bytes.len()));
    }
    assert_eq!(idle.read(&mut [0; 1]).expect("an end"), 0);
    assert!(std::net::TcpStream::connect(address).is_err());
}

/// A peer that never takes its replies does not keep a server from ending; it is counted as cut.
pub fn draining_is_bounded(subject: &Subject) {
    let server = Server::start(subject, &FRAME_RAW);
    let mut stream = server.connect();
    let page = Operation::ListNotes { offset: 0, limit: 100 };
    let request = Request::new(Protocol::Frame, Format::Raw, &page, "");
    let mut bytes = Vec::new();
    for id in 0..5_000 {
        request.write(id, &mut bytes);
    }
    stream.write_all(&bytes).expect("100 kB fit the socket buffers");
    // The first bytes are here: it is writing.
    stream.read_exact(&mut [0; 1]).expect("a reply");
    let counters = server.stop();
    assert_eq!(counters["errors"]["cut"], 1);
    assert_eq!(counters["open"], 1);
}

/// A port that somebody holds: exit code 3 and a sentence with the way out.
pub fn port_taken(subject: &Subject) {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = holder.local_addr().expect("it is bound").to_string();
    let (code, says) = failure(subject, &address, &FRAME_RAW);
    assert_eq!(code, Some(3), "{says}");
    assert!(says.contains(&address) && says.contains("--listen"), "{says}");
    assert_eq!(says.lines().count(), 1, "{says}");
}

/// Wrong names and values: exit code 2, and the nearest right one.
pub fn usage_errors(subject: &Subject) {
    let cases: [(&[&str], &str); 9] = [
        (&["--protocol", "htp1", "--format", "raw"], "http1"),
        (&["--protocol", "frame", "--format", "protobuff"], "protobuf"),
        (&["--protocol", "frame", "--format", "raw", "--shard", "2"], "--shards"),
        (&["--protocol", "frame", "--format", "raw", "--shards", "0"], "1"),
        (&["--protocol", "frame", "--format", "raw", "--admin", "0.0.0.0:0"], "loopback"),
        (&["--protocol", "frame"], "--format"),
        (&["--protocol", "frame", "--format", "raw", "--limit-requests", "fixed"], "aimd:MILLISECONDS"),
        (&["--protocol", "frame", "--format", "raw", "--fault", "stal:1:1"], "stall:EVERY:MS"),
        (&["--protocol", "frame", "--format", "raw", "--service-time", "1e9"], "from 0 to 100000"),
    ];
    for (args, hint) in cases {
        let (code, says) = failure(subject, "127.0.0.1:0", args);
        assert_eq!(code, Some(2), "{args:?}: {says}");
        assert!(says.contains(hint), "{args:?}: {says}");
    }
}

/// More connections than descriptors: exit code 3, value seen, value needed, knob.
pub fn descriptor_limit(subject: &Subject) {
    let (code, says) =
        failure(subject, "127.0.0.1:0", &[&FRAME_RAW[..], &["--limit-connections", "4294967295"]].concat());
    assert_eq!(code, Some(3), "{says}");
    assert!(says.contains("4294967295") && says.contains("ulimit"), "{says}");
}

/// Several shards serve one port, give no id twice and drain together.
pub fn shards(subject: &Subject) {
    let server = Server::speaking(subject, Protocol::Frame, Format::Raw, &["--shards", "2"]);
    let add = Operation::AddNote { text: "x".to_owned() };
    let mut add = Request::new(Protocol::Frame, Format::Raw, &add, "");
    let mut bytes = Vec::new();
    add.write(1, &mut bytes);
    let mut ids = Vec::new();
    // The kernel spreads them by hash: the chance that 40 go one way is 2^-39.
    let mut streams: Vec<_> = (0..40).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(&bytes).expect("it reads");
        let mut buffer = [0; 256];
        let mut length = 0;
        let note = loop {
            length += stream.read(&mut buffer[length..]).expect("a reply");
            if let Some(reply) = parse_reply(Protocol::Frame, &buffer[..length]).expect("well-formed") {
                add.check(&reply).expect("the note");
                break Format::Raw.decode_note(reply.body).expect("a note");
            }
        };
        ids.push(note.id);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), streams.len());
    assert!(ids.iter().any(|id| id % 2 == 0) && ids.iter().any(|id| id % 2 == 1), "one shard had all");
    let counters = server.stop();
    assert_eq!((counters["accepted"].as_u64(), counters["open"].as_u64()), (Some(40), Some(0)));
}
