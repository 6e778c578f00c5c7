//! What formats and framings cost without sockets: nanoseconds per message, and per request through the whole handler.
//!
//! `raw` is the floor: what a format costs is its distance to raw. Buffers are reused, as servers reuse them. `check` is
//! the load generator's side: the cost of looking at every reply.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use service::{Handler, Next};
use wire::client::{Operation, Request, opening, parse_reply};
use wire::format::Scratch;
use wire::message::Note;
use wire::{Format, Protocol, seeded};

/// Notes in turn, so that the branch predictor does not learn one by heart.
const VARIANTS: usize = 64;

fn notes() -> Vec<Note> {
    (0..seeded::NOTES).take(VARIANTS).map(seeded::note).collect()
}

fn note(criterion: &mut Criterion) {
    let notes = notes();
    for format in Format::ALL {
        let mut group = criterion.benchmark_group(format!("note/{format}"));
        let mut out = Vec::new();
        let mut turn = notes.iter().cycle();
        group.bench_function("encode", |bencher| {
            bencher.iter(|| {
                out.clear();
                format.encode_note(black_box(turn.next().expect("a cycle has no end")), &mut out);
                out.len()
            });
        });
        let encoded: Vec<Vec<u8>> = notes
            .iter()
            .map(|note| {
                let mut out = Vec::new();
                format.encode_note(note, &mut out);
                out
            })
            .collect();
        let mut turn = encoded.iter().cycle();
        group.bench_function("decode", |bencher| {
            bencher.iter(|| format.decode_note(black_box(turn.next().expect("a cycle has no end"))));
        });
        let requests: Vec<Vec<u8>> = notes
            .iter()
            .map(|note| {
                let mut out = Vec::new();
                format.encode_add_note(&note.text, &mut out);
                out
            })
            .collect();
        let mut turn = requests.iter().cycle();
        let mut scratch = Scratch::default();
        group.bench_function("decode-add-request", |bencher| {
            bencher.iter(|| {
                let body = turn.next().expect("a cycle has no end");
                format.decode_add_note(black_box(body), &mut scratch).map(|text| text.len())
            });
        });
        let mut out = Vec::new();
        group.bench_function("encode-page-of-10", |bencher| {
            bencher.iter(|| {
                out.clear();
                format.encode_page(1_000, black_box(&notes[..10]).iter(), &mut out);
                out.len()
            });
        });
    }
}

/// One request through the whole server but for its sockets, and its reply through the client.
fn exchange(criterion: &mut Criterion) {
    let operations = [
        ("echo-64", Operation::Echo { payload: vec![b'x'; 64] }),
        ("add", Operation::AddNote { text: seeded::note(3).text }),
        ("list-10", Operation::ListNotes { offset: 20, limit: 10 }),
    ];
    for protocol in Protocol::ALL {
        for format in Format::ALL {
            let mut group = criterion.benchmark_group(format!("exchange/{protocol}/{format}"));
            for (name, operation) in &operations {
                let mut request = Request::new(protocol, format, operation, "127.0.0.1:1");
                let mut handler = Handler::alone(protocol, format);
                let mut connection = handler.admit().expect("no limit");
                let (mut bytes, mut out) = (Vec::new(), Vec::new());
                opening(protocol, "127.0.0.1:1", &mut bytes);
                assert_eq!(handler.feed(&mut connection, &bytes, &mut out), Next::Read);
                bytes.clear();
                request.write(7, &mut bytes);
                group.bench_function(format!("{name}/serve"), |bencher| {
                    bencher.iter(|| {
                        out.clear();
                        let next = handler.feed(&mut connection, black_box(&bytes), &mut out);
                        assert_eq!(next, Next::Read);
                        handler.flushed(&mut connection, out.len(), true);
                    });
                });
                group.bench_function(format!("{name}/check"), |bencher| {
                    bencher.iter(|| {
                        let reply = parse_reply(protocol, black_box(&out)).expect("well-formed").expect("whole");
                        request.check(&reply).expect("the right reply");
                    });
                });
            }
        }
    }
}

criterion_group!(benches, note, exchange);
criterion_main!(benches);
