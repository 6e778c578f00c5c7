//! What a body that does not decode is answered with.

use std::fmt;

use super::Format;

/// A body that is not the message that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DecodeError {
    /// The format that was expected.
    pub format: Format,
    /// The message that was expected.
    pub message: &'static str,
    /// Path of the field, `notes[3].created`; empty when it is the message as a whole, or the library does not say.
    pub field: String,
    /// Bytes before the place at which decoding stopped; `None` for rkyv, which checks by following pointers.
    pub offset: Option<usize>,
    /// What the codec said.
    pub reason: String,
}

impl DecodeError {
    pub(super) fn new(format: Format, message: &'static str, stop: Stop) -> DecodeError {
        let Stop { field, offset, reason } = stop;
        DecodeError { format, message, field, offset, reason }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DecodeError { format, message, field, offset, reason } = self;
        write!(f, "not a {message} in {format}: ")?;
        if !field.is_empty() {
            write!(f, "field `{field}`")?;
            f.write_str(if offset.is_some() { ", " } else { ": " })?;
        }
        if let Some(offset) = offset {
            write!(f, "byte {offset}: ")?;
        }
        f.write_str(reason)
    }
}

/// Where and why a codec stopped: a [`DecodeError`] before the format is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stop {
    /// Path of the field, as in [`DecodeError::field`].
    pub field: String,
    /// As in [`DecodeError::offset`].
    pub offset: Option<usize>,
    /// What the codec said.
    pub reason: String,
}

impl Stop {
    /// Without a field.
    pub(super) fn at(offset: usize, reason: impl fmt::Display) -> Stop {
        Stop { field: String::new(), offset: Some(offset), reason: reason.to_string() }
    }
}
