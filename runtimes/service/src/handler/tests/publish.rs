//! Publishing a rich record, on slices: in every protocol and format it comes back as it went, and what is wrong with it is said.

use wire::data::{Broadcast, Media};
use wire::format::Scratch;

use super::*;
use crate::counters::Totals;

fn encoded(format: Format, broadcast: &Broadcast) -> Vec<u8> {
    let mut body = Vec::new();
    format.encode(broadcast, &mut body);
    body
}

/// Requests that were refused for what they say.
fn errors(handler: &Handler) -> u64 {
    Totals::of([&*handler.shard.counters]).errors[ErrorKind::BadRequest as usize]
}

/// Status and body of the reply to `body`, published in a frame, and whether the connection ended.
fn published(handler: &mut Handler, body: &[u8]) -> (u16, Vec<u8>, bool) {
    let mut bytes = Vec::new();
    wire::frame::write(&mut bytes, 5, wire::frame::Opcode::Publish as u8, 0, |out| out.extend_from_slice(body));
    let (out, close) = feed(handler, &bytes, &[]);
    let reply = client::parse_reply(Protocol::Frame, &out).unwrap().expect("a whole reply");
    assert_eq!((reply.id, reply.consumed), (Some(5), out.len()));
    (reply.status, reply.body.to_vec(), close)
}

/// Every protocol and format: several records on one connection, cut in the middle of each, come back whole.
#[test]
fn there_and_back() {
    for protocol in Protocol::ALL {
        for format in Format::ALL {
            let mut requests: Vec<Request> =
                (0..4).map(|index| Request::new(protocol, format, &Operation::Publish { index }, "test")).collect();
            let bytes = opened(protocol, &requests);
            let mut handler = Handler::alone(protocol, format);
            for cut in (0..bytes.len()).step_by(97) {
                let (out, close) = feed(&mut handler, &bytes, &[cut]);
                assert!(!close);
                check_replies(protocol, &mut requests, &out);
            }
        }
    }
}

/// Records that break a rule of the schema are refused by its name, bodies that do not decode with the field; the next one is
/// served all the same.
#[test]
fn refusals_name_what_is_wrong() {
    let good = Broadcast::seeded(7);
    let wrong = [
        (Broadcast { status: "lost".to_owned(), ..good.clone() }, "status: draft, published, updated or withdrawn"),
        (Broadcast { tags: vec![String::new(); limits::BROADCAST_TAGS + 1], ..good.clone() }, "tags: at most 8"),
        (
            Broadcast { media: vec![good.media[0].clone(); limits::BROADCAST_MEDIA + 1], ..good.clone() },
            "media: at most 64",
        ),
        (Broadcast { score: 100.5, ..good.clone() }, "score: 0 to 100"),
        (
            Broadcast { media: vec![Media { kind: "film".to_owned(), ..Media::default() }], ..good.clone() },
            "media.kind: image, video or audio",
        ),
        (
            Broadcast { media: vec![Media { duration_seconds: -1.0, ..good.media[0].clone() }], ..good.clone() },
            "media.durationSeconds: not below 0",
        ),
    ];
    for format in Format::ALL {
        let mut handler = Handler::alone(Protocol::Frame, format);
        for (broadcast, says) in &wrong {
            let (status, body, close) = published(&mut handler, &encoded(format, broadcast));
            assert_eq!((status, &*String::from_utf8_lossy(&body), close), (400, *says, false), "{format}");
        }
        let (status, body, close) = published(&mut handler, b"\xffnonsense");
        let says = String::from_utf8(body).unwrap();
        assert_eq!((status, close), (400, false));
        assert!(says.starts_with(&format!("not a Broadcast in {format}: ")), "{says}");
        let (status, body, _) = published(&mut handler, &encoded(format, &good));
        let read: Broadcast = format.decode(&body, &mut Scratch::default()).unwrap();
        assert_eq!((status, read == good), (200, true), "{format}");
        assert_eq!(errors(&handler), 1 + wrong.len() as u64);
    }
}

/// The size of a body has its limit before the decoder's turn, and a reply is never so large that clients refuse it: the costliest record
/// of the largest body comes back within their limit.
#[test]
fn sizes_are_bounded() {
    let mut handler = Handler::alone(Protocol::Frame, Format::Json);
    let (status, body, close) = published(&mut handler, &vec![b' '; limits::BODY_BYTES + 1]);
    assert_eq!((status, close), (413, true), "{}", String::from_utf8_lossy(&body));
    for format in Format::ALL {
        let mut costly = Broadcast { status: "draft".to_owned(), ..Broadcast::default() };
        costly.media = vec![Media { kind: "image".to_owned(), ..Media::default() }; limits::BROADCAST_MEDIA];
        let room = limits::BODY_BYTES - encoded(format, &costly).len() - 64;
        // JSON writes each of these as six bytes, so that many of them fit.
        let escaped = format.is_text();
        costly.content = "\u{1}".repeat(if escaped { room / 6 } else { room });
        let body = encoded(format, &costly);
        assert!(body.len() > limits::BODY_BYTES - 100 && body.len() <= limits::BODY_BYTES, "{format}: {}", body.len());
        let mut handler = Handler::alone(Protocol::Frame, format);
        let (status, reply, close) = published(&mut handler, &body);
        assert_eq!((status, close), (200, false), "{format}");
        assert!(reply.len() <= limits::REPLY_BODY_BYTES, "{format}: {}", reply.len());
    }
}

/// Over HTTP, publishing has its path and method.
#[test]
fn over_http() {
    let mut handler = Handler::alone(Protocol::Http1, Format::Json);
    let (reply, close) = http(&mut handler, "GET /demo/content HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(reply.starts_with("HTTP/1.1 405 ") && reply.ends_with("/demo/content takes POST\n") && !close, "{reply}");
    let body = String::from_utf8(encoded(Format::Json, &Broadcast::seeded(1))).unwrap();
    let post = format!("POST /demo/content HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (reply, close) = http(&mut handler, &post);
    assert!(reply.starts_with("HTTP/1.1 200 ") && reply.contains("application/json") && !close, "{reply}");
    assert!(reply.ends_with(&body), "{reply}");
}
