//! Requests: bytes → [`Request`], for servers.

use std::mem::MaybeUninit;

use super::{Persistence, digits, has_token};
use crate::{Status, limits};

/// The methods that a server here tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// Any other.
    Other,
}

/// A whole request, borrowed from the bytes it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The path, without query.
    pub path: &'a str,
    /// What follows the `?`; empty when there is none.
    pub query: &'a str,
    /// The body; empty when there is none.
    pub body: &'a [u8],
    /// What the client wants of the connection.
    pub persistence: Persistence,
    /// Bytes that the request took: head and body.
    pub consumed: usize,
}

/// What a prefix of a connection's bytes holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A whole request.
    Whole(Request<'a>),
    /// The start of one.
    Partial {
        /// Bytes of the whole request, head included; 0 while the head itself is incomplete.
        needed: usize,
        /// The client waits for `100 Continue` before it sends the body (RFC 9110, 10.1.1).
        expects_continue: bool,
    },
}

/// Bytes that are no acceptable request. The connection has to be closed after the refusal, since where the next
/// request would start is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not HTTP.
    #[error("malformed head: {0}")]
    Malformed(httparse::Error),
    /// The head does not end within the limit.
    #[error("the head is over {} bytes", limits::HEAD_BYTES)]
    HeadTooLarge,
    /// More headers than the limit.
    #[error("more than {} headers", limits::HEADERS)]
    TooManyHeaders,
    /// The body is over the limit, or its length is beyond nine digits.
    #[error("the body is over {} bytes", limits::BODY_BYTES)]
    BodyTooLarge,
    /// A length that is no number, or two that differ.
    #[error("Content-Length is not one number")]
    BadLength,
    /// Both a length and a transfer coding.
    #[error("both Content-Length and Transfer-Encoding")]
    TwoLengths,
    /// A chunked body.
    #[error("chunked bodies are not taken: send Content-Length")]
    Chunked,
    /// Another transfer coding.
    #[error("unknown Transfer-Encoding")]
    UnknownCoding,
    /// HTTP/1.1 without exactly one `Host` (RFC 9112, 3.2).
    #[error("HTTP/1.1 wants exactly one Host header")]
    Host,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("neither HTTP/1.0 nor HTTP/1.1")]
    Version,
}

impl Error {
    /// The status with which to refuse.
    pub const fn status(self) -> Status {
        match self {
            Error::Malformed(_) | Error::BadLength | Error::TwoLengths | Error::Host => Status::BadRequest,
            Error::HeadTooLarge | Error::TooManyHeaders => Status::HeadTooLarge,
            Error::BodyTooLarge => Status::TooLarge,
            Error::Chunked => Status::LengthRequired,
            Error::UnknownCoding => Status::NotImplemented,
            Error::Version => Status::VersionNotSupported,
        }
    }
}

/// Parses the request at the start of `bytes`.
///
/// A head that is not yet whole is parsed again from its start when more has come; [`limits::HEAD_BYTES`] bounds
/// that. Once the head is whole, `needed` says when it is worth parsing again.
pub fn parse_request(bytes: &[u8]) -> Result<Parsed<'_>, Error> {
    let mut headers = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; limits::HEADERS];
    let mut head = httparse::Request::new(&mut []);
    // Only so much is looked at, so that an endless head costs no more than the limit.
    let window = &bytes[..bytes.len().min(limits::HEAD_BYTES)];
    let head_bytes = match head.parse_with_uninit_headers(window, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() >= limits::HEAD_BYTES => return Err(Error::HeadTooLarge),
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial { needed: 0, expects_continue: false }),
        Err(httparse::Error::TooManyHeaders) => return Err(Error::TooManyHeaders),
        Err(httparse::Error::Version) => return Err(Error::Version),
        Err(error) => return Err(Error::Malformed(error)),
    };
    let fields = Fields::read(head.headers)?;
    let is_1_1 = head.version == Some(1);
    if fields.hosts > 1 || (is_1_1 && fields.hosts == 0) {
        return Err(Error::Host);
    }
    let needed = head_bytes + fields.length;
    let Some(body) = bytes.get(head_bytes..needed) else {
        return Ok(Parsed::Partial { needed, expects_continue: is_1_1 && fields.expects_continue });
    };
    let (path, query) = split_target(head.path.unwrap_or("/"));
    Ok(Parsed::Whole(Request {
        method: match head.method {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            Some("POST") => Method::Post,
            _ => Method::Other,
        },
        path,
        query,
        body,
        persistence: match (is_1_1, fields.close, fields.keep_alive) {
            (_, true, _) | (false, _, false) => Persistence::Close,
            (false, false, true) => Persistence::KeepAliveStated,
            (true, false, _) => Persistence::KeepAlive,
        },
        consumed: needed,
    }))
}

