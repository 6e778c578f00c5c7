//! What tracing adds to a request, in the process: a request with three phases in which nothing is done.
//!
//! The exporters' threads work beside it; what is timed is the thread that serves. `spans-100%/otlp` sends to a receiver in
//! this process, so that the queue fills faster than it empties and most spans are lost: what is timed then is the price of
//! losing them, which is what an overloaded server pays.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue};
use server_grpc::receiver;
use server_grpc::trace::{Caller, Export, Spans, Timers, Tracing};

fn request(tracing: &Tracing, headers: &HeaderMap) {
    let trace = tracing.begin(|| "POST /demo/notes", || Caller::of(headers));
    for name in ["decode", "store", "encode"] {
        trace.phase(name, || std::hint::black_box(name));
    }
    trace.outcome(tonic::Code::Ok, http::StatusCode::OK);
}

fn spans(sample: f64, export: &Export) -> Tracing {
    Tracing::Spans(Arc::new(Spans::new("bench", sample, export).unwrap()))
}

fn per_request(criterion: &mut Criterion) {
    let files = tempfile::TempDir::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    receiver::start(listener, Duration::ZERO);
    let cases = [
        ("off", Tracing::Off),
        ("timers", Tracing::Timers(Arc::new(Timers::default()))),
        ("spans-0%/no-exporter", spans(0.0, &Export::None)),
        ("spans-0.1%/no-exporter", spans(0.001, &Export::None)),
        ("spans-1%/no-exporter", spans(0.01, &Export::None)),
        ("spans-10%/no-exporter", spans(0.1, &Export::None)),
        ("spans-100%/no-exporter", spans(1.0, &Export::None)),
        ("spans-1%/otlp", spans(0.01, &Export::Otlp(url.clone()))),
        ("spans-100%/otlp", spans(1.0, &Export::Otlp(url))),
        ("spans-1%/lines", spans(0.01, &Export::Lines(files.path().join("1.jsonl")))),
    ];
    let mut group = criterion.benchmark_group("tracing-per-request");
    for (name, tracing) in &cases {
        let headers = HeaderMap::new();
        group.bench_function(*name, |bencher| bencher.iter(|| request(tracing, &headers)));
    }
    // With a caller that is not sampled: the header is read, nothing is recorded.
    let mut headers = HeaderMap::new();
    let parent = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
    headers.insert("traceparent", parent);
    group.bench_function("caller-not-sampled", |bencher| bencher.iter(|| request(&cases[6].1, &headers)));
    group.finish();
    for (_, tracing) in &cases {
        tracing.finish();
    }
}

fn traceparent(criterion: &mut Criterion) {
    let value = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    criterion.bench_function("traceparent/parse", |bencher| {
        bencher.iter(|| wire::traceparent::Traceparent::parse(std::hint::black_box(value)));
    });
}

criterion_group!(benches, per_request, traceparent);
criterion_main!(benches);
