//! Second half of a census: the TCP sockets of every network namespace.

use std::collections::HashMap;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};

use hostfs::processes::{Processes, enter, enter_network};
use hostfs::sock_diag::{Dumper, Entry, FAMILIES, STATES, State, StateCounts};
use hostfs::text::{fields, lines, parse_u64, trim};
use hostfs::{Roots, read_into};

use super::guests::Guests;
use super::processes::Scan;
use super::{Destination, Network, Port, Report};

/// Most network namespaces that are entered.
const NAMESPACES: usize = 1024;

/// Most listening ports of a namespace that are kept.
const PORTS: usize = 1024;

/// Most pairs of address and peer that are told apart in one namespace, and how many of the fullest are reported.
const DESTINATIONS: usize = 4096;
const DESTINATIONS_REPORTED: usize = 5;

/// A small file of procfs, in bytes.
const FILE_LIMIT: usize = 64 * 1024;

/// States of a socket that is not listening.
const CONNECTED: [State; 10] = {
    let mut states = [State::Established; 10];
    let (mut from, mut to) = (0, 0);
    while from < STATES.len() {
        if !matches!(STATES[from], State::Listen) {
            states[to] = STATES[from];
            to += 1;
        }
        from += 1;
    }
    states
};

/// Fills `report.networks` from the namespaces that the scan of processes found.
pub(super) fn networks(roots: &Roots, scan: &Scan, report: &mut Report) {
    let Ok(mut processes) = Processes::open(roots) else { return };
    // The host is where process 1 is; where that cannot be told, where we are.
    let own = std::fs::metadata(roots.proc("thread-self/net/dev")).ok().map(|meta| inode(&meta));
    let host = processes.network(1).or(own);
    let home = File::open("/proc/thread-self/ns/net").ok();
    let mut away = false;
    let mut found: Vec<_> = scan.networks.iter().collect();
    // The host first, then in order of process id, so that a namespace keeps its labels.
    found.sort_by_key(|(number, pid, _)| (Some(*number) != host, *pid));
    report.gaps.bounded += found.len().saturating_sub(NAMESPACES) as u64;
    let mut taken = vec![false; report.groups.len()];
    for &&(number, pid, group) in found.iter().take(NAMESPACES) {
        let is_host = Some(number) == host;
        let mut network = Network { group: (!is_host).then_some(group), ..Network::default() };
        if !is_host {
            let container = report.groups[group].identity.is_some();
            network.number = (taken[group] || !container).then_some(number);
            taken[group] = true;
        }
        listen_failures(&mut processes, pid, &mut network);
        let in_use = InUse::read(&mut processes, pid);
        let entered = if Some(number) == own && !away { Ok(()) } else { enter_network(roots, pid) };
        match entered {
            Ok(()) => {
                away |= Some(number) != own;
                let guests = is_host.then_some(&scan.guests);
                if let Err(error) = count(roots, &in_use, guests, &mut network, report) {
                    report.error = Some(error.to_string());
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(_) => report.gaps.networks += 1,
        }
        report.networks.push(network);
    }
    if let Some(home) = home.filter(|_| away)
        && let Err(error) = enter(&home)
    {
        report.error = Some(format!("cannot return to the agent's own network namespace: {error}"));
    }
}

fn inode(meta: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    meta.ino()
}

/// TCP sockets of a namespace as its `sockstat` and `sockstat6` count them; `None` where they do not say.
///
/// All namespaces share one table of connections (unless `net.ipv4.tcp_child_ehash_entries` was set before they were made), and
/// a dump walks all of it. So a hundred containers without a connection would cost a hundred walks past everybody else's; these
/// counts, which the kernel keeps per namespace, tell where a walk can find nothing. What they leave out are handshakes
/// that are not complete: in a namespace without any connection those are not listed.
#[derive(Debug, Default)]
struct InUse {
    /// IPv4 and IPv6, listeners included.
    sockets: [Option<u64>; 2],
    time_wait: Option<u64>,
}

impl InUse {
    fn read(processes: &mut Processes, pid: u32) -> Self {
        let mut of = |file: &str, line: &[u8], key: &[u8]| {
            let text = processes.read(pid, file)?;
            let mut fields = fields(lines(text).find_map(|text| text.strip_prefix(line))?);
            fields.find(|field| *field == key)?;
            fields.u64()
        };
        let four = of("net/sockstat", b"TCP:", b"inuse");
        Self { sockets: [four, of("net/sockstat6", b"TCP6:", b"inuse")], time_wait: of("net/sockstat", b"TCP:", b"tw") }
    }

    /// Whether there may be anything but the `listeners` that were found.
    fn connected(&self, family: usize, listeners: u64) -> bool {
        self.time_wait != Some(0) || self.sockets[family].is_none_or(|sockets| sockets > listeners)
    }
}

/// Lists the sockets of the namespace that the thread is in; `guests` are the containers that share it with the host.
fn count(
    roots: &Roots,
    in_use: &InUse,
    guests: Option<&Guests>,
    network: &mut Network,
    report: &mut Report,
) -> hostfs::Result<()> {
    let owner = |entry: &Entry| guests.and_then(|guests| guests.owner(entry.cgroup));
    let mut dumper = Dumper::open()?;
    let mut ports: Vec<Port> = Vec::new();
    let mut states = [StateCounts::default(); 2];
    let mut left_out = 0;
    for (index, (family, states)) in FAMILIES.into_iter().zip(&mut states).enumerate() {
        if in_use.sockets[index] == Some(0) {
            continue;
        }
        report.sockets += dumper.tcp(family, &[State::Listen], None, |entry| {
            states.add(entry);
            left_out += u64::from(!add_listener(&mut ports, entry, owner(entry)));
        })?;
    }
    report.gaps.bounded += left_out;
    let range = port_range(roots);
    let mut outgoing: HashMap<(IpAddr, IpAddr, u16), u64> = HashMap::new();
    for (index, (family, states)) in FAMILIES.into_iter().zip(&mut states).enumerate() {
        if !in_use.connected(index, states.count(State::Listen)) {
            continue;
        }
        report.sockets += dumper.tcp(family, &CONNECTED, None, |entry| {
            states.add(entry);
            match listening(&ports, entry.local_port, || owner(entry)) {
                Some(at) if entry.state == State::Established => ports[at].established += 1,
                Some(at) if entry.state == State::SynRecv => ports[at].handshakes += 1,
                Some(_) => {}
                None => note_outgoing(&mut outgoing, entry, range),
            }
        })?;
    }
    network.time_wait = Some(states.iter().map(|states| states.count(State::TimeWait)).sum());
    network.states = Some(states);
    network.ports = ports;
    network.port_range = range.map(|(low, high)| u64::from(high - low) + 1);
    network.destinations = fullest(outgoing);
    // /proc/sys/net is that of the reading thread's namespace.
    network.time_wait_limit = number(roots, "sys/net/ipv4/tcp_max_tw_buckets");
    let conntrack = |name: &str| number(roots, &format!("sys/net/netfilter/nf_conntrack_{name}"));
    network.conntrack = conntrack("count").zip(conntrack("max"));
    Ok(())
}

/// Position of the port that a connection to `number` belongs to. Only where several owners listen on it is the
/// connection's own asked for.
fn listening(ports: &[Port], number: u16, owner: impl FnOnce() -> Option<usize>) -> Option<usize> {
    let first = ports.partition_point(|port| port.port < number);
    let count = ports[first..].iter().take_while(|port| port.port == number).count();
    match count {
        0 => None,
        1 => Some(first),
        _ => {
            let owner = owner();
            // A connection whose owner does not listen any more goes to whoever is first.
            Some(first + ports[first..first + count].iter().position(|port| port.owner == owner).unwrap_or(0))
        }
    }
}

/// False when there is no room for another port.
fn add_listener(ports: &mut Vec<Port>, entry: &Entry, owner: Option<usize>) -> bool {
    let at = match ports.binary_search_by_key(&(entry.local_port, owner), |port| (port.port, port.owner)) {
        Ok(at) => at,
        Err(_) if ports.len() >= PORTS => return false,
        Err(at) => {
            ports.insert(at, Port { port: entry.local_port, owner, ..Port::default() });
            at
        }
    };
    let (queue, backlog) = (u64::from(entry.receive_queue), u64::from(entry.send_queue));
    let port = &mut ports[at];
    port.listeners += 1;
    port.queue += queue;
    port.backlog += backlog;
    port.fullest = port.fullest.max(queue as f64 / backlog.max(1) as f64);
    true
}

fn note_outgoing(outgoing: &mut HashMap<(IpAddr, IpAddr, u16), u64>, entry: &Entry, range: Option<(u16, u16)>) {
    if !range.is_some_and(|(low, high)| (low..=high).contains(&entry.local_port)) {
        return;
    }
    let key = (entry.local, entry.remote, entry.remote_port);
    if let Some(count) = outgoing.get_mut(&key) {
        *count += 1;
    } else if outgoing.len() < DESTINATIONS {
        outgoing.insert(key, 1);
    }
}

fn fullest(outgoing: HashMap<(IpAddr, IpAddr, u16), u64>) -> Vec<Destination> {
    let mut all: Vec<_> = outgoing.into_iter().collect();
    // Ties by address, so that the same state gives the same series.
    all.sort_unstable_by_key(|&(key, ports)| (std::cmp::Reverse(ports), key));
    all.truncate(DESTINATIONS_REPORTED);
    let destination =
        |((source, address, port), ports)| Destination { source, peer: SocketAddr::new(address, port), ports };
    all.into_iter().map(destination).collect()
}

fn port_range(roots: &Roots) -> Option<(u16, u16)> {
    let mut text = Vec::new();
    read_into(&roots.proc("sys/net/ipv4/ip_local_port_range"), &mut text, FILE_LIMIT).ok()?;
    let mut fields = fields(trim(&text));
    let mut port = || u16::try_from(fields.u64()?).ok();
    let (low, high) = (port()?, port()?);
    (low <= high).then_some((low, high))
}

fn number(roots: &Roots, file: &str) -> Option<u64> {
    let mut text = Vec::new();
    read_into(&roots.proc(file), &mut text, FILE_LIMIT).ok()?;
    parse_u64(trim(&text))
}

/// `ListenOverflows` and `ListenDrops` of the namespace of `pid`, for which no right is needed.
fn listen_failures(processes: &mut Processes, pid: u32, network: &mut Network) {
    let Some(text) = processes.read(pid, "net/netstat") else { return };
    let mut of_tcp = lines(text).filter_map(|line| line.strip_prefix(b"TcpExt:"));
    let (Some(names), Some(values)) = (of_tcp.next(), of_tcp.next()) else { return };
    for (name, value) in fields(names).zip(fields(values)) {
        match name {
            b"ListenOverflows" => network.listen_overflows = parse_u64(value),
            b"ListenDrops" => network.listen_drops = parse_u64(value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(local_port: u16, remote_port: u16, queue: u32, backlog: u32) -> Entry {
        let address = IpAddr::from([127, 0, 0, 1]);
        Entry {
            state: State::Established,
            local: address,
            local_port,
            remote: address,
            remote_port,
            receive_queue: queue,
            send_queue: backlog,
            inode: 0,
            cgroup: None,
        }
    }

    /// Two listeners of one port are summed, the fullest is kept; a listener with backlog 0 divides by nothing.
    #[test]
    fn listeners() {
        let mut ports = Vec::new();
        for listener in [entry(80, 0, 5, 10), entry(80, 0, 1, 10), entry(22, 0, 1, 0)] {
            assert!(add_listener(&mut ports, &listener, None));
        }
        assert_eq!(ports.iter().map(|port| port.port).collect::<Vec<_>>(), [22, 80]);
        assert_eq!((ports[1].listeners, ports[1].queue, ports[1].backlog), (2, 6, 20));
        assert!((ports[1].fullest - 0.5).abs() < 1e-9 && (ports[0].fullest - 1.0).abs() < 1e-9);
        (0..2000).for_each(|port| {
            add_listener(&mut ports, &entry(port, 0, 0, 1), None);
        });
        assert_eq!(ports.len(), PORTS);
    }

    /// A port that the host and a container on its network both listen on: each connection goes to its own.
    #[test]
    fn shared_port() {
        let mut ports = Vec::new();
        for (port, owner) in [(80, Some(4)), (80, None), (22, Some(1))] {
            add_listener(&mut ports, &entry(port, 0, 0, 1), owner);
        }
        let found = |number, owner| listening(&ports, number, || owner).map(|at| (ports[at].port, ports[at].owner));
        assert_eq!(found(80, Some(4)), Some((80, Some(4))));
        assert_eq!(found(80, None), Some((80, None)));
        assert_eq!(found(80, Some(9)), Some((80, None)));
        assert_eq!((found(22, None), found(81, None)), (Some((22, Some(1))), None));
    }

    /// A namespace is walked unless its counts rule out that anything is there.
    #[test]
    fn walks_only_where_something_is() {
        let counts = |sockets, time_wait| InUse { sockets: [sockets; 2], time_wait };
        assert!(!counts(Some(2), Some(0)).connected(0, 2));
        assert!(counts(Some(3), Some(0)).connected(0, 2));
        assert!(counts(Some(2), Some(1)).connected(0, 2) && counts(None, Some(0)).connected(1, 0));
        let own = InUse::read(&mut Processes::open(&Roots::default()).unwrap(), std::process::id());
        assert!(own.sockets[0].is_some() && own.time_wait.is_some());
    }

    /// Only ports of the range count, the fullest destinations come first.
    #[test]
    fn destinations() {
        let mut outgoing = HashMap::new();
        for port in 0..100 {
            note_outgoing(&mut outgoing, &entry(32_768 + port, 443, 0, 0), Some((32_768, 60_999)));
            note_outgoing(&mut outgoing, &entry(1024 + port, 443, 0, 0), Some((32_768, 60_999)));
            note_outgoing(&mut outgoing, &entry(40_000, 500 + port, 0, 0), Some((32_768, 60_999)));
        }
        let fullest = fullest(outgoing);
        assert_eq!(fullest.len(), DESTINATIONS_REPORTED);
        assert_eq!((fullest[0].ports, fullest[0].peer.port()), (100, 443));
        assert_eq!(fullest[1].peer.port(), 500);
    }
}
