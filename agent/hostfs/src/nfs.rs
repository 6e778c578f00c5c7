//! NFS client and server counts: `/proc/net/rpc/nfs` and `/proc/net/rpc/nfsd` (rpc_proc_show in net/sunrpc/stats.c,
//! nfsd_show in fs/nfsd/stats.c). Every line is a key and numbers; lines of procedures start with their number.

use std::path::Path;

use crate::text::{fields, lines, parse_u64};
use crate::{Error, Result, Roots, Source};

/// Procedures of NFS 2, in the protocol's order.
pub const V2: &[&str] = &[
    "Null", "GetAttr", "SetAttr", "Root", "Lookup", "ReadLink", "Read", "WrCache", "Write", "Create", "Remove",
    "Rename", "Link", "SymLink", "MkDir", "RmDir", "ReadDir", "FsStat",
];

/// Procedures of NFS 3, in the protocol's order.
pub const V3: &[&str] = &[
    "Null",
    "GetAttr",
    "SetAttr",
    "Lookup",
    "Access",
    "ReadLink",
    "Read",
    "Write",
    "Create",
    "MkDir",
    "SymLink",
    "MkNod",
    "Remove",
    "RmDir",
    "Rename",
    "Link",
    "ReadDir",
    "ReadDirPlus",
    "FsStat",
    "FsInfo",
    "PathConf",
    "Commit",
];

/// Compound procedures of the NFS 4 client, in the kernel's order.
pub const V4_CLIENT: &[&str] = &[
    "Null",
    "Read",
    "Write",
    "Commit",
    "Open",
    "OpenConfirm",
    "OpenNoattr",
    "OpenDowngrade",
    "Close",
    "Setattr",
    "FsInfo",
    "Renew",
    "SetClientID",
    "SetClientIDConfirm",
    "Lock",
    "Lockt",
    "Locku",
    "Access",
    "Getattr",
    "Lookup",
    "LookupRoot",
    "Remove",
    "Rename",
    "Link",
    "Symlink",
    "Create",
    "Pathconf",
    "StatFs",
    "ReadLink",
    "ReadDir",
    "ServerCaps",
    "DelegReturn",
    "GetACL",
    "SetACL",
    "FsLocations",
    "ReleaseLockowner",
    "Secinfo",
    "FsidPresent",
    "ExchangeID",
    "CreateSession",
    "DestroySession",
    "Sequence",
    "GetLeaseTime",
    "ReclaimComplete",
    "GetDeviceInfo",
    "LayoutGet",
    "LayoutCommit",
    "LayoutReturn",
    "SecinfoNoName",
    "TestStateID",
    "FreeStateID",
    "GetDeviceList",
    "BindConnToSession",
    "DestroyClientID",
    "Seek",
    "Allocate",
    "DeAllocate",
    "LayoutStats",
    "Clone",
];

/// Operations of the NFS 4.0 server, by number; the first three do not exist.
pub const V4_SERVER: &[&str] = &[
    "Op0Unused",
    "Op1Unused",
    "Op2Future",
    "Access",
    "Close",
    "Commit",
    "Create",
    "DelegPurge",
    "DelegReturn",
    "GetAttr",
    "GetFH",
    "Link",
    "Lock",
    "Lockt",
    "Locku",
    "Lookup",
    "LookupRoot",
    "Nverify",
    "Open",
    "OpenAttr",
    "OpenConfirm",
    "OpenDgrd",
    "PutFH",
    "PutPubFH",
    "PutRootFH",
    "Read",
    "ReadDir",
    "ReadLink",
    "Remove",
    "Rename",
    "Renew",
    "RestoreFH",
    "SaveFH",
    "SecInfo",
    "SetAttr",
    "SetClientID",
    "SetClientIDConfirm",
    "Verify",
    "Write",
    "RelLockOwner",
];

/// Packets and connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// UDP packets.
    pub udp: u64,
    /// TCP packets.
    pub tcp: u64,
    /// TCP connections.
    pub connections: u64,
}

/// The client's counts; what the kernel does not tell is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Network.
    pub network: Network,
    /// Calls.
    pub calls: u64,
    /// Calls sent again.
    pub retransmissions: u64,
    /// Times that credentials were refreshed.
    pub authentication_refreshes: u64,
    /// Counts of [`V2`].
    pub v2: Vec<u64>,
    /// Counts of [`V3`].
    pub v3: Vec<u64>,
    /// Counts of [`V4_CLIENT`].
    pub v4: Vec<u64>,
}

