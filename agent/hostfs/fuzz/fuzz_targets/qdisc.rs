//! Netlink messages about queueing disciplines and wireless interfaces.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = hostfs::qdisc::fuzz_datagram(bytes);
    hostfs::wireless::fuzz_payload(bytes);
});
