//! Frames, both directions: a whole frame is never longer than its bytes and writes back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::frame::{self, Parsed};

fuzz_target!(|bytes: &[u8]| {
    let _ = frame::parse_reply(bytes);
    if let Ok(Parsed::Whole(request)) = frame::parse_request(bytes) {
        let mut again = Vec::new();
        frame::write(&mut again, request.id, request.opcode, request.status, |out| out.extend_from_slice(request.body));
        assert_eq!(again, bytes[..request.consumed]);
    }
});
