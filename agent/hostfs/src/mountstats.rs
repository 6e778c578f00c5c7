//! NFS mounts of `/proc/self/mountstats` (nfs_show_stats in fs/nfs/super.c, rpc_clnt_show_stats in net/sunrpc/stats.c),
//! with the servers' addresses from `/proc/self/mountinfo`.

use std::path::Path;

use crate::text::{fields, lines, parse_u64};
use crate::{Error, Result, Roots, Source};

/// Counts of the `bytes:` line: read, written, the same two with O_DIRECT, the same two from and to the server, pages
/// read and written through mappings.
pub const BYTES: usize = 8;

/// Counts of the `events:` line.
pub const EVENTS: usize = 27;

/// One NFS mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount<'a> {
    /// What is mounted: `server:/path`.
    pub export: &'a [u8],
    /// Where.
    pub mount_point: &'a [u8],
    /// Address of the server.
    pub address: &'a [u8],
    /// Seconds since it was mounted.
    pub age: u64,
    /// See [`BYTES`].
    pub bytes: [u64; BYTES],
    /// See [`EVENTS`].
    pub events: [u64; EVENTS],
    /// Its connections.
    pub transports: Vec<Transport<'a>>,
    /// Its operations.
    pub operations: Vec<Operation<'a>>,
}

/// One connection to the server; fields that the protocol or the kernel does not have are 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transport<'a> {
    /// `tcp`, `udp` or `rdma`.
    pub protocol: &'a [u8],
    /// Times that it was bound.
    pub bind: u64,
    /// Times that it was connected.
    pub connect: u64,
    /// Seconds since the last use.
    pub idle_seconds: u64,
    /// Requests sent.
    pub sends: u64,
    /// Replies received.
    pub receives: u64,
    /// Replies to no request.
    pub bad_transaction_ids: u64,
    /// Sum of the backlog's length over all requests.
    pub backlog: u64,
    /// Most requests at a time.
    pub maximum_slots: u64,
    /// Sum of the sending queue's length over all requests.
    pub sending_queue: u64,
    /// Sum of the pending queue's length over all requests.
    pub pending_queue: u64,
}

/// One kind of operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation<'a> {
    /// Its name: `GETATTR`.
    pub name: &'a [u8],
    /// Requests.
    pub requests: u64,
    /// Transmissions, with repeated ones.
    pub transmissions: u64,
    /// Requests that timed out.
    pub major_timeouts: u64,
    /// Bytes sent, with headers.
    pub bytes_sent: u64,
    /// Bytes received, with headers.
    pub bytes_received: u64,
    /// Milliseconds that requests waited to be sent.
    pub queue_ms: u64,
    /// Milliseconds from sending to reply.
    pub response_ms: u64,
    /// Milliseconds from request to reply.
    pub request_ms: u64,
    /// Requests that ended in an error; kernels before 5.3 do not tell.
    pub errors: u64,
}

/// Reads both files repeatedly.
#[derive(Debug)]
pub struct Reader {
    stats: Source,
    info: Source,
}

impl Reader {
    /// A reader below `roots`.
    pub fn new(roots: &Roots) -> Self {
        let limit = 64 << 20;
        Self {
            stats: Source::new(roots.proc("self/mountstats"), limit),
            info: Source::new(roots.proc("self/mountinfo"), limit),
        }
    }

    /// The NFS mounts, in mount order.
    ///
    /// # Errors
    /// When a file cannot be read or understood.
    pub fn mounts(&mut self) -> Result<Vec<Mount<'_>>> {
        let (path, text) = self.stats.read()?;
        let (_, info) = self.info.read()?;
        parse(path, text, info)
    }
}

/// Parses mountstats; both files list the same mounts in the same order.
///
/// # Errors
/// When a line of an NFS mount is not of the kernel's form.
pub fn parse<'a>(path: &Path, text: &'a [u8], info: &'a [u8]) -> Result<Vec<Mount<'a>>> {
    let mut mounts = Vec::new();
    let mut numbered = lines(text).enumerate();
    let mut addresses = lines(info);
    while let Some((index, line)) = numbered.next() {
        let words: Vec<&[u8]> = fields(line).collect();
        if words.first() != Some(&&b"device"[..]) {
            continue;
        }
        let bad = || Error::format(path, index + 1, line);
        let address = addresses.next().and_then(server_address).unwrap_or_default();
        match words.as_slice() {
            [_, _, b"mounted", b"on", _, b"with", b"fstype", _] => {}
            [_, export, b"mounted", b"on", mount_point, b"with", b"fstype", b"nfs" | b"nfs4", version, ..] => {
                let version = version.strip_prefix(b"statvers=").unwrap_or(version);
                let mount = Mount { export, mount_point, address, ..Mount::default() };
                mounts.push(nfs(path, mount, version, &mut numbered)?);
            }
            _ => return Err(bad()),
        }
    }
    Ok(mounts)
}

