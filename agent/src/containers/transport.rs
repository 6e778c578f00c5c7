//! Carries bollard's requests over a unix socket, one connection a request, with a bound on what an answer may weigh.
//!
//! bollard gathers a body as long as it comes. An engine (or what poses as one) that sends 50 MB would
//! make the agent as fat as that; here reading fails at the bound, and with it the request.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use bollard::BollardRequest;
use bollard::errors::Error;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// Most bytes that are read over one connection: some four thousand containers in a list. An event stream that has
/// carried this much is opened again.
pub(super) const ANSWER_LIMIT: usize = 8 << 20;

/// Sends `request` to the engine behind `socket`.
pub(super) async fn send(socket: PathBuf, mut request: BollardRequest) -> Result<Response<Incoming>, Error> {
    let stream = UnixStream::connect(&socket).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(Bounded { stream, left: ANSWER_LIMIT })).await?;
    // It ends with the answer's body, or when the body is dropped.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!("engine connection: {error}");
        }
    });
    // A client that speaks to a server itself names the path only.
    let path = request.uri().path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
    *request.uri_mut() = path.parse::<Uri>().map_err(hyper::http::Error::from)?;
    request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    Ok(sender.send_request(request).await?)
}

/// A stream that fails after so many bytes were read.
struct Bounded {
    stream: UnixStream,
    left: usize,
}

impl AsyncRead for Bounded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        match self.left.checked_sub(buffer.filled().len() - before) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Ok(()))
            }
            None => Poll::Ready(Err(io::Error::other(format!("an answer of more than {ANSWER_LIMIT} bytes")))),
        }
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
