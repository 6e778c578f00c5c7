//! Whether a reply says what it must.

use super::{Operation, Reply, seeded_page};
use crate::data::Broadcast;
use crate::format::{DecodeError, Scratch};
use crate::message::{ListNotes, Note};
use crate::{Format, seeded};

/// How a reply differs from what it had to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Not 200.
    #[error("status {status}: {says}")]
    Status {
        /// The status.
        status: u16,
        /// The start of the body, which is a sentence.
        says: String,
    },
    /// The echo is not what was sent.
    #[error("the echo differs from byte {at} on ({got} bytes, {sent} were sent)")]
    Echo {
        /// The first byte that differs.
        at: usize,
        /// Length of the reply's body.
        got: usize,
        /// Length of the payload.
        sent: usize,
    },
    /// The body is not the one that was asked for.
    #[error("the body differs from byte {at} on ({got} bytes, {wanted} were expected)")]
    Body {
        /// The first byte that differs.
        at: usize,
        /// Length of the reply's body.
        got: usize,
        /// Length of the expected one.
        wanted: usize,
    },
    /// The body lacks what it must have.
    #[error("the body of {got} bytes does not contain {part:?}")]
    Part {
        /// The start of what is missing.
        part: String,
        /// Length of the reply's body.
        got: usize,
    },
    /// The parts of the body do not fit each other.
    #[error("the body's parts do not fit each other")]
    NoBody,
    /// The body is not in the format.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The reply to an added note.
    #[error("the note added: {0}")]
    Added(String),
    /// The page.
    #[error("the page: {0}")]
    Page(String),
    /// An event that the server told.
    #[error("the event: {0}")]
    Event(String),
    /// The reply to a published broadcast.
    #[error("the broadcast: {0}")]
    Published(String),
}

impl Mismatch {
    pub(super) fn status(reply: &Reply<'_>) -> Mismatch {
        let start = &reply.body[..reply.body.len().min(120)];
        Mismatch::Status { status: reply.status, says: String::from_utf8_lossy(start).into_owned() }
    }
}

/// What a reply must say.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    Echo { payload: Vec<u8> },
    Added { format: Format, text: String, scratch: Scratch },
    Page { format: Format, request: ListNotes, notes: Vec<Note>, last_right: Vec<u8> },
    Published { format: Format, sent: Box<Broadcast>, last_right: Vec<u8> },
}

impl Expected {
    pub(super) fn new(format: Format, operation: &Operation) -> Expected {
        match operation {
            Operation::Echo { payload } => Expected::Echo { payload: payload.clone() },
            Operation::AddNote { text } => Expected::Added { format, text: text.clone(), scratch: Scratch::default() },
            Operation::Publish { index } => {
                Expected::Published { format, sent: Box::new(Broadcast::seeded(*index)), last_right: Vec::new() }
            }
            Operation::ListNotes { offset, limit } => {
                let request = ListNotes { offset: *offset, limit: *limit };
                Expected::Page { format, request, notes: seeded_page(request), last_right: Vec::new() }
            }
        }
    }

    pub(super) fn check(&mut self, body: &[u8]) -> Result<(), Mismatch> {
        match self {
            Expected::Echo { payload } if body == payload => Ok(()),
            Expected::Echo { payload } => {
                let at = payload.iter().zip(body).take_while(|(sent, got)| sent == got).count();
                Err(Mismatch::Echo { at, got: body.len(), sent: payload.len() })
            }
            Expected::Added { format, text, scratch } => check_added(*format, body, text, scratch),
            Expected::Published { last_right, .. } if !last_right.is_empty() && body == last_right => Ok(()),
            Expected::Published { format, sent, last_right } => {
                let got: Broadcast = format.decode(body, &mut Scratch::default())?;
                if got != **sent {
                    return Err(Mismatch::Published(format!("got {got:?}, sent {sent:?}")));
                }
                last_right.clear();
                last_right.extend_from_slice(body);
                Ok(())
            }
            Expected::Page { last_right, .. } if !last_right.is_empty() && body == last_right => Ok(()),
            Expected::Page { format, request, notes, last_right } => {
                check_page(*format, body, *request, notes)?;
                last_right.clear();
                last_right.extend_from_slice(body);
                Ok(())
            }
        }
    }
}

/// An added note has an id beyond the seeded ones and our text. Every such reply differs, so this decodes each
/// time, borrowing or into `scratch`.
fn check_added(format: Format, body: &[u8], text: &str, scratch: &mut Scratch) -> Result<(), Mismatch> {
    let (id, got) = format.id_and_text(body, scratch)?;
    check_id_and_text(id, &got, text)
}

fn check_id_and_text(id: u64, got: &str, text: &str) -> Result<(), Mismatch> {
    if id <= u64::from(seeded::NOTES) {
        return Err(Mismatch::Added(format!("id {id}, expected one beyond the {} seeded notes", seeded::NOTES)));
    }
    if got != text {
        return Err(Mismatch::Added(format!("text `{got}`, sent `{text}`")));
    }
    Ok(())
}

/// A page holds exactly the seeded notes of its window; where the window reaches beyond them, notes that somebody
/// added may follow, ascending by id, up to the limit.
fn check_page(format: Format, body: &[u8], request: ListNotes, seeded_notes: &[Note]) -> Result<(), Mismatch> {
    let page = format.decode_page(body)?;
    if page.total < u64::from(seeded::NOTES) {
        return Err(Mismatch::Page(format!("total {}, at least {} are seeded", page.total, seeded::NOTES)));
    }
    let limit = request.limit_or_default() as usize;
    if page.notes.len() < seeded_notes.len() || page.notes.len() > limit {
        let (got, least) = (page.notes.len(), seeded_notes.len());
        return Err(Mismatch::Page(format!("{got} notes, expected {least} to {limit}")));
    }
    let (known, later) = page.notes.split_at(seeded_notes.len());
    if let Some((got, want)) = known.iter().zip(seeded_notes).find(|(got, want)| got != want) {
        return Err(Mismatch::Page(format!("got {got:?}, expected {want:?}")));
    }
    let first_later = u64::from(seeded::NOTES) + 1;
    let ascending = later.first().is_none_or(|note| note.id >= first_later) && later.is_sorted_by(|a, b| a.id < b.id);
    if !ascending {
        return Err(Mismatch::Page("the notes behind the seeded ones do not ascend by id".to_owned()));
    }
    Ok(())
}
