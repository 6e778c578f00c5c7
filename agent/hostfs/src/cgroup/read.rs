//! Fills one [`Sample`] from one cgroup.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, statat};

use super::files::{File, Outcome, Scratch};
use super::io::{Device, Devices, Operations};
use super::layout::{Controller, Layout};
use super::memory::{Memory, pairs};
use super::walk::Cgroup;
use crate::text::{fields, lines, parse_u64, trim};

/// v1 prints "no limit" as the largest page-aligned number; anything past this is meant as none.
const UNLIMITED_FROM: u64 = 1 << 62;

/// Most page sizes of huge pages that are read.
const PAGE_SIZES: usize = 8;

/// Where a v1 block I/O file goes.
type Field = fn(&mut Device) -> &mut Operations;

/// A bound that may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// No bound.
    Max,
    /// So much, in the unit of its file.
    At(u64),
}

/// CPU time of one cgroup and all below, in nanoseconds since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the files")]
pub struct Cpu {
    pub usage: Option<u64>,
    pub user: Option<u64>,
    pub system: Option<u64>,
    /// Of each CPU in order of number (v1 only), where [`Detail::per_cpu`] asks for it.
    pub per_cpu: Vec<u64>,
    /// Periods in which the group could run, and in how many of them its quota ran out.
    pub periods: Option<u64>,
    pub throttled_periods: Option<u64>,
    /// Time that its tasks were kept waiting by the quota.
    pub throttled: Option<u64>,
    pub burst_periods: Option<u64>,
    pub burst: Option<u64>,
    /// Microseconds of CPU per period, and the period's length in microseconds.
    pub quota: Option<Limit>,
    pub period: Option<u64>,
    /// Weight on v1's scale (1024 is normal); v2's weight is converted.
    pub shares: Option<u64>,
}

/// Stall time in microseconds since the group was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stall {
    /// At least one task waited.
    pub some: Option<u64>,
    /// All tasks waited.
    pub full: Option<u64>,
}

/// Pressure stall information of one cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the files")]
pub struct Pressure {
    pub cpu: Stall,
    pub memory: Stall,
    pub io: Stall,
}

/// Huge pages of one size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HugePages {
    /// Size as the kernel writes it, such as `2MB`.
    pub size: String,
    /// Bytes in use.
    pub usage: Option<u64>,
    /// Most bytes that were in use (v1).
    pub peak: Option<u64>,
    /// Allocations that failed for the limit.
    pub failures: Option<u64>,
}

/// Everything that is read of one cgroup. `None` where the kernel, or this group, does not say. Made to be used again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// CPU time, quota, weight.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// PSI; v2, or the v2 side of a hybrid host.
    pub pressure: Pressure,
    /// Tasks (threads) now.
    pub pids: Option<u64>,
    /// Most tasks.
    pub pids_max: Option<Limit>,
    /// Processes directly in the group, not below.
    pub processes: Option<u64>,
    /// The first of them in the kernel's list.
    pub first_pid: Option<u32>,
    /// v1 `cpuset.memory_migrate`.
    pub memory_migrate: Option<u64>,
    /// Where [`Detail::huge_pages`] asks for it.
    pub huge_pages: Vec<HugePages>,
    /// Pages per NUMA node: scope (`container` or `hierarchy`), kind, node, pages; where [`Detail::numa`] asks for it.
    pub numa: Vec<(&'static str, &'static str, u32, u64)>,
    /// A bit is set when a file was there and could not be read or understood.
    pub failed: u64,
    devices: Devices,
}

impl Sample {
    /// Block devices that the group used, by device number.
    pub fn devices(&self) -> &[Device] {
        &self.devices.list
    }

    fn clear(&mut self) {
        let Self { cpu, devices, huge_pages, numa, .. } = std::mem::take(self);
        self.cpu.per_cpu = cleared(cpu.per_cpu);
        self.devices.list = cleared(devices.list);
        self.huge_pages = cleared(huge_pages);
        self.numa = cleared(numa);
    }
}

fn cleared<T>(mut list: Vec<T>) -> Vec<T> {
    list.clear();
    list
}

