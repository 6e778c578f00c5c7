//! A caller's place in a trace: what is read is valid and is written as it was read, but for what only later versions know.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::traceparent::{BYTES, Traceparent};

fuzz_target!(|bytes: &[u8]| {
    let Some(read) = Traceparent::parse(bytes) else { return };
    assert!(read.trace_id != [0; 16] && read.parent_id != [0; 8]);
    let written = read.value();
    assert_eq!(Traceparent::parse(&written), Some(read));
    // Version and unknown flags are our own; ids are the caller's, to the digit.
    assert_eq!(written[3..53], bytes[3..53]);
    assert!(bytes.len() == BYTES || !bytes.starts_with(b"00"));
});
