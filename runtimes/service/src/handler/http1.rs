//! One HTTP request: parse, route, perform, reply.

use wire::Status;
use wire::http1::{self, Method, Parsed, Persistence, Request};

use super::{Connection, Operation, Parts, Refusal, Step, page_of_query};

pub(super) fn step(shard: &mut Parts, connection: &mut Connection, bytes: &[u8], out: &mut Vec<u8>) -> Step {
    let request = match http1::parse_request(bytes) {
        Ok(Parsed::Whole(request)) => request,
        Ok(Parsed::Partial { needed, expects_continue }) => {
            if expects_continue && !connection.continued {
                connection.continued = true;
                out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            return Step::Partial { needed };
        }
        Err(error) => {
            let refusal = Refusal::new(error.status(), error.to_string());
            shard.counters.error(refusal.kind);
            refuse(out, shard.clock.date(), &refusal, Persistence::Close, true);
            return Step::Last(bytes.len());
        }
    };
    connection.continued = false;
    let start = out.len();
    let with_body = request.method != Method::Head;
    let outcome = shard.take_place(connection).and_then(|()| route(&request)).and_then(|operation| {
        let content_type = match operation {
            Operation::Echo(_) => "application/octet-stream",
            Operation::AddNote(_) | Operation::ListNotes(_) | Operation::Publish(_) => shard.format.content_type(),
        };
        let head = http1::begin_reply(out, Status::Ok, "", content_type, shard.clock.date(), request.persistence);
        shard.perform(operation, out)?;
        http1::finish_reply(out, head, with_body);
        Ok(())
    });
    if let Err(refusal) = outcome {
        shard.counters.error(refusal.kind);
        out.truncate(start);
        refuse(out, shard.clock.date(), &refusal, request.persistence, with_body);
    }
    match request.persistence {
        Persistence::Close => Step::Last(request.consumed),
        Persistence::KeepAlive | Persistence::KeepAliveStated => Step::Served(request.consumed),
    }
}

/// Appends a reply that says why not.
pub(super) fn refuse(out: &mut Vec<u8>, date: &[u8; 29], refusal: &Refusal, persistence: Persistence, with_body: bool) {
    let head = http1::begin_reply(out, refusal.status, refusal.allow, "text/plain", date, persistence);
    out.extend_from_slice(refusal.says.as_bytes());
    out.push(b'\n');
    http1::finish_reply(out, head, with_body);
}

fn route<'a>(request: &Request<'a>) -> Result<Operation<'a>, Refusal> {
    match (request.path, request.method) {
        ("/echo", Method::Post) => Ok(Operation::Echo(request.body)),
        ("/demo/notes", Method::Post) => Ok(Operation::AddNote(request.body)),
        ("/demo/notes", Method::Get | Method::Head) => page_of_query(request.query).map(Operation::ListNotes),
        ("/demo/content", Method::Post) => Ok(Operation::Publish(request.body)),
        ("/demo/content", _) => Err(Refusal::method("POST", "/demo/content takes POST")),
        ("/echo", _) => Err(Refusal::method("POST", "/echo takes POST")),
        ("/demo/notes", _) => Err(Refusal::method("GET, HEAD, POST", "/demo/notes takes GET, HEAD and POST")),
        _ => Err(Refusal::new(Status::NotFound, "no such path: there are /echo, /demo/notes and /demo/content")),
    }
}