/// The lines of one NFS mount, up to the empty line after its operations.
fn nfs<'a>(
    path: &Path,
    mut mount: Mount<'a>,
    version: &[u8],
    numbered: &mut impl Iterator<Item = (usize, &'a [u8])>,
) -> Result<Mount<'a>> {
    let mut operations = false;
    for (index, line) in numbered {
        let bad = || Error::format(path, index + 1, line);
        let mut words = fields(line);
        let Some(first) = words.next() else { break };
        if operations {
            mount.operations.push(operation(first, words).ok_or_else(bad)?);
            continue;
        }
        match first {
            b"age:" => mount.age = words.u64().ok_or_else(bad)?,
            b"bytes:" => mount.bytes = exactly(words).ok_or_else(bad)?,
            b"events:" => mount.events = exactly(words).ok_or_else(bad)?,
            b"xprt:" => mount.transports.push(transport(words, version).ok_or_else(bad)?),
            b"per-op" => operations = true,
            _ => {}
        }
    }
    Ok(mount)
}

fn exactly<'a, const COUNT: usize>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<[u64; COUNT]> {
    let mut numbers = [0; COUNT];
    for number in &mut numbers {
        *number = parse_u64(words.next()?)?;
    }
    words.next().is_none().then_some(numbers)
}

fn transport<'a>(mut words: impl Iterator<Item = &'a [u8]>, version: &[u8]) -> Option<Transport<'a>> {
    let protocol = words.next()?;
    let numbers: Vec<u64> = words.map(parse_u64).collect::<Option<_>>()?;
    let fits = match (version, protocol) {
        (b"1.0", b"tcp") | (b"1.1", b"udp") => numbers.len() == 10,
        (b"1.0", b"udp") => numbers.len() == 7,
        (b"1.1", b"tcp") => numbers.len() == 13,
        // The kernel's own numbers for RDMA have grown since 4.2.
        (b"1.1", b"rdma") => (20..=28).contains(&numbers.len()),
        _ => false,
    };
    if !fits {
        return None;
    }
    let number = |index: usize| numbers.get(index).copied().unwrap_or(0);
    // UDP has no connection: three fields less after the second.
    let skipped = if protocol == b"udp" { 3 } else { 0 };
    let later = |index: usize| number(index - skipped);
    let with_slots = protocol != b"rdma";
    Some(Transport {
        protocol,
        bind: number(1),
        connect: if skipped == 0 { number(2) } else { 0 },
        idle_seconds: if skipped == 0 { number(4) } else { 0 },
        sends: later(5),
        receives: later(6),
        bad_transaction_ids: later(7),
        backlog: later(9),
        maximum_slots: if with_slots { later(10) } else { 0 },
        sending_queue: if with_slots { later(11) } else { 0 },
        pending_queue: if with_slots { later(12) } else { 0 },
    })
}

fn operation<'a>(name: &'a [u8], words: impl Iterator<Item = &'a [u8]>) -> Option<Operation<'a>> {
    let numbers: Vec<u64> = words.map(parse_u64).collect::<Option<_>>()?;
    let [
        requests,
        transmissions,
        major_timeouts,
        bytes_sent,
        bytes_received,
        queue_ms,
        response_ms,
        request_ms,
        ref rest @ ..,
    ] = numbers[..]
    else {
        return None;
    };
    Some(Operation {
        name: name.strip_suffix(b":").unwrap_or(name),
        requests,
        transmissions,
        major_timeouts,
        bytes_sent,
        bytes_received,
        queue_ms,
        response_ms,
        request_ms,
        errors: rest.first().copied().unwrap_or(0),
    })
}

