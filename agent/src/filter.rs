//! Include and exclude expressions over device and field names.
//!
//! Names hardly change between scrapes, so each name is matched once and remembered; and they come in the same order at
//! each scrape, so that remembering is mostly one comparison with the name that is expected next.

use std::collections::HashMap;

use anyhow::Context;
use regex_lite::Regex;

/// How many names are remembered; more (interfaces of short-lived containers) and all are forgotten and matched anew.
const REMEMBERED: usize = 4096;

/// Longest expression, in bytes; the engine's work is proportional to it.
const EXPRESSION_LIMIT: usize = 4096;

/// Decides which names a collector exports.
#[derive(Debug)]
pub struct Filter {
    include: Option<Regex>,
    exclude: Option<Regex>,
    /// Names in the order in which they first came, and whether they are wanted.
    known: Vec<(Box<[u8]>, bool)>,
    /// Their places in `known`.
    places: HashMap<Box<[u8]>, usize>,
    /// The place that is expected next; after the last name of a scrape comes the first of the next.
    next: usize,
}

impl Filter {
    /// Names that match `include` and do not match `exclude`; an empty expression does not filter. Expressions are
    /// not anchored, as in node_exporter.
    ///
    /// # Errors
    /// When an expression does not compile or is longer than 4 KiB.
    pub fn new(include: &str, exclude: &str) -> anyhow::Result<Self> {
        let compile = |expression: &str| -> anyhow::Result<Option<Regex>> {
            if expression.is_empty() {
                return Ok(None);
            }
            anyhow::ensure!(
                expression.len() <= EXPRESSION_LIMIT,
                "expression of {} bytes, at most {EXPRESSION_LIMIT} are taken",
                expression.len()
            );
            Regex::new(expression).with_context(|| format!("{expression:?} is no regular expression")).map(Some)
        };
        Ok(Self {
            include: compile(include)?,
            exclude: compile(exclude)?,
            known: Vec::new(),
            places: HashMap::new(),
            next: 0,
        })
    }

    /// Whether `name` is wanted. Invalid UTF-8 in it is matched as U+FFFD.
    pub fn wants(&mut self, name: &[u8]) -> bool {
        if self.include.is_none() && self.exclude.is_none() {
            return true;
        }
        let expected = self.known.get(self.next).is_some_and(|(known, _)| **known == *name);
        let place =
            if expected { self.next } else { self.places.get(name).copied().unwrap_or_else(|| self.remember(name)) };
        self.next = if place + 1 == self.known.len() { 0 } else { place + 1 };
        self.known[place].1
    }

    /// Matches a new name; its place.
    fn remember(&mut self, name: &[u8]) -> usize {
        let text = String::from_utf8_lossy(name);
        let wanted = self.include.as_ref().is_none_or(|expression| expression.is_match(&text))
            && !self.exclude.as_ref().is_some_and(|expression| expression.is_match(&text));
        if self.known.len() >= REMEMBERED {
            self.known.clear();
            self.places.clear();
        }
        let place = self.known.len();
        self.known.push((name.into(), wanted));
        self.places.insert(name.into(), place);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Include, exclude, both and none.
    #[test]
    fn wants() {
        let mut disks = Filter::new("", r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$").unwrap();
        for (name, wanted) in
            [("loop0", false), ("sda", true), ("sda1", false), ("nvme0n1", true), ("nvme0n1p3", false), ("dm-0", true)]
        {
            assert_eq!(disks.wants(name.as_bytes()), wanted, "{name}");
            assert_eq!(disks.wants(name.as_bytes()), wanted, "{name} from memory");
        }
        let mut some = Filter::new("^e", "1$").unwrap();
        assert!(some.wants(b"eth0") && !some.wants(b"eth1") && !some.wants(b"lo") && some.wants(b"e\xff"));
        assert!(Filter::new("(", "").is_err());
        assert!(Filter::new(&"x".repeat(5000), "").is_err());
    }

    /// Memory stays bounded however many names pass.
    #[test]
    fn bounded() {
        let mut filter = Filter::new("", "^veth").unwrap();
        for index in 0..20_000 {
            assert!(!filter.wants(format!("veth{index}").as_bytes()));
        }
        assert!(filter.known.len() <= REMEMBERED && filter.places.len() == filter.known.len());
    }

    /// Names that come in another order, twice or not at all are told apart all the same.
    #[test]
    fn any_order() {
        let mut filter = Filter::new("", "^b").unwrap();
        for order in ["abcd", "abcd", "dcba", "aab", "bb", "xabcd", "d", "cdab"] {
            for name in order.chars() {
                assert_eq!(filter.wants(name.to_string().as_bytes()), name != 'b', "{name} of {order}");
            }
        }
    }
}
