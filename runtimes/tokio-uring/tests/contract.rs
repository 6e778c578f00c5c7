//! The server contract, on this engine's binary with each way to wait.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use contract::Subject;
use contract::server::{Server, failure};

const BINARY: &str = env!("CARGO_BIN_EXE_server-tokio-uring");
const SUBJECT: Subject = Subject { binary: BINARY, args: &[], engine: "tokio-uring", interface: "io_uring" };
const LEAN: Subject =
    Subject { binary: BINARY, args: &["--idle", "lean"], engine: "tokio-uring+lean", interface: "io_uring" };

contract::tests!(naive, crate::SUBJECT);
contract::tests!(lean, crate::LEAN);

const FRAME_RAW: [&str; 4] = ["--protocol", "frame", "--format", "raw"];

/// The flag with which this runtime hangs is refused, with the reason and what to do instead.
#[test]
fn defer_is_refused() {
    for features in ["defer", "single-issuer,defer"] {
        let (code, says) = failure(&SUBJECT, "127.0.0.1:0", &[&FRAME_RAW[..], &["--ring", features]].concat());
        assert_eq!(code, Some(2), "{says}");
        assert!(says.contains("hangs") && says.contains("server-monoio"), "{says}");
    }
}

/// The ring that is asked for is the ring in force, and it serves.
#[test]
fn rings() {
    for (features, coop, single_issuer) in
        [("none", false, false), ("coop", true, false), ("coop,single-issuer", true, true)]
    {
        let server = Server::start(&SUBJECT, &[&FRAME_RAW[..], &["--ring", features]].concat());
        let ring = &server.ready["ring"];
        let seen = (&ring["coop_taskrun"], &ring["single_issuer"], &ring["defer_taskrun"]);
        assert_eq!(seen, (&coop.into(), &single_issuer.into(), &false.into()), "{features}");
        contract::conversation::echo_once(&server);
        server.stop();
    }
}

/// With a table for each shard, two shards hold 21,000 connections where a table has 11,500 places.
#[test]
fn own_tables() {
    const LIMITED: Subject =
        Subject { binary: "prlimit", args: &[contract::tables::TABLE, BINARY, "--idle", "lean"], ..LEAN };
    contract::tables::two_hold_twice_as_many(&LIMITED);
}
