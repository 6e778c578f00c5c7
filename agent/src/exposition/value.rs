//! Numbers in the shortest form that Go's `%g` gives, which is what node_exporter's pages show.

/// Integers below this are exact in a double; above it the value is rounded as any Prometheus client would.
const EXACT: u64 = 1 << 53;

/// A sample's value.
pub trait Value {
    /// Appends the number.
    fn push(self, bytes: &mut Vec<u8>);
}

impl Value for u64 {
    fn push(self, bytes: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        if self < 1_000_000 {
            bytes.extend_from_slice(digits.format(self).as_bytes());
        } else if self < EXACT {
            let text = digits.format(self).as_bytes();
            let exponent = text.len() - 1;
            let significant = text.iter().rposition(|&digit| digit != b'0').map_or(1, |at| at + 1);
            push_exponent_form(bytes, &text[..significant], i32::try_from(exponent).expect("at most 15"));
        } else {
            push_float(bytes, self as f64);
        }
    }
}

impl Value for u32 {
    fn push(self, bytes: &mut Vec<u8>) {
        u64::from(self).push(bytes);
    }
}

impl Value for i64 {
    fn push(self, bytes: &mut Vec<u8>) {
        if self < 0 {
            bytes.push(b'-');
        }
        self.unsigned_abs().push(bytes);
    }
}

impl Value for bool {
    fn push(self, bytes: &mut Vec<u8>) {
        bytes.push(if self { b'1' } else { b'0' });
    }
}

impl Value for f64 {
    fn push(self, bytes: &mut Vec<u8>) {
        // Most values are whole numbers; integers are several times cheaper to print.
        if self >= 0.0 && self < EXACT as f64 && self.fract() == 0.0 && !(self == 0.0 && self.is_sign_negative()) {
            #[expect(clippy::cast_sign_loss, reason = "checked to be in 0..2^53")]
            (self as u64).push(bytes);
        } else {
            push_float(bytes, self);
        }
    }
}

fn push_float(bytes: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        let text: &[u8] = if value.is_nan() {
            b"NaN"
        } else if value > 0.0 {
            b"+Inf"
        } else {
            b"-Inf"
        };
        bytes.extend_from_slice(text);
        return;
    }
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    let magnitude = value.abs();
    // Where ryu and Go agree on plain decimals: below 1e6 and not below 1e-4, with a fraction.
    if (1e-4..1e6).contains(&magnitude) && value.fract() != 0.0 {
        bytes.extend_from_slice(text);
        return;
    }
    push_relaid(bytes, text);
}

/// Takes ryu's text (`1.5e300`, `12345678.25`, `5e-324`, `-0.0`) apart and lays it out as Go does.
fn push_relaid(bytes: &mut Vec<u8>, text: &[u8]) {
    let (text, negative) = match text.strip_prefix(b"-") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    if negative {
        bytes.push(b'-');
    }
    let (mantissa, exponent) = match memchr::memchr(b'e', text) {
        Some(at) => {
            let exponent = std::str::from_utf8(&text[at + 1..]).ok().and_then(|text| text.parse::<i32>().ok());
            (&text[..at], exponent.expect("ryu prints a decimal exponent"))
        }
        None => (text, 0),
    };
    // All digits without the point, and the position of the point.
    let mut digits = [0u8; 32];
    let mut count = 0;
    let mut point = mantissa.len();
    for (index, &byte) in mantissa.iter().enumerate() {
        if byte == b'.' {
            point = index;
        } else {
            digits[count] = byte;
            count += 1;
        }
    }
    let digits = &digits[..count];
    let Some(first) = digits.iter().position(|&digit| digit != b'0') else {
        bytes.push(b'0');
        return;
    };
    let last = digits.iter().rposition(|&digit| digit != b'0').expect("a digit is not zero");
    let shift = i32::try_from(point).expect("short") - 1 - i32::try_from(first).expect("short");
    let significant = &digits[first..=last];
    let exponent = exponent + shift;
    if (-4..6).contains(&exponent) {
        push_plain(bytes, significant, exponent);
    } else {
        push_exponent_form(bytes, significant, exponent);
    }
}

/// Digits `d.ddd × 10^exponent`, for exponents -4 to 5, without an exponent.
fn push_plain(bytes: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    if exponent < 0 {
        bytes.extend_from_slice(b"0.");
        bytes.extend(std::iter::repeat_n(b'0', (-exponent - 1).unsigned_abs() as usize));
        bytes.extend_from_slice(digits);
        return;
    }
    let whole = exponent.unsigned_abs() as usize + 1;
    for index in 0..whole {
        bytes.push(*digits.get(index).unwrap_or(&b'0'));
    }
    if digits.len() > whole {
        bytes.push(b'.');
        bytes.extend_from_slice(&digits[whole..]);
    }
}

/// Digits `ddd` and `exponent` as `d.dde+XX`, the exponent with at least two digits.
fn push_exponent_form(bytes: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    bytes.push(digits[0]);
    if digits.len() > 1 {
        bytes.push(b'.');
        bytes.extend_from_slice(&digits[1..]);
    }
    bytes.push(b'e');
    bytes.push(if exponent < 0 { b'-' } else { b'+' });
    let exponent = exponent.unsigned_abs();
    if exponent < 10 {
        bytes.push(b'0');
    }
    bytes.extend_from_slice(itoa::Buffer::new().format(exponent).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(value: impl Value) -> String {
        let mut bytes = Vec::new();
        value.push(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    /// The forms that Go's strconv.FormatFloat(v, 'g', -1, 64) gives, from its documentation and real pages.
    #[test]
    fn like_go() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (123_456.0, "123456"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (3_831_959_552.0, "3.831959552e+09"),
            (8_885_917.5, "8.8859175e+06"),
            (0.0001, "0.0001"),
            (0.000_012, "1.2e-05"),
            (0.1, "0.1"),
            (99_999.25, "99999.25"),
            (-2.5, "-2.5"),
            (-1e7, "-1e+07"),
            (5e-324, "5e-324"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(show(value), text);
        }
        assert_eq!(show(u64::MAX), "1.8446744073709552e+19");
        assert_eq!(show(9_007_199_254_740_993u64), "9.007199254740992e+15");
        assert_eq!(show(10_000_000u64), "1e+07");
        assert_eq!(show(-5i64), "-5");
    }

    proptest::proptest! {
        /// Every double survives being printed and parsed.
        #[test]
        fn round_trip(bits in proptest::num::u64::ANY) {
            let value = f64::from_bits(bits);
            let back: f64 = show(value).parse().unwrap();
            proptest::prop_assert!(back.to_bits() == value.to_bits() || value.is_nan());
        }

        /// Integers print as the double that they round to.
        #[test]
        fn integers(value in proptest::num::u64::ANY) {
            proptest::prop_assert_eq!(show(value), show(value as f64));
        }
    }
}
