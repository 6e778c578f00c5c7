//! Both forms of the kstat files of ZFS.
#![no_main]

use std::path::Path;

use hostfs::zfs;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("fuzz");
    let _ = zfs::parse_named(path, bytes);
    let _ = zfs::parse_columns(path, bytes);
});
