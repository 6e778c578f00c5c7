//! The notes that every server starts with, so that a client knows what a page must hold.

use crate::message::{Note, Timestamp};

/// How many there are. Their ids are 1 to this; notes added later have greater ids and so come after them in pages.
pub const NOTES: u32 = 1_000;

/// Created of the first one: 2024-01-01T00:00:00Z.
const EPOCH_SECONDS: i64 = 1_704_067_200;

/// Words of the texts: plain ones, one that JSON must escape and some beyond ASCII, so that no codec gets by
/// with its fast path alone.
const WORDS: [&str; 16] = [
    "cart",
    "order",
    "paid",
    "shipped",
    "voucher",
    "seller",
    "buyer",
    "refund",
    "\"hot\"",
    "stock",
    "Đà Nẵng",
    "giá",
    "review",
    "chat",
    "flash",
    "sale",
];

/// The seeded note at `index`, from 0 to [`NOTES`] - 1.
///
/// Texts are 4 to 19 words long; with their 50 notes per 9 kB of JSON they have the size of real short notes.
pub fn note(index: u32) -> Note {
    let mut state = u64::from(index) ^ 0x9e37_79b9_7f4a_7c15;
    let words = 4 + random(&mut state) % 16;
    let mut text = String::new();
    for position in 0..words {
        if position > 0 {
            text.push(' ');
        }
        text.push_str(WORDS[(random(&mut state) % 16) as usize]);
    }
    let created = Timestamp { seconds: EPOCH_SECONDS + i64::from(index) * 61, nanos: millis(&mut state) };
    let modified = Timestamp { seconds: created.seconds + i64::from(index % 7) * 3_600, nanos: created.nanos };
    Note { id: u64::from(index) + 1, text, created, modified }
}

/// Whole milliseconds as nanoseconds, since that is what services store.
fn millis(state: &mut u64) -> i32 {
    i32::try_from(random(state) % 1_000).expect("below 1000") * 1_000_000
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014): tiny, seedable and the same everywhere.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    /// The set is fixed: results of different days compare only if the pages are the same.
    #[test]
    fn fixed_and_within_limits() {
        let first = note(0);
        assert_eq!((first.id, first.created.seconds), (1, EPOCH_SECONDS));
        let notes: Vec<_> = (0..NOTES).map(note).collect();
        assert!(notes.iter().all(|note| (1..=limits::TEXT_BYTES).contains(&note.text.len())));
        let text_bytes: usize = notes.iter().map(|note| note.text.len()).sum();
        assert_eq!(text_bytes, 73_408);
    }
}
