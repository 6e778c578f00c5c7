//! Labels that are written many times, escaped once.

use super::{LABEL_VALUE_LIMIT, push_escaped};

/// Label pairs in exposition form, without the braces: `id="/docker/1",name="web"`. A container's hundred samples share
/// one, so that its labels are escaped when they change and copied otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    bytes: Vec<u8>,
}

impl Rendered {
    /// Appends a label. `name` must be one that Prometheus takes.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        debug_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{name}");
        if !self.bytes.is_empty() {
            self.bytes.push(b',');
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b"=\"");
        push_escaped(&mut self.bytes, &value[..value.len().min(LABEL_VALUE_LIMIT)]);
        if value.len() > LABEL_VALUE_LIMIT {
            self.bytes.extend_from_slice("…".as_bytes());
        }
        self.bytes.push(b'"');
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}
