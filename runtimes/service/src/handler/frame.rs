//! One frame: parse, perform, reply.

use wire::frame::{self, Opcode, Parsed};
use wire::{Status, event};

use super::{Connection, Operation, Parts, Refusal, Step};

pub(super) fn step(shard: &mut Parts, connection: &mut Connection, bytes: &[u8], out: &mut Vec<u8>) -> Step {
    let request = match frame::parse_request(bytes) {
        Ok(Parsed::Whole(request)) => request,
        Ok(Parsed::Partial { needed }) => return Step::Partial { needed },
        Err(error) => {
            let refusal = Refusal::new(error.status(), error.to_string());
            shard.counters.error(refusal.kind);
            refuse(out, error.id(), 0, &refusal);
            return Step::Last(bytes.len());
        }
    };
    answer(shard, connection, &request, out);
    Step::Served(request.consumed)
}

/// Performs a request and appends the reply.
pub(super) fn answer(shard: &mut Parts, connection: &mut Connection, request: &frame::Frame<'_>, out: &mut Vec<u8>) {
    let start = frame::begin(out, request.id, request.opcode, Status::Ok.frame());
    let outcome = shard
        .take_place(connection)
        .and_then(|()| operation(shard, request))
        .and_then(|operation| shard.perform(operation, out));
    match outcome {
        Ok(()) => frame::finish(out, start),
        Err(refusal) => {
            shard.counters.error(refusal.kind);
            out.truncate(start);
            refuse(out, request.id, request.opcode, &refusal);
        }
    }
}

/// Appends a reply that says why not. It has the request's opcode, or 0 in the place of one that is the server's to use: a
/// refusal must not look like an event.
pub(super) fn refuse(out: &mut Vec<u8>, id: u32, opcode: u8, refusal: &Refusal) {
    let opcode = if opcode < event::OPCODE { opcode } else { 0 };
    frame::write(out, id, opcode, refusal.status.frame(), |out| out.extend_from_slice(refusal.says.as_bytes()));
}

fn operation<'a>(shard: &mut Parts, request: &frame::Frame<'a>) -> Result<Operation<'a>, Refusal> {
    match Opcode::from_byte(request.opcode) {
        Some(Opcode::Echo) => Ok(Operation::Echo(request.body)),
        Some(Opcode::AddNote) => Ok(Operation::AddNote(request.body)),
        Some(Opcode::ListNotes) => {
            let request = shard.format.decode(request.body, &mut shard.scratch)?;
            Ok(Operation::ListNotes(request))
        }
        Some(Opcode::Publish) => Ok(Operation::Publish(request.body)),
        None => {
            let says = format!("unknown opcode {}: 1 echo, 2 add note, 3 list notes, 4 publish", request.opcode);
            Err(Refusal::new(Status::NotFound, says))
        }
    }
}
