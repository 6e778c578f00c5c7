//! What is asked: a deck of pre-encoded requests, dealt in order.
//!
//! Encoding happens once, before the run, so that the generator's cost per request is a copy; the deck is
//! varied (texts, pages), since one repeated message flatters branch predictors and caches.

use wire::client::{Exchange, Operation, Request, opening};
use wire::data::Broadcast;
use wire::message::{ListNotes, Note};
use wire::{Format, Protocol};

use crate::stats::SplitMix64;

/// Different requests in a deck. Large enough that a server's branch predictor cannot learn the sequence,
/// small enough that the deck stays in the generator's cache.
const DECK: usize = 64;

/// What the requests of a run are.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// The payload comes back.
    Echo,
    /// Seed 1's NoteService: this share of requests adds a note, the others list a page of this many.
    Note {
        /// 0 lists only, 1 adds only.
        add_share: f64,
        /// Notes in a page.
        page: u32,
    },
    /// A rich record goes to the server whole and comes back.
    Content,
}

impl Kind {
    /// Bytes of the bodies of a request and its reply together, in the format raw and without any framing, mean over a deck:
    /// how much is said, whatever it is said in.
    pub fn content_bytes(&self, payload_bytes: u32) -> f64 {
        let encoded = |encode: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            encode(&mut out);
            out.len() as f64
        };
        match self {
            Self::Echo => 2.0 * f64::from(payload_bytes),
            Self::Content => {
                let all = encoded(&|out| {
                    (0..DECK as u32).for_each(|index| Format::Raw.encode(&Broadcast::seeded(index), out))
                });
                2.0 * all / DECK as f64
            }
            Self::Note { add_share, page } => {
                let text = "x".repeat(payload_bytes as usize);
                let note = Note { text: text.clone(), ..Note::default() };
                let add = encoded(&|out| Format::Raw.encode_add_note(&text, out))
                    + encoded(&|out| Format::Raw.encode_note(&note, out));
                let pages = (wire::seeded::NOTES / page.max(&1)).max(1);
                let notes: Vec<Note> = (0..pages * page).map(wire::seeded::note).collect();
                let listed = encoded(&|out| Format::Raw.encode_page(0, notes.iter(), out));
                let head = encoded(&|out| Format::Raw.encode_page(0, [].iter(), out));
                let asked = encoded(&|out| {
                    Format::Raw.encode_list_notes(ListNotes { offset: 0, limit: *page }, out);
                });
                let list = asked + head + (listed - head) / f64::from(pages);
                add_share * add + (1.0 - add_share) * list
            }
        }
    }
}

/// A deck, ready to be sent.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The framing, which says how replies are cut from the stream.
    pub protocol: Protocol,
    /// Wire format, in which events come; of no meaning with a server of one's own.
    pub format: Format,
    /// The requests, in the order in which each worker deals them.
    pub deck: Vec<Request>,
    /// The one request of a server of one's own; the deck is empty then.
    pub exchange: Option<Exchange>,
}

impl Workload {
    /// Encodes a deck: the same for the same arguments.
    pub fn new(protocol: Protocol, format: Format, kind: &Kind, payload_bytes: u32, host: &str, seed: u64) -> Self {
        let mut random = SplitMix64(seed);
        let deck = (0..DECK)
            .map(|position| {
                let operation = match kind {
                    Kind::Echo => Operation::Echo { payload: text(&mut random, payload_bytes).into_bytes() },
                    Kind::Content => Operation::Publish { index: position as u32 },
                    Kind::Note { add_share, page } => {
                        // Spread evenly over the deck, so that every stretch of it has the asked share.
                        let adds = |count: usize| (count as f64 * add_share) as usize;
                        if adds(position + 1) > adds(position) {
                            Operation::AddNote { text: text(&mut random, payload_bytes) }
                        } else {
                            let pages = (wire::seeded::NOTES / page.max(&1)).max(1);
                            let offset = random.below(pages as usize) as u32 * page;
                            Operation::ListNotes { offset, limit: *page }
                        }
                    }
                };
                Request::new(protocol, format, &operation, host)
            })
            .collect();
        Self { protocol, format, deck, exchange: None }
    }

    /// The one request of a server of one's own. `protocol` only says which handshake its connections begin with.
    pub fn of_exchange(protocol: Protocol, exchange: Exchange) -> Self {
        Self { protocol, format: Format::Raw, deck: Vec::new(), exchange: Some(exchange) }
    }

    /// What each connection to `host` begins with; empty without a handshake.
    pub(crate) fn opening(&self, host: &str) -> Vec<u8> {
        match &self.exchange {
            Some(exchange) => exchange.opening().to_vec(),
            None => {
                let mut bytes = Vec::new();
                opening(self.protocol, host, &mut bytes);
                bytes
            }
        }
    }
}

/// Readable text of `length` bytes: words, so that escaping and UTF-8 checks cost what they do on real notes.
fn text(random: &mut SplitMix64, length: u32) -> String {
    const WORDS: [&str; 16] = [
        "connected",
        "users",
        "hold",
        "a",
        "socket",
        "each",
        "and",
        "say",
        "little",
        "until",
        "\"news\"",
        "arrive",
        "for",
        "all",
        "of",
        "them",
    ];
    let mut text = String::with_capacity(length as usize + 16);
    while text.len() < length as usize {
        text.push_str(WORDS[random.below(WORDS.len())]);
        text.push(' ');
    }
    text.truncate(length as usize);
    text
}
