//! Every message in the format `protobuf`: what decodes also encodes, and decodes again to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::Format;
use wire::message::AddNote;

fuzz_target!(|bytes: &[u8]| {
    let format = Format::Protobuf;
    let mut out = Vec::new();
    if let Ok(page) = format.decode_page(bytes)
        && page.notes.iter().all(|note| note.created.is_valid() && note.modified.is_valid())
    {
        format.encode_page(page.total, page.notes.iter(), &mut out);
        assert_eq!(format.decode_page(&out), Ok(page));
    }
    if let Ok(request) = format.decode_list_notes(bytes) {
        out.clear();
        format.encode_list_notes(request, &mut out);
        assert_eq!(format.decode_list_notes(&out), Ok(request));
    }
    let _ = format.decode_note(bytes);
    if let Ok(text) = format.decode_add_note(bytes, &mut AddNote::default()) {
        out.clear();
        format.encode_add_note(&text, &mut out);
        assert_eq!(format.decode_add_note(&out, &mut AddNote::default()).as_deref(), Ok(&*text));
    }
});