/// The server's counts; what the kernel does not tell is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// Reply cache: hits, misses, calls that are not cached.
    pub reply_cache: [u64; 3],
    /// File handles that were stale.
    pub stale_handles: u64,
    /// Bytes read from and written to disk.
    pub disk_bytes: [u64; 2],
    /// Server threads.
    pub threads: u64,
    /// Read-ahead cache: its size, and what was not found in it. Kernels since 5.4 have no such cache and say 0.
    pub read_ahead: [u64; 2],
    /// Network.
    pub network: Network,
    /// Calls.
    pub calls: u64,
    /// Calls refused for their format, their authentication, or an unknown client.
    pub refused: [u64; 3],
    /// Counts of [`V2`].
    pub v2: Vec<u64>,
    /// Counts of [`V3`].
    pub v3: Vec<u64>,
    /// Counts of [`V4_SERVER`].
    pub v4: Vec<u64>,
    /// Times that GETATTR met a write delegation.
    pub delegation_getattr: u64,
}

/// Reads one of the files repeatedly.
#[derive(Debug)]
pub struct Reader {
    source: Source,
}

impl Reader {
    /// A reader of the client's file.
    pub fn client(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("net/rpc/nfs"), 64 << 10) }
    }

    /// A reader of the server's file.
    pub fn server(roots: &Roots) -> Self {
        Self { source: Source::new(roots.proc("net/rpc/nfsd"), 64 << 10) }
    }

    /// The client's counts.
    ///
    /// # Errors
    /// When the file cannot be read or understood; without the client it is not there.
    pub fn read_client(&mut self) -> Result<Client> {
        let (path, text) = self.source.read()?;
        parse_client(path, text)
    }

    /// The server's counts.
    ///
    /// # Errors
    /// When the file cannot be read or understood; without the server it is not there.
    pub fn read_server(&mut self) -> Result<Server> {
        let (path, text) = self.source.read()?;
        parse_server(path, text)
    }
}

/// Parses the client's file.
///
/// # Errors
/// At an unknown key, too few numbers, or what is no number.
pub fn parse_client(path: &Path, text: &[u8]) -> Result<Client> {
    let zeros = |names: &[&str]| vec![0; names.len()];
    let mut client = Client { v2: zeros(V2), v3: zeros(V3), v4: zeros(V4_CLIENT), ..Client::default() };
    for_each_line(path, text, |key, numbers| {
        match (key, numbers) {
            (b"net", &[_, udp, tcp, connections]) => client.network = Network { udp, tcp, connections },
            (b"rpc", &[calls, retransmissions, refreshes]) => {
                client.calls = calls;
                client.retransmissions = retransmissions;
                client.authentication_refreshes = refreshes;
            }
            (b"proc2", _) => client.v2 = procedures(numbers, V2.len(), V2.len())?,
            (b"proc3", _) => client.v3 = procedures(numbers, V3.len(), V3.len())?,
            (b"proc4", _) => client.v4 = procedures(numbers, 0, V4_CLIENT.len())?,
            _ => return None,
        }
        Some(())
    })?;
    Ok(client)
}

/// Parses the server's file.
///
/// # Errors
/// At an unknown key, too few numbers, or what is no number.
pub fn parse_server(path: &Path, text: &[u8]) -> Result<Server> {
    let zeros = |names: &[&str]| vec![0; names.len()];
    let mut server = Server { v2: zeros(V2), v3: zeros(V3), v4: zeros(V4_SERVER), ..Server::default() };
    for_each_line(path, text, |key, numbers| {
        match (key, numbers) {
            (b"rc", &[hits, misses, uncached]) => server.reply_cache = [hits, misses, uncached],
            (b"fh", &[stale, _, _, _, _]) => server.stale_handles = stale,
            (b"io", &[read, written]) => server.disk_bytes = [read, written],
            (b"th", &[threads, ..]) => server.threads = threads,
            (b"ra", &[size, .., missed]) if numbers.len() == 12 => server.read_ahead = [size, missed],
            (b"net", &[_, udp, tcp, connections]) => server.network = Network { udp, tcp, connections },
            (b"rpc", &[calls, _, format, authentication, client]) => {
                server.calls = calls;
                server.refused = [format, authentication, client];
            }
            (b"proc2", _) => server.v2 = procedures(numbers, V2.len(), V2.len())?,
            (b"proc3", _) => server.v3 = procedures(numbers, V3.len(), V3.len())?,
            (b"proc4", &[2, _, _]) => {}
            (b"proc4ops", _) => server.v4 = procedures(numbers, V4_SERVER.len() - 1, V4_SERVER.len())?,
            (b"wdeleg_getattr", &[count]) => server.delegation_getattr = count,
            _ => return None,
        }
        Some(())
    })?;
    Ok(server)
}

