//! Server reflection, as grpcurl uses it: a client that has no schema asks for one, and calls by it.

use contract::server::Server;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use tonic::codegen::tokio_stream;
use tonic::transport::Endpoint;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::GRPC;
use crate::tools::{call, call_framed};

/// Asks one thing after the other on one stream; a refusal ends it.
async fn ask(address: &str, asked: Vec<MessageRequest>) -> Result<Vec<MessageResponse>, tonic::Status> {
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let request = |message| ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let asked: Vec<_> = asked.into_iter().map(request).collect();
    let count = asked.len();
    let stream = ServerReflectionClient::new(channel).server_reflection_info(tokio_stream::iter(asked)).await.unwrap();
    let mut stream = stream.into_inner();
    let mut replies = Vec::new();
    for _ in 0..count {
        replies.push(stream.message().await?.unwrap().message_response.unwrap());
    }
    Ok(replies)
}

fn files(reply: &MessageResponse) -> &[Vec<u8>] {
    match reply {
        MessageResponse::FileDescriptorResponse(files) => &files.file_descriptor_proto,
        other => panic!("{other:?}"),
    }
}

/// Services are listed; the schema that comes back is enough to write a request from JSON and to read the reply as JSON.
#[tokio::test]
async fn calls_by_the_schema_alone() {
    let server = Server::start(&GRPC, &[]);
    let address = server.address.to_string();
    let asked = vec![
        MessageRequest::ListServices(String::new()),
        MessageRequest::FileByFilename("google/protobuf/timestamp.proto".to_owned()),
        MessageRequest::FileContainingSymbol("demo.NoteService".to_owned()),
    ];
    let replies = ask(&address, asked).await.unwrap();
    let MessageResponse::ListServicesResponse(services) = &replies[0] else { panic!("{:?}", replies[0]) };
    let mut names: Vec<&str> = services.service.iter().map(|service| service.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["demo.NoteService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"]);
    let unknown =
        ask(&address, vec![MessageRequest::FileContainingSymbol("demo.Nothing".to_owned())]).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);

    let mut pool = DescriptorPool::new();
    for file in files(&replies[1]).iter().chain(files(&replies[2])) {
        pool.decode_file_descriptor_proto(file.as_slice()).expect("dependencies come first");
    }
    let service = pool.get_service_by_name("demo.NoteService").unwrap();
    let add = service.methods().find(|method| method.name() == "Add").unwrap();
    let mut json = serde_json::Deserializer::from_str(r#"{"text": "by reflection"}"#);
    let request = DynamicMessage::deserialize(add.input(), &mut json).unwrap();
    let reply = call(&address, "/demo.NoteService/Add", &request.encode_to_vec());
    assert_eq!(reply.header("grpc-status"), Some("0"), "{reply:?}");
    let note = serde_json::to_value(DynamicMessage::decode(add.output(), &reply.body[..]).unwrap()).unwrap();
    assert_eq!((&note["id"], &note["text"]), (&"1001".into(), &"by reflection".into()));
    drop(server);
}

/// Tools that only know the older name of the service are answered, too.
#[test]
fn older_name() {
    let server = Server::start(&GRPC, &[]);
    // ServerReflectionRequest { list_services: "" }, field 7.
    let method = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
    let reply = call_framed(&server.address.to_string(), method, &[0, 0, 0, 0, 2, 0x3a, 0]);
    assert_eq!(reply.header("grpc-status"), Some("0"), "{reply:?}");
    assert!(String::from_utf8_lossy(&reply.body).contains("demo.NoteService"));
    server.stop();
}
