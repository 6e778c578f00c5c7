//! The meters of a fleet: what all servers, all holders and the box spent between two moments.

use std::time::Duration;

use anyhow::Result;

use crate::observe::{BoxDifference, BoxProbe, BoxReading, GroupProbe, ProcessProbe, ProcessReading, SyscallCounter};
use crate::result::ServerCost;

/// Meters on every member.
pub struct Meters {
    servers: Vec<GroupProbe>,
    holders: Vec<ProcessProbe>,
    whole_box: BoxProbe,
}

/// All of them at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    servers: ProcessReading,
    holders_cpu_ns: u64,
    whole_box: BoxReading,
}

/// What happened between two readings.
#[derive(Clone, Debug)]
pub struct Spent {
    /// All servers, per request.
    pub server: ServerCost,
    /// CPU of all servers.
    pub server_cpu: Duration,
    /// CPU of all holders, in microseconds per request.
    pub holder_cpu_us_per_request: f64,
    /// Share of the holders' CPUs that they used, 0 to their number.
    pub holder_core_share: f64,
    /// The box.
    pub whole_box: BoxDifference,
}

impl Meters {
    /// Meters on these processes.
    ///
    /// # Errors
    /// When one of them has ended.
    pub fn new(servers: Vec<GroupProbe>, holders: &[u32]) -> Result<Self> {
        let probes = holders.iter().map(|pid| ProcessProbe::new(*pid)).collect::<Result<Vec<_>, _>>()?;
        let beside = holders.iter().copied().chain([std::process::id()]).collect();
        Ok(Self { servers, holders: probes, whole_box: BoxProbe::new(beside)? })
    }

    /// Reads everything but memory.
    ///
    /// # Errors
    /// When a member has ended or a kernel file cannot be read.
    pub fn read(&mut self) -> Result<Reading> {
        let mut servers_cpu_ns = 0;
        for server in &self.servers {
            servers_cpu_ns += server.cpu_ns()?;
        }
        let whole_box = self.whole_box.read_beside(servers_cpu_ns)?;
        let mut holders_cpu_ns = 0;
        for holder in &self.holders {
            holders_cpu_ns += holder.cpu_ns()?;
        }
        let servers = self.servers.iter().map(GroupProbe::read_counters).collect::<Result<Vec<_>, _>>()?;
        Ok(Reading { servers: sum(&servers), holders_cpu_ns, whole_box })
    }

    /// Private memory (PSS) of all servers and of all holders, in bytes.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn memory(&self) -> Result<(u64, u64)> {
        let (mut servers, mut holders) = (0, 0);
        for server in &self.servers {
            servers += server.memory()?.unwrap_or_default();
        }
        for holder in &self.holders {
            holders += holder.read()?.pss_bytes.unwrap_or_default();
        }
        Ok((servers, holders))
    }
}

/// Several processes as one: everything adds up, and the moment is the last one's.
fn sum(readings: &[ProcessReading]) -> ProcessReading {
    let mut readings = readings.iter();
    let mut sum = *readings.next().expect("a fleet has a server");
    for reading in readings {
        sum.at = reading.at;
        sum.cpu_ns += reading.cpu_ns;
        sum.user_ticks += reading.user_ticks;
        sum.system_ticks += reading.system_ticks;
        sum.context_switches.voluntary += reading.context_switches.voluntary;
        sum.context_switches.involuntary += reading.context_switches.involuntary;
        sum.rss_bytes += reading.rss_bytes;
        sum.threads += reading.threads;
    }
    sum
}

impl Reading {
    /// What happened from `start` to this reading. `rate` is what was completed a second: requests are counted over the
    /// time between the readings, which are taken a little after the window's edges under the same load.
    pub fn since(&self, start: &Self, rate: f64) -> Spent {
        let seconds = self.servers.at.saturating_duration_since(start.servers.at).as_secs_f64();
        let requests = (rate * seconds).round() as u64;
        let whole_box = self.whole_box.since(&start.whole_box);
        let holders_us = self.holders_cpu_ns.saturating_sub(start.holders_cpu_ns) as f64 / 1e3;
        Spent {
            server: self.servers.cost_since(&start.servers, requests, whole_box.busy),
            server_cpu: Duration::from_nanos(self.servers.cpu_ns.saturating_sub(start.servers.cpu_ns)),
            holder_cpu_us_per_request: holders_us / requests.max(1) as f64,
            holder_core_share: if seconds > 0.0 { holders_us / 1e6 / seconds } else { 0.0 },
            whole_box,
        }
    }
}

/// Counts the system calls of all servers, in a pass of its own: tracing slows who is traced.
pub struct Syscalls(Vec<SyscallCounter>);

impl Syscalls {
    /// Attaches to every server.
    ///
    /// # Errors
    /// Why they cannot be counted here.
    pub fn attach(servers: &[u32]) -> Result<Self, String> {
        let counters = servers.iter().map(|pid| SyscallCounter::attach(*pid).map_err(|error| error.to_string()));
        Ok(Self(counters.collect::<Result<_, _>>()?))
    }

    /// System calls so far.
    ///
    /// # Errors
    /// The kernel's answer to the read.
    pub fn read(&mut self) -> std::io::Result<u64> {
        self.0.iter_mut().map(SyscallCounter::read).sum()
    }
}