/// What is read only when asked for, since few look at it and it costs further files.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    /// CPU time of each CPU (v1).
    pub per_cpu: bool,
    /// `memory.numa_stat`.
    pub numa: bool,
    /// `hugetlb.*` of these sizes, such as `2MB`.
    pub huge_pages: Vec<String>,
}

/// Reads samples; owns the buffer.
#[derive(Debug)]
pub struct Reader {
    scratch: Scratch,
    detail: Detail,
    tick_ns: u64,
    /// How many more files may stay open.
    keep: usize,
    /// Groups that went away between listing and reading, since the start.
    pub vanished: u64,
    /// Files that could not be read for lack of rights, since the start.
    pub denied: u64,
}

impl Reader {
    /// A reader for the basic files and those of `detail`.
    pub fn new(mut detail: Detail) -> Self {
        detail.huge_pages.truncate(PAGE_SIZES);
        // USER_HZ has been 100 on every architecture but Alpha since Linux 2.6; never zero.
        let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
        Self { scratch: Scratch::default(), detail, tick_ns, keep: 0, vanished: 0, denied: 0 }
    }

    /// From now on lets so many files more stay open, which makes reading them again several times cheaper. Those of
    /// groups that are gone are closed by the walk that misses them; [`super::Cgroups::descriptors`] counts the rest.
    pub fn keep(&mut self, more: usize) {
        self.keep = more;
    }

    /// Reads `group` at `path` into `sample`, whose old content goes. False when the group is gone.
    pub fn read<T>(&mut self, layout: &Layout, path: &[u8], group: &mut Cgroup<T>, sample: &mut Sample) -> bool {
        sample.clear();
        let mut one = One { reader: self, layout, path, group, sample, gone: false };
        one.processes();
        one.v1();
        one.v2();
        let gone = one.gone;
        if gone {
            self.vanished += 1;
        }
        !gone
    }
}

impl Reader {
    /// Processes directly in `group` and the first of them, for groups of which nothing else is wanted.
    pub fn processes<T>(&mut self, layout: &Layout, path: &[u8], group: &mut Cgroup<T>) -> (u64, Option<u32>) {
        let mut sample = Sample::default();
        One { reader: self, layout, path, group, sample: &mut sample, gone: false }.processes();
        (sample.processes.unwrap_or(0), sample.first_pid)
    }
}

/// One group being read.
struct One<'a, T> {
    reader: &'a mut Reader,
    layout: &'a Layout,
    path: &'a [u8],
    group: &'a mut Cgroup<T>,
    sample: &'a mut Sample,
    gone: bool,
}

