//! The server contract, on this engine's binary.

use contract::Subject;

const SUBJECT: Subject =
    Subject { binary: env!("CARGO_BIN_EXE_server-mio"), args: &[], engine: "mio", interface: "epoll" };

contract::tests!(mio, crate::SUBJECT);
