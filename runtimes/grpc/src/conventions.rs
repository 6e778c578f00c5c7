//! How gRPC's statuses and HTTP's stand for each other, as gateways between them have it.
//!
//! Source: google/rpc/code.proto, which names an HTTP status for each code, and its companion google.rpc.Status, whose JSON
//! is the body of a refusal.

use http::StatusCode;
use serde::Serialize;
use service::{ErrorKind, Refusal};
use tonic::Code;
use wire::Status;

/// Status of a request whose client went away; not of any RFC, but what google/rpc/code.proto names.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The HTTP status that stands for a code.
pub fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Cancelled => StatusCode::from_u16(CLIENT_CLOSED_REQUEST).expect("three digits"),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The code with which the note service refuses. A text over its limit is a wrong argument, since trying again does not help;
/// a limiter's refusal is "unavailable", since it does.
pub fn code_of(refusal: &Refusal) -> Code {
    match refusal.status() {
        Status::Busy => Code::Unavailable,
        Status::NotFound => Code::NotFound,
        _ => Code::InvalidArgument,
    }
}

/// What a code is counted as; `None` for success.
pub fn kind_of(code: Code) -> Option<ErrorKind> {
    match code {
        Code::Ok => None,
        Code::NotFound | Code::Unimplemented => Some(ErrorKind::NotFound),
        Code::ResourceExhausted | Code::OutOfRange => Some(ErrorKind::TooLarge),
        Code::Unavailable | Code::DeadlineExceeded | Code::Unknown => Some(ErrorKind::Upstream),
        _ => Some(ErrorKind::BadRequest),
    }
}

/// A refusal as gRPC says it.
pub fn grpc_status(refusal: &Refusal) -> tonic::Status {
    tonic::Status::new(code_of(refusal), refusal.says())
}

/// A refusal's JSON body: `{"code":3,"message":"…","details":[]}`.
pub fn body(code: Code, message: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct RpcStatus<'a> {
        code: i32,
        message: &'a str,
        details: [(); 0],
    }

    let status = RpcStatus { code: code as i32, message, details: [] };
    serde_json::to_vec(&status).expect("no map has keys that are not strings")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code has the HTTP status that google/rpc/code.proto names for it.
    #[test]
    fn table_of_code_proto() {
        let table = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
        for (code, status) in (0..).zip(table) {
            assert_eq!(http_status(Code::from_i32(code)).as_u16(), status, "code {code}");
        }
    }

    /// The body is google.rpc.Status in proto3 JSON, and a message with quotes stays one string.
    #[test]
    fn body_of_a_refusal() {
        let text = String::from_utf8(body(Code::InvalidArgument, "say \"hi\"")).unwrap();
        assert_eq!(text, r#"{"code":3,"message":"say \"hi\"","details":[]}"#);
    }
}
