//! gRPC: by tonic's own client, and byte by byte where a client would not do wrong.

use contract::server::Server;
use server_grpc::generated::note_service_client::NoteServiceClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use wire::message::{AddNote, ListNotes};
use wire::{Format, limits, seeded};

use crate::GRPC;
use crate::tools::{GRPC_HEADERS, call, call_framed, curl, h2load};

async fn channel(server: &Server) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    endpoint.connect().await.expect("it listens")
}

/// Stops the server while the clients' connections, which live on this runtime, hear of it.
async fn stopped(server: Server) -> serde_json::Value {
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap()
}

/// Notes that are added come back as they are listed, behind the seeded ones.
#[tokio::test]
async fn add_and_list() {
    let server = Server::start(&GRPC, &[]);
    let mut client = NoteServiceClient::new(channel(&server).await);
    let added = client.add(AddNote { text: "giá \"hot\"".to_owned() }).await.unwrap().into_inner();
    assert_eq!((added.id, added.text.as_str()), (1_001, "giá \"hot\""));
    let page = client.list(ListNotes { offset: 998, limit: 3 }).await.unwrap().into_inner();
    assert_eq!(page.total, 1_001);
    assert_eq!(page.notes, [seeded::note(998), seeded::note(999), added]);
    let counters = stopped(server).await;
    assert_eq!((&counters["requests"], &counters["errors"]), (&2.into(), &serde_json::json!({})));
    assert!(counters["bytes_out"].as_u64() > Some(200), "{counters}");
}

/// What cannot be done is said with the code that the conventions name, value seen and value needed; the connection goes on.
#[tokio::test]
async fn refusals() {
    let server = Server::start(&GRPC, &[]);
    let mut client = NoteServiceClient::new(channel(&server).await);
    let empty = client.add(AddNote::default()).await.unwrap_err();
    assert_eq!((empty.code(), empty.message()), (Code::InvalidArgument, "the note has no text"));
    let long = client.add(AddNote { text: "x".repeat(limits::TEXT_BYTES + 1) }).await.unwrap_err();
    assert_eq!((long.code(), long.message()), (Code::InvalidArgument, "a text of 4097 bytes, the limit is 4096"));
    let page = client.list(ListNotes { offset: 0, limit: 101 }).await.unwrap_err();
    assert_eq!((page.code(), page.message()), (Code::InvalidArgument, "limit 101, at most 100 notes a page"));
    let oversize = client.add(AddNote { text: "x".repeat(limits::BODY_BYTES + 1) }).await.unwrap_err();
    assert_eq!(oversize.code(), Code::OutOfRange, "{oversize}");
    assert!(oversize.message().contains("the limit is: 1048576 bytes"), "{oversize}");
    // The same connection still serves.
    assert_eq!(client.list(ListNotes::default()).await.unwrap().into_inner().notes.len(), 10);
    assert_eq!(stopped(server).await["errors"], serde_json::json!({"bad-request": 3, "too-large": 1}));
}

/// Bytes that no client of ours would send: bad UTF-8, a truncated message, a frame that is none; and fields that this version
/// does not know, which are skipped.
#[test]
fn strange_bytes() {
    let server = Server::start(&GRPC, &[]);
    let address = server.address.to_string();
    let add = |message: &[u8]| call(&address, "/demo.NoteService/Add", message);
    for bad in [&[0x0a, 2, 0xc3, 0x28][..], &[0x0a, 200, b'x'], &[0x0a], &[0xff; 11]] {
        let reply = add(bad);
        assert_eq!((reply.status.as_str(), reply.header("grpc-status")), ("200", Some("13")), "{bad:?}: {reply:?}");
    }
    // Field 15, a varint, before the text, and field 16, bytes, behind it.
    let known = add(&[0x78, 5, 0x0a, 2, b'h', b'i', 0x82, 0x01, 1, 0]);
    assert_eq!(known.header("grpc-status"), Some("0"), "{known:?}");
    assert_eq!(Format::Protobuf.decode_note(&known.body).unwrap().text, "hi");
    // A length beyond the message, and a compression that was not agreed.
    for framed in [&[0, 0, 0, 0, 9, 1][..], &[1, 0, 0, 0, 1, 0], &[7, 0, 0, 0, 0]] {
        let reply = call_framed(&address, "/demo.NoteService/Add", framed);
        assert_eq!(reply.header("grpc-status"), Some("13"), "{framed:?}: {reply:?}");
    }
    // Without a body: replies that do not wait for one end the stream early, which this curl (7.88) takes for an error.
    let codes = |path: &str| curl(&address, path, None, &GRPC_HEADERS).header("grpc-status").map(str::to_owned);
    assert_eq!(codes("/demo.NoteService/Remove").as_deref(), Some("12"));
    assert_eq!(codes("/demo.Nothing/Add").as_deref(), Some("12"));
    assert_eq!(codes("/").as_deref(), Some("12"));
    // Not gRPC at all.
    assert_eq!(curl(&address, "/demo.NoteService/Add", None, &[]).status, "415");
    assert_eq!(server.stop()["errors"], serde_json::json!({"bad-request": 8, "not-found": 3}));
}

/// h2load, which knows nothing of gRPC, may load it: 100 streams on each of 10 connections.
#[test]
fn loaded_by_h2load() {
    let server = Server::start(&GRPC, &[]);
    let body = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(body.path(), [0, 0, 0, 0, 4, 0x0a, 2, b'h', b'i']).unwrap();
    let url = format!("http://{}/demo.NoteService/Add", server.address);
    let body = body.path().to_str().unwrap();
    let served = h2load(&[&["-n", "2000", "-c", "10", "-m", "100", "-d", body], &GRPC_HEADERS[..], &[&url]].concat());
    let counters = server.stop();
    assert_eq!((served, counters["requests"].as_u64()), (2_000, Some(2_000)));
    assert_eq!(counters["errors"], serde_json::json!({}));
}

/// Health is SERVING; who watches it is told when the server stops, and does not keep it from stopping.
#[tokio::test]
async fn health_and_draining() {
    let server = Server::start(&GRPC, &[]);
    let mut client = HealthClient::new(channel(&server).await);
    let service = || Request::new(HealthCheckRequest { service: "demo.NoteService".to_owned() });
    assert_eq!(client.check(service()).await.unwrap().into_inner().status(), ServingStatus::Serving);
    let unknown = client.check(HealthCheckRequest { service: "demo.Nothing".to_owned() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let mut watch = client.watch(service()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let stopped = tokio::spawn(stopped(server));
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(watch.message().await.unwrap().is_none());
    drop((watch, client));
    assert_eq!(stopped.await.unwrap()["errors"], serde_json::json!({"not-found": 1}));
}
