//! The handler on slices: no sockets, so every split can be tried.

use proptest::prelude::*;
use wire::client::{self, Operation, Request};
use wire::{Format, Protocol, limits};

use super::*;

/// Feeds `bytes` in pieces that end at `cuts`, flushing after each feed as an engine would; returns all output and
/// whether the handler wanted the connection closed.
fn feed(handler: &mut Handler, bytes: &[u8], cuts: &[usize]) -> (Vec<u8>, bool) {
    let mut connection = handler.admit().expect("below the limit");
    let mut all = Vec::new();
    let mut start = 0;
    let mut close = false;
    for end in cuts.iter().copied().chain([bytes.len()]) {
        let mut piece = &bytes[start..end];
        start = end;
        loop {
            let mut out = Vec::new();
            let next = handler.feed(&mut connection, piece, &mut out);
            handler.flushed(&mut connection, out.len(), true);
            all.extend_from_slice(&out);
            piece = &[];
            match next {
                Next::Again => {}
                Next::Read => break,
                Next::Close => close = true,
            }
            if close {
                break;
            }
        }
        if close {
            break;
        }
    }
    handler.closed(connection, false);
    (all, close)
}

fn requests(protocol: Protocol, format: Format) -> Vec<Request> {
    let operations = [
        Operation::Echo { payload: b"hello".to_vec() },
        Operation::AddNote { text: "tab\t and \"quotes\"".to_owned() },
        Operation::ListNotes { offset: 990, limit: 20 },
        Operation::Echo { payload: vec![] },
        Operation::ListNotes { offset: 0, limit: 3 },
    ];
    operations.iter().map(|operation| Request::new(protocol, format, operation, "test")).collect()
}

/// What a connection begins with, then requests.
fn opened(protocol: Protocol, requests: &[Request]) -> Vec<u8> {
    let mut bytes = Vec::new();
    client::opening(protocol, "test", &mut bytes);
    for (id, request) in (0..).zip(requests) {
        request.write(id, &mut bytes);
    }
    bytes
}

/// Parses `out` as the replies to `requests` behind those to an opening, in order, and checks what each says.
fn check_replies(protocol: Protocol, requests: &mut [Request], mut out: &[u8]) {
    if protocol == Protocol::WebSocket {
        let reply = client::parse_reply(protocol, out).unwrap().expect("a whole answer to the handshake");
        assert_eq!(reply.status, client::OPENED);
        out = &out[reply.consumed..];
    }
    for (id, request) in (0..).zip(requests) {
        let reply = client::parse_reply(protocol, out).unwrap().expect("a whole reply");
        request.check(&reply).unwrap();
        assert!(reply.id.is_none_or(|got| got == id));
        out = &out[reply.consumed..];
    }
    assert!(out.is_empty());
}

/// Pipelined requests, cut at every byte boundary: the replies are those to the whole, in every protocol and format.
#[test]
fn every_cut() {
    for protocol in Protocol::ALL {
        for format in Format::ALL {
            let mut requests = requests(protocol, format);
            let bytes = opened(protocol, &requests);
            let mut handler = Handler::alone(protocol, format);
            for cut in 0..=bytes.len() {
                let (out, close) = feed(&mut handler, &bytes, &[cut]);
                assert!(!close);
                check_replies(protocol, &mut requests, &out);
            }
            let every: Vec<usize> = (0..bytes.len()).collect();
            let (out, _) = feed(&mut handler, &bytes, &every);
            check_replies(protocol, &mut requests, &out);
            assert_eq!(handler.shard.gate.unflushed(), 0);
        }
    }
}

/// A read full of small requests for large pages is served in bounded portions, completely.
#[test]
fn output_is_bounded() {
    let request = Request::new(Protocol::Frame, Format::Json, &Operation::ListNotes { offset: 0, limit: 100 }, "");
    let mut bytes = Vec::new();
    for id in 0..500 {
        request.write(id, &mut bytes);
    }
    let mut handler = Handler::alone(Protocol::Frame, Format::Json);
    let mut connection = handler.admit().unwrap();
    let mut piece = &bytes[..];
    let mut replies = 0;
    loop {
        let mut out = Vec::new();
        let next = handler.feed(&mut connection, piece, &mut out);
        piece = &[];
        assert!(out.len() < OUTPUT_BYTES + 64 * 1024, "{} bytes of output at once", out.len());
        let mut rest = &out[..];
        while let Some(reply) = client::parse_reply(Protocol::Frame, rest).unwrap() {
            assert_eq!(reply.id, Some(replies));
            replies += 1;
            rest = &rest[reply.consumed..];
        }
        assert!(rest.is_empty());
        handler.flushed(&mut connection, out.len(), true);
        match next {
            Next::Again => {}
            Next::Read => break,
            Next::Close => panic!("nothing was wrong"),
        }
    }
    assert_eq!(replies, 500);
    assert_eq!(connection.pending.capacity(), 0, "an idle connection holds no memory");
}

