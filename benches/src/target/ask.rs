//! What a server of one's own is asked, and what it must answer: the same words on the command line, in a scenario and
//! between the lab's processes.

use serde::{Deserialize, Serialize};
use wire::Protocol;
use wire::client::Exchange;
use wire::client::exchange::{Body, End, HttpRequest};

use crate::failure::Failure;

/// Largest file that `@FILE` reads, in bytes: what a reply may have as well.
const FILE_LIMIT: u64 = 16 << 20;

/// One request and what its reply must be. Exactly one of `request`, `message` and `send` says in which protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "What a server of your own is asked")]
pub struct Ask {
    /// HTTP/1.1: method and path, for example 'GET /index.html'
    #[arg(long, value_name = "'METHOD /PATH'")]
    pub request: Option<String>,
    /// HTTP/1.1 and WebSocket: one more header of the request, for example 'Accept: */*'
    #[arg(long = "header", value_name = "'NAME: VALUE'")]
    pub headers: Vec<String>,
    /// HTTP/1.1: the request's body, or @FILE
    #[arg(long, value_name = "TEXT|@FILE")]
    pub body: Option<String>,
    /// HTTP/1.1: status that the reply must have [default: 200]
    #[arg(long, value_name = "STATUS")]
    pub expect_status: Option<u16>,
    /// WebSocket: a message, or @FILE; its echo is expected unless --expect or --expect-part say otherwise
    #[arg(long, value_name = "TEXT|@FILE")]
    pub message: Option<String>,
    /// WebSocket: path at which it is opened [default: /]
    #[arg(long, value_name = "/PATH")]
    pub path: Option<String>,
    /// Plain TCP: bytes, with \r \n \t \0 \\ \xNN as escapes, or @FILE
    #[arg(long, value_name = "BYTES|@FILE")]
    pub send: Option<String>,
    /// The reply, its body or its message must be exactly this (plain TCP: with escapes), or @FILE
    #[arg(long, value_name = "TEXT|@FILE")]
    pub expect: Option<String>,
    /// The reply must contain this
    #[arg(long, value_name = "TEXT")]
    pub expect_part: Option<String>,
    /// Plain TCP: a reply ends behind these bytes, for example '\r\n'; without it, it is as long as --expect
    #[arg(long, value_name = "BYTES")]
    pub expect_end: Option<String>,
}

