//! The switches: what is asked for is in force and serves, what cannot be is refused.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::io::{Read, Write};

use contract::Subject;
use contract::server::{Server, failure};

const SUBJECT: Subject =
    Subject { binary: env!("CARGO_BIN_EXE_server-ring"), args: &[], engine: "ring", interface: "io_uring" };

const FRAME_RAW: [&str; 4] = ["--protocol", "frame", "--format", "raw"];

fn start(args: &[&str]) -> Server {
    Server::start(&SUBJECT, &[&FRAME_RAW[..], args].concat())
}

/// The switch that is asked for is in the ready line, and echoes, connections on end and a large body work with it:
/// every way in which the engine receives, sends and waits.
#[test]
fn each_switch_serves() {
    for words in [
        "accept-multishot",
        "poll-first",
        "readiness",
        "buffers",
        "buffers,recv-multishot",
        "buffers,incremental",
        "wait-all,silent-sends",
        "wait-all,send-bundle",
        "zero-copy",
        "coop",
        "single-issuer,defer",
        "registered-ring",
        "no-sqarray",
        "no-iowait",
        "min-wait",
        "sqpoll",
        "direct",
    ] {
        let server = start(&["--ring", words, "--zero-copy-bytes", "1"]);
        let features = server.ready["ring"]["features"].as_array().unwrap();
        assert_eq!(features.len(), words.split(',').count(), "{words}: {features:?}");
        assert!(words.split(',').all(|word| features.contains(&word.into())), "{words}: {features:?}");
        for _ in 0..3 {
            contract::conversation::echo_once(&server);
        }
        let counters = server.stop();
        assert_eq!((&counters["requests"], &counters["errors"]), (&3.into(), &serde_json::json!({})), "{words}");
    }
}

/// Wrong words and combinations are usage errors that say what would work.
#[test]
fn usage() {
    for (args, hint) in [
        (&["--ring", "recv-multishot"][..], "buffers,recv-multishot"),
        (&["--ring", "buffers,readiness"], "no-buffers,readiness"),
        (&["--ring", "deffer"], "'defer'"),
        (&["--rings", "2"], "default,direct"),
        (&["--buffers", "1000"], "power of two"),
    ] {
        let (code, says) = failure(&SUBJECT, "127.0.0.1:0", &[&FRAME_RAW[..], args].concat());
        assert_eq!(code, Some(2), "{says}");
        assert!(says.contains(hint), "{says}");
    }
}

/// The default of --limit-connections follows the tables that connections take their places in: one of the process, one a
/// shard, one a ring.
#[test]
fn limits_follow_tables() {
    let limit = |args: &[&str]| start(args).ready["max_connections"].as_u64().unwrap();
    let (one, two) = (limit(&[]), limit(&["--shards", "2"]));
    assert_eq!(limit(&["--ring", "default,direct"]), one.min((1 << 20) - 72));
    assert_eq!(limit(&["--ring", "default,direct", "--rings", "3"]), 3 * one.min((1 << 20) - 72));
    assert_eq!(limit(&["--shards", "2", "--own-tables"]), 2 * two);
}

/// With a table each, two shards together hold more connections than one table has places; so do two rings of one
/// thread. Each connection is answered while all are held.
#[test]
fn more_connections_than_a_table_has() {
    const LIMITED: Subject =
        Subject { binary: "prlimit", args: &["--nofile=300:300", env!("CARGO_BIN_EXE_server-ring")], ..SUBJECT };
    // An echo of one byte: its reply is the same bytes.
    const ECHO: [u8; 13] = [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0x48, 1, b'x'];
    for args in [&["--shards", "2", "--own-tables"][..], &["--ring", "default,direct", "--rings", "2"]] {
        let server = Server::start(&LIMITED, &[&FRAME_RAW[..], args].concat());
        let mut held: Vec<_> = (0..360).map(|_| server.connect()).collect();
        for stream in &mut held {
            stream.write_all(&ECHO).unwrap();
        }
        for stream in &mut held {
            let mut reply = [0; 13];
            stream.read_exact(&mut reply).unwrap();
            assert_eq!(reply, ECHO);
        }
        drop(held);
        let counters = server.stop();
        assert_eq!((&counters["accepted"], &counters["errors"]), (&360.into(), &serde_json::json!({})), "{args:?}");
    }
}
