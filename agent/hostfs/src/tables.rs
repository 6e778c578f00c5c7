//! Small tables of procfs that need one function each.

use std::path::Path;

use crate::text::{Fields, fields, lines, parse_hex, parse_i64, parse_u64};
use crate::{Error, Result};

/// Hands each line's fields to `row` and says which line it did not take.
fn rows<'a>(path: &Path, text: &'a [u8], skip: usize, mut row: impl FnMut(Fields<'a>) -> Option<()>) -> Result<()> {
    for (index, line) in lines(text).enumerate().skip(skip) {
        row(fields(line)).ok_or_else(|| Error::format(path, index + 1, line))?;
    }
    Ok(())
}

/// `/proc/buddyinfo`: `Node 0, zone      DMA      1      0 …`, free blocks by size. Calls `each` with node, zone and the
/// counts, the smallest size first.
///
/// # Errors
/// At the first malformed line.
pub fn buddyinfo<'a>(path: &Path, text: &'a [u8], mut each: impl FnMut(&'a [u8], &'a [u8], &[u64])) -> Result<()> {
    /// Orders of the page allocator: 11 by default, fewer than this on every architecture.
    const ORDERS: usize = 64;
    rows(path, text, 0, |mut split| {
        (split.next()? == b"Node").then_some(())?;
        let node = split.next()?.strip_suffix(b",")?;
        (split.next()? == b"zone").then_some(())?;
        let zone = split.next()?;
        let mut counts = [0; ORDERS];
        let mut length = 0;
        for field in split {
            *counts.get_mut(length)? = parse_u64(field)?;
            length += 1;
        }
        (length > 0).then(|| each(node, zone, &counts[..length]))
    })
}

/// `/proc/net/xfrm_stat` and `/proc/net/tls_stat`: a name and a number a line. Returns the numbers of `names`, 0 for those
/// that the kernel does not have.
///
/// # Errors
/// At the first malformed line.
pub fn named<const N: usize>(path: &Path, text: &[u8], names: &[&str; N]) -> Result<[i64; N]> {
    let mut numbers = [0; N];
    rows(path, text, 0, |mut split| {
        let (name, number) = (split.next()?, split.next().and_then(parse_i64)?);
        if let Some(at) = names.iter().position(|known| known.as_bytes() == name) {
            numbers[at] = number;
        }
        split.next().is_none().then_some(())
    })?;
    Ok(numbers)
}

/// `/proc/net/arp`: calls `each` with the interface of every entry, the last column.
///
/// # Errors
/// At the first malformed line.
pub fn arp<'a>(path: &Path, text: &'a [u8], mut each: impl FnMut(&'a [u8])) -> Result<()> {
    rows(path, text, 1, |mut split| split.nth(5).map(&mut each))
}

/// One CPU's line of `/proc/schedstat` (Documentation/scheduler/sched-stats.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedStat<'a> {
    /// Number of the CPU.
    pub cpu: &'a [u8],
    /// Time in which tasks ran, in nanoseconds.
    pub running_ns: u64,
    /// Time in which tasks waited to run, in nanoseconds.
    pub waiting_ns: u64,
    /// Times that a task got the CPU.
    pub timeslices: u64,
}

/// The CPU lines of `/proc/schedstat`, of versions 14 and later.
///
/// # Errors
/// At the first malformed CPU line.
pub fn schedstat<'a>(path: &Path, text: &'a [u8], mut each: impl FnMut(SchedStat<'a>)) -> Result<()> {
    rows(path, text, 0, |mut split| {
        let Some(cpu) = split.next().and_then(|field| field.strip_prefix(b"cpu")) else { return Some(()) };
        let mut last = split.skip(6).map(parse_u64);
        each(SchedStat { cpu, running_ns: last.next()??, waiting_ns: last.next()??, timeslices: last.next()?? });
        Some(())
    })
}