impl Ask {
    /// Nothing was said, so the server is asked what the scenario says.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As the protocol is named in rows: `http1`, `websocket` or `tcp`.
    ///
    /// # Errors
    /// A usage failure unless exactly one of the three requests is given.
    pub fn protocol(&self) -> Result<&'static str, Failure> {
        match (&self.request, &self.message, &self.send) {
            (Some(_), None, None) => Ok("http1"),
            (None, Some(_), None) => Ok("websocket"),
            (None, None, Some(_)) => Ok("tcp"),
            (None, None, None) => Err(Failure::Usage(
                "what is to be asked? one of --request (HTTP/1.1), --message (WebSocket) and --send (plain TCP) is needed"
                    .to_owned(),
            )),
            _ => Err(Failure::Usage(
                "--request, --message and --send are three protocols: only one of them can be given".to_owned(),
            )),
        }
    }

    /// The framing of the opening handshake, where there is one.
    pub fn framing(&self) -> Protocol {
        if self.message.is_some() { Protocol::WebSocket } else { Protocol::Http1 }
    }

    /// In a phrase, for reports: `GET /index.html`.
    pub fn describe(&self) -> String {
        let short = |text: &str| text.chars().take(60).collect::<String>();
        match (&self.request, &self.message, &self.send) {
            (Some(request), _, _) => short(request),
            (_, Some(message), _) => {
                format!("message {:?} at {}", short(message), self.path.as_deref().unwrap_or("/"))
            }
            (_, _, Some(send)) => format!("bytes {:?}", short(send)),
            _ => "what the scenario says".to_owned(),
        }
    }

    /// The prepared request. `host` is what HTTP's `Host` header says.
    ///
    /// # Errors
    /// A usage failure that names the option, the value seen and the value needed.
    pub fn exchange(&self, host: &str) -> Result<Exchange, Failure> {
        let protocol = self.protocol()?;
        self.check_options(protocol)?;
        self.check_headers()?;
        match protocol {
            "http1" => self.http1(host),
            "websocket" => {
                let message = text_or_file("--message", self.message.as_deref().unwrap_or_default())?;
                let path = self.path.as_deref().unwrap_or("/");
                let path = checked_path("--path", path)?;
                let expected = match self.expected(false)? {
                    Body::Any => Body::Exactly(message.clone()),
                    other => other,
                };
                Ok(Exchange::websocket(host, path, &self.headers, message, expected))
            }
            _ => self.bytes(),
        }
    }

    /// Options that do not belong to the protocol would be silently without effect.
    fn check_options(&self, protocol: &str) -> Result<(), Failure> {
        let given = [
            ("--header", !self.headers.is_empty(), ["http1", "websocket"]),
            ("--body", self.body.is_some(), ["http1", "http1"]),
            ("--expect-status", self.expect_status.is_some(), ["http1", "http1"]),
            ("--path", self.path.is_some(), ["websocket", "websocket"]),
            ("--expect-end", self.expect_end.is_some(), ["tcp", "tcp"]),
        ];
        match given.into_iter().find(|(_, given, protocols)| *given && !protocols.contains(&protocol)) {
            Some((option, _, protocols)) => {
                Err(Failure::Usage(format!("{option} is for {}, and this request is {protocol}", protocols[0])))
            }
            None if self.expect.is_some() && self.expect_part.is_some() => {
                Err(Failure::Usage("--expect and --expect-part: give one of them".to_owned()))
            }
            None => Ok(()),
        }
    }

    fn check_headers(&self) -> Result<(), Failure> {
        let wrong = |line: &&String| {
            let name = line.split_once(':').map(|(name, _)| name);
            name.is_none_or(|name| name.is_empty() || name.contains(char::is_whitespace))
                || line.chars().any(char::is_control)
        };
        match self.headers.iter().find(wrong) {
            Some(line) => Err(Failure::Usage(format!("--header {line:?}: must look like 'Name: value'"))),
            None => Ok(()),
        }
    }

    fn http1(&self, host: &str) -> Result<Exchange, Failure> {
        let line = self.request.as_deref().unwrap_or_default();
        let usage = || Failure::Usage(format!("--request {line:?}: must be a method and a path, such as 'GET /'"));
        let (method, path) = line.split_once(' ').ok_or_else(usage)?;
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(usage());
        }
        let path = checked_path("--request", path)?;
        let status = self.expect_status.unwrap_or(200);
        if !(200..=599).contains(&status) {
            return Err(Failure::Usage(format!("--expect-status {status}: must be between 200 and 599")));
        }
        let body = text_or_file("--body", self.body.as_deref().unwrap_or_default())?;
        let request = HttpRequest { method, path, headers: &self.headers, body: &body };
        Ok(Exchange::http1(&request, host, status, self.expected(false)?))
    }

    fn bytes(&self) -> Result<Exchange, Failure> {
        let send = bytes_or_file("--send", self.send.as_deref().unwrap_or_default())?;
        let expected = self.expected(true)?;
        let end = match (&self.expect_end, &expected) {
            (Some(end), _) => match unescape("--expect-end", end)? {
                end if end.is_empty() => {
                    return Err(Failure::Usage("--expect-end '': must be at least one byte".to_owned()));
                }
                end => End::Behind(end),
            },
            (None, Body::Exactly(whole)) if !whole.is_empty() => End::Length(whole.len()),
            _ => {
                return Err(Failure::Usage(
                    "where does a reply end? --expect BYTES says it whole, --expect-end '\\r\\n' says what stands at its end"
                        .to_owned(),
                ));
            }
        };
        if send.is_empty() {
            return Err(Failure::Usage("--send '': must be at least one byte".to_owned()));
        }
        Ok(Exchange::bytes(send, end, expected))
    }

    fn expected(&self, escaped: bool) -> Result<Body, Failure> {
        Ok(match (&self.expect, &self.expect_part) {
            (Some(whole), _) if escaped => Body::Exactly(bytes_or_file("--expect", whole)?),
            (Some(whole), _) => Body::Exactly(text_or_file("--expect", whole)?),
            (None, Some(part)) if escaped => Body::Containing(unescape("--expect-part", part)?),
            (None, Some(part)) => Body::Containing(part.clone().into_bytes()),
            (None, None) => Body::Any,
        })
    }
}

/// A path that keeps the request on one line.
fn checked_path<'a>(option: &str, path: &'a str) -> Result<&'a str, Failure> {
    let starts = path.starts_with('/') || path == "*" || path.starts_with("http://");
    if starts && !path.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return Ok(path);
    }
    Err(Failure::Usage(format!("{option}: the path {path:?} must begin with / and have no space")))
}