fn http(handler: &mut Handler, text: &str) -> (String, bool) {
    let (out, close) = feed(handler, text.as_bytes(), &[]);
    (String::from_utf8(out).unwrap(), close)
}

/// What HTTP asks of a server beyond the happy path, each with status and fate of the connection.
#[test]
fn http_statuses() {
    let mut handler = Handler::alone(Protocol::Http1, Format::Json);
    let mut status = |text: &str| {
        let (reply, close) = http(&mut handler, text);
        let status: u16 = reply.split(' ').nth(1).expect(&reply).parse().unwrap();
        (status, close)
    };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let post = |path: &str, body: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    assert_eq!(status(&get("/demo/notes")), (200, false));
    assert_eq!(status(&get("/demo/notes?limit=100&x=y")), (200, false));
    assert_eq!(status(&get("/demo/notes?limit=101")), (400, false));
    assert_eq!(status(&get("/demo/notes?offset=-1")), (400, false));
    assert_eq!(status(&get("/nowhere")), (404, false));
    assert_eq!(status(&get("/echo")), (405, false));
    assert_eq!(status("DELETE /demo/notes HTTP/1.1\r\nHost: x\r\n\r\n"), (405, false));
    assert_eq!(status(&post("/demo/notes", "{")), (400, false));
    assert_eq!(status(&post("/demo/notes", "{}")), (400, false));
    let long = "x".repeat(limits::TEXT_BYTES + 1);
    assert_eq!(status(&post("/demo/notes", &format!("{{\"text\":\"{long}\"}}"))), (413, false));
    assert_eq!(status(&post("/demo/notes", "{\"text\":\"x\"}")), (200, false));
    assert_eq!(status("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n"), (413, true));
    assert_eq!(status("\u{1}\u{2}\u{3}\r\n\r\n"), (400, true));
    assert_eq!(status("GET /demo/notes HTTP/1.0\r\n\r\n"), (200, true));
    assert_eq!(status("GET /demo/notes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), (200, true));
}

/// A wrong method is told the right ones of its own path (RFC 9110, 15.5.6).
#[test]
fn http_methods() {
    let mut handler = Handler::alone(Protocol::Http1, Format::Json);
    for (request, allow) in
        [("GET /echo", "POST"), ("PUT /demo/content", "POST"), ("DELETE /demo/notes", "GET, HEAD, POST")]
    {
        let (reply, _) = http(&mut handler, &format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(reply.starts_with("HTTP/1.1 405 ") && reply.contains(&format!("\r\nAllow: {allow}\r\n")), "{reply}");
    }
}

/// HEAD has the length of GET's body and no body; what follows on the connection is not swallowed.
#[test]
fn http_head() {
    let mut handler = Handler::alone(Protocol::Http1, Format::Json);
    let (get, _) = http(&mut handler, "GET /demo/notes HTTP/1.1\r\nHost: x\r\n\r\n");
    let (head, _) = http(&mut handler, "HEAD /demo/notes HTTP/1.1\r\nHost: x\r\n\r\n");
    let length = |reply: &str| reply.lines().find(|line| line.starts_with("Content-Length")).unwrap().to_owned();
    assert_eq!(length(&get), length(&head));
    assert!(head.ends_with("\r\n\r\n"));
    assert!(!length(&head).ends_with(" 0"));
}

/// `100 Continue` is sent once per request that asks for it, however its bytes arrive.
#[test]
fn http_continue() {
    let mut handler = Handler::alone(Protocol::Http1, Format::Raw);
    let text = "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello".repeat(2);
    let cuts: Vec<usize> = (0..text.len()).collect();
    let (out, _) = feed(&mut handler, text.as_bytes(), &cuts);
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out.matches("100 Continue").count(), 2);
    assert_eq!(out.matches("hello").count(), 2);
    // When the body is already there, nobody waits for it.
    let (out, _) = http(&mut handler, &text);
    assert_eq!(out.matches("100 Continue").count(), 0);
}

/// Frames that can be delimited are refused one by one; what cannot be ends the connection.
#[test]
fn frame_refusals() {
    let mut handler = Handler::alone(Protocol::Frame, Format::Json);
    let mut bytes = Vec::new();
    wire::frame::write(&mut bytes, 1, 9, 0, |_| {});
    wire::frame::write(&mut bytes, 2, 2, 0, |out| out.extend_from_slice(b"nonsense"));
    wire::frame::write(&mut bytes, 3, 1, 0, |out| out.extend_from_slice(b"still here"));
    // The server's own opcodes: their refusal must not look like an event.
    wire::frame::write(&mut bytes, 4, wire::event::OPCODE, 0, |_| {});
    wire::frame::write(&mut bytes, 5, wire::event::OPCODE + 9, 0, |_| {});
    let (out, close) = feed(&mut handler, &bytes, &[]);
    let mut rest = &out[..];
    let mut seen = Vec::new();
    while let Some(reply) = client::parse_reply(Protocol::Frame, rest).unwrap() {
        seen.push((reply.id.unwrap(), reply.status));
        rest = &rest[reply.consumed..];
    }
    assert_eq!((seen, close), (vec![(1, 404), (2, 400), (3, 200), (4, 404), (5, 404)], false));

    let (out, close) = feed(&mut handler, b"GET / HTTP/1.1\r\n\r\n", &[]);
    let reply = client::parse_reply(Protocol::Frame, &out).unwrap().unwrap();
    assert_eq!((reply.status, close), (400, true));
    bytes.clear();
    wire::frame::write(&mut bytes, 77, 1, 0, |_| {});
    bytes[..4].copy_from_slice(&(1_048_577_u32).to_le_bytes());
    let (out, close) = feed(&mut handler, &bytes, &[]);
    let reply = client::parse_reply(Protocol::Frame, &out).unwrap().unwrap();
    assert_eq!((reply.id, reply.status, close), (Some(77), 413, true));
}

/// Requests beyond the limit are refused with 503 until their turn is over and the replies are flushed.
#[test]
fn in_flight_limit() {
    let mut handler = Handler::alone_limited(Protocol::Frame, Format::Raw, LimitRequests::Fixed(3));
    let request = Request::new(Protocol::Frame, Format::Raw, &Operation::Echo { payload: b"x".to_vec() }, "");
    let mut bytes = Vec::new();
    for id in 0..5 {
        request.write(id, &mut bytes);
    }
    let mut connection = handler.admit().unwrap();
    for expected in [[200, 200, 200, 503, 503], [503; 5], [200, 200, 200, 503, 503]] {
        let mut out = Vec::new();
        if expected[0] == 200 {
            handler.turn();
        }
        assert_eq!(handler.feed(&mut connection, &bytes, &mut out), Next::Read);
        let mut statuses = Vec::new();
        let mut rest = &out[..];
        while let Some(reply) = client::parse_reply(Protocol::Frame, rest).unwrap() {
            statuses.push(reply.status);
            rest = &rest[reply.consumed..];
        }
        assert_eq!(statuses, expected);
        handler.flushed(&mut connection, out.len(), true);
    }
}

/// A full gate answers every request of every protocol with 503 and its id, says over HTTP when to come back, and leaves the
/// connection open; a WebSocket's message is refused by its head, however its payload would read.
#[test]
fn full_gate() {
    for protocol in Protocol::ALL {
        for format in Format::ALL {
            let requests = requests(protocol, format);
            let bytes = opened(protocol, &requests);
            let mut handler = Handler::alone_limited(protocol, format, LimitRequests::Fixed(0));
            let (out, close) = feed(&mut handler, &bytes, &[]);
            assert!(!close);
            let mut rest = &out[..];
            let mut ids = Vec::new();
            while let Some(reply) = client::parse_reply(protocol, rest).unwrap() {
                let head = String::from_utf8_lossy(&rest[..reply.consumed]).into_owned();
                rest = &rest[reply.consumed..];
                if reply.status != client::OPENED {
                    assert_eq!(reply.status, 503);
                    assert_eq!(head.contains("Retry-After: 1\r\n"), protocol == Protocol::Http1, "{head}");
                    ids.extend(reply.id);
                }
            }
            let expected: &[u32] = if protocol == Protocol::Http1 { &[] } else { &[0, 1, 2, 3, 4] };
            assert_eq!((ids.as_slice(), rest), (expected, &b""[..]));
            assert_eq!(handler.shard.counters.requests.value(), 5);
        }
    }
}

/// Connections beyond the limit are refused until one has closed.
#[test]
fn connection_limit() {
    let mut handler = Handler::alone(Protocol::Frame, Format::Raw);
    handler.shard.connections = Connections::new(1);
    let first = handler.admit().unwrap();
    assert!(handler.admit().is_none());
    let mut out = Vec::new();
    handler.refusal(&mut out);
    assert_eq!(client::parse_reply(Protocol::Frame, &out).unwrap().unwrap().status, 503);
    handler.closed(first, false);
    assert!(handler.admit().is_some());
}

proptest! {
    // Each case makes four handlers with their notes: fewer cases than usual keep it within seconds.
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any bytes at all, in any two pieces: no panic, output that a client can delimit, and the same as in one piece.
    #[test]
    fn garbage(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..200) {
        for protocol in Protocol::ALL {
            let cut = cut.min(bytes.len());
            let (whole, _) = feed(&mut Handler::alone(protocol, Format::Json), &bytes, &[]);
            let (pieces, _) = feed(&mut Handler::alone(protocol, Format::Json), &bytes, &[cut]);
            let mut rest = &whole[..];
            while let Some(reply) = client::parse_reply(protocol, rest).unwrap() {
                rest = &rest[reply.consumed..];
            }
            prop_assert!(rest.is_empty());
            prop_assert_eq!(whole.is_empty(), pieces.is_empty());
        }
    }
}

mod publish;
mod websocket;
