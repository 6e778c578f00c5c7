//! `/proc/zoneinfo`: pages of each memory zone and node.

use std::path::Path;

use crate::text::{fields, lines, parse_u64, trim};
use crate::{Error, Result};

/// What a number is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A named count, `pages free` as `free`: of the zone, or of the whole node, which the first zone of a node shows.
    Named(&'a [u8]),
    /// Pages that this zone keeps from allocations that could use the zone with this index.
    Protection(usize),
}

/// Hands every number before the per-CPU lists to `each`, with node and zone.
///
/// # Errors
/// At the first malformed line.
pub fn parse<'a>(path: &Path, text: &'a [u8], mut each: impl FnMut(&'a [u8], &'a [u8], Item<'a>, u64)) -> Result<()> {
    let mut place: Option<(&[u8], &[u8])> = None;
    let mut in_per_cpu = false;
    for (index, line) in lines(text).enumerate() {
        let malformed = || Error::format(path, index + 1, line);
        if let Some(rest) = line.strip_prefix(b"Node ") {
            let comma = memchr::memchr(b',', rest).ok_or_else(malformed)?;
            let zone = trim(&rest[comma + 1..]).strip_prefix(b"zone").ok_or_else(malformed)?;
            place = Some((&rest[..comma], trim(zone)));
            in_per_cpu = false;
            continue;
        }
        let (node, zone) = place.ok_or_else(malformed)?;
        let mut split = fields(line);
        match split.next() {
            None | Some(b"per-node") => {}
            Some(b"pagesets") => in_per_cpu = true,
            _ if in_per_cpu => {}
            Some(b"protection:") => {
                let list = trim(split.rest());
                let list = list.strip_prefix(b"(").and_then(|list| list.strip_suffix(b")")).ok_or_else(malformed)?;
                for (zone_index, number) in list.split(|byte| *byte == b',').enumerate() {
                    each(node, zone, Item::Protection(zone_index), parse_u64(trim(number)).ok_or_else(malformed)?);
                }
            }
            Some(b"pages") => {
                let name = split.next().ok_or_else(malformed)?;
                each(node, zone, Item::Named(name), split.u64().ok_or_else(malformed)?);
            }
            // Flags that are no counts: `node_unreclaimable:  0`.
            Some(name) if name.ends_with(b":") => {}
            Some(name) => each(node, zone, Item::Named(name), split.u64().ok_or_else(malformed)?),
        }
    }
    if place.is_none() { Err(Error::format(path, 0, text)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two zones, with all kinds of lines.
    #[test]
    fn zones() {
        let text = b"Node 0, zone      DMA\n  per-node stats\n      nr_dirty     27594\n  pages free     3840\n\
                    \x20       min      14\n        protection: (0, 3019)\n      nr_free_pages 3840\n  pagesets\n    cpu: 0\n\
                    \x20             count:    0\n  node_unreclaimable:  0\n  start_pfn:           1\n\
            Node 1, zone   Normal\n  pages free     7\n";
        let mut all = Vec::new();
        parse(Path::new("zoneinfo"), text, |node, zone, item, value| all.push((node, zone, item, value))).unwrap();
        let dma = |item, value| (&b"0"[..], &b"DMA"[..], item, value);
        assert_eq!(
            all,
            [
                dma(Item::Named(b"nr_dirty"), 27594),
                dma(Item::Named(b"free"), 3840),
                dma(Item::Named(b"min"), 14),
                dma(Item::Protection(0), 0),
                dma(Item::Protection(1), 3019),
                dma(Item::Named(b"nr_free_pages"), 3840),
                (b"1", b"Normal", Item::Named(b"free"), 7),
            ]
        );
    }

    /// Lines before the first zone, and numbers that are none.
    #[test]
    fn malformed() {
        for text in [
            &b""[..],
            b"nr_dirty 1\n",
            b"Node 0 zone x\n",
            b"Node 0, zone x\nmin y\n",
            b"Node 0, zone x\nprotection: 1\n",
        ] {
            assert!(parse(Path::new("z"), text, |_, _, _, _| {}).is_err());
        }
    }
}
