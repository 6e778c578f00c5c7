//! Heads of text messages: one line before the body.
//!
//! ```text
//! request   ID OPERATION\n     7 add\n{"text":"hello"}        operations: echo, add, list, publish
//! reply     ID STATUS\n        7 200\n{"id":"1001",…}         statuses as HTTP numbers them
//! event     NUMBER event\n     7 event\n{"id":"7",…}          what nobody asked for
//! ```
//!
//! ID is a decimal number below 2³², chosen by the client and repeated by the reply.

use crate::Status;
use crate::frame::Opcode;

/// Digits of an id as clients here write it: always all of them, so that it can be patched into a prepared message.
pub const ID_DIGITS: usize = 10;

/// A text message, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Correlation id.
    pub id: u32,
    /// The operation of a request, the status of a reply, or `event`.
    pub word: &'a str,
    /// What follows the first line.
    pub body: &'a str,
}

/// Text without a head. `id` is 0 when that could not be read either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a text message starts with a line `ID OPERATION`, for example `7 echo`")]
pub struct NoHead;

/// Takes a message apart.
///
/// # Errors
/// [`NoHead`] when its first line is not a number, a space and a word.
pub fn parse(message: &str) -> Result<Message<'_>, NoHead> {
    let (head, body) = message.split_once('\n').ok_or(NoHead)?;
    let (id, word) = head.split_once(' ').ok_or(NoHead)?;
    // `parse` alone would take a plus sign.
    let digits = !id.is_empty() && id.len() <= ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_digit());
    let id = if digits { id.parse().map_err(|_| NoHead)? } else { return Err(NoHead) };
    Ok(Message { id, word, body })
}

/// The opcode that an operation's name stands for.
pub fn opcode(word: &str) -> Option<Opcode> {
    match word {
        "echo" => Some(Opcode::Echo),
        "add" => Some(Opcode::AddNote),
        "list" => Some(Opcode::ListNotes),
        "publish" => Some(Opcode::Publish),
        _ => None,
    }
}

/// The name of an operation.
pub const fn name(opcode: Opcode) -> &'static str {
    match opcode {
        Opcode::Echo => "echo",
        Opcode::AddNote => "add",
        Opcode::ListNotes => "list",
        Opcode::Publish => "publish",
    }
}

/// Appends the head of a reply.
pub fn write_reply_head(out: &mut Vec<u8>, id: u32, status: Status) {
    write_head(out, id, itoa::Buffer::new().format(status.http()));
}

/// Appends a head with any word.
pub fn write_head(out: &mut Vec<u8>, id: u32, word: &str) {
    out.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
    out.push(b' ');
    out.extend_from_slice(word.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Heads as people and clients write them, and what is none.
    #[test]
    fn heads() {
        let whole = Message { id: 7, word: "add", body: "{\n}" };
        assert_eq!(parse("7 add\n{\n}"), Ok(whole));
        assert_eq!(parse("0000000007 add\n{\n}"), Ok(whole));
        assert_eq!(parse("4294967295 echo\n").map(|message| message.id), Ok(u32::MAX));
        for wrong in [
            "",
            "7",
            "7 add",
            "add\n",
            "+7 add\n",
            "-1 add\n",
            "4294967296 add\n",
            "00000000007 add\n",
            " add\n",
            "７ add\n",
        ] {
            assert_eq!(parse(wrong), Err(NoHead), "{wrong:?}");
        }
        for operation in [Opcode::Echo, Opcode::AddNote, Opcode::ListNotes, Opcode::Publish] {
            assert_eq!(opcode(name(operation)), Some(operation));
        }
        let mut out = Vec::new();
        write_reply_head(&mut out, 7, Status::Busy);
        assert_eq!(out, b"7 503\n");
    }
}
