//! Datagrams of the kernel's netlink: interfaces, addresses and sockets.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = hostfs::link::fuzz_datagram(bytes);
    let _ = hostfs::address::fuzz_datagram(bytes);
    let _ = hostfs::sock_diag::fuzz_datagram(bytes);
});
