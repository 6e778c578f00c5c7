//! Known answers from files: what the kernel would show of a box that lacks something, moment after moment, put to the rule table.
//! For what cannot be taken away for real without taking it from everybody on the host.

#![allow(unreachable_pub, clippy::unwrap_used, reason = "a module of a test crate, whose panic is its report")]

use std::path::Path;

use hostfs::Roots;
use lab::saturation::{Reading, Record, Rules, Signals, Subject, judge};

/// Readings of a case, half a second apart. The first one is of a box that is well.
const MOMENTS: usize = 4;

/// One resource that is lacking.
pub struct Case {
    pub resource: &'static str,
    /// What the files show.
    pub how: &'static str,
    /// Why it is not taken away for real.
    pub why: &'static str,
    /// What the evidence must say.
    pub evidence: &'static str,
    shown: Shown,
}

/// What a case shows at each moment.
enum Shown {
    /// Files below `/`, by moment.
    Files(fn(u64) -> Vec<(&'static str, String)>),
    /// Signals, for what is read from clocks of living processes and from what servers say.
    Signals(&'static [(&'static str, [f64; MOMENTS])]),
    /// What broke the trial.
    Said(&'static str),
}

impl Case {
    /// The finding that is named first when it is lacking, with its evidence.
    pub fn starved(&self) -> Option<(String, String)> {
        self.verdict(|moment| moment as u64)
    }

    /// The same when every moment is as the first.
    pub fn healthy(&self) -> Option<(String, String)> {
        self.verdict(|_| 0)
    }

    fn verdict(&self, at: fn(usize) -> u64) -> Option<(String, String)> {
        let readings: Vec<Reading> = (0..MOMENTS)
            .map(|moment| {
                let values = match &self.shown {
                    Shown::Files(files) => read(&files(at(moment))),
                    Shown::Signals(signals) => {
                        signals.iter().map(|(name, values)| (*name, values[at(moment) as usize])).collect()
                    }
                    Shown::Said(_) => lab::saturation::Values::new(),
                };
                Reading { at_seconds: moment as f64 / 2.0, values }
            })
            .collect();
        let said = match &self.shown {
            Shown::Said(said) if at(1) > 0 => said,
            _ => "",
        };
        let verdict = judge(&Rules::default(), &Record { readings, window_seconds: None }, said, true);
        verdict.first().map(|finding| (finding.resource.clone(), finding.evidence.clone()))
    }
}

/// The signals of a box whose kernel shows `files`.
fn read(files: &[(&str, String)]) -> lab::saturation::Values {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match text.strip_prefix("-> ") {
            Some(target) => std::os::unix::fs::symlink(Path::new(target), path).unwrap(),
            None => std::fs::write(path, text).unwrap(),
        }
    }
    let subject = Subject { server: vec![7], server_cpus: vec![0], ..Subject::default() };
    // Anew for each moment: readers keep the kernel's files open, and these are other ones.
    Signals::new(&Roots::below(folder.path()), subject).read()
}

/// `/proc/net/netstat` with one counter.
fn netstat(counter: &str, value: u64) -> Vec<(&'static str, String)> {
    vec![("proc/net/netstat", format!("TcpExt: SyncookiesSent {counter}\nTcpExt: 0 {value}\n"))]
}

fn pressure(file: &'static str, stalled_us: u64) -> Vec<(&'static str, String)> {
    vec![(file, format!("some avg10=0.00 avg60=0.00 avg300=0.00 total={stalled_us}\n"))]
}

fn meminfo(available_kb: u64, slab_kb: u64) -> Vec<(&'static str, String)> {
    let text =
        format!("MemTotal:        1000000 kB\nMemAvailable:    {available_kb} kB\nSlab:            {slab_kb} kB\n");
    vec![("proc/meminfo", text)]
}

/// `/proc/stat` of one core after `softirq` and `steal` ticks of a hundredth of a second.
fn stat(softirq: u64, steal: u64) -> Vec<(&'static str, String)> {
    let cpu = format!("100 0 100 1000 0 0 {softirq} {steal} 0 0");
    vec![(
        "proc/stat",
        format!("cpu  {cpu}\ncpu0 {cpu}\nintr 0\nctxt 0\nbtime 1\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n"),
    )]
}

fn conntrack(entries: u64, drops: u64) -> Vec<(&'static str, String)> {
    let columns = "entries clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error \
                   expect_new expect_create expect_delete search_restart";
    let counts: Vec<String> = (0..17).map(|column| format!("{:08x}", if column == 10 { drops } else { 0 })).collect();
    vec![
        ("proc/sys/net/netfilter/nf_conntrack_max", "1000\n".to_owned()),
        ("proc/sys/net/netfilter/nf_conntrack_count", format!("{entries}\n")),
        ("proc/net/stat/nf_conntrack", format!("{columns}\n{}\n", counts.join(" "))),
    ]
}

