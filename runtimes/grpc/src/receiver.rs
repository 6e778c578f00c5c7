//! A collector that only counts: OTLP/HTTP in, sums out. It shows what of a server's spans arrives, and what the exporter
//! costs that server, on a machine without a collector.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::json;
use wire::http1::{self, Method, Parsed};

/// Connections at a time; more are closed. Each exporter has one.
const CONNECTIONS: usize = 16;

/// The reply to a batch that was taken: an empty `ExportTraceServiceResponse`.
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";

/// The reply to anything else, after which the connection is closed.
const REFUSED: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// What has arrived.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests that were batches of spans.
    pub batches: AtomicU64,
    /// Spans in them.
    pub spans: AtomicU64,
    /// Bytes of their bodies.
    pub bytes: AtomicU64,
    /// Requests that were not.
    pub refused: AtomicU64,
}

impl Counts {
    /// The sums, as a line of JSON.
    pub fn line(&self) -> String {
        let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
        json!({
            "event": "counters",
            "batches": value(&self.batches),
            "spans": value(&self.spans),
            "bytes": value(&self.bytes),
            "refused": value(&self.refused),
        })
        .to_string()
    }

    fn take(&self, request: &http1::Request<'_>) -> bool {
        let batch = match (request.method, request.path) {
            (Method::Post, "/v1/traces") => ExportTraceServiceRequest::decode(request.body).ok(),
            _ => None,
        };
        let Some(batch) = batch else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let scopes = batch.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let spans: usize = scopes.map(|scope| scope.spans.len()).sum();
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.spans.fetch_add(spans as u64, Ordering::Relaxed);
        self.bytes.fetch_add(request.body.len() as u64, Ordering::Relaxed);
        true
    }
}

/// Receives on threads of its own until the process ends. `delay` before each reply makes a collector that is slow.
pub fn start(listener: TcpListener, delay: Duration) -> Arc<Counts> {
    let counts = Arc::new(Counts::default());
    let (told, open) = (Arc::clone(&counts), Arc::new(AtomicUsize::new(0)));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
                open.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (counts, open) = (Arc::clone(&told), Arc::clone(&open));
            thread::spawn(move || {
                // The exporter's trouble, which it reports itself.
                let _ = receive(stream, &counts, delay);
                open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    counts
}

fn receive(mut stream: TcpStream, counts: &Counts, delay: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match http1::parse_request(&bytes) {
            Ok(Parsed::Whole(request)) => {
                if !counts.take(&request) {
                    return stream.write_all(REFUSED);
                }
                let consumed = request.consumed;
                bytes.drain(..consumed);
                thread::sleep(delay);
                stream.write_all(TAKEN)?;
            }
            // Bounded by the parser's limits: it refuses what announces more.
            Ok(Parsed::Partial { .. }) => match stream.read(&mut buffer)? {
                0 => return Ok(()),
                length => bytes.extend_from_slice(&buffer[..length]),
            },
            Err(_) => {
                counts.refused.fetch_add(1, Ordering::Relaxed);
                return stream.write_all(REFUSED);
            }
        }
    }
}
