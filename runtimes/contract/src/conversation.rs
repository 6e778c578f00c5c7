//! What is said on connections: whatever the timing and the sizes, every request gets its reply, and what is wrong
//! gets a refusal.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use wire::client::{OPENED, Operation, Request, opening, parse_reply};
use wire::{Format, Protocol, frame};

use crate::Subject;
use crate::server::Server;

/// Requests of every kind for one connection.
fn requests(protocol: Protocol, format: Format) -> Vec<Request> {
    let operations = [
        Operation::Echo { payload: b"hello".to_vec() },
        Operation::AddNote { text: "tab\t and \"quotes\"".to_owned() },
        Operation::ListNotes { offset: 990, limit: 20 },
        Operation::ListNotes { offset: 3, limit: 2 },
    ];
    operations.iter().map(|operation| Request::new(protocol, format, operation, "localhost")).collect()
}

fn written(requests: &[Request]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (id, request) in (0..).zip(requests) {
        request.write(id, &mut bytes);
    }
    bytes
}

/// A connection on which requests can be sent: the handshake, where there is one, goes ahead of them without waiting.
pub(crate) fn connect(server: &Server, protocol: Protocol) -> TcpStream {
    let mut stream = server.connect();
    let mut bytes = Vec::new();
    opening(protocol, "localhost", &mut bytes);
    stream.write_all(&bytes).expect("it reads");
    stream
}

