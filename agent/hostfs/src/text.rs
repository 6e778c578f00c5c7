//! Lines and fields of kernel text, as bytes: kernel files may hold any byte, so nothing here wants UTF-8.

use std::path::Path;

use crate::{Error, Result};

/// The lines of a text without their `\n`; a last line without one counts too.
///
/// Only `\n` ends a line: device names may hold any other separator.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    rest: &'a [u8],
}

/// See [`Lines`].
pub fn lines(text: &[u8]) -> Lines<'_> {
    Lines { rest: text }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = match memchr::memchr(b'\n', self.rest) {
            Some(at) => (&self.rest[..at], &self.rest[at + 1..]),
            None => (self.rest, &self.rest[self.rest.len()..]),
        };
        self.rest = rest;
        Some(line)
    }
}

/// The fields of a line, split at spaces and tabs.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

/// See [`Fields`].
pub fn fields(line: &[u8]) -> Fields<'_> {
    Fields { rest: line }
}

impl<'a> Fields<'a> {
    /// The next field as a decimal number; `None` when there is none, or it is not a number that fits.
    #[inline]
    pub fn u64(&mut self) -> Option<u64> {
        parse_u64(self.next()?)
    }

    /// What has not been split yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = self.rest.iter().position(|byte| !blank(byte))?;
        let rest = &self.rest[start..];
        let end = rest.iter().position(blank).unwrap_or(rest.len());
        self.rest = &rest[end..];
        Some(&rest[..end])
    }
}

/// A decimal number of digits only; `None` for an empty field, any other byte, or a value past `u64`.
#[inline]
pub fn parse_u64(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    // 19 digits always fit, so that the common case needs no overflow check.
    if digits.len() <= 19 {
        let mut value = 0u64;
        for &digit in digits {
            let digit = digit.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            value = value * 10 + u64::from(digit);
        }
        return Some(value);
    }
    digits.iter().try_fold(0u64, |value, &digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A decimal number with an optional sign.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match text.strip_prefix(b"-") {
        Some(digits) => 0i64.checked_sub_unsigned(parse_u64(digits)?),
        None => i64::try_from(parse_u64(text)?).ok(),
    }
}

/// A hexadecimal number, with or without `0x`.
pub fn parse_hex(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &digit| Some(value << 4 | u64::from(char::from(digit).to_digit(16)?)))
}

/// A decimal fraction such as `0.37`.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The text without blanks, newlines and NUL at its ends, as single-value files have them.
pub fn trim(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0);
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !blank(byte)).map_or(start, |at| at + 1);
    &text[start..end]
}

/// The only number of a single-value file.
///
/// # Errors
/// [`Error::Format`] when the text is anything else.
pub fn single_u64(path: &Path, text: &[u8]) -> Result<u64> {
    parse_u64(trim(text)).ok_or_else(|| Error::format(path, 1, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines end at `\n` only, and a missing last newline loses nothing.
    #[test]
    fn lines_end_at_newline_only() {
        assert_eq!(lines(b"a\r\n\nb\x0bc").collect::<Vec<_>>(), [&b"a\r"[..], b"", b"b\x0bc"]);
        assert_eq!(lines(b"").count(), 0);
    }

    /// Numbers at and past the bound of u64, and everything that is no number.
    #[test]
    fn numbers() {
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"000000000000000000000000042"), Some(42));
        for text in [&b""[..], b"-1", b"1x", b"+1", b"0x1", b"\xff"] {
            assert_eq!(parse_u64(text), None, "{text:?}");
        }
        assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_i64(b"9223372036854775808"), None);
        assert_eq!(parse_hex(b"0xffffffffffffffff"), Some(u64::MAX));
        assert_eq!(parse_hex(b"10000000000000000"), None);
        assert_eq!(trim(b" 12\n\0"), b"12");
    }

    /// Fields are split at blanks; the rest stays available.
    #[test]
    fn field_split() {
        let mut split = fields(b"  cpu0\t12   x y");
        assert_eq!(split.next(), Some(&b"cpu0"[..]));
        assert_eq!(split.u64(), Some(12));
        assert_eq!(split.rest(), b"   x y");
    }
}
