//! From a wish (so many users on this engine) and the box's limits to a fleet, or to the limit that is in the way. Pure.

use std::net::{IpAddr, Ipv4Addr};

use serde::Serialize;

use super::forecast::{self, Line};
use crate::engines::Engine;
use crate::host::{Files, Fix, Refusal};

/// Most users that a plan may have: as many as the lab's own addresses and the address space allow to check.
pub const USER_LIMIT: u32 = 10_000_000;

/// Descriptors of a process beside its connections: streams, epoll or ring, pipes of threads, a profile. Servers keep 72
/// for themselves (runtimes/service); the rest is slack for connections that are closed and not yet released.
const RESERVED_FILES: u64 = 128;

/// Share of a process's room that is used when the kernel spreads connections by hash (SO_REUSEPORT): a binomial spread
/// over 26 shards stays within 3 % of its mean with twenty thousand each.
const HASHED_SHARE: f64 = 0.95;

/// Share of a source address's ports that is used, so that connect(2) finds a free one without a long search.
const PORT_SHARE: f64 = 0.9;

/// Memory that is left to everybody else, in bytes.
const MEMORY_LEFT: u64 = 512 << 20;

/// How connections come to the server processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Spread {
    /// An address for each process: exact balance
    Address,
    /// One address for all (SO_REUSEPORT): the kernel spreads by hash
    Reuseport,
}

/// The box's limits, as they are in the namespace of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Hard RLIMIT_NOFILE.
    pub open_files: u64,
    /// fs.file-max less the files that are open.
    pub files_left: u64,
    /// net.ipv4.ip_local_port_range.
    pub ports: (u64, u64),
    /// MemAvailable, or what the memory cgroup leaves if that is less, in bytes.
    pub memory: u64,
    /// Free entries of nf_conntrack and its limit, where conntrack sees loopback.
    pub conntrack: Option<(u64, u64)>,
    /// Processes that this user may still start.
    pub processes: u64,
}

impl Limits {
    /// Reads them. `conntrack` says whether conntrack sees loopback here; `unbounded_files` that fs.file-max does not hold
    /// for this user (CAP_SYS_ADMIN outside of user namespaces, proc_sys_fs(5)).
    pub fn read(files: &Files, conntrack: bool, unbounded_files: bool) -> Self {
        let numbers = |path: &str| files.sysctl_numbers(path).unwrap_or_default();
        let ports = match numbers("net/ipv4/ip_local_port_range")[..] {
            [first, last] => (first, last),
            _ => (32_768, 60_999),
        };
        let files_left = match numbers("fs/file-nr")[..] {
            [used, _, limit] if !unbounded_files => limit.saturating_sub(used),
            _ => u64::MAX,
        };
        let entries = |name: &str| files.sysctl_number(&format!("net/netfilter/nf_conntrack_{name}"));
        let table = entries("max").zip(entries("count")).filter(|_| conntrack);
        Self {
            open_files: files.limit("Max open files").map_or(1024, |(_, hard)| hard),
            files_left,
            ports,
            memory: files.memory("MemAvailable").unwrap_or(u64::MAX),
            conntrack: table.map(|(max, count)| (max.saturating_sub(count), max)),
            processes: files.limit("Max processes").map_or(u64::MAX, |(soft, _)| soft),
        }
    }
}

/// One server process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shard {
    /// Its users at the top.
    pub users: u32,
}

/// One generator process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// The shard that it connects to.
    pub shard: usize,
    /// Its connections at the top.
    pub users: u32,
    /// Addresses that it connects from.
    pub sources: Vec<IpAddr>,
}

/// A fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Connected users at the top.
    pub users: u32,
    /// How they are spread.
    pub spread: Spread,
    /// Connections that one process has room for.
    pub per_process: u64,
    /// Server processes.
    pub shards: Vec<Shard>,
    /// Generator processes.
    pub holders: Vec<Holder>,
    /// Memory that it takes, largest part first.
    pub forecast: Vec<Line>,
    /// Their sum in bytes.
    pub memory: u64,
}