fn for_each_line(path: &Path, text: &[u8], mut take: impl FnMut(&[u8], &[u64]) -> Option<()>) -> Result<()> {
    let mut numbers = Vec::new();
    for (index, line) in lines(text).enumerate() {
        let bad = || Error::format(path, index + 1, line);
        let mut words = fields(line);
        let key = words.next().ok_or_else(bad)?;
        numbers.clear();
        // The histogram after the two counts of threads is of fractions.
        let wanted = if key == b"th" { 2 } else { usize::MAX };
        for word in words.take(wanted) {
            numbers.push(parse_u64(word).ok_or_else(bad)?);
        }
        if numbers.is_empty() {
            return Err(bad());
        }
        take(key, &numbers).ok_or_else(bad)?;
    }
    Ok(())
}

/// The counts after their number, at least `least` of them, cut or filled up to `known`.
fn procedures(numbers: &[u64], least: usize, known: usize) -> Option<Vec<u64>> {
    let (&count, counts) = numbers.split_first()?;
    if counts.len() as u64 != count || counts.len() < least {
        return None;
    }
    let mut counts = counts.to_vec();
    counts.resize(known, 0);
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "net 70 70 69 45
rpc 1218785755 374636 1218815394
proc2 18 16 57 74 52 71 73 45 86 0 52 83 61 17 53 50 23 70 82
proc3 22 0 1061909262 48906 4077635 117661341 5 29391916 2570425 2993289 590 0 0 7815 15 1130 0 3983 92385 13332 2 1 23729
proc4 5 98 51 54 83 85
";
    const SERVER: &str = "rc 0 6 18622
fh 1 0 0 0 0
io 157286400 72864
th 8 0 0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000
ra 32 0 0 0 0 0 0 0 0 0 0 7
net 18628 0 18628 6
rpc 18628 3 2 1 0
proc3 22 2 112 0 2719 111 0 0 0 0 0 0 0 0 0 0 0 27 216 0 2 1 0
proc4 2 2 10853
proc4ops 40 0 0 0 1098 2 0 0 0 0 8179 5896 0 0 0 0 5900 0 0 2 0 2 0 9609 0 2 150 1272 0 0 0 1236 0 0 0 0 3 3 0 0 44
wdeleg_getattr 16
";

    /// The client's file of a kernel with few NFS 4 procedures.
    #[test]
    fn client() {
        let client = parse_client(Path::new("nfs"), CLIENT.as_bytes()).unwrap();
        assert_eq!(client.network, Network { udp: 70, tcp: 69, connections: 45 });
        assert_eq!((client.calls, client.v2[1], client.v3[1]), (1_218_785_755, 57, 1_061_909_262));
        assert_eq!((client.v4[4], client.v4[5], client.v4.len()), (85, 0, V4_CLIENT.len()));
    }

    /// The server's file with all its lines but proc2.
    #[test]
    fn server() {
        let server = parse_server(Path::new("nfsd"), SERVER.as_bytes()).unwrap();
        assert_eq!((server.reply_cache, server.threads, server.read_ahead), ([0, 6, 18622], 8, [32, 7]));
        assert_eq!((server.refused, server.v4[3], server.v4[39], server.delegation_getattr), ([2, 1, 0], 1098, 44, 16));
        assert_eq!(server.v2, vec![0; V2.len()]);
    }

    /// Unknown keys, wrong counts, what is no number or past u64: an error that names the line.
    #[test]
    fn hostile() {
        let path = Path::new("nfs");
        assert_eq!(parse_client(path, b"").unwrap().calls, 0);
        for bad in [
            "net\n",
            "\n",
            "foo 1\n",
            "net 1 2 3\n",
            "rpc 1 2 x\n",
            "rpc 1 2 18446744073709551616\n",
            "proc2 17 1 2 3\n",
            "proc3 18446744073709551615 1\n",
            "proc4 3 1 2\n",
        ] {
            assert!(parse_client(path, bad.as_bytes()).unwrap_err().to_string().starts_with("nfs:1:"), "{bad:?}");
        }
        for bad in ["th\n", "ra 1 2\n", "proc4 3 1 2 3\n", "proc4ops 2 1 1\n", "fh 1\n", "\u{fffd} 1\n"] {
            assert!(parse_server(path, bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
