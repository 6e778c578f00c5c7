//! `/proc/net/netstat`, `/proc/net/snmp` and `/proc/net/snmp6`: the network stack's counters.
//!
//! The first two hold pairs of lines, names and then numbers, each starting with the protocol:
//! `Tcp: RtoAlgorithm RtoMin …` and `Tcp: 1 200 …`. snmp6 has one `Ip6InReceives 12` a line.

use std::path::Path;

use crate::text::{fields, lines, parse_i64, parse_u64};
use crate::{Error, Result, Roots, Source};

const LIMIT: usize = 256 << 10;

/// One number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counter<'a> {
    /// `Tcp`, `TcpExt`, `Ip6`.
    pub protocol: &'a [u8],
    /// `RetransSegs`.
    pub name: &'a [u8],
    /// Nearly always a count; Tcp MaxConn is -1 where there is no limit. Exact below 2^53, as all that uses it is.
    pub value: f64,
}

impl Counter<'_> {
    fn write_name(&self, name: &mut Vec<u8>) {
        name.clear();
        name.extend_from_slice(self.protocol);
        name.push(b'_');
        name.extend_from_slice(self.name);
    }
}

/// Which counters of a file are wanted; see [`Counters::for_each_chosen`].
#[derive(Debug, Default)]
pub struct Choice {
    pairs: Vec<Pair>,
    name: Vec<u8>,
}

/// A line of names.
#[derive(Debug)]
struct Pair {
    names: Vec<u8>,
    /// How many of its bytes are the protocol.
    protocol: usize,
    /// How many names it has.
    count: usize,
    /// Place and full name of the wanted ones.
    wanted: Vec<(usize, Box<[u8]>)>,
}

impl Pair {
    fn new(line: &[u8], full: &mut Vec<u8>, wanted: &mut impl FnMut(&[u8]) -> bool) -> Option<Self> {
        let (protocol, names) = split_protocol(line)?;
        let mut pair = Self { names: line.to_vec(), protocol: protocol.len(), count: 0, wanted: Vec::new() };
        for name in fields(names) {
            Counter { protocol, name, value: 0.0 }.write_name(full);
            if wanted(full) {
                pair.wanted.push((pair.count, full.as_slice().into()));
            }
            pair.count += 1;
        }
        Some(pair)
    }

    /// Reads the line of numbers that belongs to the names; `None` when it does not fit them.
    fn read(&self, line: &[u8], each: &mut impl FnMut(&[u8], f64)) -> Option<()> {
        let (protocol, numbers) = split_protocol(line)?;
        let mut wanted = self.wanted.iter();
        let mut next = wanted.next();
        let mut count = 0;
        for text in fields(numbers) {
            let value = number(text)?;
            if let Some((place, name)) = next
                && *place == count
            {
                each(name, value);
                next = wanted.next();
            }
            count += 1;
        }
        (count == self.count && protocol == &self.names[..self.protocol]).then_some(())
    }
}

/// Reads one of the three files repeatedly into the same memory.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    paired: bool,
}

impl Reader {
    /// A reader of `net/netstat` (TcpExt, IpExt, MPTcpExt).
    pub fn netstat(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("net/netstat"), LIMIT), paired: true }
    }

    /// A reader of `net/snmp` (Ip, Icmp, Tcp, Udp, UdpLite).
    pub fn snmp(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("net/snmp"), LIMIT), paired: true }
    }

    /// A reader of `net/snmp6` (Ip6, Icmp6, Udp6, UdpLite6), which is missing where IPv6 is.
    pub fn snmp6(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("net/snmp6"), LIMIT), paired: false }
    }

    /// The content now; `None` when there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self) -> Result<Option<Counters<'_>>> {
        let paired = self.paired;
        Ok(self.source.read_if_present()?.map(|(path, text)| Counters { path, text, paired }))
    }
}

/// A file's text, split on demand.
#[derive(Clone, Copy, Debug)]
pub struct Counters<'a> {
    path: &'a Path,
    text: &'a [u8],
    paired: bool,
}

