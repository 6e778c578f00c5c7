//! Counts heap allocations of the handler path, which is the server's whole path but for socket I/O.
//!
//! A counting allocator in a test binary of its own, so that no timed binary pays for counting.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use service::{Handler, LimitRequests, Next};
use wire::client::{self, Operation, Request};
use wire::{Format, Protocol};

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

/// Allocations over this many requests, after as many to warm up: enough to fill the ring of added notes, so that its
/// memory is reused.
const REQUESTS: u64 = 1_500;

fn allocations(protocol: Protocol, format: Format, operation: &Operation) -> u64 {
    allocations_of(Handler::alone(protocol, format), protocol, format, operation)
}

fn allocations_of(mut handler: Handler, protocol: Protocol, format: Format, operation: &Operation) -> u64 {
    let mut connection = handler.admit().expect("no limit");
    let mut bytes = Vec::new();
    let mut out = Vec::new();
    client::opening(protocol, "localhost", &mut bytes);
    assert_eq!(handler.feed(&mut connection, &bytes, &mut out), Next::Read);
    bytes.clear();
    Request::new(protocol, format, operation, "localhost").write(1, &mut bytes);
    let mut serve = || {
        for _ in 0..REQUESTS {
            out.clear();
            assert_eq!(handler.feed(&mut connection, &bytes, &mut out), Next::Read);
            assert!(!out.is_empty());
            handler.flushed(&mut connection, out.len(), true);
            handler.turn();
        }
    };
    serve();
    let before = ALLOCATIONS.get();
    serve();
    ALLOCATIONS.get() - before
}

/// Allocations per request of formats whose library allocates whatever one does, for adding a note and for a list of ten.
/// simd-json makes its tape anew; buffa's views box nested messages, two times a note, and grow lists of views and of sizes.
const STATED: [(Format, u64, u64); 2] = [(Format::JsonSimd, 1, 1), (Format::ProtobufBuffa, 2, 24)];

/// In the steady state a request allocates nothing, whatever the protocol and format, but for what is stated; HTTP's Date, once a
/// second, may account for a few.
#[test]
fn none_per_request() {
    let text = "Đà Nẵng, 64 bytes of a note that somebody adds on the way home".to_owned();
    let operations = [
        Operation::Echo { payload: vec![7; 64] },
        Operation::AddNote { text },
        Operation::ListNotes { offset: 20, limit: 10 },
    ];
    let mut wrong = Vec::new();
    for protocol in Protocol::ALL {
        for format in Format::ALL {
            let stated =
                STATED.iter().find(|(known, ..)| *known == format).map_or((0, 0), |(_, add, list)| (*add, *list));
            for operation in &operations {
                let stated = match operation {
                    Operation::Echo { .. } | Operation::Publish { .. } => 0,
                    Operation::AddNote { .. } => stated.0,
                    Operation::ListNotes { .. } => stated.1,
                };
                let count = allocations(protocol, format, operation);
                if count >= stated * REQUESTS + 50 {
                    wrong.push(format!(
                        "{protocol} {format} {operation:?}: {count} in {REQUESTS} requests, {stated} each are stated"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Neither does a refusal, nor a limit that follows the load.
#[test]
fn none_with_a_limit() {
    let operation = Operation::ListNotes { offset: 20, limit: 10 };
    for protocol in Protocol::ALL {
        for limit in [LimitRequests::Fixed(0), LimitRequests::Fixed(8), LimitRequests::Vegas] {
            let handler = Handler::alone_limited(protocol, Format::Json, limit);
            let count = allocations_of(handler, protocol, Format::Json, &operation);
            assert!(count < 50, "{protocol} {limit}: {count} in {REQUESTS} requests");
        }
    }
}

/// The stated exception: a JSON text with escapes is unescaped into a buffer that doubles from 8 bytes on, and then becomes
/// a string: four allocations for these 26 bytes.
#[test]
fn json_escapes_allocate() {
    let operation = Operation::AddNote { text: "say \"hello\" and \"goodbye\"".to_owned() };
    let count = allocations(Protocol::Frame, Format::Json, &operation);
    assert!((REQUESTS..=5 * REQUESTS).contains(&count), "{count} in {REQUESTS} requests");
}
