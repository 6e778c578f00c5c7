//! How a request ended, in every protocol.

/// How a request ended. HTTP numbers are the common tongue: frames carry one byte, [`Status::frame`], that maps to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Served.
    Ok,
    /// The bytes are no request, or its body is not what the operation takes.
    BadRequest,
    /// No such path or opcode.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// A chunked body: this server wants `Content-Length`.
    LengthRequired,
    /// The body or the note's text is over its limit.
    TooLarge,
    /// Plain HTTP where a WebSocket is to be opened.
    UpgradeRequired,
    /// The head is over its limit.
    HeadTooLarge,
    /// A transfer coding that this server does not know.
    NotImplemented,
    /// A limiter refused: try again later.
    Busy,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    VersionNotSupported,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 11] = [
        Status::Ok,
        Status::BadRequest,
        Status::NotFound,
        Status::MethodNotAllowed,
        Status::LengthRequired,
        Status::TooLarge,
        Status::UpgradeRequired,
        Status::HeadTooLarge,
        Status::NotImplemented,
        Status::Busy,
        Status::VersionNotSupported,
    ];

    /// The status code of RFC 9110 (431: RFC 6585).
    pub const fn http(self) -> u16 {
        match self {
            Status::Ok => 200,
            Status::BadRequest => 400,
            Status::NotFound => 404,
            Status::MethodNotAllowed => 405,
            Status::LengthRequired => 411,
            Status::TooLarge => 413,
            Status::UpgradeRequired => 426,
            Status::HeadTooLarge => 431,
            Status::NotImplemented => 501,
            Status::Busy => 503,
            Status::VersionNotSupported => 505,
        }
    }

    /// The reason phrase of the status line.
    pub const fn reason(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::BadRequest => "Bad Request",
            Status::NotFound => "Not Found",
            Status::MethodNotAllowed => "Method Not Allowed",
            Status::LengthRequired => "Length Required",
            Status::TooLarge => "Content Too Large",
            Status::UpgradeRequired => "Upgrade Required",
            Status::HeadTooLarge => "Request Header Fields Too Large",
            Status::NotImplemented => "Not Implemented",
            Status::Busy => "Service Unavailable",
            Status::VersionNotSupported => "HTTP Version Not Supported",
        }
    }

    /// The status byte of a reply frame.
    pub const fn frame(self) -> u8 {
        match self {
            Status::Ok => 0,
            Status::BadRequest
            | Status::MethodNotAllowed
            | Status::LengthRequired
            | Status::UpgradeRequired
            | Status::HeadTooLarge
            | Status::NotImplemented
            | Status::VersionNotSupported => 1,
            Status::NotFound => 2,
            Status::TooLarge => 3,
            Status::Busy => 4,
        }
    }

    /// The status that a frame's byte stands for.
    pub const fn from_frame(byte: u8) -> Option<Status> {
        match byte {
            0 => Some(Status::Ok),
            1 => Some(Status::BadRequest),
            2 => Some(Status::NotFound),
            3 => Some(Status::TooLarge),
            4 => Some(Status::Busy),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every status has a frame byte that reads back as itself or as the general 400.
    #[test]
    fn frame_bytes() {
        for status in Status::ALL {
            let read = Status::from_frame(status.frame()).unwrap();
            assert!(read == status || read == Status::BadRequest, "{status:?} reads back as {read:?}");
        }
        assert_eq!(Status::from_frame(5), None);
    }
}
