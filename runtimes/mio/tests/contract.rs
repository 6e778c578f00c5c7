//! The server contract, on this engine's binary.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use contract::Subject;

const SUBJECT: Subject =
    Subject { binary: env!("CARGO_BIN_EXE_server-mio"), args: &[], engine: "mio", interface: "epoll" };

contract::tests!(mio, crate::SUBJECT);
