//! Named numbers of one moment: the server, the generator, their control group, the box. What the kernel does not show is left out.

use hostfs::{Roots, Source, meminfo, netstat, pressure, sockstat, stat, tables};

use super::group::Group;
use super::process::{GENERATOR, Processes, SERVER};
use super::watch::Values;
use crate::host::Files;

/// Every signal, with its unit at the end of the name where it is not a count, and its source.
pub const NAMES: [&str; 50] = [
    // clock_getcpuclockid(3), /proc/PID/task/*/schedstat, /proc/PID/fd, /proc/PID/limits
    "server.cpu_seconds",
    "server.busiest_thread_seconds",
    "server.waiting_seconds",
    "server.descriptors",
    "server.descriptor_limit",
    "server.connections",
    "generator.cpu_seconds",
    "generator.busiest_thread_seconds",
    "generator.waiting_seconds",
    "generator.descriptors",
    "generator.descriptor_limit",
    "generator.connections",
    // The server's ready line and its counters at the end
    "server.descriptor_room",
    "server.max_connections",
    "server.refusals",
    // The plan
    "server.cores",
    "generator.cores",
    // /proc/PID/fdinfo of io_uring instances
    "ring.overflow",
    "ring.submissions_waiting",
    "ring.submission_entries",
    // The nearest control group with a bound
    "group.throttled_seconds",
    "group.memory_bytes",
    "group.memory_limit_bytes",
    "group.memory_limit_hits",
    "group.oom_kills",
    // /proc/stat, the cores of the server
    "server_cores.softirq_seconds",
    "server_cores.steal_seconds",
    "server_cores.busy_seconds",
    // /proc/pressure
    "pressure.cpu_seconds",
    "pressure.memory_seconds",
    "pressure.io_seconds",
    // /proc/meminfo
    "memory.available_bytes",
    "memory.total_bytes",
    "memory.slab_bytes",
    // /proc/sys/fs/file-nr
    "files.open",
    "files.max",
    // /proc/net/netstat, /proc/net/snmp, /proc/net/sockstat, net.ipv4.tcp_mem
    "tcp.listen_overflows",
    "tcp.syn_queue_drops",
    "tcp.backlog_drops",
    "tcp.pruned",
    "tcp.memory_pressures",
    "tcp.retransmits",
    "tcp.memory_pages",
    "tcp.memory_pressure_pages",
    // Connections of the generator and TIME_WAIT; net.ipv4.ip_local_port_range
    "ports.used",
    "ports.range",
    // /proc/net/softnet_stat
    "softnet.dropped",
    // /proc/sys/net/netfilter, /proc/net/stat/nf_conntrack
    "conntrack.entries",
    "conntrack.max",
    "conntrack.drops",
];

/// Whom a reading is about.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The server's processes; they may change ([`Signals::server`]).
    pub server: Vec<u32>,
    /// The cores that it may use.
    pub server_cpus: Vec<usize>,
    /// Cores of the generator.
    pub generator_cores: usize,
    /// `max_connections` of the server's ready line, where it has one.
    pub max_connections: Option<u64>,
    /// `shards` of the ready line.
    pub shards: u64,
}