/// One CPU's line of `/proc/net/softnet_stat` (net/core/net-procfs.c). Columns that the kernel lacks are `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftNet {
    /// Number of the CPU; its line's number before Linux 5.10.
    pub cpu: u64,
    /// Frames processed.
    pub processed: u64,
    /// Frames dropped because the backlog was full.
    pub dropped: u64,
    /// Times that the budget or the time ended with work left.
    pub times_squeezed: u64,
    /// Collisions on the lock of a device while sending.
    pub cpu_collision: Option<u64>,
    /// Times that another CPU asked this one for packet steering.
    pub received_rps: Option<u64>,
    /// Packets dropped by the flow limit.
    pub flow_limit_count: Option<u64>,
    /// Packets in the backlog now.
    pub backlog_length: Option<u64>,
}

/// The lines of `/proc/net/softnet_stat`, hexadecimal.
///
/// # Errors
/// At the first malformed line.
pub fn softnet(path: &Path, text: &[u8], mut each: impl FnMut(SoftNet)) -> Result<()> {
    let mut line = 0;
    rows(path, text, 0, |split| {
        let mut columns = [None; 13];
        for (column, field) in columns.iter_mut().zip(split) {
            *column = Some(parse_hex(field)?);
        }
        let [
            processed,
            dropped,
            times_squeezed,
            _,
            _,
            _,
            _,
            _,
            cpu_collision,
            received_rps,
            flow_limit_count,
            backlog_length,
            cpu,
        ] = columns;
        each(SoftNet {
            cpu: cpu.unwrap_or(line),
            processed: processed?,
            dropped: dropped?,
            times_squeezed: times_squeezed?,
            cpu_collision,
            received_rps,
            flow_limit_count,
            backlog_length,
        });
        line += 1;
        Some(())
    })
}

/// `/proc/net/stat/nf_conntrack`: the sums over all CPUs of its 17 hexadecimal columns.
///
/// # Errors
/// At the first malformed line.
pub fn conntrack(path: &Path, text: &[u8]) -> Result<[u64; 17]> {
    let mut sums = [0u64; 17];
    rows(path, text, 1, |mut split| {
        for sum in &mut sums {
            *sum = sum.wrapping_add(parse_hex(split.next()?)?);
        }
        Some(())
    })?;
    Ok(sums)
}

/// One line of `/proc/slabinfo`, version 2.1 (slabinfo(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slab<'a> {
    /// Name of the cache.
    pub name: &'a [u8],
    /// Objects in use.
    pub active_objects: u64,
    /// Objects that there is room for.
    pub objects: u64,
    /// Bytes of an object.
    pub object_size: u64,
    /// Objects in a slab.
    pub objects_per_slab: u64,
    /// Pages of a slab.
    pub pages_per_slab: u64,
}

/// The lines of `/proc/slabinfo`.
///
/// # Errors
/// At the first malformed line; for a version other than 2.1.
pub fn slabinfo<'a>(path: &Path, text: &'a [u8], mut each: impl FnMut(Slab<'a>)) -> Result<()> {
    if !text.starts_with(b"slabinfo - version: 2.1") {
        return Err(Error::format(path, 1, text));
    }
    rows(path, text, 2, |mut split| {
        each(Slab {
            name: split.next()?,
            active_objects: split.u64()?,
            objects: split.u64()?,
            object_size: split.u64()?,
            objects_per_slab: split.u64()?,
            pages_per_slab: split.u64()?,
        });
        Some(())
    })
}