/// Plans a fleet for `users` on `engine`, with at least one process for each of the server's and generator's CPUs.
pub fn plan(files: &Files, limits: &Limits, engine: &Engine, users: u32, spread: Spread, cpus: (usize, usize)) -> Plan {
    let per_process = limits.open_files.saturating_sub(RESERVED_FILES).max(1);
    let served = engine.users_per_process.unwrap_or(match spread {
        Spread::Address => per_process,
        Spread::Reuseport => ((per_process as f64 * HASHED_SHARE) as u64).max(1),
    });
    // A server of one's own is one, on as many CPUs as it likes.
    let at_least = if engine.own.is_some() { 1 } else { cpus.0 };
    let shards = shares(users, served, at_least).into_iter().map(|users| Shard { users }).collect::<Vec<_>>();
    let ports = (limits.ports.1 + 1).saturating_sub(limits.ports.0).max(1);
    let per_source = ((ports as f64 * PORT_SHARE) as u64).max(1);
    let mut sources = Sources(0);
    let mut holders = Vec::new();
    // A holder has one peer: its connections are that shard's, so that a shard's death is seen by few.
    for (number, shard) in shards.iter().enumerate() {
        let at_least = if number == 0 { cpus.1.div_ceil(shards.len()) } else { 1 };
        for users in shares(shard.users, per_process, at_least) {
            let needed = u64::from(users).div_ceil(per_source).max(1);
            holders.push(Holder { shard: number, users, sources: (0..needed).map(|_| sources.next()).collect() });
        }
    }
    let processes = (shards.len() + holders.len()) as u64;
    let forecast = forecast::forecast(files, engine, users.into(), processes);
    let memory = forecast.iter().map(|line| line.bytes).sum();
    Plan { users, spread, per_process, shards, holders, forecast, memory }
}

/// `users` in equal shares of `room` at most, and in `at_least` shares if there are as many users.
fn shares(users: u32, room: u64, at_least: usize) -> Vec<u32> {
    let needed = u64::from(users).div_ceil(room);
    let count = u32::try_from(needed.max(at_least as u64)).unwrap_or(u32::MAX).clamp(1, users.max(1));
    (0..count).map(|number| users / count + u32::from(number < users % count)).collect()
}

/// Source addresses 127.1.0.1 to 127.255.255.254: all of 127.0.0.0/8 is loopback without configuration (RFC 1122, 3.2.1.3).
struct Sources(u32);

impl Sources {
    fn next(&mut self) -> IpAddr {
        /// Last octets 1 to 250, so that no address looks like a network's or a broadcast.
        const LAST: u32 = 250;
        let (third, last) = (self.0 / LAST, self.0 % LAST + 1);
        self.0 += 1;
        let octet = |value: u32| u8::try_from(value % 256).expect("below 256");
        IpAddr::V4(Ipv4Addr::new(127, octet(1 + third / 256), octet(third), octet(last)))
    }
}

impl Plan {
    /// The first limit that would stop this plan.
    ///
    /// # Errors
    /// [`Refusal`] with the arithmetic and the knob.
    pub fn check(&self, limits: &Limits) -> Result<(), Refusal> {
        self.refusals(limits).into_iter().next().map_or(Ok(()), Err)
    }

    /// Every limit that is in the way, in the order in which they would be hit.
    pub fn refusals(&self, limits: &Limits) -> Vec<Refusal> {
        let checks = [self.processes(limits), self.files(limits), self.conntrack(limits), self.memory(limits)];
        checks.into_iter().flatten().collect()
    }

    fn processes(&self, limits: &Limits) -> Option<Refusal> {
        let (shards, holders) = (self.shards.len(), self.holders.len());
        let processes = (shards + holders) as u64;
        (processes > limits.processes).then(|| Refusal {
            sentence: format!(
                "{shards} servers and {holders} holders are needed (RLIMIT_NOFILE {}), and RLIMIT_NPROC is {}",
                limits.open_files, limits.processes
            ),
            fix: Fix::new(
                format!("ulimit -u {processes}, or ulimit -Hn {} as root", u64::from(self.users) + RESERVED_FILES),
                None,
            ),
        })
    }

    fn files(&self, limits: &Limits) -> Option<Refusal> {
        let processes = (self.shards.len() + self.holders.len()) as u64;
        let files = 2 * u64::from(self.users) + RESERVED_FILES * processes;
        (files > limits.files_left).then(|| Refusal {
            sentence: format!(
                "{files} open files are needed (two a connection), and fs.file-max leaves {}",
                limits.files_left
            ),
            fix: Fix::new(format!("sysctl -w fs.file-max={}", files * 2), None),
        })
    }