impl<T> One<'_, T> {
    /// Reads `file` in `hierarchy` and hands its text on. False when there was nothing to hand on.
    fn with(&mut self, hierarchy: usize, file: File, take: impl FnOnce(&[u8], &mut Sample) -> Option<()>) -> bool {
        if self.gone || self.group.missing & file.bit() != 0 {
            return false;
        }
        match self.read(hierarchy, file) {
            Outcome::Read(length) => {
                if take(self.reader.scratch.text(length), self.sample).is_none() {
                    self.sample.failed |= file.bit();
                }
                return true;
            }
            // Every group has a list of processes: without it there may be no group any more.
            Outcome::Missing if file == File::Procs && !self.exists(hierarchy) => self.gone = true,
            Outcome::Missing => self.group.missing |= file.bit(),
            Outcome::Vanished => self.gone = true,
            Outcome::Denied => self.reader.denied += 1,
            Outcome::Failed => self.sample.failed |= file.bit(),
        }
        false
    }

    /// Reads `file` through its kept descriptor, else by its path.
    fn read(&mut self, hierarchy: usize, file: File) -> Outcome {
        let scratch = &mut self.reader.scratch;
        if let Some(kept) = self.group.kept.get(file) {
            match scratch.read_open(kept) {
                // The group of then is gone; another may have its path.
                Outcome::Vanished => self.group.kept.close(file),
                outcome => return outcome,
            }
        }
        let hierarchy = &self.layout.hierarchies[hierarchy];
        let opened = match scratch.open(&hierarchy.dir, self.path, file.name()) {
            Ok(opened) => opened,
            Err(errno) => return Outcome::of(errno),
        };
        let outcome = scratch.read_open(opened.as_fd());
        // v1 makes its list of processes at the first read of a descriptor, and again a second after the last: one that is
        // read more often would tell of the past.
        let fresh = file != File::Procs || hierarchy.unified;
        if self.reader.keep > 0 && hierarchy.live && fresh && matches!(outcome, Outcome::Read(_)) {
            self.reader.keep -= 1;
            self.group.kept.put(file, opened);
        }
        outcome
    }

    fn exists(&self, hierarchy: usize) -> bool {
        let path = self.path.strip_prefix(b"/").unwrap_or(self.path);
        let dir = &self.layout.hierarchies[hierarchy].dir;
        path.is_empty() || statat(dir, path, AtFlags::empty()).is_ok()
    }

    fn number(&mut self, hierarchy: usize, file: File, field: impl FnOnce(&mut Sample) -> &mut Option<u64>) -> bool {
        self.with(hierarchy, file, |text, sample| {
            *field(sample) = Some(parse_u64(trim(text))?);
            Some(())
        })
    }

    fn limit(&mut self, hierarchy: usize, file: File, field: impl FnOnce(&mut Sample) -> &mut Option<Limit>) {
        self.with(hierarchy, file, |text, sample| {
            *field(sample) = Some(limit(trim(text))?);
            Some(())
        });
    }

    fn processes(&mut self) {
        // Engines put every container under the memory controller; the others may be left out.
        let first = || (0..self.layout.hierarchies.len()).find(|&hierarchy| self.group.is_in(hierarchy));
        let Some(hierarchy) = self.v1_position(Controller::Memory).or_else(first) else { return };
        self.with(hierarchy, File::Procs, |text, sample| {
            let mut count = 0;
            for line in lines(text) {
                // 0 is a process of a pid namespace that is not ours.
                if sample.first_pid.is_none() {
                    sample.first_pid = parse_u64(line).and_then(|pid| u32::try_from(pid).ok()).filter(|&pid| pid != 0);
                }
                count += 1;
            }
            sample.processes = Some(count);
            Some(())
        });
    }

    /// Position of the v1 hierarchy with `controller`, when the group is in it.
    fn v1_position(&self, controller: Controller) -> Option<usize> {
        self.layout.v1(controller).filter(|&hierarchy| self.group.is_in(hierarchy))
    }

    fn v1(&mut self) {
        if let Some(at) = self.v1_position(Controller::Cpu) {
            self.with(at, File::CpuStat, parse_cpu_stat);
            self.limit(at, File::CfsQuota, |sample| &mut sample.cpu.quota);
            self.number(at, File::CfsPeriod, |sample| &mut sample.cpu.period);
            self.number(at, File::Shares, |sample| &mut sample.cpu.shares);
        }
        if let Some(at) = self.v1_position(Controller::Cpuacct) {
            self.cpuacct(at);
        }
        if let Some(at) = self.v1_position(Controller::Memory) {
            self.memory_v1(at);
        }
        if let Some(at) = self.v1_position(Controller::Blkio) {
            self.blkio(at);
        }
        if let Some(at) = self.v1_position(Controller::Pids) {
            self.pids(at);
        }
        if let Some(at) = self.v1_position(Controller::Cpuset) {
            self.number(at, File::MemoryMigrate, |sample| &mut sample.memory_migrate);
        }
        if let Some(at) = self.v1_position(Controller::Hugetlb) {
            self.huge_pages(at, "usage_in_bytes");
        }
    }

    fn cpuacct(&mut self, at: usize) {
        let tick_ns = self.reader.tick_ns;
        if self.reader.detail.per_cpu {
            self.with(at, File::CpuacctPercpu, |text, sample| {
                sample.cpu.per_cpu.extend(fields(trim(text)).filter_map(parse_u64));
                sample.cpu.usage = Some(sample.cpu.per_cpu.iter().fold(0, |sum, value| sum.saturating_add(*value)));
                Some(())
            });
        } else {
            self.number(at, File::CpuacctUsage, |sample| &mut sample.cpu.usage);
        }
        self.with(at, File::CpuacctStat, |text, sample| {
            for (key, ticks) in pairs(text) {
                match key {
                    b"user" => sample.cpu.user = Some(ticks.saturating_mul(tick_ns)),
                    b"system" => sample.cpu.system = Some(ticks.saturating_mul(tick_ns)),
                    _ => {}
                }
            }
            Some(())
        });
    }

    fn memory_v1(&mut self, at: usize) {
        self.with(at, File::MemoryStat, |text, sample| {
            sample.memory.parse_stat_v1(text);
            Some(())
        });
        self.number(at, File::MemoryUsage, |sample| &mut sample.memory.usage);
        self.number(at, File::MemoryMaxUsage, |sample| &mut sample.memory.peak);
        self.number(at, File::MemoryFailcnt, |sample| &mut sample.memory.limit_hits);
        self.number(at, File::KmemUsage, |sample| &mut sample.memory.kernel);
        self.limit(at, File::MemoryLimit, |sample| &mut sample.memory.limit);
        self.limit(at, File::MemorySoftLimit, |sample| &mut sample.memory.reservation);
        self.limit(at, File::MemswLimit, |sample| &mut sample.memory.swap_limit);
        self.with(at, File::OomControl, |text, sample| {
            sample.memory.parse_events(text);
            Some(())
        });
        self.numa(at);
    }

    fn numa(&mut self, at: usize) {
        if self.reader.detail.numa {
            self.with(at, File::NumaStat, parse_numa);
        }
    }

    fn blkio(&mut self, at: usize) {
        let mut table = |file, field: Field| {
            self.with(at, file, |text, sample| {
                sample.devices.parse_v1(text, field);
                Some(())
            })
        };
        // The recursive files came with Linux 4.16; before, a container's own group is all there is.
        if !table(File::ThrottleBytes, |device| &mut device.bytes) {
            table(File::ThrottleBytesOwn, |device| &mut device.bytes);
        }
        if !table(File::ThrottleServiced, |device| &mut device.requests) {
            table(File::ThrottleServicedOwn, |device| &mut device.requests);
        }
        let timings: [(File, File, Field); 4] = [
            (File::BfqServiceTime, File::CfqServiceTime, |device| &mut device.service_time),
            (File::BfqWaitTime, File::CfqWaitTime, |device| &mut device.wait_time),
            (File::BfqMerged, File::CfqMerged, |device| &mut device.merged),
            (File::BfqQueued, File::CfqQueued, |device| &mut device.queued),
        ];
        for (bfq, cfq, field) in timings {
            if !table(bfq, field) {
                table(cfq, field);
            }
        }
    }

    fn pids(&mut self, at: usize) {
        self.number(at, File::PidsCurrent, |sample| &mut sample.pids);
        self.limit(at, File::PidsMax, |sample| &mut sample.pids_max);
    }

    fn v2(&mut self) {
        let Some(at) = self.layout.unified().filter(|&hierarchy| self.group.is_in(hierarchy)) else { return };
        // On a hybrid host only pressure is here; cpu.stat exists without the controller, but v1 has said more.
        if self.layout.hierarchies.len() == 1 {
            self.cpu_v2(at);
            self.memory_v2(at);
            self.with(at, File::IoStat, |text, sample| {
                sample.devices.parse_v2(text);
                Some(())
            });
            self.pids(at);
            self.huge_pages(at, "current");
        }
        self.with(at, File::CpuPressure, |text, sample| stall(text, &mut sample.pressure.cpu));
        self.with(at, File::MemoryPressure, |text, sample| stall(text, &mut sample.pressure.memory));
        self.with(at, File::IoPressure, |text, sample| stall(text, &mut sample.pressure.io));
    }

    fn cpu_v2(&mut self, at: usize) {
        self.with(at, File::CpuStat, parse_cpu_stat);
        self.with(at, File::CpuMax, |text, sample| {
            let mut fields = fields(trim(text));
            sample.cpu.quota = Some(limit(fields.next()?)?);
            sample.cpu.period = Some(fields.u64()?);
            Some(())
        });
        self.with(at, File::CpuWeight, |text, sample| {
            // The inverse of what runtimes do with shares: 2..262144 over 1..10000.
            let weight = parse_u64(trim(text))?.clamp(1, 10_000);
            sample.cpu.shares = Some(2 + (weight - 1) * 262_142 / 9_999);
            Some(())
        });
    }

    fn memory_v2(&mut self, at: usize) {
        self.with(at, File::MemoryStat, |text, sample| {
            sample.memory.parse_stat_v2(text);
            Some(())
        });
        self.number(at, File::MemoryCurrent, |sample| &mut sample.memory.usage);
        self.number(at, File::MemoryPeak, |sample| &mut sample.memory.peak);
        self.number(at, File::SwapCurrent, |sample| &mut sample.memory.swap);
        self.limit(at, File::MemoryMax, |sample| &mut sample.memory.limit);
        self.limit(at, File::MemoryLow, |sample| &mut sample.memory.reservation);
        self.limit(at, File::SwapMax, |sample| &mut sample.memory.swap_limit);
        self.with(at, File::MemoryEvents, |text, sample| {
            sample.memory.parse_events(text);
            Some(())
        });
        let memory = &mut self.sample.memory;
        memory.swap_limit = match (memory.swap_limit, memory.limit) {
            (Some(Limit::At(swap)), Some(Limit::At(limit))) => Some(Limit::At(swap.saturating_add(limit))),
            (Some(_), Some(_)) => Some(Limit::Max),
            _ => None,
        };
        self.numa(at);
    }

    fn huge_pages(&mut self, at: usize, usage: &str) {
        for index in 0..self.reader.detail.huge_pages.len() {
            let size = self.reader.detail.huge_pages[index].clone();
            let mut value = |suffix: &str| match self.reader.scratch.read(
                &self.layout.hierarchies[at].dir,
                self.path,
                &format!("hugetlb.{size}.{suffix}"),
            ) {
                Outcome::Read(length) => {
                    let text = self.reader.scratch.text(length);
                    parse_u64(trim(text))
                        .or_else(|| pairs(text).find(|(key, _)| *key == b"max").map(|(_, value)| value))
                }
                _ => None,
            };
            let pages = HugePages {
                usage: value(usage),
                peak: value("max_usage_in_bytes"),
                failures: value("failcnt").or_else(|| value("events")),
                size: size.clone(),
            };
            if pages.usage.is_some() {
                self.sample.huge_pages.push(pages);
            }
        }
    }
}

