//! Frames (RFC 6455, section 5): headers, masks, and what both sides may not send.

use super::CloseCode;

/// Longest header: two bytes, eight of length, four of mask.
pub const HEADER_BYTES_MAX: usize = 14;

/// Longest payload of a control frame (RFC 6455, 5.5).
pub const CONTROL_BYTES: usize = 125;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message that a frame before began.
    Continuation = 0,
    /// A message of UTF-8, or its first part.
    Text = 1,
    /// A message of bytes, or its first part.
    Binary = 2,
    /// The end, and why.
    Close = 8,
    /// To be answered by a pong with the same payload.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Opcode> {
        match bits {
            0 => Some(Opcode::Continuation),
            1 => Some(Opcode::Text),
            2 => Some(Opcode::Binary),
            8 => Some(Opcode::Close),
            9 => Some(Opcode::Ping),
            10 => Some(Opcode::Pong),
            _ => None,
        }
    }

    /// Whether it may stand between the parts of a message, and is never in parts itself.
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// A frame, borrowed from the bytes it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Whether a message ends here.
    pub fin: bool,
    /// What it carries.
    pub opcode: Opcode,
    /// The client's mask, still on the payload; `None` in frames of servers.
    pub mask: Option<[u8; 4]>,
    /// The payload as it was sent.
    pub payload: &'a [u8],
    /// Bytes that the frame took: header and payload.
    pub consumed: usize,
}

/// What a prefix of a connection's bytes holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A whole frame.
    Whole(Frame<'a>),
    /// The start of one, which needs this many bytes in all; 0 while the header itself is incomplete.
    Partial {
        /// Bytes of the whole frame, or 0 when not yet known.
        needed: usize,
    },
}

/// Bytes that are no frame, or none that may come: the connection ends with [`Error::code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// RSV1 to RSV3 belong to extensions, and none was agreed on.
    #[error("a reserved bit is set, and no extension was agreed on")]
    ReservedBit,
    /// Opcodes 3 to 7 and 11 to 15.
    #[error("opcode {0} is reserved")]
    ReservedOpcode(u8),
    /// A control frame without FIN.
    #[error("a control frame in parts")]
    FragmentedControl,
    /// A control frame over 125 bytes.
    #[error("a control frame of more than {CONTROL_BYTES} bytes")]
    LongControl,
    /// A length in more bytes than it needs (5.2).
    #[error("a length in more bytes than it needs")]
    LongLength,
    /// Clients must mask (5.1).
    #[error("a client's frame without a mask")]
    Unmasked,
    /// Servers must not.
    #[error("a server's frame with a mask")]
    Masked,
    /// The payload is over the limit.
    #[error("a frame of {length} bytes, the limit is {limit}")]
    TooLarge {
        /// Length in the header.
        length: u64,
        /// The limit.
        limit: usize,
    },
}

impl Error {
    /// The code to close with.
    #[must_use]
    pub const fn code(self) -> CloseCode {
        match self {
            Error::TooLarge { .. } => CloseCode::TooLarge,
            _ => CloseCode::Protocol,
        }
    }
}

/// Parses a client's frame at the start of `bytes`; its payload is at most `limit` bytes.
///
/// # Errors
/// What no frame can mend: the connection is to be closed.
pub fn parse_client(bytes: &[u8], limit: usize) -> Result<Parsed<'_>, Error> {
    parse(bytes, limit, true)
}

/// Parses a server's frame at the start of `bytes`; its payload is at most `limit` bytes.
///
/// # Errors
/// As [`parse_client`].
pub fn parse_server(bytes: &[u8], limit: usize) -> Result<Parsed<'_>, Error> {
    parse(bytes, limit, false)
}

