//! Where a request's time went, in three ways that differ in what they know and in what they cost.
//!
//! * **off**: nothing is known; a branch for each phase is all it costs.
//! * **timers**: the talk's `timer.Start("name")` and `Stop()`: count, sum and maximum for each name, over all requests. No
//!   request can be followed, and nothing says which phase was part of which.
//! * **spans**: OpenTelemetry's, a share of requests sampled, with the caller's `traceparent` heeded and passed on; exported
//!   over OTLP, written as JSON Lines, or neither.
//!
//! A request is [`Tracing::begin`], any number of [`Trace::phase`]s, and the drop of what `begin` returned.

mod caller;
pub mod lines;
mod otlp;
mod spans;
mod timers;
pub mod tree;

use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use http::{Extensions, HeaderMap, StatusCode};
use opentelemetry::trace::{Span as _, SpanId, SpanKind, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use tonic::Code;

pub use caller::Caller;
pub use otlp::Otlp;
pub use spans::Spans;
pub use timers::Timers;

/// How requests are traced.
#[derive(Clone, Debug, Default)]
pub enum Tracing {
    /// Not at all.
    #[default]
    Off,
    /// Sums by name.
    Timers(Arc<Timers>),
    /// Spans of a share of the requests.
    Spans(Arc<Spans>),
}

/// Where finished spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Export {
    /// Nowhere: they are recorded and dropped.
    None,
    /// To a collector, over OTLP/HTTP.
    Otlp(String),
    /// To a file, a line of JSON each.
    Lines(PathBuf),
}

impl FromStr for Export {
    type Err = String;

    fn from_str(text: &str) -> Result<Export, String> {
        match text.split_once(':') {
            None if text == "none" => Ok(Export::None),
            Some(("otlp", url)) if url.starts_with("http://") => Ok(Export::Otlp(url.to_owned())),
            Some(("lines", path)) if !path.is_empty() => Ok(Export::Lines(path.into())),
            _ => Err("expected none, otlp:http://HOST:PORT/v1/traces, or lines:FILE".to_owned()),
        }
    }
}

impl Tracing {
    /// Begins a request's trace, which ends when the result is dropped. `name` and `caller` are only asked where they matter.
    #[inline]
    pub fn begin(&self, name: impl FnOnce() -> &'static str, caller: impl FnOnce() -> Caller) -> Root {
        match self {
            Tracing::Off => Root { trace: Trace::Off, timed: None },
            Tracing::Timers(timers) => {
                Root { trace: Trace::Timed(Arc::clone(timers)), timed: Some((name(), Instant::now())) }
            }
            Tracing::Spans(spans) => {
                let context = spans.root(name(), caller());
                Root { trace: Trace::Spanned(Arc::clone(spans), context), timed: None }
            }
        }
    }

    /// Exports what is left, and says what there was: lines of JSON.
    pub fn finish(&self) -> Vec<String> {
        match self {
            Tracing::Off => Vec::new(),
            Tracing::Timers(timers) => timers.report(),
            Tracing::Spans(spans) => vec![spans.finish()],
        }
    }
}

/// A request's trace, in the hands of who began it: ends when it is dropped.
#[derive(Debug)]
pub struct Root {
    trace: Trace,
    timed: Option<(&'static str, Instant)>,
}

impl Root {
    /// Notes how the request ended.
    pub fn outcome(&self, code: Code, status: StatusCode) {
        let Trace::Spanned(_, context) = &self.trace else { return };
        let span = context.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
            if code != Code::Ok {
                span.set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(code as i32)));
                span.set_status(opentelemetry::trace::Status::error(code.description()));
            }
        }
    }
}

impl Deref for Root {
    type Target = Trace;

    fn deref(&self) -> &Trace {
        &self.trace
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        match (&self.trace, self.timed) {
            (Trace::Timed(timers), Some((name, began))) => timers.stop(name, began),
            (Trace::Spanned(spans, context), _) => {
                let span = context.span();
                spans.count(span.span_context());
                span.end();
            }
            _ => {}
        }
    }
}

/// A request's trace, in the hands of who does a part of the work.
#[derive(Clone, Debug)]
pub enum Trace {
    /// There is none.
    Off,
    /// Sums by name.
    Timed(Arc<Timers>),
    /// The request's span is in the context.
    Spanned(Arc<Spans>, Context),
}

/// The ids of a request's span, for lines of a log.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    /// Displayed as 32 hexadecimal digits.
    pub trace: TraceId,
    /// Displayed as 16.
    pub span: SpanId,
}

impl Trace {
    /// The trace among a request's extensions, where [`Trace::put_among`] put it.
    pub fn among(extensions: &Extensions) -> &Trace {
        extensions.get().unwrap_or(&Trace::Off)
    }

    /// Puts it where code on the other side of a library finds it.
    pub fn put_among(&self, extensions: &mut Extensions) {
        if !self.is_off() {
            extensions.insert(self.clone());
        }
    }

    /// Whether nothing is traced.
    pub fn is_off(&self) -> bool {
        matches!(self, Trace::Off)
    }

    /// Does a part of the request's work.
    #[inline]
    pub fn phase<T>(&self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let phase = self.start(name, SpanKind::Internal);
        let result = work();
        drop(phase);
        result
    }

    /// Begins a call to another server; it ends when the result is dropped.
    pub fn call(&self, name: &'static str) -> Phase<'_> {
        self.start(name, SpanKind::Client)
    }

    #[inline]
    fn start(&self, name: &'static str, kind: SpanKind) -> Phase<'_> {
        match self {
            Trace::Off => Phase::Off,
            Trace::Timed(timers) => Phase::Timed(timers, name, Instant::now()),
            Trace::Spanned(spans, context) => Phase::Spanned(spans, spans.child(name, kind, context)),
        }
    }

    /// What a log line names, if there are spans, sampled or not.
    pub fn ids(&self) -> Option<Ids> {
        let Trace::Spanned(_, context) = self else { return None };
        let span = context.span();
        Some(Ids { trace: span.span_context().trace_id(), span: span.span_context().span_id() })
    }
}

/// A part of a request's work; ends when it is dropped.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be one more allocation for each span, and charged to tracing"
)]
pub enum Phase<'a> {
    /// Not traced.
    Off,
    /// A timer that runs.
    Timed(&'a Timers, &'static str, Instant),
    /// A span.
    Spanned(&'a Spans, opentelemetry_sdk::trace::Span),
}

impl Phase<'_> {
    /// Adds `traceparent`, and `tracestate` where there is one, to the headers of a request to another server.
    pub fn inject(&self, headers: &mut HeaderMap) {
        if let Phase::Spanned(_, span) = self {
            caller::inject(span.span_context(), headers);
        }
    }
}

impl Drop for Phase<'_> {
    fn drop(&mut self) {
        match self {
            Phase::Off => {}
            Phase::Timed(timers, name, began) => timers.stop(name, *began),
            Phase::Spanned(spans, span) => {
                spans.count(span.span_context());
                span.end();
            }
        }
    }
}

impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Export::None => f.write_str("none"),
            Export::Otlp(url) => write!(f, "otlp:{url}"),
            Export::Lines(path) => write!(f, "lines:{}", path.display()),
        }
    }
}
