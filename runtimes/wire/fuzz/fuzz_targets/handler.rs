//! The server's whole path but for sockets: any bytes, in two pieces, must give replies that a client can delimit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use service::{Handler, LimitRequests, Next};
use wire::{Format, Protocol, client};

thread_local! {
    static HANDLERS: std::cell::RefCell<Vec<(Protocol, Handler)>> = std::cell::RefCell::new(
        Protocol::ALL
            .into_iter()
            .flat_map(|protocol| {
                // One that serves all, and one that refuses from the second request on.
                let limited = Handler::alone_limited(protocol, Format::Json, LimitRequests::Fixed(1));
                [(protocol, Handler::alone(protocol, Format::Json)), (protocol, limited)]
            })
            .collect(),
    );
}

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    HANDLERS.with_borrow_mut(|handlers| {
        for (protocol, handler) in handlers {
            handler.turn();
            let mut connection = handler.admit().expect("no limit");
            let mut out = Vec::new();
            let pieces = bytes.split_at(usize::from(cut).min(bytes.len()));
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
            let head = b"HEAD ";
            let continued = b"HTTP/1.1 100 ";
            let undelimited = |needle: &[u8], hay: &[u8]| hay.windows(needle.len()).any(|window| window == needle);
            // Replies to HEAD and interim ones need to know the request.
            if *protocol == Protocol::Http1 && (undelimited(head, bytes) || undelimited(continued, &out)) {
                continue;
            }
            let mut rest = &out[..];
            while let Some(reply) = client::parse_reply(*protocol, rest).expect("a well-formed reply") {
                rest = &rest[reply.consumed..];
            }
            assert!(rest.is_empty(), "half a reply");
        }
    });
});
