//! Random numbers and words for data sets: the same everywhere and for ever.

use crate::message::Timestamp;

/// 2024-06-01T00:00:00Z: the times of data sets follow it.
const EPOCH_SECONDS: u32 = 1_717_200_000;

/// Words of texts: short ones mostly, some beyond ASCII, one that JSON must escape, so that no codec gets by with its fast path.
const WORDS: [&str; 24] = [
    "the",
    "service",
    "of",
    "in",
    "is",
    "user",
    "stream",
    "to",
    "and",
    "release",
    "goal",
    "team",
    "match",
    "\"live\"",
    "score",
    "Zürich",
    "minutes",
    "after",
    "Đà",
    "price",
    "новости",
    "update",
    "player",
    "a",
];

/// SplitMix64 (Steele, Lea, Flood 2014) with what data sets draw from it.
pub(crate) struct Random(u64);

impl Random {
    /// The stream of variant `index`.
    pub(crate) fn new(index: u32) -> Random {
        Random(u64::from(index).wrapping_mul(0xd134_2543_de82_ef95) ^ 0x6c61_625f_6461_7461)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `end` - 1.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        u32::try_from(self.next() % u64::from(end)).expect("below a u32")
    }

    /// Most of them small, some large: from 0 to 2^`bits` - 1, each number of bits as likely.
    pub(crate) fn magnitude(&mut self, bits: u32) -> u64 {
        let bits = self.below(bits) + 1;
        self.next() >> (64 - bits)
    }

    /// With three digits after the point, so that every format's floats are short.
    pub(crate) fn fraction(&mut self, end: u32) -> f64 {
        f64::from(self.below(end * 1_000)) / 1_000.0
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(u32::try_from(from.len()).expect("a short list")) as usize]
    }

    /// Whole milliseconds within a year.
    pub(crate) fn time(&mut self) -> Timestamp {
        let nanos = i32::try_from(self.below(1_000)).expect("below 1000") * 1_000_000;
        Timestamp { seconds: i64::from(EPOCH_SECONDS) + i64::from(self.below(31_536_000)), nanos }
    }

    /// Lower-case hexadecimal digits, as many as asked for, at most 16 at a time.
    pub(crate) fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits);
        while text.len() < digits {
            text.push_str(&format!("{:016x}", self.next()));
        }
        text.truncate(digits);
        text
    }

    pub(crate) fn words(&mut self, count: u32) -> String {
        let words: Vec<&str> = (0..count).map(|_| self.pick(&WORDS)).collect();
        words.join(" ")
    }

    /// Words of exactly so many bytes in UTF-8.
    pub(crate) fn text_of(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes {
            text.push_str(self.pick(&WORDS));
            text.push(' ');
        }
        let end = text.floor_char_boundary(bytes);
        text.truncate(end);
        text.extend(std::iter::repeat_n('.', bytes - end));
        text
    }
}
