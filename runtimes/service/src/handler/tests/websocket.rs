//! WebSocket on slices: what RFC 6455 asks of a server, and what hostile clients send.

use wire::websocket::frame as ws;
use wire::websocket::frame::{Opcode, Parsed};

use super::*;

const MASK: [u8; 4] = [0xa5, 0x5a, 0x01, 0xff];

/// A client's frame.
fn frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    ws::write_header(&mut out, opcode, payload.len(), Some(MASK));
    out[0] = opcode as u8 | if fin { 0x80 } else { 0 };
    ws::append_masked(MASK, payload, &mut out);
    out
}

/// Feeds frames behind a handshake, cut at `cuts`; returns what the server's frames say and whether it closes.
fn answers(format: Format, frames: &[Vec<u8>], cuts: &[usize]) -> (Vec<(Opcode, Vec<u8>)>, bool) {
    let mut bytes = Vec::new();
    client::opening(Protocol::WebSocket, "test", &mut bytes);
    let handshake = bytes.len();
    bytes.extend(frames.iter().flatten());
    let cuts: Vec<usize> = cuts.iter().map(|cut| handshake + cut).collect();
    let (out, close) = feed(&mut Handler::alone(Protocol::WebSocket, format), &bytes, &cuts);
    let opened = client::parse_reply(Protocol::WebSocket, &out).unwrap().expect("an answer to the handshake");
    let mut rest = &out[opened.consumed..];
    let mut answers = Vec::new();
    while !rest.is_empty() {
        let Ok(Parsed::Whole(frame)) = ws::parse_server(rest, 1 << 22) else { panic!("{rest:?}") };
        answers.push((frame.opcode, frame.payload.to_vec()));
        rest = &rest[frame.consumed..];
    }
    (answers, close)
}

fn text(payload: &str) -> (Opcode, Vec<u8>) {
    (Opcode::Text, payload.as_bytes().to_vec())
}

/// The code of the close frame that must be the last answer, and nothing may come before it.
fn close_code(format: Format, frames: &[Vec<u8>]) -> u16 {
    let (answers, close) = answers(format, frames, &[]);
    assert!(close, "it stays open: {answers:?}");
    assert_eq!(answers.len(), 1, "{answers:?}");
    let (Opcode::Close, payload) = &answers[0] else { panic!("{answers:?}") };
    u16::from_be_bytes([payload[0], payload[1]])
}

/// A message in three frames with pings between them, cut at every byte: one answer, and pongs where the pings stood.
#[test]
fn fragments_and_pings() {
    let frames = [
        frame(false, Opcode::Text, b"7 ec"),
        frame(true, Opcode::Ping, b"first"),
        frame(false, Opcode::Continuation, b"ho\nD\xc3"),
        frame(true, Opcode::Pong, b"nobody asked"),
        frame(true, Opcode::Ping, b""),
        frame(true, Opcode::Continuation, b"\xa0!"),
    ];
    let expected = vec![(Opcode::Pong, b"first".to_vec()), (Opcode::Pong, vec![]), text("7 200\nDà!")];
    let length: usize = frames.iter().map(Vec::len).sum();
    for cut in 0..length {
        assert_eq!(answers(Format::Json, &frames, &[cut]), (expected.clone(), false), "cut at {cut}");
    }
}

/// Both sides of a close: the code comes back, and what follows it is not looked at.
#[test]
fn close_handshake() {
    for payload in [&b""[..], b"\x03\xe8", b"\x03\xe9going away", b"\x0b\xb8private"] {
        let frames = [frame(true, Opcode::Close, payload), frame(true, Opcode::Text, b"1 echo\n")];
        let code = payload[..payload.len().min(2)].to_vec();
        assert_eq!(answers(Format::Json, &frames, &[]), (vec![(Opcode::Close, code)], true));
    }
    for (payload, code) in
        [(&b"\x03"[..], 1002), (b"\x03\xec", 1002), (b"\x03\xee", 1002), (b"\x00\x00", 1002), (b"\x03\xe8\xff", 1007)]
    {
        assert_eq!(close_code(Format::Json, &[frame(true, Opcode::Close, payload)]), code, "{payload:?}");
    }
}

