//! Replies: written by servers, parsed by clients.

use std::mem::MaybeUninit;

use super::{Persistence, digits};
use crate::{Status, limits};

/// Digits of a reply's `Content-Length`: enough for [`limits::REPLY_BODY_BYTES`].
const LENGTH_DIGITS: usize = 7;

/// Headers in a reply at most; servers here send six.
const REPLY_HEADERS: usize = 32;

/// RFC 9110 (10.2.3): who is over its limit says when to come back. The smallest whole number of seconds.
const RETRY_AFTER: &[u8] = b"\r\nRetry-After: 1";

/// A reply whose head is written and whose body is being appended.
#[derive(Clone, Copy, Debug)]
#[must_use = "finish_reply writes the length"]
pub struct ReplyHead {
    body_at: usize,
}

/// Appends a reply's head. The body is appended behind it, then [`finish_reply`] fills in its length: bodies are
/// encoded in place, without a copy. The length is padded with spaces, which RFC 9110 (5.5) allows around values.
///
/// `date` is an IMF-fixdate, which servers with a clock have to send (RFC 9110, 6.6.1). `allow` names the methods that the path takes, which
/// goes with [`Status::MethodNotAllowed`] (15.5.6) and is not written with others.
pub fn begin_reply(
    out: &mut Vec<u8>,
    status: Status,
    allow: &str,
    content_type: &str,
    date: &[u8; 29],
    persistence: Persistence,
) -> ReplyHead {
    if status == Status::Ok {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\nDate: ");
    } else {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(itoa::Buffer::new().format(status.http()).as_bytes());
        out.push(b' ');
        out.extend_from_slice(status.reason().as_bytes());
        out.extend_from_slice(b"\r\nDate: ");
    }
    out.extend_from_slice(date);
    if status == Status::MethodNotAllowed {
        out.extend_from_slice(b"\r\nAllow: ");
        out.extend_from_slice(allow.as_bytes());
    }
    if status == Status::UpgradeRequired {
        // RFC 9110 (15.5.22) wants the protocol named, RFC 6455 (4.4) the version.
        out.extend_from_slice(b"\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13");
    }
    if status == Status::Busy {
        out.extend_from_slice(RETRY_AFTER);
    }
    match persistence {
        Persistence::KeepAlive => {}
        Persistence::KeepAliveStated => out.extend_from_slice(b"\r\nConnection: keep-alive"),
        Persistence::Close => out.extend_from_slice(b"\r\nConnection: close"),
    }
    out.extend_from_slice(b"\r\nContent-Type: ");
    out.extend_from_slice(content_type.as_bytes());
    out.extend_from_slice(b"\r\nContent-Length:        0\r\n\r\n");
    ReplyHead { body_at: out.len() }
}

/// Fills in the length of the body that stands behind `head`; the reply to a `HEAD` request then loses the body.
pub fn finish_reply(out: &mut Vec<u8>, head: ReplyHead, keep_body: bool) {
    let mut length = out.len() - head.body_at;
    // The last digit stands before "\r\n\r\n".
    let mut at = head.body_at - 4;
    for _ in 0..LENGTH_DIGITS {
        at -= 1;
        out[at] = b'0' + u8::try_from(length % 10).expect("below 10");
        length /= 10;
        if length == 0 {
            break;
        }
    }
    assert_eq!(length, 0, "a reply's body is at most limits::REPLY_BODY_BYTES");
    if !keep_body {
        out.truncate(head.body_at);
    }
}

/// A whole reply, borrowed from the bytes it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
    /// Bytes that the reply took: head and body.
    pub consumed: usize,
}

/// Bytes that are no reply that this client can delimit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Not HTTP.
    #[error("malformed head: {0}")]
    Malformed(httparse::Error),
    /// The head does not end within the limit.
    #[error("the head is over {} bytes", limits::HEAD_BYTES)]
    HeadTooLarge,
    /// No `Content-Length`, two that differ, or a transfer coding.
    #[error("a reply without one Content-Length cannot be delimited")]
    Length,
    /// The body is over the limit.
    #[error("a body of {0} bytes, the limit is {limit}", limit = limits::REPLY_BODY_BYTES)]
    BodyTooLarge(usize),
    /// An interim reply (1xx) that nobody asked for.
    #[error("an interim reply with status {0}")]
    Interim(u16),
}

