//! Tables of rare kernel files: bcache, cgroups, DRBD, IPVS, lnstat, md, swaps.
#![no_main]

use std::path::Path;

use hostfs::{bcache, bcachefs, cgroup_summary, drbd, ipvs, lnstat, md, swaps};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("fuzz");
    let _ = bcache::parse_human(bytes);
    let _ = bcache::parse_writeback(path, bytes);
    let _ = bcachefs::parse_size(bytes);
    let _ = cgroup_summary::parse(path, bytes);
    let _ = drbd::parse(path, bytes);
    let _ = ipvs::parse_backends(path, bytes);
    let _ = ipvs::parse_stats(path, bytes);
    let _ = lnstat::parse(path, bytes);
    let _ = md::parse(path, bytes);
    let _ = swaps::parse(path, bytes);
});
