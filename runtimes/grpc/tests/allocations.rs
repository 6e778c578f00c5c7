//! Counts the heap allocations that tracing adds to a request. In a test binary of its own, so that no timed one counts.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use http::HeaderMap;
use server_grpc::trace::{Caller, Export, Spans, Timers, Tracing};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged; counting touches a thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are handed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const REQUESTS: u64 = 1_000;

/// Allocations of a request with three phases, on the thread that serves it; the exporter's thread is not counted.
fn per_request(tracing: &Tracing) -> f64 {
    let headers = HeaderMap::new();
    let serve = || {
        for _ in 0..REQUESTS {
            let trace = tracing.begin(|| "POST /demo/notes", || Caller::of(&headers));
            for name in ["decode", "store", "encode"] {
                trace.phase(name, || std::hint::black_box(name));
            }
            trace.outcome(tonic::Code::Ok, http::StatusCode::OK);
        }
    };
    serve();
    let before = ALLOCATIONS.get();
    serve();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let each = (ALLOCATIONS.get() - before) as f64 / REQUESTS as f64;
    each
}

fn spans(sample: f64) -> Tracing {
    Tracing::Spans(Arc::new(Spans::new("test", sample, &Export::None).unwrap()))
}

/// Off and timers allocate nothing. Spans allocate even where nothing is sampled, since their context is carried all the same,
/// and more where they are recorded (without an exporter); a share of a hundredth costs about what none costs.
#[test]
fn price_in_allocations() {
    let off = per_request(&Tracing::Off);
    let timers = per_request(&Tracing::Timers(Arc::new(Timers::default())));
    let [none, hundredth, all] = [0.0, 0.01, 1.0].map(|share| per_request(&spans(share)));
    println!("allocations per request: off {off}, timers {timers}, spans at 0 % {none}, 1 % {hundredth}, 100 % {all}");
    assert_eq!((off, timers), (0.0, 0.0));
    // Recorded values: what the locked release of OpenTelemetry needs. A new one may change them, which is to be seen.
    assert_eq!((none, all), (2.0, 3.0));
    assert!((none..none + 0.1).contains(&hundredth), "{hundredth}");
}