impl<'a> Counters<'a> {
    /// A view of the text of `net/netstat` or `net/snmp`.
    pub fn paired(path: &'a Path, text: &'a [u8]) -> Self {
        Self { path, text, paired: true }
    }

    /// A view of the text of `net/snmp6`.
    pub fn single(path: &'a Path, text: &'a [u8]) -> Self {
        Self { path, text, paired: false }
    }

    /// Hands every number to `each`, in the file's order.
    ///
    /// # Errors
    /// At the first malformed line; the numbers before it have been handed over.
    pub fn for_each(self, each: impl FnMut(Counter<'a>)) -> Result<()> {
        if self.paired { self.for_each_paired(each) } else { self.for_each_single(each) }
    }

    fn for_each_paired(self, mut each: impl FnMut(Counter<'a>)) -> Result<()> {
        let mut numbered = lines(self.text).enumerate();
        while let Some((index, names)) = numbered.next() {
            let malformed = |line| Error::format(self.path, index + 2, line);
            let values = numbered.next().map(|(_, line)| line).ok_or_else(|| malformed(names))?;
            let (protocol, names) = split_protocol(names).ok_or_else(|| malformed(names))?;
            let (same, numbers) = split_protocol(values).ok_or_else(|| malformed(values))?;
            let mut numbers = fields(numbers);
            for name in fields(names) {
                let value = numbers.next().and_then(number).ok_or_else(|| malformed(values))?;
                each(Counter { protocol, name, value });
            }
            if same != protocol || numbers.next().is_some() {
                return Err(malformed(values));
            }
        }
        Ok(())
    }

    fn for_each_single(self, mut each: impl FnMut(Counter<'a>)) -> Result<()> {
        for (index, line) in lines(self.text).enumerate() {
            let mut split = fields(line);
            let pair = split.next().zip(split.next().and_then(number));
            let (full, value) = pair.ok_or_else(|| Error::format(self.path, index + 1, line))?;
            // Ip6InReceives is counter InReceives of Ip6; a name without a 6 has no protocol to stand under.
            if let Some(six) = memchr::memchr(b'6', full) {
                let (protocol, name) = full.split_at(six + 1);
                each(Counter { protocol, name, value });
            }
        }
        Ok(())
    }

    /// Hands the numbers that are `wanted` to `each`, under names such as `Tcp_RetransSegs`. Which those are is remembered
    /// in `choice`, so that the hundreds of names are only looked at when the kernel's lists of them change.
    ///
    /// # Errors
    /// As [`Counters::for_each`].
    pub fn for_each_chosen(
        self,
        choice: &mut Choice,
        mut wanted: impl FnMut(&[u8]) -> bool,
        mut each: impl FnMut(&[u8], f64),
    ) -> Result<()> {
        if !self.paired {
            let name = &mut choice.name;
            return self.for_each_single(|counter| {
                counter.write_name(name);
                if wanted(name) {
                    each(name, counter.value);
                }
            });
        }
        let mut pairs = lines(self.text).enumerate();
        let mut place = 0;
        while let Some((index, names)) = pairs.next() {
            let malformed = |line| Error::format(self.path, index + 2, line);
            let values = pairs.next().map(|(_, line)| line).ok_or_else(|| malformed(names))?;
            if choice.pairs.get(place).is_none_or(|pair| pair.names != names) {
                let pair = Pair::new(names, &mut choice.name, &mut wanted).ok_or_else(|| malformed(names))?;
                choice.pairs.truncate(place);
                choice.pairs.push(pair);
            }
            choice.pairs[place].read(values, &mut each).ok_or_else(|| malformed(values))?;
            place += 1;
        }
        Ok(())
    }

    /// One number; `None` when the kernel does not have it.
    ///
    /// # Errors
    /// When a line is malformed.
    pub fn value(self, protocol: &str, name: &str) -> Result<Option<f64>> {
        let mut value = None;
        self.for_each(|counter| {
            if counter.protocol == protocol.as_bytes() && counter.name == name.as_bytes() {
                value = Some(counter.value);
            }
        })?;
        Ok(value)
    }
}

fn split_protocol(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line).filter(|at| *at > 0)?;
    Some((&line[..colon], &line[colon + 1..]))
}

fn number(text: &[u8]) -> Option<f64> {
    parse_u64(text).map(|value| value as f64).or_else(|| parse_i64(text).map(|value| value as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of lines, with a negative number, and the IPv6 form.
    #[test]
    fn both_forms() {
        let path = Path::new("net/snmp");
        let snmp = Counters::paired(path, b"Tcp: MaxConn RetransSegs\nTcp: -1 42\nUdp: NoPorts\nUdp: 7\n");
        assert_eq!(snmp.value("Tcp", "MaxConn").unwrap(), Some(-1.0));
        assert_eq!(snmp.value("Udp", "NoPorts").unwrap(), Some(7.0));
        assert_eq!(snmp.value("Udp", "RetransSegs").unwrap(), None);
        let snmp6 = Counters::single(path, b"Ip6InReceives                   \t12\nUdpLite6NoPorts\t3\n");
        assert_eq!(snmp6.value("Ip6", "InReceives").unwrap(), Some(12.0));
        assert_eq!(snmp6.value("UdpLite6", "NoPorts").unwrap(), Some(3.0));
    }

    /// Chosen counters are those that a filter over all of them gives, also when the names change between two reads.
    #[test]
    fn chosen() {
        let path = Path::new("net/snmp");
        let mut choice = Choice::default();
        for text in [
            &b"Tcp: MaxConn RetransSegs\nTcp: -1 42\nUdp: NoPorts InErrors\nUdp: 7 8\n"[..],
            b"Tcp: MaxConn RetransSegs\nTcp: -1 43\nUdp: NoPorts InErrors\nUdp: 9 8\n",
            b"Udp: NoPorts InErrors\nUdp: 9 8\nTcp: New RetransSegs\nTcp: 1 44\n",
            b"Tcp: RetransSegs\nTcp: 44\n",
        ] {
            let mut chosen = Vec::new();
            let is_wanted = |name: &[u8]| name == b"Tcp_RetransSegs" || name == b"Udp_NoPorts";
            let counters = Counters::paired(path, text);
            counters
                .for_each_chosen(&mut choice, is_wanted, |name, value| chosen.push((name.to_vec(), value)))
                .unwrap();
            let mut expected = Vec::new();
            let all = |counter: Counter<'_>| {
                let mut name = Vec::new();
                counter.write_name(&mut name);
                if is_wanted(&name) {
                    expected.push((name, counter.value));
                }
            };
            counters.for_each(all).unwrap();
            assert_eq!(chosen, expected);
        }
        for text in
            [&b"Tcp: A B\nTcp: 1\n"[..], b"Tcp: A B\nTcp: 1 2 3\n", b"Tcp: A B\nUdp: 1 2\n", b"Tcp: A B\nTcp: 1 x\n"]
        {
            // Twice: known names change nothing.
            for _ in 0..2 {
                let error = Counters::paired(path, text).for_each_chosen(&mut choice, |_| true, |_, _| {}).unwrap_err();
                assert!(error.to_string().starts_with("net/snmp:2: unexpected"), "{error}");
            }
        }
    }

    /// Lines that do not pair are malformed.
    #[test]
    fn malformed() {
        for text in [
            &b"Tcp: A B\n"[..],
            b"Tcp: A B\nTcp: 1\n",
            b"Tcp: A\nTcp: 1 2\n",
            b"Tcp: A\nUdp: 1\n",
            b"Tcp A\nTcp 1\n",
            b"Tcp: A\nTcp: 99999999999999999999\n",
        ] {
            let error = Counters::paired(Path::new("s"), text).for_each(|_| {}).unwrap_err().to_string();
            assert!(error.starts_with("s:2: unexpected"), "{error}");
        }
        assert!(Counters::single(Path::new("s"), b"Ip6InReceives\n").for_each(|_| {}).is_err());
    }
}
