//! The server's whole path but for sockets: any bytes, in two pieces, must give replies that a client can delimit.
//!
//! An input is a format (its position in the table), where the rest is cut (two bytes, little-endian), and the rest.
#![no_main]

use libfuzzer_sys::fuzz_target;
use service::{Handler, LimitRequests, Next};
use wire::websocket::handshake;
use wire::{Format, Protocol, client};

thread_local! {
    static HANDLERS: std::cell::RefCell<Vec<(Protocol, Format, Handler)>> = std::cell::RefCell::new(
        Format::ALL
            .into_iter()
            .flat_map(|format| Protocol::ALL.map(|protocol| (protocol, format)))
            .flat_map(|(protocol, format)| {
                // One that serves all, and one that refuses from the second request on.
                let limited = Handler::alone_limited(protocol, format, LimitRequests::Fixed(1));
                [(protocol, format, Handler::alone(protocol, format)), (protocol, format, limited)]
            })
            .collect(),
    );
}

fuzz_target!(|input: &[u8]| {
    let [format, low, high, bytes @ ..] = input else { return };
    let asked = Format::ALL[usize::from(*format) % Format::ALL.len()];
    let cut = usize::from(u16::from_le_bytes([*low, *high])).min(bytes.len());
    HANDLERS.with_borrow_mut(|handlers| {
        for (protocol, _, handler) in handlers.iter_mut().filter(|(_, format, _)| *format == asked) {
            serve(*protocol, handler, bytes, cut);
        }
    });
});

fn serve(protocol: Protocol, handler: &mut Handler, bytes: &[u8], cut: usize) {
    handler.turn();
    let mut connection = handler.admit().expect("no limit");
    let mut out = Vec::new();
    let pieces = bytes.split_at(cut);
    for piece in [pieces.0, pieces.1] {
        let mut next = handler.feed(&mut connection, piece, &mut out);
        while next == Next::Again {
            handler.flushed(&mut connection, out.len(), true);
            out.clear();
            next = handler.feed(&mut connection, &[], &mut out);
        }
        if next == Next::Close {
            break;
        }
    }
    handler.closed(connection, false);
    let continued = b"HTTP/1.1 100 ";
    let has = |needle: &[u8], hay: &[u8]| hay.windows(needle.len()).any(|window| window == needle);
    // Replies to HEAD and interim ones need to know the request.
    if protocol == Protocol::Http1 && (has(b"HEAD ", bytes) || has(continued, &out)) {
        return;
    }
    // A client can tell the answer to its own key alone.
    if protocol == Protocol::WebSocket && key(bytes).is_some_and(|key| Some(key) != key_of_clients().as_deref()) {
        return;
    }
    let mut rest = &out[..];
    while let Some(reply) = client::parse_reply(protocol, rest).expect("a well-formed reply") {
        rest = &rest[reply.consumed..];
    }
    assert!(rest.is_empty(), "half a reply");
}

/// The key of the WebSocket that these bytes open.
fn key(bytes: &[u8]) -> Option<&[u8]> {
    match handshake::parse(bytes) {
        Ok(handshake::Parsed::Whole { key, .. }) => Some(key),
        _ => None,
    }
}

fn key_of_clients() -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    client::opening(Protocol::WebSocket, "x", &mut bytes);
    key(&bytes).map(<[u8]>::to_vec)
}