/// `max`, a number, or v1's ways to say no limit: -1 and numbers past 2^62.
fn limit(text: &[u8]) -> Option<Limit> {
    match text {
        b"max" | b"-1" => Some(Limit::Max),
        _ => parse_u64(text).map(|value| if value < UNLIMITED_FROM { Limit::At(value) } else { Limit::Max }),
    }
}

/// `cpu.stat` of v1 (nanoseconds) and v2 (microseconds): the keys tell which.
fn parse_cpu_stat(text: &[u8], sample: &mut Sample) -> Option<()> {
    let cpu = &mut sample.cpu;
    for (key, value) in pairs(text) {
        let micros = value.saturating_mul(1000);
        match key {
            b"usage_usec" => cpu.usage = Some(micros),
            b"user_usec" => cpu.user = Some(micros),
            b"system_usec" => cpu.system = Some(micros),
            b"nr_periods" => cpu.periods = Some(value),
            b"nr_throttled" => cpu.throttled_periods = Some(value),
            b"throttled_usec" => cpu.throttled = Some(micros),
            b"throttled_time" => cpu.throttled = Some(value),
            b"nr_bursts" => cpu.burst_periods = Some(value),
            b"burst_usec" => cpu.burst = Some(micros),
            b"burst_time" => cpu.burst = Some(value),
            _ => {}
        }
    }
    Some(())
}

