//! The server from outside: tonic's client, curl, h2load and bytes by hand against the real binaries.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

mod contract_of;
mod gateway;
mod grpc;
mod json;
mod process;
mod reflection;
mod tools;
mod tracing;

use contract::Subject;

const BINARY: &str = env!("CARGO_BIN_EXE_server-grpc");

const GRPC: Subject = Subject { binary: BINARY, args: &["--serve", "grpc"], engine: "grpc", interface: "epoll" };
const JSON: Subject = Subject { binary: BINARY, args: &["--serve", "json"], engine: "json-http2", interface: "epoll" };
