//! Every record in the format `protobuf`: what decodes also encodes, and decodes again to the same.
#![no_main]

mod there_and_back;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| there_and_back::check(wire::Format::Protobuf, bytes));
