//! Spans to a collector: OTLP/HTTP with protobuf bodies, by OpenTelemetry's exporter on its own thread.

use std::time::Duration;

use anyhow::Context;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};

/// How long a collector may take for a batch. Meanwhile the queue fills.
const PATIENCE: Duration = Duration::from_secs(5);

/// The exporter that posts to `url`.
pub(super) fn exporter(url: &str) -> anyhow::Result<SpanExporter> {
    SpanExporter::builder()
        .with_http()
        .with_http_client(Otlp::default())
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url)
        .with_timeout(PATIENCE)
        .build()
        .with_context(|| format!("exporting to {url}"))
}

/// A client that blocks, for a thread that has nothing else to do. The exporter's own choices are reqwest, which brings TLS
/// and a runtime, or clients that need a runtime on the exporting thread, where there is none.
#[derive(Debug)]
pub struct Otlp(ureq::Agent);

impl Default for Otlp {
    fn default() -> Otlp {
        Otlp(ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().new_agent())
    }
}

#[tonic::async_trait]
impl HttpClient for Otlp {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let response = self.0.run(Request::from_parts(parts, &body[..]))?;
        let (parts, mut body) = response.into_parts();
        Ok(Response::from_parts(parts, body.read_to_vec()?.into()))
    }
}