/// The headers that matter here.
#[derive(Default)]
struct Fields {
    length: usize,
    hosts: usize,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

impl Fields {
    fn read(headers: &[httparse::Header<'_>]) -> Result<Fields, Error> {
        let mut fields = Fields::default();
        let mut length = None;
        let mut coding = None;
        for header in headers {
            // Comparing lengths first keeps the usual five to ten headers cheap.
            match header.name.len() {
                4 if header.name.eq_ignore_ascii_case("host") => fields.hosts += 1,
                6 if header.name.eq_ignore_ascii_case("expect") => {
                    fields.expects_continue |= has_token(header.value, "100-continue");
                }
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    fields.close |= has_token(header.value, "close");
                    fields.keep_alive |= has_token(header.value, "keep-alive");
                }
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    let value = content_length(header.value)?;
                    if length.replace(value).is_some_and(|earlier| earlier != value) {
                        return Err(Error::BadLength);
                    }
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => coding = Some(header.value),
                _ => {}
            }
        }
        match coding {
            Some(_) if length.is_some() => return Err(Error::TwoLengths),
            Some(value) if has_token(value, "chunked") => return Err(Error::Chunked),
            Some(_) => return Err(Error::UnknownCoding),
            None => {}
        }
        fields.length = length.unwrap_or(0);
        Ok(fields)
    }
}

fn content_length(value: &[u8]) -> Result<usize, Error> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Error::BadLength);
    }
    digits(value).filter(|length| *length <= limits::BODY_BYTES).ok_or(Error::BodyTooLarge)
}

/// Path and query of a request target; a proxy's absolute form loses scheme and authority (RFC 9112, 3.2.2).
fn split_target(target: &str) -> (&str, &str) {
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest.find(['/', '?']).map_or("/", |start| &rest[start..]),
        None => target,
    };
    target.split_once('?').unwrap_or((target, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Request<'_> {
        match parse_request(text.as_bytes()) {
            Ok(Parsed::Whole(request)) => request,
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    fn refusal(text: &str) -> u16 {
        parse_request(text.as_bytes()).expect_err(text).status().http()
    }

    /// A whole request with body, and the same with every shorter prefix: never an error, never whole too early.
    #[test]
    fn whole_and_every_prefix() {
        let text = "POST /demo/notes?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
        let request = whole(text);
        assert_eq!((request.method, request.path, request.query), (Method::Post, "/demo/notes", "a=b"));
        assert_eq!((request.body, request.consumed), (&b"hello"[..], text.len()));
        for end in 0..text.len() {
            let parsed = parse_request(&text.as_bytes()[..end]).unwrap();
            assert!(matches!(parsed, Parsed::Partial { .. }), "{end}: {parsed:?}");
        }
        let head = parse_request(&text.as_bytes()[..text.len() - 1]).unwrap();
        assert_eq!(head, Parsed::Partial { needed: text.len(), expects_continue: false });
    }

    /// RFC 9112, 9.3: 1.1 stays open unless told, 1.0 closes unless told.
    #[test]
    fn persistence() {
        let of = |version: &str, header: &str| {
            whole(&format!("GET / HTTP/{version}\r\nHost: x\r\n{header}\r\n")).persistence
        };
        assert_eq!(of("1.1", ""), Persistence::KeepAlive);
        assert_eq!(of("1.1", "Connection: foo, Close\r\n"), Persistence::Close);
        assert_eq!(of("1.0", ""), Persistence::Close);
        assert_eq!(of("1.0", "connection: Keep-Alive\r\n"), Persistence::KeepAliveStated);
        assert_eq!(whole("GET / HTTP/1.0\r\n\r\n").persistence, Persistence::Close);
    }

    /// Everything ambiguous or over a limit is refused with the status that says what to change.
    #[test]
    fn refusals() {
        let post = |headers: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        assert_eq!(refusal("\0\0\0\0"), 400);
        assert_eq!(refusal("GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(refusal("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"), 400);
        assert_eq!(refusal("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), 505);
        assert_eq!(refusal(&post("Content-Length: 1\r\nContent-Length: 2\r\n")), 400);
        assert_eq!(refusal(&post("Content-Length: +1\r\n")), 400);
        assert_eq!(refusal(&post("Content-Length: 1048577\r\n")), 413);
        assert_eq!(refusal(&post("Content-Length: 99999999999999999999\r\n")), 413);
        assert_eq!(refusal(&post("Transfer-Encoding: chunked\r\n")), 411);
        assert_eq!(refusal(&post("Transfer-Encoding: br\r\n")), 501);
        assert_eq!(refusal(&post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n")), 400);
        assert_eq!(refusal(&post(&"A: b\r\n".repeat(limits::HEADERS))), 431);
        assert_eq!(refusal(&post(&format!("A: {}\r\n", "b".repeat(limits::HEAD_BYTES)))), 431);
        assert_eq!(refusal(&"x".repeat(limits::HEAD_BYTES)), 431);
    }

    /// curl waits for 100 Continue with larger bodies; HTTP/1.0 knows no such thing.
    #[test]
    fn expect_continue() {
        let text = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
        let parsed = parse_request(text.as_bytes()).unwrap();
        assert_eq!(parsed, Parsed::Partial { needed: text.len() + 5, expects_continue: true });
        let old = text.replace("HTTP/1.1", "HTTP/1.0");
        assert!(matches!(parse_request(old.as_bytes()), Ok(Parsed::Partial { expects_continue: false, .. })));
    }

    /// The absolute form that proxies send means the same.
    #[test]
    fn targets() {
        assert_eq!(split_target("/a?b?c"), ("/a", "b?c"));
        assert_eq!(split_target("http://host:1/a?b"), ("/a", "b"));
        assert_eq!(split_target("http://host"), ("/", ""));
        assert_eq!(split_target("*"), ("*", ""));
    }
}
