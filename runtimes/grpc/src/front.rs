//! What happens to every request, whichever of the three is served: a place in flight, a trace, counters, a line in the log.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use service::{Desk, Place, Refusal};
use tonic::Code;

use crate::conventions;
use crate::trace::{Caller, Root, Trace, Tracing};

/// What is served behind the front.
pub trait Serve: Clone + Send + Sync + 'static {
    /// Its bodies. A request counts as in flight until its body is with the connection.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin + Send + 'static;

    /// Answers a request. A refusal has its [`Code`] among the response's extensions, or in the header `grpc-status`.
    fn answer(&self, request: Request<Incoming>, trace: &Trace) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Refuses a request that has not been looked at.
    fn refuse(&self, refusal: &Refusal) -> Response<Self::Body>;

    /// The name of a request's span: one of few, whatever is asked for.
    fn name(request: &Request<Incoming>) -> &'static str;

    /// Called once when the server is told to stop, before connections are: to end streams that never would.
    fn draining(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// A [`Serve`] as hyper takes it.
#[derive(Clone, Debug)]
pub struct Front<S> {
    served: S,
    desk: Arc<Desk>,
    tracing: Tracing,
    log: bool,
}

impl<S: Serve> Front<S> {
    /// `log`: whether refusals are logged.
    pub fn new(served: S, desk: Arc<Desk>, tracing: Tracing, log: bool) -> Front<S> {
        Front { served, desk, tracing, log }
    }

    /// What is behind it.
    pub(crate) fn served(&self) -> &S {
        &self.served
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Held<S::Body>> {
        // Not on the way of a request that nobody traces or logs.
        let asked = self.log.then(|| (request.method().clone(), request.uri().path().to_owned()));
        let trace = self.tracing.begin(|| S::name(&request), || Caller::of(request.headers()));
        let place = self.desk.begin().map(|place| InFlight { desk: Arc::clone(&self.desk), place: Some(place) });
        let (response, place, code) = match place {
            Ok(place) => {
                let response = self.served.answer(request, &trace).await;
                let code = code_of(&response);
                if let Some(kind) = conventions::kind_of(code) {
                    self.desk.error(kind);
                }
                (response, Some(place), code)
            }
            Err(refusal) => (self.served.refuse(&refusal), None, Code::Unavailable),
        };
        trace.outcome(code, response.status());
        if let (Some((method, path)), true) = (asked, code != Code::Ok) {
            let ids = trace.ids();
            tracing::warn!(
                trace_id = ids.map(|ids| tracing::field::display(ids.trace)),
                span_id = ids.map(|ids| tracing::field::display(ids.span)),
                %method,
                path,
                code = code as i32,
                status = response.status().as_u16(),
                "refused"
            );
        }
        response.map(|body| Held { body, _trace: trace, _place: place })
    }
}

impl<S: Serve> hyper::service::Service<Request<Incoming>> for Front<S> {
    type Response = Response<Held<S::Body>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let front = self.clone();
        Box::pin(async move { Ok(front.answer(request).await) })
    }
}

fn code_of<B>(response: &Response<B>) -> Code {
    let stated = response.extensions().get::<Code>().copied();
    let header = || response.headers().get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()));
    stated.or_else(header).unwrap_or(Code::Ok)
}

/// A place among the requests in flight, given back when it is dropped.
#[derive(Debug)]
struct InFlight {
    desk: Arc<Desk>,
    place: Option<Place>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.desk.end(place);
        }
    }
}

/// A body that holds its request's place and trace until it is sent or given up.
#[derive(Debug)]
pub struct Held<B> {
    body: B,
    _trace: Root,
    _place: Option<InFlight>,
}

impl<B: Body + Unpin> Body for Held<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
