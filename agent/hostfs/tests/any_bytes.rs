//! Parsers on any bytes, and on real texts with bytes changed: they return, whatever comes. The fuzz targets in
//! `fuzz/` search further; this runs with every test.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use proptest::prelude::*;

#[path = "../fuzz/all.rs"]
mod all;

/// The corpus's text for each parser, without the byte that chooses it.
fn real_texts() -> Vec<Vec<u8>> {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/text");
    let read = |name: &&str| std::fs::read(corpus.join(name)).unwrap()[1..].to_vec();
    all::NAMES.iter().map(read).collect()
}

proptest! {
    #[test]
    fn any_bytes(text in prop::collection::vec(any::<u8>(), 0..400)) {
        for number in 0..all::NAMES.len() {
            all::one(number, &text);
        }
    }

    #[test]
    fn changed_texts(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        for (number, mut text) in real_texts().into_iter().enumerate() {
            let at = at.index(text.len());
            text[at] = byte;
            all::one(number, &text);
            text.truncate(cut.index(text.len()));
            all::one(number, &text);
        }
    }
}
