//! `/etc/os-release` (os-release(5)): `NAME="value"` lines in shell syntax.

use std::path::Path;

use crate::text::{lines, trim};
use crate::{Result, Roots, read_into};

const LIMIT: usize = 64 << 10;

/// The fields of the file, in its order, unquoted.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Reads `/etc/os-release`, or `/usr/lib/os-release` where that is missing, below the host's root.
///
/// # Errors
/// When neither can be read.
pub fn read(roots: &Roots) -> Result<Fields> {
    let mut text = Vec::new();
    let read = |name: &str, text: &mut Vec<u8>| read_into(&roots.rootfs.join(Path::new(name)), text, LIMIT);
    match read("etc/os-release", &mut text) {
        Err(error) if error.is_not_found() => read("usr/lib/os-release", &mut text)?,
        other => other?,
    }
    Ok(parse(&text))
}

/// The fields of the file's text. Comments and lines without `=` are skipped.
pub fn parse(text: &[u8]) -> Fields {
    let assignment = |line: &[u8]| {
        let line = trim(line);
        let equals = memchr::memchr(b'=', line)?;
        (!line.starts_with(b"#")).then(|| (line[..equals].to_vec(), unquote(&line[equals + 1..])))
    };
    lines(text).filter_map(assignment).collect()
}

/// Removes quotes, and backslashes where the shell would.
fn unquote(value: &[u8]) -> Vec<u8> {
    let inner = [b'"', b'\''].iter().find_map(|quote| value.strip_prefix(&[*quote])?.strip_suffix(&[*quote]));
    if value.starts_with(b"'") {
        return inner.unwrap_or(value).to_vec();
    }
    let mut plain = Vec::new();
    let mut bytes = inner.unwrap_or(value).iter();
    while let Some(&byte) = bytes.next() {
        match (byte, bytes.clone().next()) {
            (b'\\', Some(&next @ (b'"' | b'$' | b'`' | b'\\'))) => {
                plain.push(next);
                bytes.next();
            }
            _ => plain.push(byte),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quotes of both kinds, escapes, comments and empty values.
    #[test]
    fn syntax() {
        let fields =
            parse(b"# x=y\nNAME=\"Debian GNU/Linux\"\nID=debian\nA='b\\c'\nB=\"a\\\"b\\\\\"\n\nEMPTY=\nnothing\n");
        let expected: [(&[u8], &[u8]); 5] =
            [(b"NAME", b"Debian GNU/Linux"), (b"ID", b"debian"), (b"A", b"b\\c"), (b"B", b"a\"b\\"), (b"EMPTY", b"")];
        assert_eq!(fields.iter().map(|(name, value)| (&name[..], &value[..])).collect::<Vec<_>>(), expected);
    }
}
