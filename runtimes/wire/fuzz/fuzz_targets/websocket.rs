//! WebSocket frames and text heads, both directions: what is whole stays whole with fewer bytes behind it, what is not
//! says how much it needs, and a client's frame written again, with its mask, is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::websocket::frame::{self, Parsed};
use wire::websocket::{handshake, text};

const LIMIT: usize = 1 << 17;

fuzz_target!(|bytes: &[u8]| {
    match frame::parse_client(bytes, LIMIT) {
        Ok(Parsed::Whole(seen)) => {
            assert_eq!(frame::parse_client(&bytes[..seen.consumed], LIMIT), Ok(Parsed::Whole(seen)));
            let mask = seen.mask.expect("clients mask");
            let (mut plain, mut again) = (Vec::new(), Vec::new());
            frame::append_masked(mask, seen.payload, &mut plain);
            frame::write_header(&mut again, seen.opcode, plain.len(), seen.mask);
            frame::append_masked(mask, &plain, &mut again);
            again[0] = bytes[0];
            assert_eq!(again, bytes[..seen.consumed]);
        }
        Ok(Parsed::Partial { needed }) => assert!(needed == 0 || needed > bytes.len()),
        Err(_) => {}
    }
    if let Ok(Parsed::Whole(seen)) = frame::parse_server(bytes, LIMIT) {
        assert_eq!(frame::parse_server(&bytes[..seen.consumed], LIMIT), Ok(Parsed::Whole(seen)));
    }
    if let Ok(handshake::Parsed::Whole { key, consumed }) = handshake::parse(bytes) {
        assert!(key.len() == 24 && consumed <= bytes.len());
    }
    if let Ok(message) = std::str::from_utf8(bytes)
        && let Ok(head) = text::parse(message)
    {
        assert!(message.ends_with(head.body));
    }
    let _ = wire::client::parse_reply(wire::Protocol::WebSocket, bytes);
});
