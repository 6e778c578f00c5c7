//! The server contract, on this engine's binary with each driver and each way to wait.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use contract::Subject;
use contract::server::{Server, failure};

const BINARY: &str = env!("CARGO_BIN_EXE_server-monoio");
const URING: Subject = Subject { binary: BINARY, args: &[], engine: "monoio-uring", interface: "io_uring" };
const EPOLL: Subject =
    Subject { binary: BINARY, args: &["--interface", "epoll"], engine: "monoio-epoll", interface: "epoll" };
const URING_LEAN: Subject =
    Subject { binary: BINARY, args: &["--idle", "lean"], engine: "monoio-uring+lean", interface: "io_uring" };
const EPOLL_LEAN: Subject = Subject {
    binary: BINARY,
    args: &["--interface", "epoll", "--idle", "lean"],
    engine: "monoio-epoll+lean",
    interface: "epoll",
};

contract::tests!(uring, crate::URING);
contract::tests!(epoll, crate::EPOLL);
contract::tests!(uring_lean, crate::URING_LEAN);
contract::tests!(epoll_lean, crate::EPOLL_LEAN);

const FRAME_RAW: [&str; 4] = ["--protocol", "frame", "--format", "raw"];

/// The ring that is asked for is the ring in force, and it serves.
#[test]
fn rings() {
    for (features, coop, single_issuer, defer) in [
        ("none", false, false, false),
        ("coop", true, false, false),
        ("coop,single-issuer", true, true, false),
        ("single-issuer,defer", false, true, true),
        ("coop,single-issuer,defer", true, true, true),
    ] {
        let server = Server::start(&URING, &[&FRAME_RAW[..], &["--ring", features]].concat());
        let ring = &server.ready["ring"];
        let seen = (&ring["coop_taskrun"], &ring["single_issuer"], &ring["defer_taskrun"]);
        assert_eq!(seen, (&coop.into(), &single_issuer.into(), &defer.into()), "{features}");
        contract::conversation::echo_once(&server);
        server.stop();
    }
}

/// Combinations that cannot be are usage errors that name what would work.
#[test]
fn ring_usage() {
    let (code, says) = failure(&URING, "127.0.0.1:0", &[&FRAME_RAW[..], &["--ring", "defer"]].concat());
    assert_eq!(code, Some(2), "{says}");
    assert!(says.contains("single-issuer,defer"), "{says}");
    let (code, says) = failure(&EPOLL, "127.0.0.1:0", &[&FRAME_RAW[..], &["--ring", "coop"]].concat());
    assert_eq!(code, Some(2), "{says}");
    assert!(says.contains("--interface uring"), "{says}");
    let (code, says) = failure(&URING, "127.0.0.1:0", &[&FRAME_RAW[..], &["--ring", "deffer"]].concat());
    assert_eq!(code, Some(2), "{says}");
    assert!(says.contains("'defer'"), "{says}");
}

/// With a table for each shard, two shards hold 21,000 connections where a table has 11,500 places.
#[test]
fn own_tables() {
    const LIMITED: Subject =
        Subject { binary: "prlimit", args: &[contract::tables::TABLE, BINARY, "--idle", "lean"], ..URING_LEAN };
    contract::tables::two_hold_twice_as_many(&LIMITED);
}