/// A pressure file: `some avg10=0.00 avg60=0.00 avg300=0.00 total=123`, then `full …` where it exists.
fn stall(text: &[u8], stall: &mut Stall) -> Option<()> {
    for line in lines(text) {
        let mut fields = fields(line);
        let kind = fields.next()?;
        let total = fields.find_map(|field| field.strip_prefix(b"total=")).and_then(parse_u64)?;
        match kind {
            b"some" => stall.some = Some(total),
            b"full" => stall.full = Some(total),
            _ => {}
        }
    }
    Some(())
}

/// `memory.numa_stat`: v2 has lines `anon N0=4096 N1=0` in bytes with all groups below; v1 has `anon=1 N0=1` for the
/// group and `hierarchical_anon=1 N0=1` with all below, in pages.
fn parse_numa(text: &[u8], sample: &mut Sample) -> Option<()> {
    let page = rustix::param::page_size() as u64;
    for line in lines(text) {
        let mut fields = fields(line);
        let key = fields.next()?;
        let equals = memchr::memchr(b'=', key);
        let key = &key[..equals.unwrap_or(key.len())];
        let (scope, kind) = match key.strip_prefix(b"hierarchical_") {
            Some(kind) => ("hierarchy", kind),
            None => (if equals.is_some() { "container" } else { "hierarchy" }, key),
        };
        let Some(kind) = NUMA_KINDS.into_iter().find(|known| known.as_bytes() == kind) else { continue };
        for (node, value) in fields.filter_map(node_value) {
            sample.numa.push((scope, kind, node, if equals.is_some() { value } else { value / page }));
        }
    }
    Some(())
}

