//! The server contract, on this engine's binary with each way to wait.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use contract::Subject;

const BINARY: &str = env!("CARGO_BIN_EXE_server-tokio");
const NAIVE: Subject = Subject { binary: BINARY, args: &[], engine: "tokio", interface: "epoll" };
const LEAN: Subject = Subject { binary: BINARY, args: &["--idle", "lean"], engine: "tokio+lean", interface: "epoll" };

contract::tests!(naive, crate::NAIVE);
contract::tests!(lean, crate::LEAN);

/// With a table for each shard, two shards hold 21,000 connections where a table has 11,500 places.
#[test]
fn own_tables() {
    const LIMITED: Subject =
        Subject { binary: "prlimit", args: &[contract::tables::TABLE, BINARY, "--idle", "lean"], ..LEAN };
    contract::tables::two_hold_twice_as_many(&LIMITED);
}
