//! What a request costs without sockets: through the whole server but for its I/O, and its reply through the client.
//!
//! Groups are `exchange/PROTOCOL/OPERATION`, a bench for each format and side. `raw` is the floor. Buffers are reused, as servers
//! reuse them. `check` is the load generator's side: the cost of looking at every reply. Formats by themselves are in the bench `codec`.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

mod profiler;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use service::{Handler, Next};
use wire::client::{Operation, Request, opening, parse_reply};
use wire::{Format, Protocol, seeded};

/// What an opening says; nobody looks.
const HOST: &str = "127.0.0.1:1";

fn exchange(criterion: &mut Criterion) {
    let operations = [
        ("echo-64", Operation::Echo { payload: vec![b'x'; 64] }),
        ("add", Operation::AddNote { text: seeded::note(3).text }),
        ("list-10", Operation::ListNotes { offset: 20, limit: 10 }),
        ("publish", Operation::Publish { index: 3 }),
    ];
    for protocol in Protocol::ALL {
        for (name, operation) in &operations {
            let mut group = criterion.benchmark_group(format!("exchange/{protocol}/{name}"));
            for format in Format::ALL {
                let mut request = Request::new(protocol, format, operation, HOST);
                let mut handler = Handler::alone(protocol, format);
                let mut connection = handler.admit().expect("no limit");
                let (mut bytes, mut out) = (Vec::new(), Vec::new());
                opening(protocol, HOST, &mut bytes);
                assert_eq!(handler.feed(&mut connection, &bytes, &mut out), Next::Read);
                bytes.clear();
                request.write(7, &mut bytes);
                let mut serve = || {
                    out.clear();
                    let next = handler.feed(&mut connection, black_box(&bytes), &mut out);
                    assert_eq!(next, Next::Read);
                    handler.flushed(&mut connection, out.len(), true);
                };
                // Once at least, for the check below: a filter on the command line may leave the bench out.
                serve();
                group.bench_function(BenchmarkId::new(format.name(), "serve"), |bencher| bencher.iter(&mut serve));
                group.bench_function(BenchmarkId::new(format.name(), "check"), |bencher| {
                    bencher.iter(|| {
                        let reply = parse_reply(protocol, black_box(&out)).expect("well-formed").expect("whole");
                        request.check(&reply).expect("the right reply");
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group! {
    name = benches;
    config = profiler::criterion();
    targets = exchange
}
criterion_main!(benches);