/// The text itself, or what the file behind `@` holds.
fn text_or_file(option: &str, text: &str) -> Result<Vec<u8>, Failure> {
    match text.strip_prefix('@') {
        Some(path) => file(option, path),
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// The text with its escapes resolved, or what the file behind `@` holds.
fn bytes_or_file(option: &str, text: &str) -> Result<Vec<u8>, Failure> {
    match text.strip_prefix('@') {
        Some(path) => file(option, path),
        None => unescape(option, text),
    }
}

fn file(option: &str, path: &str) -> Result<Vec<u8>, Failure> {
    let refused = |said: String| Failure::Usage(format!("{option} @{path}: {said}"));
    let size = std::fs::metadata(path).map_err(|error| refused(error.to_string()))?.len();
    if size > FILE_LIMIT {
        return Err(refused(format!("it has {size} bytes, at most {FILE_LIMIT} are sent")));
    }
    std::fs::read(path).map_err(|error| refused(error.to_string()))
}

/// Resolves `\r \n \t \0 \\ \xNN`.
fn unescape(option: &str, text: &str) -> Result<Vec<u8>, Failure> {
    let usage = |seen: &str| {
        Failure::Usage(format!("{option}: \\{seen} is no escape; known are \\r \\n \\t \\0 \\\\ and \\xNN"))
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let first = escape.chars().next().ok_or_else(|| usage(""))?;
        rest = &escape[first.len_utf8()..];
        bytes.push(match first {
            'r' => b'\r',
            'n' => b'\n',
            't' => b'\t',
            '0' => 0,
            '\\' => b'\\',
            'x' => {
                let digits = rest.get(..2).ok_or_else(|| usage("x"))?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).map_err(|_| usage(&format!("x{digits}")))?
            }
            other => return Err(usage(&other.to_string())),
        });
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(change: impl FnOnce(&mut Ask)) -> Ask {
        let mut ask = Ask::default();
        change(&mut ask);
        ask
    }

    fn said(change: impl FnOnce(&mut Ask)) -> String {
        ask(change).exchange("h:1").unwrap_err().to_string()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    /// Escapes become their bytes, and what is no escape is named.
    #[test]
    fn escapes() {
        assert_eq!(unescape("--send", r"PING\r\n\x00\xff\\x").unwrap(), b"PING\r\n\0\xff\\x");
        for wrong in [r"\q", r"\x1", r"\xgg", "end\\"] {
            assert!(unescape("--send", wrong).unwrap_err().to_string().contains("is no escape"), "{wrong}");
        }
    }

    /// Each way to ask something wrong is explained with the option and what it needs.
    #[test]
    fn wrong_requests_are_explained() {
        assert!(said(|_| {}).contains("--request (HTTP/1.1)"));
        assert!(said(|a| a.request = some("GET")).contains("a method and a path"));
        assert!(said(|a| a.request = some("get /")).contains("a method and a path"));
        assert!(said(|a| a.request = some("GET index")).contains("must begin with /"));
        assert!(said(|a| (a.request, a.send) = (some("GET /"), some("x"))).contains("three protocols"));
        assert!(said(|a| (a.send, a.body) = (some("x"), some("y"))).contains("--body is for http1"));
        assert!(said(|a| a.send = some("x")).contains("where does a reply end?"));
        assert!(said(|a| (a.request, a.expect_status) = (some("GET /"), Some(101))).contains("between 200 and 599"));
        assert!(said(|a| (a.request, a.body) = (some("POST /"), some("@/not/there"))).contains("@/not/there"));
        assert!(said(|a| (a.request, a.headers) = (some("GET /"), vec!["a b".to_owned()])).contains("'Name: value'"));
        let two = |a: &mut Ask| (a.request, a.expect, a.expect_part) = (some("GET /"), some("a"), some("b"));
        assert!(said(two).contains("give one of them"));
    }

    /// Right requests are prepared, and a WebSocket's echo is expected unless something else is.
    #[test]
    fn right_requests_are_prepared() {
        let mut out = Vec::new();
        let http = ask(|a| (a.request, a.body) = (some("POST /x?y=1"), some("{}")));
        http.exchange("h:1").unwrap().write(1, &mut out);
        assert_eq!(out, b"POST /x?y=1 HTTP/1.1\r\nHost: h:1\r\nContent-Length: 2\r\n\r\n{}");
        assert_eq!((http.protocol().unwrap(), http.describe().as_str()), ("http1", "POST /x?y=1"));
        out.clear();
        let tcp = ask(|a| (a.send, a.expect_end) = (some(r"PING\r\n"), some(r"\r\n")));
        tcp.exchange("h:1").unwrap().write(1, &mut out);
        assert_eq!((out.as_slice(), tcp.protocol().unwrap()), (&b"PING\r\n"[..], "tcp"));
        let message = ask(|a| a.message = some("hi"));
        assert!(!message.exchange("h:1").unwrap().opening().is_empty());
        assert_eq!(serde_json::from_str::<Ask>(&serde_json::to_string(&message).unwrap()).unwrap(), message);
    }
}
