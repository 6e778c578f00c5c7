//! Files of cgroups and of `/proc/PID` that the container half reads, cgroup paths included.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    hostfs::cgroup::fuzz_text(bytes);
    let _ = hostfs::cgroup::of_process(bytes);
    let _ = hostfs::uring::fuzz_fdinfo(bytes);
    hostfs::processes::interfaces(bytes, &mut Vec::new());
});
