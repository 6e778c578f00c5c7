//! The JSON twin: the same notes and the same handler as gRPC's, in proto3 JSON over HTTP/2 (or HTTP/1.1).

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use service::{Desk, Refusal};
use wire::Format;
use wire::format::Scratch;

use crate::front::Serve;
use crate::rest::{self, Asked, Fault};
use crate::trace::Trace;

/// The twin of one shard.
#[derive(Clone, Debug)]
pub struct Json(Arc<Desk>);

impl Json {
    /// A twin that answers from these notes.
    pub fn new(desk: Arc<Desk>) -> Json {
        Json(desk)
    }

    async fn perform(&self, request: Request<Incoming>, trace: &Trace) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        match rest::route(&request)? {
            Asked::Add => {
                let body = rest::body(request).await?;
                let mut scratch = Scratch::default();
                let text = trace.phase("decode", || Format::Json.decode_add_note(&body, &mut scratch))?;
                let note = trace.phase("store", || self.0.add(&text))?;
                trace.phase("encode", || Format::Json.encode_note(&note, &mut out));
            }
            Asked::List(asked) => {
                let page = trace.phase("store", || self.0.list(asked))?;
                trace.phase("encode", || Format::Json.encode_page(page.total, page.notes.iter(), &mut out));
            }
        }
        Ok(out)
    }
}

impl Serve for Json {
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
