//! NFS client, server and mounts; the mounts' table is cut in two at the first NUL.
#![no_main]

use std::path::Path;

use hostfs::{mountstats, nfs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("fuzz");
    let _ = nfs::parse_client(path, bytes);
    let _ = nfs::parse_server(path, bytes);
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (text, info) = bytes.split_at(at);
    let _ = mountstats::parse(path, text, info);
});
