//! The server contract, on this engine's binary with several sets of switches.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use contract::Subject;

const BINARY: &str = env!("CARGO_BIN_EXE_server-ring");

const fn subject(args: &'static [&'static str]) -> Subject {
    Subject { binary: BINARY, args, engine: "ring", interface: "io_uring" }
}

const DEFAULT: Subject = subject(&[]);
const NONE: Subject = subject(&["--ring", "none"]);
const DIRECT: Subject = subject(&["--ring", "default,direct"]);
/// Several rings on one thread, and what moves bytes in other ways.
const RINGS: Subject = subject(&[
    "--ring",
    "default,direct,incremental,send-bundle,zero-copy",
    "--rings",
    "3",
    "--zero-copy-bytes",
    "2000",
    "--buffer-bytes",
    "512",
    "--buffers",
    "16",
]);
const SQPOLL: Subject = subject(&["--ring", "default,sqpoll"]);

contract::tests!(default, crate::DEFAULT);
contract::tests!(none, crate::NONE);
contract::tests!(direct, crate::DIRECT);
contract::tests!(rings, crate::RINGS);
contract::tests!(sqpoll, crate::SQPOLL);

/// With a table for each shard, two shards hold 21,000 connections where a table has 11,500 places.
#[test]
fn own_tables() {
    const LIMITED: Subject = Subject { binary: "prlimit", args: &[contract::tables::TABLE, BINARY], ..DEFAULT };
    contract::tables::two_hold_twice_as_many(&LIMITED);
}