fn parse(bytes: &[u8], limit: usize, from_client: bool) -> Result<Parsed<'_>, Error> {
    const PARTIAL: Parsed<'_> = Parsed::Partial { needed: 0 };
    let &[first, second, ref rest @ ..] = bytes else { return Ok(PARTIAL) };
    if first & RESERVED != 0 {
        return Err(Error::ReservedBit);
    }
    let opcode = Opcode::from_bits(first & 0x0f).ok_or(Error::ReservedOpcode(first & 0x0f))?;
    let fin = first & FIN != 0;
    if (second & MASKED != 0) != from_client {
        return Err(if from_client { Error::Unmasked } else { Error::Masked });
    }
    let short = second & !MASKED;
    if opcode.is_control() {
        if !fin {
            return Err(Error::FragmentedControl);
        }
        if usize::from(short) > CONTROL_BYTES {
            return Err(Error::LongControl);
        }
    }
    let (length, length_bytes, least) = match short {
        126 => match rest.first_chunk() {
            Some(length) => (u64::from(u16::from_be_bytes(*length)), 2, 126),
            None => return Ok(PARTIAL),
        },
        127 => match rest.first_chunk() {
            Some(length) => (u64::from_be_bytes(*length), 8, 1 << 16),
            None => return Ok(PARTIAL),
        },
        length => (u64::from(length), 0, 0),
    };
    if length < least {
        return Err(Error::LongLength);
    }
    let length =
        usize::try_from(length).ok().filter(|length| *length <= limit).ok_or(Error::TooLarge { length, limit })?;
    let mask_at = 2 + length_bytes;
    let payload_at = mask_at + if from_client { 4 } else { 0 };
    let needed = payload_at + length;
    let Some(payload) = bytes.get(payload_at..needed) else { return Ok(Parsed::Partial { needed }) };
    let mask = if from_client { bytes[mask_at..].first_chunk().copied() } else { None };
    Ok(Parsed::Whole(Frame { fin, opcode, mask, payload, consumed: needed }))
}

/// Appends bytes with a mask put on, or taken off, which is the same.
pub fn append_masked(mask: [u8; 4], bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(bytes);
    apply_mask(mask, &mut out[start..]);
}

/// Puts a mask on bytes in place, or takes it off. Eight bytes at a time, which compilers turn into vectors.
pub fn apply_mask(mask: [u8; 4], bytes: &mut [u8]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= mask;
    }
}

/// Appends the header of a whole message or control frame; with a mask, the payload behind it has to have that mask on.
pub fn write_header(out: &mut Vec<u8>, opcode: Opcode, length: usize, mask: Option<[u8; 4]>) {
    let (header, used) = header(opcode, length, mask.is_some());
    out.extend_from_slice(&header[..used]);
    out.extend_from_slice(mask.as_ref().map_or(&[], |mask| &mask[..]));
}

fn header(opcode: Opcode, length: usize, masked: bool) -> ([u8; 10], usize) {
    let mut header = [0; 10];
    header[0] = FIN | opcode as u8;
    let (short, used) = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..=125), _) => (short, 2),
        (_, Ok(length)) => {
            header[2..4].copy_from_slice(&length.to_be_bytes());
            (126, 4)
        }
        _ => {
            header[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            (127, 10)
        }
    };
    header[1] = short | if masked { MASKED } else { 0 };
    (header, used)
}

/// A server's message whose header waits for its length.
#[derive(Clone, Copy, Debug)]
#[must_use = "finish writes the header"]
pub struct Begun {
    opcode: Opcode,
    start: usize,
    reserved: usize,
}

impl Begun {
    /// Where the message's payload starts.
    #[must_use]
    pub const fn payload_at(self) -> usize {
        self.start + self.reserved
    }
}

/// Leaves room for the header of a message of about `expected` bytes. The payload is appended behind it, then [`finish`]
/// writes the header: messages are encoded in place.
pub fn begin(out: &mut Vec<u8>, opcode: Opcode, expected: usize) -> Begun {
    let start = out.len();
    let (header, reserved) = header(opcode, expected, false);
    out.extend_from_slice(&header[..reserved]);
    Begun { opcode, start, reserved }
}

/// Writes the header of everything behind [`begin`]. Where the room does not fit, since the RFC wants the shortest
/// header, the payload moves by a few bytes.
pub fn finish(out: &mut Vec<u8>, begun: Begun) {
    let Begun { opcode, start, reserved } = begun;
    let length = out.len() - start - reserved;
    let (header, used) = header(opcode, length, false);
    if used > reserved {
        out.resize(out.len() + used - reserved, 0);
    }
    if used != reserved {
        out.copy_within(start + reserved..start + reserved + length, start + used);
        out.truncate(start + used + length);
    }
    out[start..start + used].copy_from_slice(&header[..used]);
}

