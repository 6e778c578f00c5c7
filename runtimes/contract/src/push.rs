//! Events: everybody is told each one once, in order and whole, whatever else is said and however slow somebody is.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use serde_json::Value;
use wire::client::{EVENT, ExpectedEvent, Operation, Request, parse_reply};
use wire::{Format, Protocol};

use crate::Subject;
use crate::conversation::{connect, read_replies};
use crate::server::{Server, failure};

const PUSH: [&str; 3] = ["--push", "--admin", "127.0.0.1:0"];

/// Orders an event; status and body of the answer.
fn order(server: &Server, query: &str) -> (u16, String) {
    let admin = server.ready["admin"].as_str().expect("an admin address");
    let mut stream = TcpStream::connect(admin).expect("it listens");
    write!(stream, "POST /push?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    (status, answer.split_once("\r\n\r\n").expect("a head").1.to_owned())
}

fn tell(server: &Server, number: u32, bytes: usize, serialise: &str) {
    let (status, said) = order(server, &format!("number={number}&bytes={bytes}&serialise={serialise}"));
    assert_eq!(status, 200, "{said}");
}

/// A connection that the server knows: its handshake and an echo on it are answered.
fn known(server: &Server, protocol: Protocol, format: Format) -> TcpStream {
    let mut stream = connect(server, protocol);
    let mut bytes = Vec::new();
    let mut echo = Request::new(protocol, format, &Operation::Echo { payload: b"here".to_vec() }, "localhost");
    echo.write(1, &mut bytes);
    stream.write_all(&bytes).expect("it reads");
    let seen = read_replies(&mut stream, protocol, 1, |_, reply| echo.check(reply).expect("the echo"));
    assert_eq!(seen, 1);
    stream
}

fn assert_told(stream: &mut TcpStream, protocol: Protocol, expected: &[ExpectedEvent]) {
    let seen = read_replies(stream, protocol, expected.len(), |position, reply| {
        expected[position].check(reply).expect("the right event in its place");
    });
    assert_eq!(seen, expected.len());
}

/// A hundred connections hear events of every size, serialised once and for each, in both protocols; who comes later hears the
/// later ones; a WebSocket that is not open yet hears none.
pub fn everybody_is_told(subject: &Subject) {
    const SIZES: [usize; 4] = [1, 128, 4_096, 65_536];
    for (protocol, format) in
        [(Protocol::Frame, Format::Raw), (Protocol::WebSocket, Format::Json), (Protocol::WebSocket, Format::Protobuf)]
    {
        let server = Server::speaking(subject, protocol, format, &PUSH);
        assert_eq!(server.ready["push"], true);
        let mut streams: Vec<_> = (0..100).map(|_| known(&server, protocol, format)).collect();
        let mut unopened = (protocol == Protocol::WebSocket).then(|| server.connect());
        let mut number = 0;
        for serialise in ["once", "each"] {
            for bytes in SIZES {
                tell(&server, number, bytes, serialise);
                let expected = [ExpectedEvent::new(format, number, bytes)];
                streams.iter_mut().for_each(|stream| assert_told(stream, protocol, &expected));
                number += 1;
            }
            // A reader that is not there for a while finds all of them, in order.
            let away: Vec<_> = (number..number + 5).map(|number| ExpectedEvent::new(format, number, 1_000)).collect();
            (number..number + 5).for_each(|number| tell(&server, number, 1_000, serialise));
            streams.iter_mut().for_each(|stream| assert_told(stream, protocol, &away));
            number += 5;
            streams.push(known(&server, protocol, format));
        }
        if let Some(unopened) = &mut unopened {
            unopened.set_nonblocking(true).expect("a socket");
            assert!(unopened.read(&mut [0; 1]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
        }
        let told = 9 * 100 + 9 * 101;
        drop((streams, unopened));
        let counters = server.stop();
        assert_eq!((&counters["pushed"], &counters["errors"]), (&told.into(), &serde_json::json!({})), "{protocol}");
    }
}

/// Pages asked for by the dozen while events come: every reply is right and in its order, every event too, and no byte of
/// one is within the other.
pub fn replies_and_events_take_turns(subject: &Subject) {
    const EVENTS: u32 = 40;
    for (protocol, serialise) in [(Protocol::Frame, "once"), (Protocol::WebSocket, "each")] {
        let server = Server::speaking(subject, protocol, Format::Json, &PUSH);
        let mut stream = known(&server, protocol, Format::Json);
        let page = Operation::ListNotes { offset: 0, limit: 100 };
        let mut page = Request::new(protocol, Format::Json, &page, "localhost");
        std::thread::scope(|scope| {
            let orders = scope
                .spawn(|| (0..EVENTS).for_each(|number| tell(&server, number, 1 + 50 * number as usize, serialise)));
            let (mut told, mut answered, mut asked) = (0, 0, 0);
            let (mut bytes, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
            while told < EVENTS || answered < asked {
                if answered == asked {
                    let mut requests = Vec::new();
                    (asked..asked + 30).for_each(|id| page.write(id, &mut requests));
                    stream.write_all(&requests).expect("it reads");
                    asked += 30;
                }
                let length = match stream.read(&mut chunk) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    other => other.expect("replies and events"),
                };
                assert!(length > 0, "ended with {told} events and {answered} replies of {asked}");
                bytes.extend_from_slice(&chunk[..length]);
                let mut used = 0;
                while let Some(reply) = parse_reply(protocol, &bytes[used..]).expect("well-formed") {
                    used += reply.consumed;
                    if reply.status == EVENT {
                        let expected = ExpectedEvent::new(Format::Json, told, 1 + 50 * told as usize);
                        expected.check(&reply).expect("the right event in its place");
                        told += 1;
                    } else {
                        assert_eq!(reply.id, Some(answered));
                        page.check(&reply).expect("the right page");
                        answered += 1;
                    }
                }
                bytes.drain(..used);
            }
            orders.join().expect("every order was taken");
        });
        drop(stream);
        assert_eq!(server.stop()["errors"], serde_json::json!({}));
    }
}

/// A client that reads nothing is ended once too much waits for it: counted, and found ended when it looks; all others hear
/// every event meanwhile, and the server does not swell.
pub fn a_slow_reader_is_ended(subject: &Subject) {
    const EVENTS: u32 = 300;
    const BYTES: usize = 60_000;
    let server = Server::speaking(subject, Protocol::Frame, Format::Raw, &PUSH);
    let mut slow = known(&server, Protocol::Frame, Format::Raw);
    let mut others: Vec<_> = (0..3).map(|_| known(&server, Protocol::Frame, Format::Raw)).collect();
    for number in 0..EVENTS {
        tell(&server, number, BYTES, if number % 2 == 0 { "once" } else { "each" });
        let expected = [ExpectedEvent::new(Format::Raw, number, BYTES)];
        others.iter_mut().for_each(|other| assert_told(other, Protocol::Frame, &expected));
    }
    // What it was sent before is still there, whole events from the first on, and then the end. A reset is as good.
    let mut received = Vec::new();
    let _ = slow.read_to_end(&mut received);
    assert!(received.len() < EVENTS as usize * BYTES, "{} bytes were not too slow", received.len());
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let peak_kb: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(peak_kb < 40_000, "a peak of {peak_kb} kB");
    drop(others);
    assert_eq!(server.stop()["errors"], serde_json::json!({"slow-reader": 1}));
}

/// Who left more replies unread than the sockets hold, and has read them since, hears events like everybody else.
pub fn who_was_slow_is_told(subject: &Subject) {
    const PAGES: u32 = 5_000;
    let server = Server::speaking(subject, Protocol::Frame, Format::Raw, &PUSH);
    let mut slow = known(&server, Protocol::Frame, Format::Raw);
    let page = Operation::ListNotes { offset: 0, limit: 100 };
    let page = Request::new(Protocol::Frame, Format::Raw, &page, "localhost");
    let mut requests = Vec::new();
    (0..PAGES).for_each(|id| page.write(id, &mut requests));
    slow.write_all(&requests).expect("100 kB fit the socket buffers");
    // When somebody who came later is served, the replies of who came before are stuck.
    let mut other = known(&server, Protocol::Frame, Format::Raw);
    let mut received = 0;
    let seen = read_replies(&mut slow, Protocol::Frame, PAGES as usize, |position, reply| {
        assert_eq!(reply.id.map(|id| id as usize), Some(position));
        received += reply.consumed;
    });
    assert_eq!(seen, PAGES as usize);
    assert!(received > 50_000_000, "{received} bytes are no flood");
    for number in 0..2 {
        tell(&server, number, 100, "once");
        let expected = [ExpectedEvent::new(Format::Raw, number, 100)];
        [&mut slow, &mut other].into_iter().for_each(|stream| assert_told(stream, Protocol::Frame, &expected));
    }
    drop((slow, other));
    assert_eq!(server.stop()["errors"], serde_json::json!({}));
}

/// Orders that cannot be followed are refused with a sentence; a server that was not asked to take them takes none.
pub fn orders_are_checked(subject: &Subject) {
    let server = Server::speaking(subject, Protocol::Frame, Format::Raw, &PUSH);
    for (query, says) in [
        ("bytes=10", "number is missing"),
        ("number=x&bytes=10", "number is `x`"),
        ("number=1", "bytes is missing"),
        ("number=1&bytes=0", "expected 1 to 65536"),
        ("number=1&bytes=65537", "expected 1 to 65536"),
        ("number=1&bytes=10&serialise=twice", "expected once or each"),
        ("number=1&bytes=10&at_ns=18446744073709551615", "CLOCK_MONOTONIC"),
    ] {
        let (status, said) = order(&server, query);
        assert_eq!(status, 400, "{query}: {said}");
        assert!(said.contains(says), "{query}: {said}");
    }
    // Nobody is there to be told, which is no error.
    let (status, said) = order(&server, "number=1&bytes=10");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((status, &said["shards"], &said["bytes"]), (200, &1.into(), &(12 + 36 + 10).into()));
    server.stop();
    let server = Server::speaking(subject, Protocol::Frame, Format::Raw, &PUSH[1..]);
    let (status, said) = order(&server, "number=1&bytes=10");
    assert!(status == 404 && said.contains("--push"), "{status} {said}");
    server.stop();
    for (args, hint) in [
        (&["--protocol", "http1", "--format", "raw", "--push", "--admin", "127.0.0.1:0"][..], "websocket"),
        (&["--protocol", "frame", "--format", "raw", "--push"], "--admin"),
    ] {
        let (code, says) = failure(subject, "127.0.0.1:0", args);
        assert_eq!(code, Some(2), "{says}");
        assert!(says.contains(hint), "{says}");
    }
}