/// `… - nfs4 server:/path rw,vers=4.2,addr=192.0.2.1,…`: the option `addr`.
fn server_address(line: &[u8]) -> Option<&[u8]> {
    let at = memchr::memmem::find(line, b" - ")?;
    let options = fields(&line[at + 3..]).nth(2)?;
    options.split(|&byte| byte == b',').find_map(|option| option.strip_prefix(b"addr="))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "device rootfs mounted on / with fstype rootfs
device 192.0.2.1:/srv mounted on /mnt/srv with fstype nfs4 statvers=1.1
\topts:\trw,vers=4.0
\tage:\t13968
\tcaps:\tcaps=0xfff7
\tevents:\t52 226 0 0 1 13 398 0 0 331 0 47 0 0 77 0 0 77 0 0 0 0 0 0 0 0 0
\tbytes:\t1207640230 0 0 0 1210214218 0 295483 0
\tRPC iostats version: 1.0  p/v: 100003/4 (nfs)
\txprt:\ttcp 832 0 1 0 11 6428 6428 0 12154 0 24 26 5726
\tper-op statistics
\t        NULL: 0 0 0 0 0 0 0 0
\t        READ: 1298 1298 0 207680 1210292152 6 79386 79407 1

device tmpfs mounted on /tmp with fstype tmpfs
";
    const INFO: &str = "1 0 0:1 / / rw - rootfs rootfs rw
2 1 0:2 / /mnt/srv rw,relatime shared:1 - nfs4 192.0.2.1:/srv rw,vers=4.0,addr=192.0.2.1,local_lock=none
3 1 0:3 / /tmp rw - tmpfs tmpfs rw
";

    fn parsed<'a>(text: &'a str, info: &'a str) -> Result<Vec<Mount<'a>>> {
        parse(Path::new("/proc/self/mountstats"), text.as_bytes(), info.as_bytes())
    }

    /// A mount of NFS 4 over TCP between two that are none.
    #[test]
    fn tcp() {
        let mounts = parsed(TEXT, INFO).unwrap();
        assert_eq!(mounts.len(), 1);
        let mount = &mounts[0];
        assert_eq!((mount.export, mount.address, mount.age), (&b"192.0.2.1:/srv"[..], &b"192.0.2.1"[..], 13968));
        assert_eq!((mount.bytes[4], mount.events[6]), (1_210_214_218, 398));
        let transport = &mount.transports[0];
        assert_eq!((transport.connect, transport.idle_seconds, transport.pending_queue), (1, 11, 5726));
        assert_eq!(
            (mount.operations[0].errors, mount.operations[1].errors, mount.operations[1].response_ms),
            (0, 1, 79386)
        );
    }

    /// The other protocols and versions keep their fields apart.
    #[test]
    fn transports() {
        let line = |line: &'static [u8], version| transport(fields(line), version);
        let udp = line(b"udp 832 0 6428 6429 1 12154 2 24 26 5726", b"1.1").unwrap();
        assert_eq!((udp.sends, udp.receives, udp.bad_transaction_ids, udp.backlog), (6428, 6429, 1, 2));
        assert_eq!((udp.maximum_slots, udp.sending_queue, udp.pending_queue, udp.connect), (24, 26, 5726, 0));
        let old = line(b"udp 832 0 6428 6428 0 4710 3", b"1.0").unwrap();
        assert_eq!((old.backlog, old.maximum_slots), (3, 0));
        let rdma = line(b"rdma 0 0 1 0 5 9 9 0 7 6 1 2 3 4 5 6 7 8 9 10", b"1.1").unwrap();
        assert_eq!((rdma.idle_seconds, rdma.backlog, rdma.maximum_slots), (5, 6, 0));
        for (bad, version) in [
            (&b"tcp 1 2 3"[..], &b"1.1"[..]),
            (b"sctp 1 2 3 4 5 6 7 8 9 10", b"1.1"),
            (b"tcp 1 2 3 4 5 6 7 8 9 10 11 12 13", b"2.0"),
            (b"tcp 1 2 3 4 5 6 7 8 9 10 11 12 18446744073709551616", b"1.1"),
            (b"", b"1.1"),
        ] {
            assert!(transport(fields(bad), version).is_none(), "{bad:?}");
        }
    }

    /// What is cut off or no number is an error with its line; a file that ends early keeps what was read.
    #[test]
    fn hostile() {
        assert!(parsed("", "").unwrap().is_empty());
        assert_eq!(parsed(&TEXT[..400], "").unwrap().len(), 1);
        for (from, to) in [
            ("age:\t13968", "age:\tx"),
            ("bytes:\t1207640230 0", "bytes:\t1207640230"),
            ("events:\t52", "events:"),
            ("READ: 1298 1298", "READ: 1298 -1"),
            ("xprt:\ttcp", "xprt:\tfoo"),
            ("fstype nfs4", "fstype cifs"),
            ("mounted on /mnt/srv", "mounted /mnt/srv"),
        ] {
            assert!(parsed(&TEXT.replace(from, to), INFO).is_err(), "{to}");
        }
    }
}
