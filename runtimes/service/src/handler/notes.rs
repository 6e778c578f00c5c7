//! The note service itself, however its messages came: what may be added, and what a page may ask for.

use wire::message::{ListNotes, Note, Timestamp};
use wire::{Status, limits};

use super::Refusal;
use crate::store::Store;

/// Adds a note, unless its text is missing or too long.
pub(super) fn add<'a>(store: &'a mut Store, text: &str, now: Timestamp) -> Result<&'a Note, Refusal> {
    if text.is_empty() {
        return Err(Refusal::new(Status::BadRequest, "the note has no text"));
    }
    if text.len() > limits::TEXT_BYTES {
        let says = format!("a text of {} bytes, the limit is {}", text.len(), limits::TEXT_BYTES);
        return Err(Refusal::new(Status::TooLarge, says));
    }
    Ok(store.add(text, now))
}

/// Refuses a page that is too large.
pub(super) fn check_page(request: ListNotes) -> Result<(), Refusal> {
    if request.limit > limits::PAGE_NOTES {
        let says = format!("limit {}, at most {} notes a page", request.limit, limits::PAGE_NOTES);
        return Err(Refusal::new(Status::BadRequest, says));
    }
    Ok(())
}

/// The page that the query of a URL names: `offset=0&limit=10`. Parameters that are not known are skipped.
pub fn page_of_query(query: &str) -> Result<ListNotes, Refusal> {
    let mut request = ListNotes::default();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let field = match name {
            "offset" => &mut request.offset,
            "limit" => &mut request.limit,
            _ => continue,
        };
        *field = value.parse().map_err(|_| {
            Refusal::new(Status::BadRequest, format!("{name} is `{value}`, expected a number from 0 to {}", u32::MAX))
        })?;
    }
    Ok(request)
}
