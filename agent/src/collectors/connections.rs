//! `connections`: connected users per listening port and container, and how full the limits are that a box with many
//! connections meets first.
//!
//! Everything here is from the census (see [`crate::containers::census`]), so that half a million sockets cost a
//! scrape nothing; `highload_census_age_seconds` says how old the numbers are. Ratios are in one family each, so that one
//! alert covers every container and port.

use std::sync::Arc;

use hostfs::sock_diag::STATES;
use hostfs::text::{fields, parse_u64, trim};
use hostfs::{Roots, read_into};

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::containers::census::{Census, Group, INTERVAL, Network, Port, Report};
use crate::containers::{BaseLabels, FIRST_WAIT, Shared};
use crate::exposition::{Page, Rendered};
use crate::flags::{Flag, Setup, text};

crate::metrics! {
    USERS = gauge("highload_connected_users").labels(PORT).help("Established TCP connections of a listening port, those that wait for accept included.")
        .source("sock_diag").answers("How many users are connected, to which port of which container?");
    LISTENERS = gauge("highload_listeners").labels(PORT).help("Listening sockets of a port.").source("sock_diag").answers("How many listeners share the port?");
    QUEUE = gauge("highload_listen_queue").labels(PORT).help("Connections that wait for accept, summed over the port's listeners.").source("sock_diag").answers("Does the program accept fast enough?");
    BACKLOG = gauge("highload_listen_backlog").labels(PORT).help("Backlog in force, summed over the port's listeners.").source("sock_diag").answers("How many connections may wait for accept?");
    QUEUE_RATIO = gauge("highload_listen_queue_ratio").labels(PORT).unit("ratio").help("Share of its backlog that the fullest listener of the port has waiting; at 1 the next connection is dropped.").source("sock_diag").answers("How close is the listener to dropping connections?");
    HANDSHAKES = gauge("highload_handshakes").labels(PORT).help("Connections of a listening port whose handshake is not complete (SYN_RECV).").source("sock_diag").answers("Is there a SYN flood, or a slow network?");
    SYN_RATIO = gauge("highload_syn_backlog_ratio").labels(PORT).unit("ratio").help("Incomplete handshakes as a share of the port's backlog, which bounds them too.").source("sock_diag").answers("How close is the port to SYN cookies or drops?");
    OVERFLOWS = counter("highload_listen_overflows_total").labels(OF).help("Connections that found an accept queue full.").source("/proc/PID/net/netstat").answers("Did users fail to connect because the program was too slow?");
    DROPS = counter("highload_listen_drops_total").labels(OF).help("Connections that a listener dropped for any reason.").source("/proc/PID/net/netstat").answers("Did users fail to connect?");
    SOCKETS = gauge("highload_tcp_sockets").labels(&["id", "name", "image", "netns", "state"]).help("TCP sockets of a network namespace by state; states without any are left out.").source("sock_diag").answers("In which state are the connections?");
    TIME_WAIT_RATIO = gauge("highload_time_wait_ratio").labels(OF).unit("ratio").help("Sockets in TIME_WAIT as a share of net.ipv4.tcp_max_tw_buckets.").source("sock_diag, /proc/sys/net").answers("How close is the namespace to cutting TIME_WAIT short?");
    PORT_RANGE_PORTS = gauge("highload_port_range_ports").labels(TO).help("Local ports in use towards one peer, for the five peers with the most.").source("sock_diag").answers("Which peer takes the ports?");
    PORT_RANGE_RATIO = gauge("highload_port_range_ratio").labels(TO).unit("ratio").help("Share of net.ipv4.ip_local_port_range in use towards one peer; at 1 connect fails with EADDRNOTAVAIL.").source("sock_diag, /proc/sys/net").answers("How close is the box to running out of ports towards a peer?");
    CONNTRACK_RATIO = gauge("highload_conntrack_ratio").labels(OF).unit("ratio").help("Connections that netfilter tracks, as a share of its limit.").source("/proc/sys/net/netfilter").answers("How close is the box to dropping packets for a full table?");
    DESCRIPTORS = gauge("highload_file_descriptors").labels(GROUP).help("Open file descriptors of a container, or of the processes of a cgroup.").source("/proc/PID/fd").answers("Who holds the descriptors?");
    DESCRIPTORS_RATIO = gauge("highload_file_descriptors_ratio").labels(GROUP).unit("ratio").help("Share of its own soft limit that the fullest process of the group has open; at 1 accept fails with EMFILE.").source("/proc/PID/fd, /proc/PID/limits").answers("How close is a process to its descriptor limit?");
    FILES_RATIO = gauge("highload_open_files_ratio").unit("ratio").help("Open files of the host as a share of fs.file-max.").source("/proc/sys/fs/file-nr").answers("How close is the host to its limit of open files?");
    TCP_MEMORY_RATIO = gauge("highload_tcp_memory_ratio").unit("ratio").help("Pages of TCP buffers as a share of the upper net.ipv4.tcp_mem.").source("/proc/net/sockstat, /proc/sys/net").answers("How close is TCP to dropping for memory?");
    ORPHANS_RATIO = gauge("highload_tcp_orphans_ratio").unit("ratio").help("Sockets that no process holds as a share of net.ipv4.tcp_max_orphans.").source("/proc/net/sockstat, /proc/sys/net").answers("How close is the host to resetting orphans?");
    AGE = gauge("highload_census_age_seconds").unit("seconds").help("Time since the last census of processes and sockets ended.").source("census").answers("How old are the numbers of users, descriptors and rings?");
    DURATION = gauge("highload_census_duration_seconds").unit("seconds").help("Time that the last census took.").source("census").answers("What does counting everything take?");
    CPU = counter("highload_census_cpu_seconds_total").unit("seconds").help("CPU time of all censuses.").source("census").answers("What does counting everything cost?");
    COUNT = counter("highload_censuses_total").help("Censuses taken.").source("census").answers("Is the census alive?");
    CENSUS_SOCKETS = gauge("highload_census_sockets").help("TCP sockets in the last census, all namespaces that could be entered.").source("census").answers("How many sockets are there in all?");
    CENSUS_PROCESSES = gauge("highload_census_processes").help("Processes in the last census.").source("census").answers("How many processes were looked at?");
    DENIED = gauge("highload_census_denied").labels(&["what", "needs"]).help("What the last census could not see, for lack of the right that is named.").source("census").answers("What is missing from these numbers, and which right brings it?");
    BOUNDED = gauge("highload_census_bounded").help("What the last census left out for one of its own bounds.").source("census").answers("Is the host larger than the census takes?");
    FAILED = gauge("highload_census_failed").help("1 when the last census ended in an error, which the log names.").source("census").answers("Can these numbers be trusted?");
}

