//! Replies of servers of one's own: what is whole stays whole with fewer bytes behind it, and checking it never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::client::Exchange;
use wire::client::exchange::{Body, End, Event, HttpRequest};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let request = |method| HttpRequest { method, path: "/", headers: &[], body: &[] };
    let hello = Body::Exactly(b"hello".to_vec());
    let mut exchange = match which % 5 {
        0 => Exchange::http1(&request("GET"), "h", 200, hello),
        1 => Exchange::http1(&request("HEAD"), "h", 200, Body::Any),
        2 => Exchange::websocket("h", "/", &[], b"hello".to_vec(), hello),
        3 => Exchange::bytes(b"x".to_vec(), End::Length(5), hello),
        _ => Exchange::bytes(b"x".to_vec(), End::Behind(b"\r\n".to_vec()), Body::Containing(b"ok".to_vec())),
    };
    let Ok(Some(heard)) = exchange.parse(bytes) else { return };
    assert!(heard.consumed <= bytes.len());
    assert_eq!(exchange.parse(&bytes[..heard.consumed]), Ok(Some(heard)));
    if let Event::Answer(answer) = heard.event {
        let _ = exchange.check(&answer);
    }
});
