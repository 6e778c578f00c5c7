//! HTTP requests: what is whole stays whole with fewer bytes behind it, and what is not says how much it needs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::http1::{self, Parsed};

fuzz_target!(|bytes: &[u8]| match http1::parse_request(bytes) {
    Ok(Parsed::Whole(request)) => {
        assert!(request.consumed <= bytes.len());
        assert_eq!(http1::parse_request(&bytes[..request.consumed]), Ok(Parsed::Whole(request)));
    }
    Ok(Parsed::Partial { needed, .. }) => assert!(needed == 0 || needed > bytes.len()),
    Err(_) => {}
});
