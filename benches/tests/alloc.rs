//! Counters as judges: allocations and encoded bytes of every codec operation are what was recorded, to the last one.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::process::Command;

use lab::codec::census::Row;

/// The recorded counts, a line for each operation.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/alloc.golden");

fn census(arguments: &[&str]) -> Vec<Row> {
    let output = Command::new(env!("CARGO_BIN_EXE_lab-alloc")).args(arguments).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn line(row: &Row) -> String {
    let Row { set, format, operation, messages, encoded_bytes, allocations, allocated_bytes } = row;
    format!("{set} {format} {operation} {messages} {encoded_bytes} {allocations} {allocated_bytes}")
}

/// Every set but the two largest texts, which say nothing that the smaller ones do not.
#[test]
fn counts_are_the_recorded_ones() {
    let sets = wire::data::NAMES.iter().filter(|name| !["text-64k", "text-256k"].contains(name));
    let arguments: Vec<&str> = sets.flat_map(|name| ["--set", name]).collect();
    let seen: Vec<String> = census(&arguments).iter().map(line).collect();
    let head = "# set format operation messages encoded_bytes allocations allocated_bytes";
    let text = format!("{head}\n{}\n", seen.join("\n"));
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(RECORDED, &text).unwrap();
    }
    let recorded = std::fs::read_to_string(RECORDED).unwrap();
    let recorded: Vec<&str> = recorded.lines().skip(1).collect();
    assert_eq!(seen.len(), recorded.len(), "an operation came or went: look, then run with UPDATE_GOLDENS=1");
    for (seen, recorded) in seen.iter().zip(recorded) {
        assert_eq!(seen, recorded, "counts changed: look at why, then run with UPDATE_GOLDENS=1");
    }
}

/// The count itself is right: encoding into a reused buffer by raw allocates nothing, and a decoded note of raw is one text.
#[test]
fn counts_known_by_hand() {
    let rows = census(&["--set", "note", "--format", "raw"]);
    let of = |operation: &str| rows.iter().find(|row| row.operation == operation).unwrap();
    assert_eq!((of("encode").allocations, of("encode").allocated_bytes), (0, 0));
    let decode = of("decode");
    let texts = decode.encoded_bytes - 36 * decode.messages;
    assert_eq!((decode.allocations, decode.allocated_bytes), (decode.messages, texts));
}
