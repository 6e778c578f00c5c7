//! HTTP replies: what is whole stays whole with fewer bytes behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::http1;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(reply)) = http1::parse_reply(bytes) {
        assert!(reply.consumed <= bytes.len());
        assert_eq!(http1::parse_reply(&bytes[..reply.consumed]), Ok(Some(reply)));
    }
});
