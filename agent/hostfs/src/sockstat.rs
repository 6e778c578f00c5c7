//! `/proc/net/sockstat` and `/proc/net/sockstat6` (proc(5)): sockets in use and their memory.
//!
//! A line is a protocol with names and numbers: `TCP: inuse 1 orphan 0 tw 0 alloc 1 mem 0`. Memory is in pages,
//! except FRAG's, which is in bytes.

use std::path::Path;

use crate::text::{fields, lines};
use crate::{Error, Result, Roots, Source};

const LIMIT: usize = 16 << 10;

/// One number of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// `TCP`, `UDP6`, `sockets`.
    pub protocol: &'a [u8],
    /// `inuse`, `mem`.
    pub name: &'a [u8],
    /// Sockets, pages or bytes.
    pub value: u64,
}

/// Reads one of the two files repeatedly into the same memory.
#[derive(Debug)]
pub struct Reader {
    source: Source,
}

impl Reader {
    /// A reader of the IPv4 file, which has the totals of both families.
    pub fn new(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("net/sockstat"), LIMIT) }
    }

    /// A reader of the IPv6 file, which is missing where IPv6 is.
    pub fn new_v6(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("net/sockstat6"), LIMIT) }
    }

    /// The content now; `None` when there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self) -> Result<Option<Sockstat<'_>>> {
        Ok(self.source.read_if_present()?.map(|(path, text)| Sockstat { path, text }))
    }
}

/// The file's text, split on demand.
#[derive(Clone, Copy, Debug)]
pub struct Sockstat<'a> {
    path: &'a Path,
    text: &'a [u8],
}

impl<'a> Sockstat<'a> {
    /// A view of text that was read from `path`.
    pub fn new(path: &'a Path, text: &'a [u8]) -> Self {
        Self { path, text }
    }

    /// Hands every number to `each`, in the file's order.
    ///
    /// # Errors
    /// At the first malformed line; the numbers before it have been handed over.
    pub fn for_each(self, mut each: impl FnMut(Field<'a>)) -> Result<()> {
        for (index, line) in lines(self.text).enumerate() {
            let malformed = || Error::format(self.path, index + 1, line);
            let colon = memchr::memchr(b':', line).filter(|at| *at > 0).ok_or_else(malformed)?;
            let (protocol, mut pairs) = (&line[..colon], fields(&line[colon + 1..]));
            while let Some(name) = pairs.next() {
                let value = pairs.u64().ok_or_else(malformed)?;
                each(Field { protocol, name, value });
            }
        }
        Ok(())
    }

    /// One number; `None` when the kernel does not have it.
    ///
    /// # Errors
    /// When a line is malformed.
    pub fn value(self, protocol: &str, name: &str) -> Result<Option<u64>> {
        let mut value = None;
        self.for_each(|field| {
            if field.protocol == protocol.as_bytes() && field.name == name.as_bytes() {
                value = Some(field.value);
            }
        })?;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"sockets: used 15\nTCP: inuse 1 orphan 2 tw 3 alloc 4 mem 5\nUDP: inuse 0 mem 7\n\
        FRAG: inuse 0 memory 0\n";

    /// Numbers by protocol and name.
    #[test]
    fn numbers() {
        let sockstat = Sockstat::new(Path::new("/proc/net/sockstat"), TEXT);
        for (protocol, name, value) in
            [("sockets", "used", Some(15)), ("TCP", "mem", Some(5)), ("UDP", "mem", Some(7)), ("TCP", "x", None)]
        {
            assert_eq!(sockstat.value(protocol, name).unwrap(), value);
        }
    }

    /// Names without numbers and lines without a protocol are malformed.
    #[test]
    fn malformed() {
        for text in [&b"TCP: inuse"[..], b"TCP inuse 1", b": a 1", b"TCP: inuse -1", b"TCP: inuse 99999999999999999999"]
        {
            let error = Sockstat::new(Path::new("s"), text).for_each(|_| {}).unwrap_err().to_string();
            assert!(error.starts_with("s:1: unexpected"), "{error}");
        }
    }
}
