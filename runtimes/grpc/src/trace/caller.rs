//! The caller's place in a trace, from and to the headers of W3C Trace Context.

use std::str::FromStr;

use http::{HeaderMap, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use wire::traceparent::Traceparent;

/// Longest `tracestate` that is kept, in bytes: what the specification asks to propagate at least (section 3.3.1.5). It is a
/// stranger's text, which every server on the way would carry.
const STATE_BYTES: usize = 512;

/// What a request says about the trace that it is part of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The caller's span.
    pub parent: Option<Traceparent>,
    /// What tracing systems on the way added, passed on as it came.
    pub state: TraceState,
}

impl Caller {
    /// Reads `traceparent` and `tracestate`. Without a valid one of the first, the second means nothing; with two of the
    /// first, neither does.
    pub fn of(headers: &HeaderMap) -> Caller {
        let mut parents = headers.get_all("traceparent").iter();
        let parent = match (parents.next(), parents.next()) {
            (Some(value), None) => Traceparent::parse(value.as_bytes()),
            _ => None,
        };
        let state = if parent.is_some() { state(headers) } else { TraceState::NONE };
        Caller { parent, state }
    }

    /// As the parent of a span.
    pub(super) fn span_context(self) -> Option<SpanContext> {
        let Traceparent { trace_id, parent_id, sampled } = self.parent?;
        let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        Some(SpanContext::new(TraceId::from_bytes(trace_id), SpanId::from_bytes(parent_id), flags, true, self.state))
    }
}

/// All headers of that name are one list (section 3.3.1.1).
fn state(headers: &HeaderMap) -> TraceState {
    let values = headers.get_all("tracestate");
    let mut lists = values.iter().filter_map(|value| value.to_str().ok());
    let Some(first) = lists.next() else { return TraceState::NONE };
    let list = lists.fold(first.to_owned(), |list, more| list + "," + more);
    if list.len() > STATE_BYTES {
        return TraceState::NONE;
    }
    TraceState::from_str(&list).unwrap_or(TraceState::NONE)
}

/// Adds the headers that make `span` the parent of what the next server does.
pub(super) fn inject(span: &SpanContext, headers: &mut HeaderMap) {
    if !span.is_valid() {
        return;
    }
    let parent = Traceparent {
        trace_id: span.trace_id().to_bytes(),
        parent_id: span.span_id().to_bytes(),
        sampled: span.is_sampled(),
    };
    let value = HeaderValue::from_bytes(&parent.value()).expect("digits and dashes");
    headers.insert("traceparent", value);
    if let Ok(state) = HeaderValue::from_str(&span.trace_state().header())
        && !state.is_empty()
    {
        headers.insert("tracestate", state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    /// The specification's example of both headers goes in and comes out the same, but for the span, which is ours.
    #[test]
    fn in_and_out() {
        let caller =
            Caller::of(&headers(&[("traceparent", PARENT), ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")]));
        let context = caller.span_context().unwrap();
        assert!(context.is_remote() && context.is_sampled());
        let mut out = HeaderMap::new();
        inject(&context, &mut out);
        assert_eq!(out["traceparent"], PARENT);
        assert_eq!(out["tracestate"], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
    }

    /// Lists in several headers are one; two parents are none; a list without a parent, of strange bytes or over the limit
    /// is dropped, and the parent stays.
    #[test]
    fn odd_headers() {
        let state = |pairs: &[(&'static str, &str)]| Caller::of(&headers(pairs)).state.header();
        let parent = ("traceparent", PARENT);
        assert_eq!(state(&[parent, ("tracestate", "a=1"), ("tracestate", "b=2")]), "a=1,b=2");
        assert_eq!(state(&[("tracestate", "a=1")]), "");
        assert_eq!(state(&[parent, ("tracestate", "no list")]), "");
        let long = format!("a={}", "x".repeat(600));
        assert_eq!(state(&[parent, ("tracestate", &long)]), "");
        assert_eq!(Caller::of(&headers(&[parent, parent])), Caller::default());
        assert!(Caller::of(&headers(&[parent, ("tracestate", &long)])).parent.is_some());
    }

    /// OpenTelemetry's own reader, another hand's work, agrees on valid and invalid headers.
    #[test]
    fn agrees_with_opentelemetry() {
        use opentelemetry::propagation::TextMapPropagator;
        use opentelemetry::trace::TraceContextExt;
        use opentelemetry_sdk::propagation::TraceContextPropagator;

        for value in [
            PARENT,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "nonsense",
        ] {
            let headers = headers(&[("traceparent", value)]);
            let theirs = TraceContextPropagator::new().extract(&opentelemetry_http::HeaderExtractor(&headers));
            let theirs = theirs.span().span_context().clone();
            match Caller::of(&headers).span_context() {
                Some(ours) => assert_eq!(ours, theirs, "{value}"),
                None => assert!(!theirs.is_valid(), "{value}"),
            }
        }
    }
}
