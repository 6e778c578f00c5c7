//! The opening handshake (RFC 6455, section 4): an HTTP request that asks for another protocol, and its answer.

use std::mem::MaybeUninit;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::http1::has_token;
use crate::{Status, limits};

/// What servers append to the key before hashing, so that no cache can answer by accident (RFC 6455, 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The key that the load generator sends: the RFC's own example. A nonce protects from caches, and there is none here.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What a prefix of a connection's bytes holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A whole request.
    Whole {
        /// The client's key, to be answered by `accept`.
        key: &'a [u8],
        /// Bytes that the request took.
        consumed: usize,
    },
    /// The start of one.
    Partial,
}

/// Bytes that do not open a WebSocket. The answer is HTTP, and the end of the connection.
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
    /// Not GET.
    #[error("a WebSocket is opened with GET")]
    Method,
    /// HTTP without the wish to leave it.
    #[error(
        "this server speaks WebSocket, version 13: send Connection: Upgrade, Upgrade: websocket, Sec-WebSocket-Version: 13"
    )]
    NoUpgrade,
    /// Not one `Host`.
    #[error("HTTP/1.1 wants exactly one Host header")]
    Host,
    /// No `Sec-WebSocket-Key`, several, or not 16 bytes in Base64.
    #[error("Sec-WebSocket-Key is not 16 bytes in Base64")]
    Key,
}

impl Error {
    /// The status with which to refuse.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Error::Malformed(_) | Error::Host | Error::Key => Status::BadRequest,
            Error::HeadTooLarge | Error::TooManyHeaders => Status::HeadTooLarge,
            Error::Method => Status::MethodNotAllowed,
            Error::NoUpgrade => Status::UpgradeRequired,
        }
    }
}

/// Parses the request at the start of `bytes`. The path may be any: what is asked for stands in the messages.
///
/// # Errors
/// What is not a handshake of version 13.
pub fn parse(bytes: &[u8]) -> Result<Parsed<'_>, Error> {
    let mut headers = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; limits::HEADERS];
    let mut head = httparse::Request::new(&mut []);
    let window = &bytes[..bytes.len().min(limits::HEAD_BYTES)];
    let consumed = match head.parse_with_uninit_headers(window, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() >= limits::HEAD_BYTES => return Err(Error::HeadTooLarge),
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
        Err(httparse::Error::TooManyHeaders) => return Err(Error::TooManyHeaders),
        Err(error) => return Err(Error::Malformed(error)),
    };
    if head.method != Some("GET") {
        return Err(Error::Method);
    }
    let fields = Fields::read(head.headers);
    if !(fields.upgrade && fields.connection && fields.version && head.version == Some(1)) {
        return Err(Error::NoUpgrade);
    }
    if fields.hosts != 1 {
        return Err(Error::Host);
    }
    let key = fields.key.filter(|key| fields.keys == 1 && is_key(key)).ok_or(Error::Key)?;
    Ok(Parsed::Whole { key, consumed })
}

#[derive(Default)]
struct Fields<'a> {
    hosts: usize,
    upgrade: bool,
    connection: bool,
    version: bool,
    keys: usize,
    key: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn read(headers: &[httparse::Header<'a>]) -> Fields<'a> {
        let mut fields = Fields::default();
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("host") {
                fields.hosts += 1;
            } else if is("upgrade") {
                fields.upgrade |= has_token(header.value, "websocket");
            } else if is("connection") {
                fields.connection |= has_token(header.value, "upgrade");
            } else if is("sec-websocket-version") {
                fields.version = header.value.trim_ascii() == b"13";
            } else if is("sec-websocket-key") {
                fields.keys += 1;
                fields.key = Some(header.value.trim_ascii());
            }
        }
        fields
    }
}

fn is_key(key: &[u8]) -> bool {
    let mut nonce = [0; 18];
    key.len() == 24 && STANDARD.decode_slice(key, &mut nonce) == Ok(16)
}

/// The answer to a key: Base64 of a SHA-1 (RFC 6455, 4.2.2).
fn accept(key: &[u8]) -> [u8; 28] {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut text = [0; 28];
    let written = STANDARD.encode_slice(digest, &mut text);
    assert_eq!(written, Ok(28), "20 bytes are 28 characters");
    text
}

/// Appends the answer that opens the connection for frames.
pub fn write_reply(out: &mut Vec<u8>, key: &[u8]) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    );
    out.extend_from_slice(&accept(key));
    out.extend_from_slice(b"\r\n\r\n");
}

/// Appends a client's request.
pub fn write_request(out: &mut Vec<u8>, host: &str) {
    write_request_to(out, host, "/", &[]);
}

/// Appends a client's request for `path`, with more lines of headers (without their ends).
pub fn write_request_to(out: &mut Vec<u8>, host: &str, path: &str, headers: &[String]) {
    let text = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
    );
    out.extend_from_slice(text.as_bytes());
    for header in headers {
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether the headers of a 101 answer the key that [`write_request`] sends.
pub(crate) fn is_answer(headers: &[httparse::Header<'_>]) -> bool {
    let value =
        |name: &str| headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value);
    value("sec-websocket-accept") == Some(&accept(KEY.as_bytes()))
        && value("upgrade").is_some_and(|value| has_token(value, "websocket"))
        && value("connection").is_some_and(|value| has_token(value, "upgrade"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(change: impl Fn(&str) -> String) -> Result<usize, u16> {
        let mut out = Vec::new();
        write_request(&mut out, "x:1");
        let text = change(std::str::from_utf8(&out).unwrap());
        match parse(text.as_bytes()) {
            Ok(Parsed::Whole { key, consumed }) => {
                assert_eq!(key, KEY.as_bytes());
                Ok(consumed)
            }
            Ok(Parsed::Partial) => Ok(0),
            Err(error) => Err(error.status().http()),
        }
    }

    /// The example of RFC 6455, 1.3.
    #[test]
    fn example_of_the_rfc() {
        assert_eq!(&accept(KEY.as_bytes()), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    /// A handshake as browsers and libraries write it, and each way not to.
    #[test]
    fn requests() {
        assert!(request(str::to_owned) > Ok(100));
        assert!(request(|text| text.replace("Connection: Upgrade", "CONNECTION: keep-alive, upgrade")) > Ok(100));
        assert_eq!(request(|text| text[..text.len() - 1].to_owned()), Ok(0));
        assert_eq!(request(|text| text.replace("GET", "POST")), Err(405));
        assert_eq!(request(|text| text.replace("Upgrade: websocket", "Upgrade: h2c")), Err(426));
        assert_eq!(request(|text| text.replace("Version: 13", "Version: 8")), Err(426));
        assert_eq!(request(|text| text.replace("HTTP/1.1", "HTTP/1.0")), Err(426));
        assert_eq!(request(|text| text.replace("Host: x:1\r\n", "")), Err(400));
        assert_eq!(request(|text| text.replace(KEY, "dGhlIHNhbXBsZQ==")), Err(400));
        assert_eq!(request(|text| text.replace(KEY, "dGhlIHNhbXBsZSBub25jZ===")), Err(400));
        assert_eq!(
            request(|text| text.replace("Host: x:1", &format!("Host: x:1\r\nSec-WebSocket-Key: {KEY}"))),
            Err(400)
        );
        assert_eq!(request(|text| text.replace("Host: x:1", &"x".repeat(limits::HEAD_BYTES))), Err(431));
        assert_eq!(request(|_| "\u{16}\u{3}\u{1}\r\n".to_owned()), Err(400));
    }
}
