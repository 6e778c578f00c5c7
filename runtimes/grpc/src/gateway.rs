//! Seed 1's gateway: HTTP/JSON in, gRPC out. What its generated `*.pb.gw.go` did in the talk, at a price nobody states.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use service::Refusal;
use tonic::transport::{Channel, Endpoint};
use wire::format::Scratch;
use wire::message::AddNote;
use wire::{Format, limits};

use crate::front::Serve;
use crate::generated::note_service_client::NoteServiceClient;
use crate::rest::{self, Asked, Fault};
use crate::trace::{Phase, Trace};

/// How long the server behind may take to accept a connection, and to answer a request.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// What is passed on as it came while nobody traces here, so that a trace survives a hop that takes no part in it.
const PASSED_ON: [&str; 2] = ["traceparent", "tracestate"];

/// The gateway of one shard: one connection to the server behind it, made when the first request needs it and again after
/// it is lost.
#[derive(Clone, Debug)]
pub struct Gateway(NoteServiceClient<Channel>);

impl Gateway {
    /// A gateway to the gRPC server at `upstream`. Needs tokio's runtime.
    pub fn new(upstream: SocketAddr) -> Gateway {
        let endpoint = Endpoint::from_shared(format!("http://{upstream}")).expect("an address makes a URL");
        let channel = endpoint.connect_timeout(CONNECT_PATIENCE).timeout(ANSWER_PATIENCE).connect_lazy();
        Gateway(NoteServiceClient::new(channel).max_decoding_message_size(limits::REPLY_BODY_BYTES))
    }

    async fn perform(&self, request: Request<Incoming>, trace: &Trace) -> Result<Vec<u8>, Fault> {
        let mut client = self.0.clone();
        let mut out = Vec::new();
        match rest::route(&request)? {
            Asked::Add => {
                let headers = passed_on(&request, trace);
                let body = rest::body(request).await?;
                let message = trace.phase("decode", || {
                    let mut scratch = Scratch::default();
                    let text = Format::Json.decode_add_note(&body, &mut scratch)?.into_owned();
                    Ok::<_, Fault>(AddNote { text })
                })?;
                let phase = trace.call("demo.NoteService/Add");
                let reply = client.add(outgoing(message, headers, &phase)).await;
                drop(phase);
                let note = reply?.into_inner();
                // It came from elsewhere: a time that no JSON can say must not end the process.
                if !(note.created.is_valid() && note.modified.is_valid()) {
                    return Err(foreign_time());
                }
                trace.phase("encode", || Format::Json.encode_note(&note, &mut out));
            }
            Asked::List(message) => {
                let headers = passed_on(&request, trace);
                let phase = trace.call("demo.NoteService/List");
                let reply = client.list(outgoing(message, headers, &phase)).await;
                drop(phase);
                let page = reply?.into_inner();
                if !page.notes.iter().all(|note| note.created.is_valid() && note.modified.is_valid()) {
                    return Err(foreign_time());
                }
                trace.phase("encode", || Format::Json.encode_page(page.total, page.notes.iter(), &mut out));
            }
        }
        Ok(out)
    }
}

fn foreign_time() -> Fault {
    Fault::new(tonic::Code::Internal, "the server behind sent a time that RFC 3339 cannot write")
}

fn passed_on(request: &Request<Incoming>, trace: &Trace) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if trace.is_off() {
        for name in PASSED_ON {
            for value in request.headers().get_all(name) {
                headers.append(name, value.clone());
            }
        }
    }
    headers
}

fn outgoing<M>(message: M, mut headers: HeaderMap, phase: &Phase) -> tonic::Request<M> {
    phase.inject(&mut headers);
    let metadata = tonic::metadata::MetadataMap::from_headers(headers);
    let mut request = tonic::Request::from_parts(metadata, tonic::Extensions::default(), message);
    // Told to the server behind as well, as `grpc-timeout`.
    request.set_timeout(ANSWER_PATIENCE);
    request
}

impl Serve for Gateway {
    type Body = Full<Bytes>;

    async fn answer(&self, request: Request<Incoming>, trace: &Trace) -> Response<Full<Bytes>> {
        match self.perform(request, trace).await {
            Ok(body) => rest::json(body),
            Err(fault) => fault.response(),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Full<Bytes>> {
        Fault::from(refusal).response()
    }

    fn name(request: &Request<Incoming>) -> &'static str {
        rest::name(request)
    }
}