/// Reads replies, hands each to `each` as (position, reply), but for that to the handshake, and stops after `count` of them or at the end of the
/// connection; returns how many came.
pub(crate) fn read_replies(
    stream: &mut TcpStream,
    protocol: Protocol,
    count: usize,
    mut each: impl FnMut(usize, &wire::client::Reply<'_>),
) -> usize {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    let mut seen = 0;
    while seen < count {
        let length = match stream.read(&mut chunk) {
            // A process that is stopped and continues, as in a debugger: reads with a time-out are not restarted.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other.expect("a reply, not silence or a reset"),
        };
        if length == 0 {
            break;
        }
        bytes.extend_from_slice(&chunk[..length]);
        let mut used = 0;
        while let Some(reply) = parse_reply(protocol, &bytes[used..]).expect("a well-formed reply") {
            used += reply.consumed;
            if reply.status != OPENED {
                each(seen, &reply);
                seen += 1;
            }
        }
        bytes.drain(..used);
    }
    seen
}

/// Reads the replies to `requests` and checks what each says.
fn check_replies(stream: &mut TcpStream, protocol: Protocol, requests: &mut [Request]) {
    let count = requests.len();
    let seen = read_replies(stream, protocol, count, |position, reply| {
        requests[position].check(reply).expect("the right reply");
    });
    assert_eq!(seen, count);
}

fn assert_ended(stream: &mut TcpStream) {
    let length = stream.read(&mut [0; 1]).expect("an end, not a reset");
    assert_eq!(length, 0, "more than was asked for");
}

/// Every protocol and format; requests in one write, and in two writes cut at every byte.
pub fn pipelined_and_cut_anywhere(subject: &Subject) {
    for protocol in Protocol::ALL {
        for format in Format::ALL {
            let server = Server::speaking(subject, protocol, format, &[]);
            let mut requests = requests(protocol, format);
            let bytes = written(&requests);
            let mut stream = connect(&server, protocol);
            // The protocols' parsers were cut everywhere without sockets; here one format of each is enough.
            let cuts = if format == Format::Json { 0..bytes.len() } else { 0..1 };
            // A rich record once, whole: cutting it at each of its bytes would add nothing but time.
            let mut publish = [Request::new(protocol, format, &Operation::Publish { index: 3 }, "localhost")];
            stream.write_all(&written(&publish)).expect("it reads");
            check_replies(&mut stream, protocol, &mut publish);
            for cut in cuts {
                stream.write_all(&bytes[..cut]).expect("it reads");
                // Gives the server a chance to see the first part alone; right replies do not depend on it.
                std::thread::sleep(Duration::from_micros(300));
                stream.write_all(&bytes[cut..]).expect("it reads");
                check_replies(&mut stream, protocol, &mut requests);
            }
            drop(stream);
            let counters = server.stop();
            assert_eq!(counters["errors"], serde_json::json!({}));
        }
    }
}

/// 200 connections at a time, all asking before any reads.
pub fn many_connections(subject: &Subject) {
    let server = Server::speaking(subject, Protocol::Http1, Format::Protobuf, &[]);
    let mut requests = requests(Protocol::Http1, Format::Protobuf);
    let bytes = written(&requests);
    let mut streams: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for _ in 0..3 {
        for stream in &mut streams {
            stream.write_all(&bytes).expect("it reads");
        }
        for stream in &mut streams {
            check_replies(stream, Protocol::Http1, &mut requests);
        }
    }
    drop(streams);
    let counters = server.stop();
    assert_eq!((counters["accepted"].as_u64(), counters["open"].as_u64()), (Some(200), Some(0)));
    assert_eq!(counters["requests"].as_u64(), Some(200 * 3 * requests.len() as u64));
    let sent = 200 * 3 * bytes.len() as u64;
    assert_eq!(counters["bytes_in"].as_u64(), Some(sent));
}

/// A client that ends its side after asking still gets every reply, then the end.
pub fn half_close(subject: &Subject) {
    for protocol in Protocol::ALL {
        let server = Server::speaking(subject, protocol, Format::Raw, &[]);
        let mut requests = requests(protocol, Format::Raw);
        let mut stream = connect(&server, protocol);
        stream.write_all(&written(&requests)).expect("it reads");
        stream.shutdown(Shutdown::Write).expect("it is open");
        check_replies(&mut stream, protocol, &mut requests);
        assert_ended(&mut stream);
        // And in the middle of a request: nothing to answer, but counted.
        let mut stream = connect(&server, protocol);
        stream.write_all(&written(&requests)[..7]).expect("it reads");
        stream.shutdown(Shutdown::Write).expect("it is open");
        assert_eq!(read_replies(&mut stream, protocol, 1, |_, _| {}), 0);
        assert_eq!(server.stop()["errors"]["truncated"], 1);
    }
}

/// A client that asks for 65 MB and does not read makes the server stop, not swell: its peak memory stays small, and in
/// the end every reply is there.
pub fn slow_reader_is_not_buffered(subject: &Subject) {
    const REQUESTS: u32 = 5_000;
    let server = Server::speaking(subject, Protocol::Frame, Format::Raw, &[]);
    let page = Operation::ListNotes { offset: 0, limit: 100 };
    let mut request = Request::new(Protocol::Frame, Format::Raw, &page, "");
    let mut bytes = Vec::new();
    for id in 0..REQUESTS {
        request.write(id, &mut bytes);
    }
    let mut stream = server.connect();
    stream.write_all(&bytes).expect("100 kB fit the socket buffers");
    // Another one is served meanwhile.
    let mut other = server.connect();
    let mut requests = requests(Protocol::Frame, Format::Raw);
    other.write_all(&written(&requests)).expect("it reads");
    check_replies(&mut other, Protocol::Frame, &mut requests);

    let mut received = 0;
    let seen = read_replies(&mut stream, Protocol::Frame, REQUESTS as usize, |position, reply| {
        assert_eq!(reply.id.map(|id| id as usize), Some(position));
        request.check(reply).expect("the right page");
        received += reply.consumed;
    });
    assert_eq!(seen, REQUESTS as usize);
    assert!(received > 50_000_000, "{received} bytes are no flood");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let peak_kb: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(peak_kb < 40_000, "a peak of {peak_kb} kB");
    server.stop();
}

/// Bytes that cannot be delimited, or announce too much, get a refusal and the end; not a reset, not silence.
pub fn refusals_end_the_connection(subject: &Subject) {
    let mut oversize = Vec::new();
    frame::write(&mut oversize, 9, 1, 0, |_| {});
    oversize[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    // More behind it than is read at once: it has to be read and thrown away for the refusal to arrive.
    oversize.extend_from_slice(&[0; 300_000]);
    let endless = format!("GET / HTTP/1.1\r\nHost: {}", "x".repeat(100_000)).into_bytes();
    // A length of 2 MiB, whose bytes never come; no mask; a text of 0xff.
    let (announced, unmasked, no_text) = (b"\x82\xff\0\0\0\0\0\x20\0\0", b"\x81\x02hi", b"\x81\x81\0\0\0\0\xff");
    let after_opening = |frames: &[u8]| {
        let mut bytes = Vec::new();
        opening(Protocol::WebSocket, "localhost", &mut bytes);
        bytes.extend_from_slice(frames);
        bytes
    };
    let [announced, unmasked, no_text] = [&announced[..], unmasked, no_text].map(after_opening);
    let cases: [(Protocol, &[u8], u16); 11] = [
        (Protocol::Frame, &oversize, 413),
        (Protocol::Frame, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (Protocol::Http1, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", 400),
        (Protocol::Http1, &endless, 431),
        (
            Protocol::Http1,
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            411,
        ),
        (Protocol::Http1, b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", 413),
        (Protocol::WebSocket, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        (Protocol::WebSocket, &endless, 431),
        (Protocol::WebSocket, &announced, 1009),
        (Protocol::WebSocket, &unmasked, 1002),
        (Protocol::WebSocket, &no_text, 1007),
    ];
    for protocol in Protocol::ALL {
        let server = Server::speaking(subject, protocol, Format::Json, &[]);
        for (_, bytes, status) in cases.iter().filter(|case| case.0 == protocol) {
            let mut stream = server.connect();
            stream.write_all(bytes).expect("it reads");
            stream.shutdown(Shutdown::Write).expect("it is open");
            let seen = read_replies(&mut stream, protocol, 1, |_, reply| assert_eq!(reply.status, *status));
            assert_eq!(seen, 1, "no refusal with {status}");
            assert_ended(&mut stream);
        }
        server.stop();
    }
}

/// Echoes of the largest body, and of none.
pub fn large_bodies(subject: &Subject) {
    for protocol in Protocol::ALL {
        let server = Server::speaking(subject, protocol, Format::Raw, &[]);
        for length in [0, 1, 4_096, 65_536, wire::limits::BODY_BYTES] {
            let payload: Vec<u8> = (0..length).map(|index| u8::try_from(index % 251).expect("below 251")).collect();
            let mut requests = vec![Request::new(protocol, Format::Raw, &Operation::Echo { payload }, "localhost"); 2];
            let bytes = written(&requests);
            let mut stream = connect(&server, protocol);
            let mut writer = stream.try_clone().expect("a descriptor is left");
            // Reading and writing at once: the server stops reading while its replies are not taken.
            let writing = std::thread::spawn(move || writer.write_all(&bytes));
            check_replies(&mut stream, protocol, &mut requests);
            writing.join().expect("no panic").expect("it reads");
        }
        assert_eq!(server.stop()["errors"], serde_json::json!({}));
    }
}

/// `--limit-requests` and `--limit-connections` answer 503 and let the others be.
pub fn limits(subject: &Subject) {
    let args = ["--limit-requests", "fixed:2", "--limit-connections", "3"];
    let server = Server::speaking(subject, Protocol::Frame, Format::Raw, &args);
    assert_eq!((&server.ready["max_connections"], &server.ready["limit_requests"]), (&3.into(), &"fixed:2".into()));
    let mut streams: Vec<_> = (0..3).map(|_| server.connect()).collect();
    let echo = Operation::Echo { payload: b"x".to_vec() };
    let request = Request::new(Protocol::Frame, Format::Raw, &echo, "");
    // New connections are looked at in one turn: what they ask in it is in flight together.
    for stream in &mut streams {
        stream.write_all(&written(std::slice::from_ref(&request))).expect("it reads");
        assert_eq!(read_replies(stream, Protocol::Frame, 1, |_, _| {}), 1);
    }
    let five = written(&vec![request; 5]);
    for stream in &mut streams {
        stream.write_all(&five).expect("it reads");
        let mut served = 0;
        let seen = read_replies(stream, Protocol::Frame, 5, |_, reply| served += usize::from(reply.status == 200));
        assert_eq!(seen, 5);
        // One write arrives in one piece or in several; a piece has two places.
        assert!(served >= 2, "{served} of 5 were served");
    }
    let mut fourth = server.connect();
    let seen = read_replies(&mut fourth, Protocol::Frame, 1, |_, reply| assert_eq!(reply.status, 503));
    assert_eq!(seen, 1);
    assert_ended(&mut fourth);
    drop(streams);
    let errors = server.stop()["errors"].clone();
    assert_eq!(errors["busy-connections"], 1);
    assert!(errors["busy-in-flight"].as_u64() > Some(0), "{errors}");
}

/// One echo to a server that speaks raw frames.
pub fn echo_once(server: &Server) {
    let echo = Operation::Echo { payload: b"once".to_vec() };
    let mut requests = [Request::new(Protocol::Frame, Format::Raw, &echo, "")];
    let mut stream = server.connect();
    stream.write_all(&written(&requests)).expect("it reads");
    check_replies(&mut stream, Protocol::Frame, &mut requests);
}
