//! The JSON side, which the twin and the gateway have in common: what a request asks for, its body, and replies.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use service::{Refusal, page_of_query};
use tonic::Code;
use wire::format::DecodeError;
use wire::limits;
use wire::message::ListNotes;

use crate::conventions;

/// What is asked for.
pub(crate) enum Asked {
    Add,
    List(ListNotes),
}

/// Why it is not done: a code, the HTTP status that goes with it, and a sentence.
pub(crate) struct Fault {
    code: Code,
    status: StatusCode,
    says: String,
}

impl Fault {
    pub(crate) fn new(code: Code, says: impl Into<String>) -> Fault {
        Fault { code, status: conventions::http_status(code), says: says.into() }
    }

    /// Where HTTP has a better word than the code's usual one.
    fn with_status(code: Code, status: StatusCode, says: impl Into<String>) -> Fault {
        Fault { code, status, says: says.into() }
    }

    pub(crate) fn response(&self) -> Response<Full<Bytes>> {
        let mut response = json(conventions::body(self.code, &self.says));
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self.code);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            // Seconds, as the other engines say.
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
        }
        response
    }
}

impl From<&Refusal> for Fault {
    fn from(refusal: &Refusal) -> Fault {
        Fault::new(conventions::code_of(refusal), refusal.says())
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::from(&refusal)
    }
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Fault {
        Fault::new(Code::InvalidArgument, error.to_string())
    }
}

impl From<tonic::Status> for Fault {
    fn from(status: tonic::Status) -> Fault {
        Fault::new(status.code(), status.message())
    }
}

/// The paths of seed 1's annotations: `POST` and `GET /demo/notes`.
pub(crate) fn route<B>(request: &Request<B>) -> Result<Asked, Fault> {
    match (request.uri().path(), request.method()) {
        ("/demo/notes", &Method::POST) => Ok(Asked::Add),
        ("/demo/notes", &Method::GET) => Ok(Asked::List(page_of_query(request.uri().query().unwrap_or_default())?)),
        ("/demo/notes", _) => {
            let says = "/demo/notes takes GET and POST";
            Err(Fault::with_status(Code::Unimplemented, StatusCode::METHOD_NOT_ALLOWED, says))
        }
        _ => Err(Fault::new(Code::NotFound, "no such path: there is /demo/notes")),
    }
}

/// The name of a request's span.
pub(crate) fn name<B>(request: &Request<B>) -> &'static str {
    match (request.uri().path(), request.method()) {
        ("/demo/notes", &Method::POST) => "POST /demo/notes",
        ("/demo/notes", &Method::GET) => "GET /demo/notes",
        _ => "other",
    }
}

/// The whole body, which is at most [`limits::BODY_BYTES`] long.
pub(crate) async fn body(request: Request<Incoming>) -> Result<Bytes, Fault> {
    let limited = Limited::new(request.into_body(), limits::BODY_BYTES);
    let collected = limited.collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let says = format!("a body of more than {} bytes", limits::BODY_BYTES);
            // The code's own 429 would ask the client to try again.
            Fault::with_status(Code::ResourceExhausted, StatusCode::PAYLOAD_TOO_LARGE, says)
        } else {
            Fault::new(Code::Cancelled, format!("reading the body: {error}"))
        }
    })?;
    Ok(collected.to_bytes())
}

/// A reply of 200.
pub(crate) fn json(body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