    fn conntrack(&self, limits: &Limits) -> Option<Refusal> {
        let users = u64::from(self.users);
        let (free, max) = limits.conntrack.filter(|(free, _)| *free < users)?;
        Some(Refusal {
            sentence: format!("conntrack sees loopback here and has {free} of {max} entries free; {users} are needed"),
            fix: Fix::new(
                format!("--netns own, or sysctl -w net.netfilter.nf_conntrack_max={}", max + users),
                Some(format!("sysctl -w net.netfilter.nf_conntrack_max={max}")),
            ),
        })
    }

    fn memory(&self, limits: &Limits) -> Option<Refusal> {
        let users = u64::from(self.users);
        let each = (self.memory / users.max(1)).max(1);
        let fit = limits.memory.saturating_sub(MEMORY_LEFT) / each;
        (self.memory + MEMORY_LEFT > limits.memory).then(|| Refusal {
            sentence: format!(
                "{users} connections of about {each} bytes need {} MiB, {} MiB are kept free, and {} MiB are available",
                self.memory >> 20,
                MEMORY_LEFT >> 20,
                limits.memory >> 20
            ),
            fix: Fix::new(format!("--connections {fit}, or free memory"), None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::Engines;

    const LIMITS: Limits = Limits {
        open_files: 20_000,
        files_left: 2_000_000,
        ports: (1024, 65_535),
        memory: 24 << 30,
        conntrack: None,
        processes: 60_000,
    };

    fn planned(users: u32, limits: &Limits, spread: Spread) -> Plan {
        let directory = tempfile::tempdir().unwrap();
        let files = Files { roots: hostfs::Roots::below(directory.path()) };
        let engines = Engines::load(None).unwrap();
        plan(&files, limits, engines.named("mio").unwrap(), users, spread, (1, 1))
    }

    /// Shows the fleet of half a million users at 20,000 descriptors: everybody has a place, nobody is over the limit.
    #[test]
    fn half_a_million_users_need_26_processes_of_each_kind() {
        let plan = planned(500_000, &LIMITS, Spread::Address);
        assert_eq!((plan.shards.len(), plan.holders.len()), (26, 26));
        assert_eq!(plan.shards.iter().map(|shard| shard.users).sum::<u32>(), 500_000);
        assert_eq!(plan.holders.iter().map(|holder| holder.users).sum::<u32>(), 500_000);
        assert!(plan.shards.iter().all(|shard| u64::from(shard.users) <= plan.per_process));
        let mut sources: Vec<IpAddr> = plan.holders.iter().flat_map(|holder| holder.sources.clone()).collect();
        sources.sort_unstable();
        sources.dedup();
        assert_eq!(sources.len(), 26, "every holder has an address of its own");
        assert!(plan.check(&LIMITS).is_ok(), "{:?}", plan.refusals(&LIMITS));
    }

    /// Shows that a higher descriptor limit needs one process of each kind, with the source addresses that ports ask for.
    #[test]
    fn a_higher_limit_collapses_the_fleet() {
        let limits = Limits { open_files: 1_048_576, ..LIMITS };
        let plan = planned(500_000, &limits, Spread::Address);
        assert_eq!((plan.shards.len(), plan.holders.len()), (1, 1));
        // 64,512 ports, nine tenths of them used: nine addresses.
        assert_eq!(plan.holders[0].sources.len(), 9);
    }

    /// Shows that users spread by hash get room for an uneven spread.
    #[test]
    fn hashed_users_get_headroom() {
        assert_eq!(planned(500_000, &LIMITS, Spread::Reuseport).shards.len(), 27);
    }

    /// Shows that each limit refuses with value seen, value needed and knob.
    #[test]
    fn each_limit_refuses_by_name() {
        for (limits, wanted) in [
            (Limits { processes: 50, ..LIMITS }, "RLIMIT_NPROC is 50"),
            (Limits { files_left: 900_000, ..LIMITS }, "fs.file-max leaves 900000"),
            (Limits { conntrack: Some((262_000, 262_144)), ..LIMITS }, "262000 of 262144 entries free"),
            (Limits { memory: 2 << 30, ..LIMITS }, "2048 MiB are available"),
        ] {
            let plan = planned(500_000, &limits, Spread::Address);
            let refusals = plan.refusals(&limits);
            assert_eq!(refusals.len(), 1, "{refusals:?}");
            assert!(refusals[0].to_string().contains(wanted), "{}", refusals[0]);
        }
    }
}