/// `netns` is the kernel's number of a namespace that its group does not tell apart, and absent otherwise.
const OF: &[&str] = &["id", "name", "image", "netns"];
const PORT: &[&str] = &["id", "name", "image", "netns", "port"];
const TO: &[&str] = &["id", "name", "image", "netns", "source", "peer"];
const GROUP: &[&str] = &["id", "name", "image"];

/// Most groups that are no containers whose descriptors are shown: those with the most.
const GROUPS: usize = 256;

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: FLAGS, build };

static FLAGS: &[Flag] =
    &[text(INTERVAL, "15", "Seconds between two censuses of processes and sockets; longer when one takes long")];

struct Connections {
    roots: Roots,
    census: Arc<Census>,
    shared: Arc<Shared>,
    first: bool,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let (roots, shared) = (setup.roots.clone(), setup.shared.clone());
    Ok(Box::new(Connections { roots, census: Census::of(setup)?, shared, first: true }))
}

impl Collector for Connections {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        write_ceilings(page, &self.roots);
        let patience = if std::mem::take(&mut self.first) { FIRST_WAIT } else { std::time::Duration::ZERO };
        if let Some(names) = self.shared.known_names() {
            names.wait_until_tried(patience);
        }
        let Some(report) = self.census.last(patience) else {
            return Err(Failure::NoData("the first census is not done yet".into()));
        };
        write_census(page, &report);
        let labels: Vec<_> = report.groups.iter().map(|group| base_labels(&self.shared, group)).collect();
        let networks: Vec<_> =
            report.networks.iter().map(|network| (network, network_labels(network, &labels))).collect();
        write_ports(page, &networks, &labels);
        write_networks(page, &networks);
        write_descriptors(page, &report, &labels);
        match &report.error {
            Some(error) => Err(Failure::Broken(error.clone())),
            None => Ok(()),
        }
    }
}

