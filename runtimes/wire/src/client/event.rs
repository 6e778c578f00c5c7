//! Whether an event that a server told is the one that had to come.

use super::{EVENT, Mismatch, Reply};
use crate::Format;

/// The event that has to come next, encoded once: each user's copy is then compared, not decoded.
#[derive(Clone, Debug)]
pub struct ExpectedEvent {
    number: u32,
    body: Vec<u8>,
}

impl ExpectedEvent {
    /// Event `number` with a text of `bytes` bytes, as [`crate::event::event`] makes it.
    pub fn new(format: Format, number: u32, bytes: usize) -> ExpectedEvent {
        let mut body = Vec::new();
        format.encode_note(&crate::event::event(number, bytes), &mut body);
        ExpectedEvent { number, body }
    }

    /// Whether this is that event, to the byte.
    ///
    /// # Errors
    /// Where it differs.
    pub fn check(&self, reply: &Reply<'_>) -> Result<(), Mismatch> {
        if reply.status != EVENT {
            return Err(Mismatch::Event(format!("status {} in its place", reply.status)));
        }
        if reply.id != Some(self.number) {
            let number = reply.id.map_or_else(|| "none".to_owned(), |id| id.to_string());
            return Err(Mismatch::Event(format!("number {number}, expected {}", self.number)));
        }
        if reply.body != self.body {
            let at = self.body.iter().zip(reply.body).take_while(|(expected, got)| expected == got).count();
            let (got, expected) = (reply.body.len(), self.body.len());
            return Err(Mismatch::Event(format!("differs from byte {at} on ({got} bytes, expected {expected})")));
        }
        Ok(())
    }
}
