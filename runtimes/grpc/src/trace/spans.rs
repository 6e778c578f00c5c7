//! Spans by OpenTelemetry's SDK.

use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::Context;
use opentelemetry::trace::{SpanBuilder, SpanContext, SpanKind, TraceContextExt, Tracer, TracerProvider};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span};
use serde_json::json;

use super::lines::Lines;
use super::{Caller, Export, otlp};

/// Makes spans, samples them, and hands them to the exporter's thread.
#[derive(Debug)]
pub struct Spans {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    /// Sampled spans that have ended: what an exporter should come to see.
    ended: AtomicU64,
}

impl Spans {
    /// `sample` is the share of the requests that begin a trace here and are recorded, 0 to 1; of a request with a caller,
    /// the caller decides. Batches wait in OpenTelemetry's queue of 2,048 spans and 5 seconds (`OTEL_BSP_MAX_QUEUE_SIZE`,
    /// `OTEL_BSP_SCHEDULE_DELAY`); what does not fit is lost.
    pub fn new(service: &'static str, sample: f64, export: &Export) -> anyhow::Result<Spans> {
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(sample)));
        let resource = Resource::builder_empty().with_service_name(service).build();
        let builder = SdkTracerProvider::builder().with_sampler(sampler).with_resource(resource);
        let provider = match export {
            Export::None => builder.build(),
            Export::Otlp(url) => builder.with_batch_exporter(otlp::exporter(url)?).build(),
            Export::Lines(path) => builder.with_batch_exporter(Lines::create(path, service)?).build(),
        };
        let tracer = provider.tracer("server-grpc");
        Ok(Spans { provider, tracer, ended: AtomicU64::new(0) })
    }

    /// A context with a request's span.
    pub(super) fn root(&self, name: &'static str, caller: Caller) -> Context {
        let parent = match caller.span_context() {
            Some(remote) => Context::new().with_remote_span_context(remote),
            None => Context::new(),
        };
        let span = self.tracer.build_with_context(SpanBuilder::from_name(name).with_kind(SpanKind::Server), &parent);
        parent.with_span(span)
    }

    /// A span below that of the context.
    pub(super) fn child(&self, name: &'static str, kind: SpanKind, parent: &Context) -> Span {
        self.tracer.build_with_context(SpanBuilder::from_name(name).with_kind(kind), parent)
    }

    /// Counts a span that ends now.
    pub(super) fn count(&self, span: &SpanContext) {
        if span.is_sampled() {
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Exports what is left; the sum, as a line of JSON, with what went wrong.
    pub(super) fn finish(&self) -> String {
        let error = self.provider.shutdown().err().map(|error| error.to_string());
        json!({"event": "tracing", "spans": self.ended.load(Ordering::Relaxed), "error": error}).to_string()
    }
}