/// `id`, `name` and `image` of a group, with the name that an engine last gave it.
pub(super) fn base_labels(shared: &Shared, group: &Group) -> Rendered {
    let identity = group.identity.as_ref();
    let decoration = identity.and_then(|identity| shared.known_names()?.find(&identity.id));
    BaseLabels::new(&group.path, identity, decoration.as_deref()).short
}

fn network_labels(network: &Network, groups: &[Rendered]) -> Rendered {
    let mut labels =
        network.group.map_or_else(|| BaseLabels::new(b"/", None, None).short, |group| groups[group].clone());
    if let Some(number) = network.number {
        labels.push("netns", number.to_string().as_bytes());
    }
    labels
}

type Labelled<'a> = [(&'a Network, Rendered)];

fn write_ports(page: &mut Page, networks: &Labelled<'_>, groups: &[Rendered]) {
    let families: [(&'static Metric, fn(&Port) -> f64); 7] = [
        (&USERS, |port| port.established as f64),
        (&LISTENERS, |port| port.listeners as f64),
        (&QUEUE, |port| port.queue as f64),
        (&BACKLOG, |port| port.backlog as f64),
        (&QUEUE_RATIO, |port| port.fullest),
        (&HANDSHAKES, |port| port.handshakes as f64),
        (&SYN_RATIO, |port| port.handshakes as f64 / port.backlog.max(1) as f64),
    ];
    let mut digits = itoa::Buffer::new();
    for (metric, value) in families {
        let mut family = page.family(metric);
        for (network, labels) in networks {
            for port in &network.ports {
                let labels = port.owner.map_or(labels, |owner| &groups[owner]);
                family.sample_of(labels, &[("port", digits.format(port.port).as_bytes())], value(port));
            }
        }
    }
}

fn write_networks(page: &mut Page, networks: &Labelled<'_>) {
    let ratio = |part: Option<u64>, whole: Option<u64>| Some(part? as f64 / whole.filter(|&whole| whole > 0)? as f64);
    let families: [(&'static Metric, &dyn Fn(&Network) -> Option<f64>); 4] = [
        (&OVERFLOWS, &|network| network.listen_overflows.map(|count| count as f64)),
        (&DROPS, &|network| network.listen_drops.map(|count| count as f64)),
        (&TIME_WAIT_RATIO, &|network| ratio(network.time_wait, network.time_wait_limit)),
        (&CONNTRACK_RATIO, &|network| ratio(Some(network.conntrack?.0), Some(network.conntrack?.1))),
    ];
    for (metric, value) in families {
        let mut family = page.family(metric);
        for (network, labels) in networks {
            if let Some(value) = value(network) {
                family.sample_of(labels, &[], value);
            }
        }
    }
    let mut family = page.family(&SOCKETS);
    for (network, labels) in networks {
        for state in STATES {
            let count: u64 = network.states.iter().flatten().map(|states| states.count(state)).sum();
            if count > 0 {
                family.sample_of(labels, &[("state", state.name().as_bytes())], count);
            }
        }
    }
    write_destinations(page, networks);
}

fn write_destinations(page: &mut Page, networks: &Labelled<'_>) {
    for metric in [&PORT_RANGE_PORTS, &PORT_RANGE_RATIO] {
        let mut family = page.family(metric);
        for (network, labels) in networks {
            let Some(range) = network.port_range else { continue };
            for to in &network.destinations {
                let (source, peer) = (to.source.to_string(), to.peer.to_string());
                let value = if std::ptr::eq(metric, &raw const PORT_RANGE_PORTS) {
                    to.ports as f64
                } else {
                    to.ports as f64 / range as f64
                };
                family.sample_of(labels, &[("source", source.as_bytes()), ("peer", peer.as_bytes())], value);
            }
        }
    }
}

fn write_descriptors(page: &mut Page, report: &Report, labels: &[Rendered]) {
    let mut shown: Vec<usize> = (0..report.groups.len()).filter(|&index| report.groups[index].open > 0).collect();
    // Containers first, then whoever holds most.
    shown.sort_by_key(|&index| {
        let group = &report.groups[index];
        (group.identity.is_none(), std::cmp::Reverse(group.open))
    });
    let containers = shown.iter().filter(|&&index| report.groups[index].identity.is_some()).count();
    shown.truncate(containers + GROUPS);
    let mut family = page.family(&DESCRIPTORS);
    for &index in &shown {
        family.sample_of(&labels[index], &[], report.groups[index].open);
    }
    let mut family = page.family(&DESCRIPTORS_RATIO);
    for &index in &shown {
        if let Some(fullest) = report.groups[index].fullest {
            family.sample_of(&labels[index], &[], fullest);
        }
    }
}

fn write_census(page: &mut Page, report: &Report) {
    page.single(&AGE, report.ended.map_or(0.0, |ended| ended.elapsed().as_secs_f64()));
    page.single(&DURATION, report.wall.as_secs_f64());
    page.single(&CPU, report.cpu_ns as f64 / 1e9);
    page.single(&COUNT, report.count);
    page.single(&CENSUS_SOCKETS, report.sockets);
    page.single(&CENSUS_PROCESSES, report.processes);
    let gaps = &report.gaps;
    let mut family = page.family(&DENIED);
    for (what, needs, count) in [
        ("descriptors", "CAP_SYS_PTRACE", gaps.descriptors),
        ("networks", "CAP_SYS_ADMIN and CAP_SYS_PTRACE", gaps.networks),
        ("rings", "CAP_SYS_PTRACE", gaps.rings),
        ("threads", "CAP_SYS_PTRACE", gaps.threads),
    ] {
        family.sample(&[("what", what.as_bytes()), ("needs", needs.as_bytes())], count);
    }
    page.single(&BOUNDED, gaps.bounded);
    page.single(&FAILED, report.error.is_some());
}

/// Limits of the whole host that a scrape can read itself.
fn write_ceilings(page: &mut Page, roots: &Roots) {
    let mut bytes = Vec::new();
    let mut read = |file: &str| {
        read_into(&roots.proc(file), &mut bytes, 64 * 1024).ok()?;
        Some(bytes.clone())
    };
    let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    // "allocated, 0, maximum"; a kernel without a limit says the largest number.
    let files = read("sys/fs/file-nr").and_then(|text| {
        let mut fields = fields(trim(&text));
        let allocated = fields.u64()?;
        ratio(allocated, fields.nth(1).and_then(parse_u64)?)
    });
    let sockstat = read("net/sockstat").unwrap_or_default();
    let tcp = |key: &[u8]| {
        let line = hostfs::text::lines(&sockstat).find_map(|line| line.strip_prefix(b"TCP:"))?;
        let mut fields = fields(line);
        fields.find(|field| *field == key)?;
        fields.u64()
    };
    let memory = read("sys/net/ipv4/tcp_mem")
        .and_then(|text| ratio(tcp(b"mem")?, fields(trim(&text)).nth(2).and_then(parse_u64)?));
    let orphans = read("sys/net/ipv4/tcp_max_orphans").and_then(|text| ratio(tcp(b"orphan")?, parse_u64(trim(&text))?));
    for (metric, value) in [(&FILES_RATIO, files), (&TCP_MEMORY_RATIO, memory), (&ORPHANS_RATIO, orphans)] {
        if let Some(value) = value {
            page.single(metric, value);
        }
    }
}
