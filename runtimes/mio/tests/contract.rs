//! The server contract, on this engine's binary.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use contract::Subject;

const SUBJECT: Subject =
    Subject { binary: env!("CARGO_BIN_EXE_server-mio"), args: &[], engine: "mio", interface: "epoll" };

contract::tests!(mio, crate::SUBJECT);

/// With a table for each shard, two shards hold 21,000 connections where a table has 11,500 places.
#[test]
fn own_tables() {
    const LIMITED: Subject =
        Subject { binary: "prlimit", args: &[contract::tables::TABLE, env!("CARGO_BIN_EXE_server-mio")], ..SUBJECT };
    contract::tables::two_hold_twice_as_many(&LIMITED);
}