/// A server with a ring whose submission queue of eight has `waiting` entries that the kernel has not taken.
fn submissions(waiting: u64) -> Vec<(&'static str, String)> {
    vec![
        ("proc/7/fd/5", "-> anon_inode:[io_uring]".to_owned()),
        ("proc/7/fdinfo/5", format!("pos:\t0\nSqMask:\t0x7\nSqHead:\t100\nSqTail:\t{}\nCqMask:\t0xf\n", 100 + waiting)),
    ]
}

const HOST: &str = "its bound is the whole host's, so it is not lowered";
const BOX: &str = "it would hold up everybody on the box";

pub const CASES: &[Case] = &[
    Case {
        resource: "conntrack",
        how: "990 of 1,000 entries",
        why: HOST,
        evidence: "connection tracking held 990 of 1,000 entries",
        shown: Shown::Files(|moment| conntrack(if moment < 2 { 10 } else { 990 }, 5)),
    },
    Case {
        resource: "conntrack",
        how: "4 dropped packets a reading",
        why: HOST,
        evidence: "connection tracking dropped 12 packets",
        shown: Shown::Files(|moment| conntrack(10, 5 + 4 * moment)),
    },
    Case {
        resource: "tcp-memory",
        how: "sockstat at tcp_mem's pressure",
        why: "net.ipv4.tcp_mem is the whole host's and not seen in a namespace",
        evidence: "TCP held 450 pages of buffers, pressure begins at 400",
        shown: Shown::Files(|moment| {
            let pages = 150 * moment;
            vec![
                ("proc/net/sockstat", format!("sockets: used 9\nTCP: inuse 5 orphan 0 tw 0 alloc 5 mem {pages}\n")),
                ("proc/sys/net/ipv4/tcp_mem", "300\t400\t600\n".to_owned()),
            ]
        }),
    },
    Case {
        resource: "tcp-memory",
        how: "TcpExt TCPMemoryPressures grows",
        why: "net.ipv4.tcp_mem is the whole host's and not seen in a namespace",
        evidence: "TCP came under memory pressure 3 times",
        shown: Shown::Files(|moment| netstat("TCPMemoryPressures", 7 + moment)),
    },
    Case {
        resource: "receive-backlog",
        how: "softnet_stat's dropped grows",
        why: "net.core.netdev_max_backlog is the whole host's: all its loopback traffic would be dropped",
        evidence: "48 packets found the backlog of a core full",
        shown: Shown::Files(|moment| {
            let line =
                |dropped: u64| format!("0000ffff {dropped:08x} 00000000 0 0 0 0 0 00000000 00000000 00000000 0 0\n");
            vec![("proc/net/softnet_stat", line(0) + &line(16 * moment))]
        }),
    },
    Case {
        resource: "socket-backlog",
        how: "TcpExt TCPBacklogDrop grows",
        why: "a segment has to come while the server's thread holds the socket's lock",
        evidence: "3 segments found a socket's backlog full",
        shown: Shown::Files(|moment| netstat("TCPBacklogDrop", moment)),
    },
    Case {
        resource: "socket-buffers",
        how: "TcpExt PruneCalled grows",
        why: "the kernel prunes when a queue's segments waste its memory, which depends on the card's buffers",
        evidence: "receive queues were pruned 6 times",
        shown: Shown::Files(|moment| netstat("PruneCalled", 2 * moment)),
    },
    Case {
        resource: "syn-queue",
        how: "TcpExt TCPReqQFullDrop grows",
        why: "with SYN cookies, which are the default, a full queue drops nothing",
        evidence: "3 connection requests were dropped",
        shown: Shown::Files(|moment| netstat("TCPReqQFullDrop", moment)),
    },
    Case {
        resource: "retransmits",
        how: "Tcp RetransSegs grows",
        why: "loopback loses nothing",
        evidence: "30 segments were sent again",
        shown: Shown::Files(|moment| {
            vec![("proc/net/snmp", format!("Tcp: RtoAlgorithm RetransSegs\nTcp: 1 {}\n", 10 * moment))]
        }),
    },
    Case {
        resource: "memory-pressure",
        how: "PSI: 100 ms of stalls a reading",
        why: BOX,
        evidence: "tasks waited for memory for 20 % of the time (PSI)",
        shown: Shown::Files(|moment| pressure("proc/pressure/memory", 100_000 * moment)),
    },
    Case {
        resource: "disk-pressure",
        how: "PSI: 200 ms of stalls a reading",
        why: BOX,
        evidence: "tasks waited for disks for 40 % of the time (PSI)",
        shown: Shown::Files(|moment| pressure("proc/pressure/io", 200_000 * moment)),
    },
    Case {
        resource: "cpu-pressure",
        how: "PSI: 400 ms of stalls a reading",
        why: BOX,
        evidence: "somebody on this box waited for a core for 80 % of the time (PSI)",
        shown: Shown::Files(|moment| pressure("proc/pressure/cpu", 400_000 * moment)),
    },
    Case {
        resource: "submission-queue",
        how: "fdinfo: a queue of eight stays full",
        why: "a submission queue is full for longer than a moment only where a poller's core is taken away",
        evidence: "8 of 8 entries of a ring's submission queue waited",
        shown: Shown::Files(|moment| submissions(if moment < 2 { 0 } else { 8 })),
    },
    Case {
        resource: "system-files",
        how: "file-nr at file-max",
        why: HOST,
        evidence: "995 files are open on the whole box, 1,000 at most",
        shown: Shown::Files(|moment| {
            vec![("proc/sys/fs/file-nr", format!("{}\t0\t1000\n", if moment < 2 { 10 } else { 995 }))]
        }),
    },
    Case {
        resource: "memory",
        how: "meminfo: 2 % available",
        why: BOX,
        evidence: "20,480,000 of 1,024,000,000 bytes of memory were left",
        shown: Shown::Files(|moment| meminfo(if moment < 2 { 500_000 } else { 20_000 }, 1_000)),
    },
    Case {
        resource: "slab",
        how: "meminfo: 60 % slab",
        why: BOX,
        evidence: "614,400,000 of 1,024,000,000 bytes of memory",
        shown: Shown::Files(|moment| meminfo(300_000, if moment < 2 { 1_000 } else { 600_000 })),
    },
    Case {
        resource: "softirq",
        how: "stat: softirqs take most of the server's core",
        why: "on loopback the sender does the receiver's softirq work, on its own core",
        evidence: "softirqs took 80 % of the server's cores",
        shown: Shown::Files(|moment| stat(40 * moment, 0)),
    },
    Case {
        resource: "steal",
        how: "stat: the hypervisor takes a fifth of the server's core",
        why: "no guest can take its own CPU away",
        evidence: "the hypervisor took 20 % of the server's cores",
        shown: Shown::Files(|moment| stat(0, 10 * moment)),
    },
    Case {
        resource: "connection-gate",
        how: "as many connections as --max-connections",
        why: "engines refuse beyond it, which `service` and `lab recover` test",
        evidence: "the server held 10 connections and is told to hold 10 at most",
        shown: Shown::Signals(&[
            ("server.connections", [0.0, 5.0, 10.0, 10.0]),
            ("server.max_connections", [10.0; MOMENTS]),
        ]),
    },
    Case {
        resource: "server-gate",
        how: "the server's own count of refusals",
        why: "engines refuse beyond it, which `service` and `lab recover` test",
        evidence: "the server refused 7 connections or requests by its own limits",
        shown: Shown::Signals(&[("server.refusals", [0.0, 0.0, 0.0, 7.0])]),
    },
    Case {
        resource: "one-thread",
        how: "schedstat: one of two threads is always busy",
        why: "one shard of several needs more cores than a small box has",
        evidence: "one thread of the server was busy for 98 % of the time",
        shown: Shown::Signals(&[("server.busiest_thread_seconds", [0.0, 0.49, 0.98, 1.47])]),
    },
    Case {
        resource: "run-queue",
        how: "schedstat: a thread waits for its core for half of the time",
        why: BOX,
        evidence: "a thread of the server was ready and waited for a core for 50 % of the time",
        shown: Shown::Signals(&[("server.waiting_seconds", [0.0, 0.25, 0.5, 0.75])]),
    },
    Case {
        resource: "generator-cpu",
        how: "the generator's clock: its core is full",
        why: "a server that is cheaper than its generator depends on the build",
        evidence: "the load generator used 98 % of its 1 core(s)",
        shown: Shown::Signals(&[
            ("generator.cpu_seconds", [0.0, 0.49, 0.98, 1.47]),
            ("generator.cores", [1.0; MOMENTS]),
        ]),
    },
    Case {
        resource: "generator-descriptors",
        how: "what the generator said",
        why: "the lab raises its own limit as far as it may before it starts",
        evidence: "the load generator may open no further descriptor",
        shown: Shown::Said("only 61 of 100 connections could be opened: Too many open files (os error 24)"),
    },
];
