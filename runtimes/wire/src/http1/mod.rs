//! The protocol `http1`: HTTP/1.1 (RFC 9112) as far as a JSON API needs it, parsed by httparse.
//!
//! Keep-alive and pipelining, HTTP/1.0, `HEAD`, `Expect: 100-continue`, bounded heads and bodies. Bodies have a
//! `Content-Length`; chunked requests are refused with 411, other codings with 501. What could be read in two ways
//! (two lengths, a length and a coding) is refused, since that is how requests get smuggled past proxies.

mod reply;
mod request;

pub use reply::{Reply, ReplyError, parse_reply};
pub use reply::{ReplyHead, begin_reply, finish_reply};
pub use request::{Error, Method, Parsed, Request, parse_request};

/// What happens to the connection after a reply, and which header says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// HTTP/1.1's default: stays open, no header.
    KeepAlive,
    /// An HTTP/1.0 client asked for it: stays open, `Connection: keep-alive`.
    KeepAliveStated,
    /// `Connection: close`.
    Close,
}

/// Parses a header value that is digits only, as `Content-Length` has to be; `None` when it is not, or too large.
fn digits(value: &[u8]) -> Option<usize> {
    // 9 digits cannot overflow and are more than any limit; leading zeros are legal but nobody needs them.
    if value.is_empty() || value.len() > 9 {
        return None;
    }
    value.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + usize::from(byte - b'0')))
}

/// Whether a comma-separated list has this token, letter case aside.
pub(crate) fn has_token(list: &[u8], token: &str) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}