/// Reads all signals again and again.
pub struct Signals {
    subject: Subject,
    files: Files,
    server: Processes,
    generator: Option<Processes>,
    group: Option<Group>,
    stat: stat::Reader,
    netstat: netstat::Reader,
    snmp: netstat::Reader,
    sockstat: sockstat::Reader,
    meminfo: meminfo::Reader,
    pressures: [(&'static str, pressure::Reader); 3],
    softnet: Source,
    conntrack: Source,
}

impl Signals {
    /// Signals of `subject` below `roots`. To be made before there are connections.
    pub fn new(roots: &Roots, subject: Subject) -> Self {
        let pressure = |resource| pressure::Reader::new(roots, resource);
        Self {
            files: Files { roots: roots.clone() },
            server: Processes::new(roots, &subject.server, &SERVER),
            generator: None,
            // Processes of one server share their bounds, unless somebody moved them apart.
            group: subject.server.first().and_then(|pid| Group::of(roots, *pid)),
            subject,
            stat: stat::Reader::new(roots),
            netstat: netstat::Reader::netstat(roots),
            snmp: netstat::Reader::snmp(roots),
            sockstat: sockstat::Reader::new(roots),
            meminfo: meminfo::Reader::new(roots),
            pressures: [
                ("pressure.cpu_seconds", pressure("cpu")),
                ("pressure.memory_seconds", pressure("memory")),
                ("pressure.io_seconds", pressure("io")),
            ],
            // A line is some 120 bytes, for 8,192 CPUs at most.
            softnet: Source::new(roots.proc("net/softnet_stat"), 2 << 20),
            conntrack: Source::new(roots.proc("net/stat/nf_conntrack"), 2 << 20),
        }
    }

    /// The generator's process, as soon as there is one.
    pub fn generator(&mut self, pid: u32) {
        self.generator = Some(Processes::new(&self.files.roots, &[pid], &GENERATOR));
    }

    /// The server's processes now: workers come and go.
    pub fn server(&mut self, pids: &[u32]) {
        self.server.are(pids);
    }

    /// Every signal now.
    pub fn read(&mut self) -> Values {
        let mut values = Values::new();
        values.insert("server.cores", self.subject.server_cpus.len().max(1) as f64);
        values.insert("generator.cores", self.subject.generator_cores.max(1) as f64);
        self.server.read(&mut values);
        self.room(&mut values);
        if let Some(generator) = &mut self.generator {
            generator.read(&mut values);
        }
        if let Some(group) = &mut self.group {
            group.read(&mut values);
        }
        self.cores(&mut values);
        self.memory(&mut values);
        self.network(&mut values);
        self.limits(&mut values);
        values
    }

    /// How many connections the descriptor limit and the server's own gate allow.
    fn room(&self, values: &mut Values) {
        let Some(limit) = values.get("server.descriptor_limit").copied() else { return };
        // A server of the contract keeps 64 descriptors and 8 a shard for itself; what it says to allow when nobody told it
        // another number is what then is left.
        let reserve = (64 + 8 * self.subject.shards) as f64;
        let (room, gate) = match self.subject.max_connections.map(|max| max as f64) {
            Some(max) if max >= limit - reserve => (max, None),
            Some(max) => (limit - reserve, Some(max)),
            None => (limit - self.server.own_descriptors(), None),
        };
        values.insert("server.descriptor_room", room.max(0.0));
        values.extend(gate.map(|max| ("server.max_connections", max)));
    }

    fn cores(&mut self, values: &mut Values) {
        let ticks = stat::clock_ticks() as f64;
        if let Ok(stat) = self.stat.read() {
            let of = |mode: fn(&stat::CpuTimes) -> u64| {
                let ours = stat.cpus.iter().filter(|cpu| self.subject.server_cpus.contains(&(cpu.number as usize)));
                ours.map(|cpu| mode(&cpu.times)).sum::<u64>() as f64 / ticks
            };
            values.insert("server_cores.softirq_seconds", of(|times| times.softirq));
            values.insert("server_cores.steal_seconds", of(|times| times.steal));
            values.insert("server_cores.busy_seconds", of(|times| times.total() - times.idle - times.iowait));
        }
        for (name, reader) in &mut self.pressures {
            let some = reader.read().ok().flatten().and_then(|pressure| pressure.some);
            values.extend(some.map(|stall| (*name, stall.total_us as f64 / 1e6)));
        }
    }

    fn memory(&mut self, values: &mut Values) {
        let Ok(memory) = self.meminfo.read() else { return };
        for (signal, name) in [
            ("memory.available_bytes", "MemAvailable"),
            ("memory.total_bytes", "MemTotal"),
            ("memory.slab_bytes", "Slab"),
        ] {
            values.extend(memory.value(name).ok().flatten().map(|bytes| (signal, bytes as f64)));
        }
    }

    fn network(&mut self, values: &mut Values) {
        if let Ok(Some(counters)) = self.netstat.read() {
            for (signal, name) in [
                ("tcp.listen_overflows", "ListenOverflows"),
                ("tcp.syn_queue_drops", "TCPReqQFullDrop"),
                ("tcp.backlog_drops", "TCPBacklogDrop"),
                ("tcp.pruned", "PruneCalled"),
                ("tcp.memory_pressures", "TCPMemoryPressures"),
            ] {
                values.extend(counters.value("TcpExt", name).ok().flatten().map(|count| (signal, count)));
            }
        }
        if let Ok(Some(counters)) = self.snmp.read() {
            values.extend(counters.value("Tcp", "RetransSegs").ok().flatten().map(|count| ("tcp.retransmits", count)));
        }
        let mut waiting = 0.0;
        if let Ok(Some(sockets)) = self.sockstat.read() {
            values.extend(sockets.value("TCP", "mem").ok().flatten().map(|pages| ("tcp.memory_pages", pages as f64)));
            waiting = sockets.value("TCP", "tw").ok().flatten().unwrap_or(0) as f64;
        }
        if let Some(connections) = values.get("generator.connections").copied() {
            values.insert("ports.used", connections + waiting);
        }
        let mut dropped = 0;
        let softnet = self.softnet.read_if_present().ok().flatten();
        if softnet.is_some_and(|(path, text)| tables::softnet(path, text, |cpu| dropped += cpu.dropped).is_ok()) {
            values.insert("softnet.dropped", dropped as f64);
        }
    }

    fn limits(&mut self, values: &mut Values) {
        let files = &self.files;
        // Pages at which pressure begins are the second number; a child namespace does not show it.
        let pressure = files.sysctl_numbers("net/ipv4/tcp_mem").and_then(|numbers| numbers.get(1).copied());
        values.extend(pressure.map(|pages| ("tcp.memory_pressure_pages", pages as f64)));
        if let Some([low, high]) = files.sysctl_numbers("net/ipv4/ip_local_port_range").as_deref() {
            values.insert("ports.range", (high + 1).saturating_sub(*low) as f64);
        }
        if let Some([open, _, max]) = files.sysctl_numbers("fs/file-nr").as_deref() {
            values.insert("files.open", *open as f64);
            values.insert("files.max", *max as f64);
        }
        for (signal, name) in [("conntrack.entries", "count"), ("conntrack.max", "max")] {
            let number = files.sysctl_number(&format!("net/netfilter/nf_conntrack_{name}"));
            values.extend(number.map(|number| (signal, number as f64)));
        }
        // Columns 10 and 11 are drop and early_drop (net/netfilter/nf_conntrack_standalone.c).
        let sums =
            self.conntrack.read_if_present().ok().flatten().and_then(|(path, text)| tables::conntrack(path, text).ok());
        values.extend(sums.map(|sums| ("conntrack.drops", (sums[10] + sums[11]) as f64)));
    }
}
