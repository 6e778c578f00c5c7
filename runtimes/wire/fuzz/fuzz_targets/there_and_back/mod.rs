//! What every decoder must hold, whatever the bytes: no panic, an error that points into them, and what decodes encodes, and decodes
//! again to the same bytes (not the same value: NaN is not equal to itself).

use wire::data::{Broadcast, Event, Presence, Samples};
use wire::format::Scratch;
use wire::message::{AddNote, ListNotes, Note, NotePage};
use wire::{Format, Record};

pub fn check(format: Format, bytes: &[u8]) {
    record::<AddNote>(format, bytes);
    record::<Broadcast>(format, bytes);
    record::<Event>(format, bytes);
    record::<ListNotes>(format, bytes);
    record::<Note>(format, bytes);
    record::<NotePage>(format, bytes);
    record::<Presence>(format, bytes);
    record::<Samples>(format, bytes);
    let mut scratch = Scratch::default();
    let _ = format.id_and_text(bytes, &mut scratch);
    if let Ok(text) = format.decode_add_note(bytes, &mut scratch) {
        let text = text.into_owned();
        let mut out = Vec::new();
        format.encode_add_note(&text, &mut out);
        assert_eq!(format.decode_add_note(&out, &mut scratch).as_deref(), Ok(text.as_str()));
    }
}

fn record<R: Record>(format: Format, bytes: &[u8]) {
    let mut scratch = Scratch::default();
    match format.decode::<R>(bytes, &mut scratch) {
        Ok(record) => {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            // JSON alone cannot say some times, but then it did not bring them either.
            format.encode(&record, &mut first);
            let again: R = format.decode(&first, &mut scratch).expect("its own bytes");
            format.encode(&again, &mut second);
            assert_eq!(first, second);
        }
        Err(error) => assert!(error.offset.is_none_or(|offset| offset <= bytes.len()), "{error}"),
    }
}
