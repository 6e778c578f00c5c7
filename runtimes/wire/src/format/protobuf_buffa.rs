//! The format `protobuf-buffa`: protobuf by buffa, schemas in `proto/`, code in `src/generated`.
//!
//! Through buffa's views, which borrow: a message is encoded from a view of it without an owned copy, and decoded into a view
//! of the body. A view boxes each nested message, so a note costs two allocations either way.

use std::borrow::Cow;

use buffa::view::{MessageFieldView, MessageView, RepeatedView, ViewEncode};

use super::{Codec, Scratch, Stop, protobuf};
use crate::Record;
use crate::generated::demo::{AddNoteView, ListNotesView, NotePageView, NoteView};
use crate::message::{AddNote, ListNotes, Note, NotePage, Timestamp};
use buffa_types::google::protobuf::TimestampView;

pub(super) struct Buffa;

/// A record that buffa can write and read through a view that borrows from it.
pub trait Viewed: Sized {
    /// The generated view.
    type View<'a>: MessageView<'a> + ViewEncode<'a>;

    /// A view of this record: texts stay where they are.
    fn view(&self) -> Self::View<'_>;

    /// A record with copies of what the view borrows.
    fn from_view(view: &Self::View<'_>) -> Self;
}

impl Codec for Buffa {
    fn encode<R: Record>(record: &R, out: &mut Vec<u8>) {
        record.view().encode(out);
    }

    fn decode<R: Record>(body: &[u8], _: &mut Scratch) -> Result<R, Stop> {
        let view = view::<R>(body)?;
        Ok(R::from_view(&view))
    }

    fn encode_add_note(text: &str, out: &mut Vec<u8>) {
        AddNoteView { text }.encode(out);
    }

    fn decode_add_note<'a>(body: &'a [u8], _: &'a mut Scratch) -> Result<Cow<'a, str>, Stop> {
        Ok(Cow::Borrowed(view::<AddNote>(body)?.text))
    }

    fn encode_page<'a>(total: u64, notes: impl Iterator<Item = &'a Note> + Clone, out: &mut Vec<u8>) {
        let notes = notes.map(Viewed::view).collect();
        NotePageView { total, notes: RepeatedView::new(notes) }.encode(out);
    }

    fn id_and_text<'a>(body: &'a [u8], _: &'a mut Scratch) -> Result<(u64, Cow<'a, str>), Stop> {
        let note = view::<Note>(body)?;
        if note.created.is_unset() || note.modified.is_unset() {
            return Err(Stop::at(body.len(), "it lacks its times"));
        }
        Ok((note.id, Cow::Borrowed(note.text)))
    }
}

/// buffa says what is wrong but not where, so prost is asked.
fn view<R: Record>(body: &[u8]) -> Result<R::View<'_>, Stop> {
    <R::View<'_> as MessageView<'_>>::decode_view(body)
        .map_err(|error| protobuf::explain::<R>(body, Stop::at(body.len(), error)))
}

impl Viewed for Timestamp {
    type View<'a> = TimestampView<'a>;

    fn view(&self) -> TimestampView<'_> {
        TimestampView { seconds: self.seconds, nanos: self.nanos, ..TimestampView::default() }
    }

    fn from_view(view: &TimestampView<'_>) -> Timestamp {
        Timestamp { seconds: view.seconds, nanos: view.nanos }
    }
}

impl Viewed for Note {
    type View<'a> = NoteView<'a>;

    fn view(&self) -> NoteView<'_> {
        NoteView { id: self.id, text: &self.text, created: nested(&self.created), modified: nested(&self.modified) }
    }

    fn from_view(view: &NoteView<'_>) -> Note {
        let created = Timestamp::from_view(&view.created);
        Note { id: view.id, text: view.text.to_owned(), created, modified: Timestamp::from_view(&view.modified) }
    }
}

impl Viewed for NotePage {
    type View<'a> = NotePageView<'a>;

    fn view(&self) -> NotePageView<'_> {
        NotePageView { total: self.total, notes: repeated(&self.notes) }
    }

    fn from_view(view: &NotePageView<'_>) -> NotePage {
        NotePage { total: view.total, notes: view.notes.iter().map(Note::from_view).collect() }
    }
}

impl Viewed for AddNote {
    type View<'a> = AddNoteView<'a>;

    fn view(&self) -> AddNoteView<'_> {
        AddNoteView { text: &self.text }
    }

    fn from_view(view: &AddNoteView<'_>) -> AddNote {
        AddNote { text: view.text.to_owned() }
    }
}

impl Viewed for ListNotes {
    type View<'a> = ListNotesView<'a>;

    fn view(&self) -> ListNotesView<'_> {
        ListNotesView { offset: self.offset, limit: self.limit, ..ListNotesView::default() }
    }

    fn from_view(view: &ListNotesView<'_>) -> ListNotes {
        ListNotes { offset: view.offset, limit: view.limit }
    }
}

/// A view of a nested message, which is always written: prost calls it required.
pub(crate) fn nested<M: Viewed>(message: &M) -> MessageFieldView<M::View<'_>> {
    MessageFieldView::set(message.view())
}

/// Views of a list of messages.
pub(crate) fn repeated<M: Viewed>(messages: &[M]) -> RepeatedView<'_, M::View<'_>> {
    RepeatedView::new(messages.iter().map(Viewed::view).collect())
}
