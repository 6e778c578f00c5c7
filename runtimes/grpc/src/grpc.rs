//! gRPC: the note service, health and reflection, by tonic.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use service::{Desk, Refusal};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use wire::limits;
use wire::message::{AddNote, ListNotes, Note, NotePage};

use crate::conventions;
use crate::front::Serve;
use crate::generated::note_service_server::{NoteService, NoteServiceServer, SERVICE_NAME};
use crate::trace::Trace;

/// The handler: what the generated server calls.
#[derive(Clone, Debug)]
pub struct Notes(Arc<Desk>);

#[tonic::async_trait]
impl NoteService for Notes {
    async fn add(&self, request: tonic::Request<AddNote>) -> Result<tonic::Response<Note>, tonic::Status> {
        let added = Trace::among(request.extensions()).phase("store", || self.0.add(&request.get_ref().text));
        added.map(tonic::Response::new).map_err(|refusal| conventions::grpc_status(&refusal))
    }

    async fn list(&self, request: tonic::Request<ListNotes>) -> Result<tonic::Response<NotePage>, tonic::Status> {
        let page = Trace::among(request.extensions()).phase("store", || self.0.list(*request.get_ref()));
        page.map(tonic::Response::new).map_err(|refusal| conventions::grpc_status(&refusal))
    }
}

/// A service that tonic's generator made.
pub trait Rpc:
    Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> Rpc for S where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// All services of one port. Which is meant stands in the path: `/demo.NoteService/Add`.
#[derive(Clone, Debug)]
pub struct Grpc<H, R, A> {
    notes: NoteServiceServer<Notes>,
    health: H,
    reporter: HealthReporter,
    reflection: R,
    reflection_alpha: A,
}

/// Sets the services up.
pub async fn services(desk: Arc<Desk>) -> Grpc<impl Rpc, impl Rpc, impl Rpc> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<NoteServiceServer<Notes>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(crate::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Grpc {
        notes: NoteServiceServer::new(Notes(desk)).max_decoding_message_size(limits::BODY_BYTES),
        health,
        reporter,
        reflection: reflection().build_v1().expect("the descriptors were made by our own build"),
        // What older tools, grpcurl among them, still ask for.
        reflection_alpha: reflection().build_v1alpha().expect("the descriptors were made by our own build"),
    }
}

impl<H: Rpc, R: Rpc, A: Rpc> Serve for Grpc<H, R, A> {
    type Body = Body;

    async fn answer(&self, mut request: Request<Incoming>, trace: &Trace) -> Response<Body> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        if !content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")) {
            // As gRPC over HTTP/2 demands, so that clients of something else see it for what it is.
            return status_only(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        trace.put_among(request.extensions_mut());
        let path = request.uri().path();
        let service = path.strip_prefix('/').and_then(|rest| rest.split_once('/')).map_or("", |(service, _)| service);
        let response = match service {
            SERVICE_NAME => self.notes.clone().call(request).await,
            "grpc.health.v1.Health" => self.health.clone().call(request).await,
            "grpc.reflection.v1.ServerReflection" => self.reflection.clone().call(request).await,
            "grpc.reflection.v1alpha.ServerReflection" => self.reflection_alpha.clone().call(request).await,
            _ => Ok(tonic::Status::unimplemented(format!("no service `{service}` here")).into_http()),
        };
        match response {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        conventions::grpc_status(refusal).into_http()
    }

    fn name(request: &Request<Incoming>) -> &'static str {
        match request.uri().path() {
            "/demo.NoteService/Add" => "demo.NoteService/Add",
            "/demo.NoteService/List" => "demo.NoteService/List",
            _ => "other",
        }
    }

    /// Whoever watches the health is told, and then let go: a watch has no end of its own.
    async fn draining(&self) {
        for name in [SERVICE_NAME, ""] {
            self.reporter.set_service_status(name, ServingStatus::NotServing).await;
            self.reporter.clone().clear_service_status(name).await;
        }
    }
}

fn status_only(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.extensions_mut().insert(tonic::Code::InvalidArgument);
    response
}