/// Kinds of memory that are told apart per node.
const NUMA_KINDS: [&str; 3] = ["file", "anon", "unevictable"];

/// `N0=123`.
fn node_value(field: &[u8]) -> Option<(u32, u64)> {
    let field = field.strip_prefix(b"N")?;
    let equals = memchr::memchr(b'=', field)?;
    Some((u32::try_from(parse_u64(&field[..equals])?).ok()?, parse_u64(&field[equals + 1..])?))
}

/// Runs every parser of this module over `text`.
pub(super) fn fuzz(text: &[u8], sample: &mut Sample) {
    sample.memory.parse_stat_v1(text);
    sample.memory.parse_stat_v2(text);
    sample.memory.parse_events(text);
    sample.devices.parse_v1(text, |device| &mut device.bytes);
    sample.devices.parse_v2(text);
    parse_cpu_stat(text, sample);
    parse_numa(text, sample);
    stall(text, &mut sample.pressure.io);
    limit(trim(text));
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Cgroups;
    use super::*;
    use crate::Roots;

    /// Writes files below a fresh root and reads the group `path` of them.
    fn sample(files: &[(&str, &str)], path: &str, detail: Detail) -> Sample {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let file = dir.path().join("sys/fs/cgroup").join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let layout = Layout::find(&Roots::below(dir.path())).unwrap().unwrap();
        let mut groups = Cgroups::<()>::new(100);
        groups.walk(&layout).unwrap();
        let (path, group) = groups.iter_mut().find(|(known, _)| *known == path.as_bytes()).unwrap();
        let (mut reader, mut sample) = (Reader::new(detail), Sample::default());
        // Twice: what the first read left must not show in the second.
        for _ in 0..2 {
            assert!(reader.read(&layout, path, group, &mut sample));
        }
        sample
    }

    /// A v1 group with joined and separate controllers; texts as Linux 6.18 and 4.19 print them.
    #[test]
    fn v1() {
        let sample = sample(
            &[
                ("cpu,cpuacct/cgroup.procs", ""),
                ("memory/a/cgroup.procs", "0\n7\n8\n"),
                (
                    "cpu,cpuacct/a/cpu.stat",
                    "nr_periods 10\nnr_throttled 4\nthrottled_time 1500\nnr_bursts 0\nburst_time 0\n",
                ),
                ("cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n"),
                ("cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
                ("cpu,cpuacct/a/cpu.shares", "1024\n"),
                ("cpu,cpuacct/a/cpuacct.usage_percpu", "5 7 \n"),
                ("cpu,cpuacct/a/cpuacct.stat", "user 3\nsystem 2\n"),
                ("memory/cgroup.procs", ""),
                (
                    "memory/a/memory.stat",
                    "cache 1\nrss 2\npgfault 5\ntotal_cache 10\ntotal_rss 20\ntotal_pgfault 50\ntotal_inactive_file 4\n",
                ),
                ("memory/a/memory.usage_in_bytes", "100\n"),
                ("memory/a/memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory/a/memory.memsw.limit_in_bytes", "4096\n"),
                ("memory/a/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
                ("memory/a/memory.numa_stat", "anon=3 N0=1 N1=2\nhierarchical_anon=9 N0=4 N1=5\n"),
                ("pids/cgroup.procs", ""),
                ("pids/a/pids.current", "12\n"),
                ("pids/a/pids.max", "max\n"),
                ("blkio/cgroup.procs", ""),
                ("blkio/a/blkio.throttle.io_service_bytes", "8:0 Read 1024\nTotal 1024\n"),
                ("blkio/a/blkio.io_queued_recursive", "8:0 Total 2\nTotal 2\n"),
            ],
            "/a",
            Detail { per_cpu: true, numa: true, ..Detail::default() },
        );
        assert_eq!((sample.processes, sample.first_pid), (Some(3), Some(7)));
        assert_eq!((sample.cpu.usage, sample.cpu.per_cpu.as_slice()), (Some(12), &[5, 7][..]));
        assert_eq!((sample.cpu.user, sample.cpu.throttled), (Some(30_000_000), Some(1500)));
        assert_eq!((sample.cpu.quota, sample.cpu.shares), (Some(Limit::Max), Some(1024)));
        assert_eq!(
            (sample.memory.cache, sample.memory.rss, sample.memory.working_set()),
            (Some(10), Some(20), Some(96))
        );
        assert_eq!((sample.memory.page_faults, sample.memory.page_faults_tree), (Some(5), Some(50)));
        assert_eq!((sample.memory.limit, sample.memory.swap_limit), (Some(Limit::Max), Some(Limit::At(4096))));
        assert_eq!((sample.memory.oom_kills, sample.pids, sample.pids_max), (Some(3), Some(12), Some(Limit::Max)));
        assert_eq!(
            sample.numa,
            [
                ("container", "anon", 0, 1),
                ("container", "anon", 1, 2),
                ("hierarchy", "anon", 0, 4),
                ("hierarchy", "anon", 1, 5)
            ]
        );
        assert_eq!((sample.devices()[0].bytes[0], sample.devices()[0].queued[5]), (Some(1024), Some(2)));
        assert_eq!(sample.failed, 0);
    }

    /// A v2 group with every file, and one file that is not in its format.
    #[test]
    fn v2() {
        let sample = sample(
            &[
                ("cgroup.controllers", "cpu io memory pids\n"),
                ("cgroup.procs", ""),
                ("a/cgroup.procs", "42\n"),
                (
                    "a/cpu.stat",
                    "usage_usec 12\nuser_usec 7\nsystem_usec 5\nnr_periods 1\nnr_throttled 1\nthrottled_usec 9\nnr_bursts 2\nburst_usec 3\n",
                ),
                ("a/cpu.max", "50000 100000\n"),
                ("a/cpu.weight", "100\n"),
                (
                    "a/memory.stat",
                    "anon 20\nfile 10\nkernel 6\ninactive_file 200\npgfault 5\npgscan 8\nworkingset_refault_file 2\n",
                ),
                ("a/memory.current", "100\n"),
                ("a/memory.peak", "150\n"),
                ("a/memory.max", "1000\n"),
                ("a/memory.swap.max", "24\n"),
                ("a/memory.events", "low 0\nhigh 2\nmax 3\noom 1\noom_kill 1\noom_group_kill 0\n"),
                ("a/io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n"),
                (
                    "a/cpu.pressure",
                    "some avg10=0.00 avg60=0.00 avg300=0.00 total=11\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
                ),
                ("a/memory.pressure", "garbage\n"),
                ("a/pids.current", "2\n"),
                ("a/pids.max", "512\n"),
                ("a/hugetlb.2MB.current", "2097152\n"),
                ("a/hugetlb.2MB.events", "max 4\n"),
                ("a/memory.numa_stat", "anon N0=8192\nshmem N0=1\n"),
            ],
            "/a",
            Detail { numa: true, huge_pages: vec!["2MB".into(), "1GB".into()], per_cpu: false },
        );
        assert_eq!(
            (sample.cpu.usage, sample.cpu.throttled, sample.cpu.burst),
            (Some(12_000), Some(9_000), Some(3_000))
        );
        assert_eq!((sample.cpu.quota, sample.cpu.period), (Some(Limit::At(50_000)), Some(100_000)));
        // 100 is what runtimes make of 1024 shares, with what integers lose on the way.
        assert_eq!(sample.cpu.shares, Some(2597));
        assert_eq!((sample.memory.working_set(), sample.memory.peak), (Some(0), Some(150)));
        assert_eq!((sample.memory.swap_limit, sample.memory.limit), (Some(Limit::At(1024)), Some(Limit::At(1000))));
        assert_eq!((sample.memory.oom_kills, sample.memory.events_high), (Some(1), Some(2)));
        assert_eq!((sample.pressure.cpu.some, sample.pressure.cpu.full), (Some(11), Some(7)));
        assert_eq!(sample.failed, File::MemoryPressure.bit());
        assert_eq!((sample.pids, sample.pids_max), (Some(2), Some(Limit::At(512))));
        assert_eq!(sample.huge_pages.len(), 1);
        assert_eq!((sample.huge_pages[0].usage, sample.huge_pages[0].failures), (Some(2_097_152), Some(4)));
        assert_eq!(sample.numa.len(), 1);
        assert_eq!(sample.devices()[0].requests[1], Some(4));
    }

    /// Limits as each generation writes them.
    #[test]
    fn limits() {
        assert_eq!(limit(b"max"), Some(Limit::Max));
        assert_eq!(limit(b"-1"), Some(Limit::Max));
        assert_eq!(limit(b"9223372036854771712"), Some(Limit::Max));
        assert_eq!(limit(b"0"), Some(Limit::At(0)));
        assert_eq!(limit(b"x"), None);
    }

    /// Files of a live group stay open as far as allowed and tell the present; a group that was removed and made again under
    /// its path is read anew, and one that is gone is gone. Needs root and, on v2, the pids controller below the root.
    #[test]
    fn kept_files_are_fresh() {
        let layout = Layout::find(&crate::Roots::default()).unwrap().unwrap();
        let at = layout.v1(Controller::Pids).or_else(|| layout.unified()).unwrap();
        let name = format!("highload-test-{}", std::process::id());
        let dir = layout.hierarchies[at].mount.join(&name);
        std::fs::create_dir(&dir).expect("root");
        if !dir.join("pids.max").exists() {
            eprintln!("skipped: no pids controller below the root of cgroup v2");
            return std::fs::remove_dir(&dir).unwrap();
        }
        let set = |most: &str| std::fs::write(dir.join("pids.max"), most).unwrap();
        let mut groups = Cgroups::<()>::new(10_000);
        groups.walk(&layout).unwrap();
        let (mut reader, mut sample) = (Reader::new(Detail::default()), Sample::default());
        let path = format!("/{name}");
        let mut read = |groups: &mut Cgroups<()>, keep| {
            reader.keep(keep);
            let (path, group) = groups.iter_mut().find(|(known, _)| *known == path.as_bytes()).unwrap();
            reader.read(&layout, path, group, &mut sample).then_some(sample.pids_max)
        };
        set("5");
        assert_eq!(read(&mut groups, 0), Some(Some(Limit::At(5))));
        assert_eq!(groups.descriptors(), 0);
        assert_eq!(read(&mut groups, 1), Some(Some(Limit::At(5))));
        assert_eq!(groups.descriptors(), 1);
        read(&mut groups, 100);
        let kept = groups.descriptors();
        assert!(kept >= 2, "{kept}");
        set("7");
        assert_eq!(read(&mut groups, 0), Some(Some(Limit::At(7))));
        std::fs::remove_dir(&dir).unwrap();
        std::fs::create_dir(&dir).unwrap();
        assert_eq!(read(&mut groups, 100), Some(Some(Limit::Max)));
        std::fs::remove_dir(&dir).unwrap();
        assert_eq!(read(&mut groups, 100), None);
        groups.walk(&layout).unwrap();
        assert_eq!(groups.descriptors(), 0);
    }
}
