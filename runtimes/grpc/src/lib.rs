//! Seed 1's `NoteService`, for real: gRPC by tonic, its JSON twin over HTTP/2, and the gateway between them.
//!
//! All three answer from the same notes (`service::Desk`) on the same connection code ([`connections`]), so that a difference
//! between them is one of codec and framing. On tokio only: HTTP/2 libraries read through buffers of their own, so that one
//! of them over a completion ring would measure neither.
//!
//! [`trace`] is the second half: what it costs to know where a request's time went.

pub mod connections;
pub mod conventions;
mod counted;
mod front;
pub mod gateway;
pub mod grpc;
pub mod json;
pub mod receiver;
mod rest;
pub mod trace;

pub use front::{Front, Serve};

/// Code that tonic's generator made of `note.proto`: the service's trait and server, and a client.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
pub mod generated {
    tonic::include_proto!("demo");
}

/// `note.proto` and what it imports, as a `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/note.descriptors"));