/// Appends a server's close frame. `reason` is cut to what a control frame holds.
pub fn write_close(out: &mut Vec<u8>, code: CloseCode, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(CONTROL_BYTES - 2)];
    write_header(out, Opcode::Close, 2 + reason.len(), None);
    out.extend_from_slice(&(code as u16).to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn client(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_header(&mut out, opcode, payload.len(), Some(MASK));
        append_masked(MASK, payload, &mut out);
        out
    }

    /// The examples of RFC 6455, 5.7: a masked and an unmasked text.
    #[test]
    fn examples_of_the_rfc() {
        let bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(client(Opcode::Text, b"Hello"), bytes);
        let Ok(Parsed::Whole(frame)) = parse_client(&bytes, 5) else { panic!("it is whole") };
        let mut text = frame.payload.to_vec();
        apply_mask(frame.mask.unwrap(), &mut text);
        assert_eq!((&text[..], frame.fin, frame.opcode, frame.consumed), (&b"Hello"[..], true, Opcode::Text, 11));
        let mut out = Vec::new();
        let begun = begin(&mut out, Opcode::Text, 5);
        out.extend_from_slice(b"Hello");
        finish(&mut out, begun);
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
    }

    /// Masks at every length and so at every remainder of the wide loop, against the RFC's byte-wise definition.
    #[test]
    fn masks() {
        for length in 0..70 {
            let plain: Vec<u8> = (0..length).collect();
            let mut wide = plain.clone();
            apply_mask(MASK, &mut wide);
            let narrow: Vec<u8> = plain.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]).collect();
            assert_eq!(wide, narrow);
        }
    }

    /// Every length around the borders of the three encodings, whatever was expected of it: headers are the shortest, parse
    /// back, and a prefix is never whole.
    #[test]
    fn lengths() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload = vec![b'x'; length];
            for expected in [0, 126, 65_536] {
                let mut out = b"before".to_vec();
                let begun = begin(&mut out, Opcode::Binary, expected);
                assert_eq!(begun.payload_at(), out.len());
                out.extend_from_slice(&payload);
                finish(&mut out, begun);
                let bytes = &out[6..];
                let Ok(Parsed::Whole(frame)) = parse_server(bytes, 70_000) else { panic!("{length} {expected}") };
                assert_eq!((frame.payload, frame.consumed), (&payload[..], bytes.len()));
            }
            let bytes = client(Opcode::Binary, &payload);
            for end in (0..bytes.len()).step_by(1 + length / 40) {
                assert!(
                    matches!(parse_client(&bytes[..end], 70_000), Ok(Parsed::Partial { needed }) if needed == 0 || needed == bytes.len())
                );
            }
        }
    }

    /// Everything that ends a connection, with its code.
    #[test]
    fn refusals() {
        let of = |bytes: &[u8]| parse_client(bytes, 1_000).map(|_| ()).map_err(Error::code);
        let error = Err::<(), _>;
        for reserved in [0x40, 0x20, 0x10] {
            assert_eq!(of(&[0x81 | reserved, 0x80]), error(CloseCode::Protocol));
        }
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            assert_eq!(parse_client(&[0x80 | opcode, 0x80], 1), Err(Error::ReservedOpcode(opcode)));
        }
        assert_eq!(parse_client(&[0x81, 0x05], 9), Err(Error::Unmasked));
        assert_eq!(parse_server(&[0x81, 0x85], 9), Err(Error::Masked));
        assert_eq!(parse_client(&[0x09, 0x80], 9), Err(Error::FragmentedControl));
        assert_eq!(parse_client(&[0x89, 0xfe, 0, 126], 1_000), Err(Error::LongControl));
        assert_eq!(parse_client(&[0x82, 0xfe, 0, 125], 1_000), Err(Error::LongLength));
        assert_eq!(parse_client(&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 1 << 20), Err(Error::LongLength));
        assert_eq!(of(&[0x82, 0xfe, 3, 233]), error(CloseCode::TooLarge));
        assert_eq!(of(&[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), error(CloseCode::TooLarge));
    }

    /// A reason too long for a control frame is cut between characters.
    #[test]
    fn close_reasons() {
        let mut out = Vec::new();
        write_close(&mut out, CloseCode::Protocol, &"é".repeat(100));
        let Ok(Parsed::Whole(frame)) = parse_server(&out, 125) else { panic!("it is whole") };
        assert_eq!(frame.payload[..2], 1002_u16.to_be_bytes());
        assert_eq!(std::str::from_utf8(&frame.payload[2..]), Ok("é".repeat(61).as_str()));
    }
}
