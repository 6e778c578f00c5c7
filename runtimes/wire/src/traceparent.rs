//! The header `traceparent`: where a request stands in a trace that its caller began.
//!
//! W3C Trace Context, <https://www.w3.org/TR/trace-context/>, section 3.2:
//!
//! ```text
//! 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//! version  trace id                   parent id        flags; all in lowercase hexadecimal digits
//! ```
//!
//! What cannot be read is as good as absent: the receiver begins a trace of its own, and the request is served. Nothing here
//! allocates.

use std::fmt;

/// Bytes of a header of version 00, which is also the least that any later version may have.
pub const BYTES: usize = 55;

/// The only version that is written; later ones are read as far as this one goes.
const VERSION: u8 = 0;

/// Means "no version", so that it is invalid.
const VERSION_FORBIDDEN: u8 = 0xff;

/// Bit of the flags: the caller has recorded its part.
const SAMPLED: u8 = 1;

/// A place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Traceparent {
    /// The trace; not all zeros.
    pub trace_id: [u8; 16],
    /// The caller's span; not all zeros.
    pub parent_id: [u8; 8],
    /// Whether the caller has recorded its span. Other flags have no meaning yet and are not passed on.
    pub sampled: bool,
}

impl Traceparent {
    /// Reads a header's value; `None` when it is not one.
    pub fn parse(value: &[u8]) -> Option<Traceparent> {
        let (head, rest) = value.split_first_chunk::<BYTES>()?;
        if [head[2], head[35], head[52]] != [b'-'; 3] {
            return None;
        }
        let [version] = hex(&head[..2])?;
        // Version 00 ends here; what a later one adds stands behind another dash.
        let ends = match version {
            VERSION => rest.is_empty(),
            VERSION_FORBIDDEN => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let trace_id = hex(&head[3..35])?;
        let parent_id = hex(&head[36..52])?;
        let [flags] = hex(&head[53..])?;
        let valid = ends && trace_id != [0; 16] && parent_id != [0; 8];
        valid.then_some(Traceparent { trace_id, parent_id, sampled: flags & SAMPLED != 0 })
    }

    /// The header's value.
    pub fn value(&self) -> [u8; BYTES] {
        let mut value = [b'-'; BYTES];
        put_hex(&mut value[..2], &[VERSION]);
        put_hex(&mut value[3..35], &self.trace_id);
        put_hex(&mut value[36..52], &self.parent_id);
        put_hex(&mut value[53..], &[u8::from(self.sampled)]);
        value
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.value()).expect("digits and dashes"))
    }
}

/// `2 * N` lowercase hexadecimal digits; uppercase ones are invalid by the specification.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    debug_assert_eq!(digits.len(), 2 * N);
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

fn put_hex(out: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The specification's own example, sampled and not, is read and written again to the byte.
    #[test]
    fn examples_of_the_specification() {
        let sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parsed = Traceparent::parse(sampled.as_bytes()).unwrap();
        assert_eq!(parsed.trace_id[..4], [0x4b, 0xf9, 0x2f, 0x35]);
        assert_eq!(parsed.parent_id, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
        assert!(parsed.sampled);
        assert_eq!(parsed.to_string(), sampled);
        let not_sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        assert!(!Traceparent::parse(not_sampled.as_bytes()).unwrap().sampled);
    }

    /// What section 3.2 calls invalid is not read: forbidden version, zero ids, uppercase, wrong lengths, other separators.
    #[test]
    fn invalid_ones() {
        for value in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-011",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0.",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what",
        ] {
            assert_eq!(Traceparent::parse(value.as_bytes()), None, "{value}");
        }
    }

    /// A later version is read as far as it is known: its length is free, its unknown flags are left out.
    #[test]
    fn later_versions() {
        for value in [
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff-what-the-future-brings",
        ] {
            let parsed = Traceparent::parse(value.as_bytes()).unwrap();
            assert!(parsed.sampled);
            assert!(parsed.to_string().starts_with("00-4bf9") && parsed.to_string().ends_with("-01"));
        }
    }

    proptest! {
        /// Whatever is written is read as itself.
        #[test]
        fn round_trip(trace_id: [u8; 16], parent_id: [u8; 8], sampled: bool) {
            prop_assume!(trace_id != [0; 16] && parent_id != [0; 8]);
            let written = Traceparent { trace_id, parent_id, sampled };
            prop_assert_eq!(Traceparent::parse(&written.value()), Some(written));
        }

        /// Whatever is read can be written, and is then read as the same.
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(read) = Traceparent::parse(&bytes) {
                prop_assert_eq!(Traceparent::parse(&read.value()), Some(read));
            }
        }
    }
}