/// Each violation ends the connection with the code that the RFC has for it.
#[test]
fn violations() {
    let binary = |payload: &[u8]| frame(true, Opcode::Binary, payload);
    let with_first_byte = |byte: u8| {
        let mut frame = binary(b"x");
        frame[0] = byte;
        vec![frame]
    };
    for byte in [0xc2, 0xa2, 0x92, 0x83, 0x87, 0x8b, 0x8f] {
        assert_eq!(close_code(Format::Raw, &with_first_byte(byte)), 1002, "{byte:#x}");
    }
    assert_eq!(close_code(Format::Raw, &[vec![0x82, 0x01, b'x']]), 1002, "no mask");
    assert_eq!(close_code(Format::Raw, &[frame(true, Opcode::Continuation, b"x")]), 1002);
    assert_eq!(close_code(Format::Raw, &[frame(false, Opcode::Binary, b"x"), binary(b"x")]), 1002);
    assert_eq!(close_code(Format::Raw, &[frame(false, Opcode::Ping, b"x")]), 1002);
    assert_eq!(close_code(Format::Raw, &[vec![0x89, 0xfe, 0, 126]]), 1002, "a long ping");
    assert_eq!(close_code(Format::Json, &[frame(true, Opcode::Text, b"1 echo\n\xff")]), 1007);
    assert_eq!(
        close_code(
            Format::Json,
            &[frame(false, Opcode::Text, b"1 echo\n\xc3"), frame(true, Opcode::Continuation, b"(")]
        ),
        1007
    );
    assert_eq!(close_code(Format::Raw, &[frame(true, Opcode::Text, b"1 echo\nhi")]), 1003);
}

/// Memory that a client can take: one message, however it is cut. Announced, collected, or in frames without end.
#[test]
fn bounds() {
    let announced = vec![0x82, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 0];
    assert_eq!(close_code(Format::Raw, &[announced]), 1009);
    let part = |opcode| frame(false, opcode, &vec![b'x'; 400_000]);
    let collected = [part(Opcode::Binary), part(Opcode::Continuation), part(Opcode::Continuation)];
    assert_eq!(close_code(Format::Raw, &collected), 1009);
    let mut endless = vec![frame(false, Opcode::Text, b"")];
    endless.resize(20_000, frame(false, Opcode::Continuation, b""));
    assert_eq!(close_code(Format::Json, &endless), 1008);
}

/// What is wrong within a message is answered; the connection goes on, since the next message is delimited all the same.
#[test]
fn refusals() {
    let message = |text: &str| frame(true, Opcode::Text, text.as_bytes());
    let frames = [
        message("no head"),
        message("1 sing\n"),
        message("2 add\n{"),
        message("3 list\n{\"limit\":101}"),
        message("4 echo\nstill here"),
    ];
    let (answers, close) = answers(Format::Json, &frames, &[]);
    let heads: Vec<String> = answers
        .iter()
        .map(|(_, payload)| std::str::from_utf8(payload).unwrap().lines().next().unwrap().to_owned())
        .collect();
    assert_eq!((heads, close), (["0 400", "1 404", "2 400", "3 400", "4 200"].map(str::to_owned).to_vec(), false));

    let mut bytes = Vec::new();
    wire::frame::write(&mut bytes, 9, 1, 0, |out| out.extend_from_slice(b"body"));
    let frames =
        [&bytes[..], &bytes[..bytes.len() - 1], &[&bytes[..], b"more"].concat(), b"", b"GET / HTTP/1.1\r\n\r\n"]
            .map(|payload| frame(true, Opcode::Binary, payload));
    let (answers, close) = super::websocket::answers(Format::Protobuf, &frames, &[]);
    let statuses: Vec<_> = answers.iter().map(|(opcode, payload)| (*opcode, payload[9])).collect();
    assert_eq!((statuses, close), ([0, 1, 1, 1, 1].map(|status| (Opcode::Binary, status)).to_vec(), false));
}

/// A connection that is idle between messages holds nothing, and one that ends amid a message is counted.
#[test]
fn state() {
    assert!(size_of::<Connection>() <= 64, "{} bytes", size_of::<Connection>());
    let mut handler = Handler::alone(Protocol::WebSocket, Format::Json);
    let mut connection = handler.admit().unwrap();
    let mut bytes = Vec::new();
    client::opening(Protocol::WebSocket, "test", &mut bytes);
    for part in [frame(false, Opcode::Text, b"1 ech"), frame(true, Opcode::Continuation, b"o\n")] {
        bytes.extend(part);
    }
    for byte in bytes {
        assert_eq!(handler.feed(&mut connection, &[byte], &mut Vec::new()), Next::Read);
    }
    assert!(connection.pending.capacity() == 0 && connection.fragments.is_none());
    let half = frame(false, Opcode::Text, b"1 ech");
    assert_eq!(handler.feed(&mut connection, &half, &mut Vec::new()), Next::Read);
    assert!(connection.fragments.is_some());
}