/// Parses the reply at the start of `bytes`; `None` when more bytes are needed. For replies to `GET` and `POST`.
pub fn parse_reply(bytes: &[u8]) -> Result<Option<Reply<'_>>, ReplyError> {
    let mut headers = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; REPLY_HEADERS];
    let mut head = httparse::Response::new(&mut []);
    let window = &bytes[..bytes.len().min(limits::HEAD_BYTES)];
    let parser = httparse::ParserConfig::default();
    let head_bytes = match parser.parse_response_with_uninit_headers(&mut head, window, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() >= limits::HEAD_BYTES => return Err(ReplyError::HeadTooLarge),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(ReplyError::Malformed(error)),
    };
    let status = head.code.unwrap_or(0);
    if status < 200 {
        return Err(ReplyError::Interim(status));
    }
    let length = if status == 204 || status == 304 { 0 } else { body_length(head.headers)? };
    if length > limits::REPLY_BODY_BYTES {
        return Err(ReplyError::BodyTooLarge(length));
    }
    let needed = head_bytes + length;
    Ok(bytes.get(head_bytes..needed).map(|body| Reply { status, body, consumed: needed }))
}

fn body_length(headers: &[httparse::Header<'_>]) -> Result<usize, ReplyError> {
    let mut length = None;
    for header in headers {
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                let value = digits(header.value).ok_or(ReplyError::Length)?;
                if length.replace(value).is_some_and(|earlier| earlier != value) {
                    return Err(ReplyError::Length);
                }
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => return Err(ReplyError::Length),
            _ => {}
        }
    }
    length.ok_or(ReplyError::Length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

    fn written(status: Status, persistence: Persistence, body: &[u8], keep_body: bool) -> Vec<u8> {
        let mut out = b"earlier".to_vec();
        let head = begin_reply(&mut out, status, "GET", "text/plain", DATE, persistence);
        out.extend_from_slice(body);
        finish_reply(&mut out, head, keep_body);
        out.split_off("earlier".len())
    }

    /// The exact bytes of a reply: what curl -i shows.
    #[test]
    fn bytes_of_a_reply() {
        let text = "HTTP/1.1 404 Not Found\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\n\
                    Content-Type: text/plain\r\nContent-Length:       12\r\n\r\nno such path";
        assert_eq!(written(Status::NotFound, Persistence::Close, b"no such path", true), text.as_bytes());
    }

    /// What is written parses back, whole only when whole, for every status and many lengths.
    #[test]
    fn parses_back() {
        for status in Status::ALL {
            for length in [0, 1, 9, 10, 99, 100, 12_345, 1_234_567] {
                let body = vec![b'x'; length];
                let bytes = written(status, Persistence::KeepAlive, &body, true);
                let reply = parse_reply(&bytes).unwrap().unwrap();
                assert_eq!((reply.status, reply.body.len(), reply.consumed), (status.http(), length, bytes.len()));
                for end in (0..bytes.len()).step_by(1 + length / 50) {
                    assert_eq!(parse_reply(&bytes[..end]), Ok(None));
                }
            }
        }
    }

    /// The reply to HEAD states the length of the body that it does not carry (RFC 9110, 9.3.2).
    #[test]
    fn head() {
        let bytes = written(Status::Ok, Persistence::KeepAlive, b"hello", false);
        assert!(bytes.ends_with(b"Content-Length:        5\r\n\r\n"));
    }

    /// What cannot be delimited is an error, not a guess.
    #[test]
    fn undelimited() {
        let of = |headers: &str| parse_reply(format!("HTTP/1.1 200 OK\r\n{headers}\r\n").as_bytes()).unwrap_err();
        assert_eq!(of(""), ReplyError::Length);
        assert_eq!(of("Transfer-Encoding: chunked\r\n"), ReplyError::Length);
        assert_eq!(of("Content-Length: 1\r\nContent-Length: 2\r\n"), ReplyError::Length);
        assert_eq!(of("Content-Length: 9999999\r\n"), ReplyError::BodyTooLarge(9_999_999));
        assert_eq!(parse_reply(b"HTTP/1.1 100 Continue\r\n\r\n"), Err(ReplyError::Interim(100)));
        assert!(matches!(parse_reply(b"SSH-2.0-OpenSSH\r\n"), Err(ReplyError::Malformed(_))));
    }
}
