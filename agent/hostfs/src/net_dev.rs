//! `/proc/net/dev` (proc(5)): traffic of network interfaces.
//!
//! The same counters come over rtnetlink with more detail: see [`crate::link`]. This file is for hosts that are
//! looked at from outside, whose `/proc` is mounted elsewhere.

use std::path::Path;

use crate::text::{fields, lines};
use crate::{Error, Result, Roots, Source};

/// About 130 bytes an interface.
const LIMIT: usize = 16 << 20;

/// One interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Bytes, packets, errs, drop, fifo, frame, compressed, multicast received.
    pub receive: [u64; 8],
    /// Bytes, packets, errs, drop, fifo, colls, carrier, compressed sent.
    pub transmit: [u64; 8],
}

/// Reads the file repeatedly into the same memory.
#[derive(Debug)]
pub struct Reader {
    source: Source,
}

impl Reader {
    /// A reader below `roots`.
    pub fn new(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("net/dev"), LIMIT) }
    }

    /// The content now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self) -> Result<NetDev<'_>> {
        let (path, text) = self.source.read()?;
        Ok(NetDev { path, text })
    }
}

/// The file's text, split on demand.
#[derive(Clone, Copy, Debug)]
pub struct NetDev<'a> {
    path: &'a Path,
    text: &'a [u8],
}

impl<'a> NetDev<'a> {
    /// A view of text that was read from `path`.
    pub fn new(path: &'a Path, text: &'a [u8]) -> Self {
        Self { path, text }
    }

    /// Every interface in the file's order, or where its line is malformed. The first two lines are headings.
    pub fn interfaces(self) -> impl Iterator<Item = Result<Interface<'a>>> {
        lines(self.text)
            .enumerate()
            .skip(2)
            .map(move |(index, line)| parse_line(line).ok_or_else(|| Error::format(self.path, index + 1, line)))
    }
}

/// The name ends at the last colon: alias names (`eth0:1`) hold one themselves.
fn parse_line(line: &[u8]) -> Option<Interface<'_>> {
    let colon = memchr::memrchr(b':', line)?;
    let mut interface = Interface { name: crate::text::trim(&line[..colon]), receive: [0; 8], transmit: [0; 8] };
    let mut numbers = fields(&line[colon + 1..]);
    for number in interface.receive.iter_mut().chain(&mut interface.transmit) {
        *number = numbers.u64()?;
    }
    (!interface.name.is_empty()).then_some(interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A real table, with a name that touches its first number.
    #[test]
    fn table() {
        let text = b"Inter-|   Receive  |  Transmit\n face |bytes ...\n\
              lo:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n eth0:1: 1 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0\n";
        let all: Vec<_> = NetDev::new(Path::new("net/dev"), text).interfaces().map(Result::unwrap).collect();
        assert_eq!((all[0].name, all[0].receive[7], all[0].transmit[0]), (&b"lo"[..], 8, 9));
        assert_eq!(all[1].name, b"eth0:1");
        let error = NetDev::new(Path::new("d"), b"\n\nlo: 1 2\n").interfaces().next().unwrap().unwrap_err();
        assert!(error.to_string().starts_with("d:3: unexpected"));
    }
}
