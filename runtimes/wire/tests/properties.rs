//! Round trips through every format and protocol, and any bytes at all into every parser.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use proptest::prelude::*;
use wire::data::{Broadcast, Event, Presence, Samples};
use wire::format::{DecodeError, Scratch};
use wire::message::{ListNotes, Note, NotePage, Timestamp};
use wire::{Format, Protocol, Record, client, frame, http1, websocket};

prop_compose! {
    // From the year 1 to 9999: what RFC 3339 can say.
    fn timestamp()(seconds in -62_135_596_800_i64..253_402_207_200, nanos in 0..1_000_000_000) -> Timestamp {
        Timestamp { seconds, nanos }
    }
}

prop_compose! {
    fn note()(id in any::<u64>(), text in ".{0,200}", created in timestamp(), modified in timestamp()) -> Note {
        Note { id, text, created, modified }
    }
}

fn there_and_back<R: Record>(format: Format, record: &R) -> Result<R, DecodeError> {
    let mut out = Vec::new();
    format.encode(record, &mut out);
    format.decode(&out, &mut Scratch::default())
}

proptest! {
    // A failing case is printed with its input; no files beside the sources.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What is encoded decodes to itself, in every format.
    #[test]
    fn messages(notes in proptest::collection::vec(note(), 0..20), total in any::<u64>(), offset in any::<u32>(), limit in any::<u32>()) {
        for format in Format::ALL {
            let mut out = Vec::new();
            format.encode_page(total, notes.iter(), &mut out);
            prop_assert_eq!(format.decode_page(&out).unwrap(), NotePage { total, notes: notes.clone() });
            let request = ListNotes { offset, limit };
            out.clear();
            format.encode_list_notes(request, &mut out);
            prop_assert_eq!(format.decode_list_notes(&out).unwrap(), request);
            for note in &notes {
                out.clear();
                format.encode_note(note, &mut out);
                prop_assert_eq!(&format.decode_note(&out).unwrap(), note);
                out.clear();
                format.encode_add_note(&note.text, &mut out);
                let mut scratch = Scratch::default();
                let text = format.decode_add_note(&out, &mut scratch).unwrap();
                prop_assert_eq!(text.as_ref(), note.text.as_str());
            }
        }
    }

    /// Records of the data sets with any texts in them decode to themselves, in every format.
    #[test]
    fn records(index in any::<u32>(), text in ".{0,300}", id in any::<u64>(), time in timestamp(), number in any::<i32>()) {
        // serde_json reads up to 15 digits exactly; more would take its feature float_roundtrip, which costs time.
        let number = f64::from(number) / 1_000.0;
        let broadcast = Broadcast { id, content: text.clone(), date: time, score: number, ..Broadcast::seeded(index) };
        let event = Event { message: text.clone(), time, ..Event::flat(index) };
        let presence = Presence { user: id, room: text.clone(), ..Presence::seeded(index) };
        let mut samples = Samples::seeded(index);
        samples.series.truncate(3);
        samples.series[0].name.clone_from(&text);
        samples.series[0].value = number;
        for format in Format::ALL {
            prop_assert_eq!(there_and_back(format, &broadcast), Ok(broadcast.clone()));
            prop_assert_eq!(there_and_back(format, &event), Ok(event.clone()));
            prop_assert_eq!(there_and_back(format, &presence), Ok(presence.clone()));
            prop_assert_eq!(there_and_back(format, &samples), Ok(samples.clone()));
        }
    }

    /// Frames parse back, whole only when whole.
    #[test]
    fn frames(id in any::<u32>(), opcode in any::<u8>(), status in any::<u8>(), body in proptest::collection::vec(any::<u8>(), 0..300), cut in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, id, opcode, status, |out| out.extend_from_slice(&body));
        let frame = frame::Frame { id, opcode, status, body: &body, consumed: bytes.len() };
        prop_assert_eq!(frame::parse_request(&bytes), Ok(frame::Parsed::Whole(frame)));
        let cut = cut.index(bytes.len());
        let needed = if cut < frame::HEADER_BYTES { 0 } else { bytes.len() };
        prop_assert_eq!(frame::parse_request(&bytes[..cut]), Ok(frame::Parsed::Partial { needed }));
    }

    /// Requests that the client writes are requests that the server parses, with the same body.
    #[test]
    fn http_requests(payload in proptest::collection::vec(any::<u8>(), 0..300), cut in any::<prop::sample::Index>()) {
        let operation = client::Operation::Echo { payload: payload.clone() };
        let mut bytes = Vec::new();
        client::Request::new(Protocol::Http1, Format::Raw, &operation, "localhost:1").write(0, &mut bytes);
        match http1::parse_request(&bytes) {
            Ok(http1::Parsed::Whole(request)) => {
                prop_assert_eq!((request.path, request.body, request.consumed), ("/echo", &payload[..], bytes.len()));
            }
            other => prop_assert!(false, "{:?}", other),
        }
        let cut = cut.index(bytes.len());
        let partial = matches!(http1::parse_request(&bytes[..cut]), Ok(http1::Parsed::Partial { .. }));
        prop_assert!(partial);
    }

    /// A WebSocket frame of any length, mask and text parses back, whole only when whole.
    #[test]
    fn websocket_frames(payload in proptest::collection::vec(any::<u8>(), 0..300), mask in any::<[u8; 4]>(), cut in any::<prop::sample::Index>()) {
        use websocket::frame::{Opcode, Parsed, append_masked, parse_client, write_header};
        let mut bytes = Vec::new();
        write_header(&mut bytes, Opcode::Binary, payload.len(), Some(mask));
        append_masked(mask, &payload, &mut bytes);
        let Ok(Parsed::Whole(frame)) = parse_client(&bytes, 300) else { panic!("it is whole") };
        let mut plain = Vec::new();
        append_masked(mask, frame.payload, &mut plain);
        prop_assert_eq!((plain, frame.mask, frame.consumed), (payload, Some(mask), bytes.len()));
        let partial = matches!(parse_client(&bytes[..cut.index(bytes.len())], 300), Ok(Parsed::Partial { .. }));
        prop_assert!(partial);
    }

    /// Any bytes: an answer of some kind, never a panic, and never more consumed than there was.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for protocol in Protocol::ALL {
            if let Ok(Some(reply)) = client::parse_reply(protocol, &bytes) {
                prop_assert!(reply.consumed <= bytes.len());
            }
        }
        let _ = http1::parse_request(&bytes);
        let _ = websocket::handshake::parse(&bytes);
        let _ = websocket::frame::parse_client(&bytes, 100);
        for format in Format::ALL {
            let _ = format.decode_page(&bytes);
            let _ = format.decode_note(&bytes);
            let _ = format.decode_list_notes(&bytes);
            let _ = format.decode_add_note(&bytes, &mut Scratch::default()).map(|text| text.len());
        }
    }
}