/// Sums of the queues in `/proc/net/udp` or `udp6`: bytes to send and bytes received, not yet read.
///
/// # Errors
/// At the first malformed line.
pub fn udp_queues(path: &Path, text: &[u8]) -> Result<(u64, u64)> {
    let (mut transmit, mut receive) = (0u64, 0u64);
    rows(path, text, 1, |mut split| {
        let queues = split.nth(4)?;
        let colon = memchr::memchr(b':', queues)?;
        transmit = transmit.wrapping_add(parse_hex(&queues[..colon])?);
        receive = receive.wrapping_add(parse_hex(&queues[colon + 1..])?);
        Some(())
    })?;
    Ok((transmit, receive))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "t";

    fn path() -> &'static Path {
        Path::new(PATH)
    }

    /// A line of each table, as Linux 6.18 prints it.
    #[test]
    fn real_lines() {
        let mut blocks = Vec::new();
        buddyinfo(path(), b"Node 0, zone    DMA32      1      2      3 \n", |node, zone, counts| {
            blocks.push((node.to_vec(), zone.to_vec(), counts.to_vec()));
        })
        .unwrap();
        assert_eq!(blocks, [(b"0".to_vec(), b"DMA32".to_vec(), vec![1, 2, 3])]);

        let text = b"XfrmInError             \t1\nXfrmInHdrError\t-2\n";
        assert_eq!(named(path(), text, &["XfrmInHdrError", "XfrmInNoPols"]).unwrap(), [-2, 0]);
        assert!(named(path(), b"XfrmInError 1 2\n", &[]).is_err());

        let mut devices = Vec::new();
        let text = b"IP address HW type Flags HW address Mask Device\n10.0.0.1 0x1 0x2 02:fc:00:00:00:02 * eth0\n";
        arp(path(), text, |device| devices.push(device)).unwrap();
        assert_eq!(devices, [b"eth0"]);

        let mut cpus = Vec::new();
        let text = b"version 15\ntimestamp 1\ncpu0 0 0 0 0 0 0 51 52 53\ndomain0 3 0 0\n";
        schedstat(path(), text, |cpu| cpus.push(cpu)).unwrap();
        assert_eq!(cpus, [SchedStat { cpu: b"0", running_ns: 51, waiting_ns: 52, timeslices: 53 }]);

        let mut softnets = Vec::new();
        let text = b"0000001a 00000001 00000002 0 0 0 0 0 00000003 00000004 00000005 00000006 00000007\n00000001 0 0\n";
        softnet(path(), text, |cpu| softnets.push(cpu)).unwrap();
        assert_eq!((softnets[0].cpu, softnets[0].processed, softnets[0].backlog_length), (7, 26, Some(6)));
        assert_eq!((softnets[1].cpu, softnets[1].received_rps), (1, None));

        let line = "0000000a 0 00000001 0 0 0 0 0 0 0 0 0 0 0 0 0 000000ff\n";
        let sums = conntrack(path(), format!("entries …\n{line}{line}").as_bytes()).unwrap();
        assert_eq!((sums[0], sums[2], sums[16]), (20, 2, 510));

        let mut slabs = Vec::new();
        let text = b"slabinfo - version: 2.1\n# name\nbio-312 12 13 320 14 1 : tunables 0 0 0\n";
        slabinfo(path(), text, |slab| slabs.push(slab)).unwrap();
        assert_eq!((slabs[0].name, slabs[0].objects, slabs[0].pages_per_slab), (&b"bio-312"[..], 13, 1));

        let text = b"  sl  local_address\n 0: 0100007F:0035 00000000:0000 07 00000010:00000020 00:00000000\n";
        assert_eq!(udp_queues(path(), text).unwrap(), (16, 32));
    }

    /// Every parser names the line that it does not take.
    #[test]
    fn malformed_lines() {
        let bad = b"x\nx x x x x x x x x x\nx";
        let errors = [
            buddyinfo(path(), bad, |_, _, _| {}).unwrap_err(),
            arp(path(), b"x\na b\n", |_| {}).unwrap_err(),
            schedstat(path(), b"cpu0 1 2\n", |_| {}).unwrap_err(),
            softnet(path(), bad, |_| {}).unwrap_err(),
            conntrack(path(), bad).unwrap_err(),
            slabinfo(path(), bad, |_| {}).unwrap_err(),
            udp_queues(path(), bad).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, Error::Format { line: 1..=2, .. }), "{error}");
        }
    }
}
