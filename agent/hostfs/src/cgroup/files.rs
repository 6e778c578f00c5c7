//! The files that are read of a cgroup, and the read itself.
//!
//! A file is opened by its path within its hierarchy, or read again through a descriptor that was kept: on Linux 6.18
//! that is 0.3 to 0.6 µs for a file of one value where opening it takes 3 to 4.5 (`memory.stat`: 7.7 and 12). A kept
//! descriptor costs the kernel some 4.4 KB, most of it the page that its text was printed to.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, pread};

/// Most that is read of one file, in bytes. `memory.numa_stat` of a box with 64 nodes has some 60 KB.
pub(super) const FILE_LIMIT: usize = 1 << 20;

/// First size of the read buffer; all but per-node and per-CPU files of large boxes fit.
const BUFFER: usize = 16 * 1024;

/// A read this short was the whole file: seq_file ends a read early only when the next record did not fit
/// into its page, and no record here but a whole file is longer than three quarters of a page.
const SURELY_WHOLE: usize = 1024;

/// Declares the table: a variant per file, its number being its bit in a group's mask of missing files.
macro_rules! files {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A file of a cgroup directory.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "the names are the kernel's; see File::name")]
        pub enum File { $($variant),* }

        const NAMES: &[&str] = &[$($name),*];
        // One bit a file.
        const _: () = assert!(NAMES.len() <= 64);
    };
}

files! {
    Procs = "cgroup.procs",
    CpuStat = "cpu.stat",
    // v1
    CfsQuota = "cpu.cfs_quota_us", CfsPeriod = "cpu.cfs_period_us", Shares = "cpu.shares",
    CpuacctStat = "cpuacct.stat", CpuacctPercpu = "cpuacct.usage_percpu", CpuacctUsage = "cpuacct.usage",
    MemoryStat = "memory.stat",
    MemoryUsage = "memory.usage_in_bytes", MemoryMaxUsage = "memory.max_usage_in_bytes", MemoryFailcnt = "memory.failcnt",
    MemoryLimit = "memory.limit_in_bytes", MemorySoftLimit = "memory.soft_limit_in_bytes",
    MemswLimit = "memory.memsw.limit_in_bytes", KmemUsage = "memory.kmem.usage_in_bytes", OomControl = "memory.oom_control",
    ThrottleBytes = "blkio.throttle.io_service_bytes_recursive", ThrottleServiced = "blkio.throttle.io_serviced_recursive",
    ThrottleBytesOwn = "blkio.throttle.io_service_bytes", ThrottleServicedOwn = "blkio.throttle.io_serviced",
    CfqServiceTime = "blkio.io_service_time_recursive", CfqWaitTime = "blkio.io_wait_time_recursive",
    CfqMerged = "blkio.io_merged_recursive", CfqQueued = "blkio.io_queued_recursive",
    BfqServiceTime = "blkio.bfq.io_service_time_recursive", BfqWaitTime = "blkio.bfq.io_wait_time_recursive",
    BfqMerged = "blkio.bfq.io_merged_recursive", BfqQueued = "blkio.bfq.io_queued_recursive",
    MemoryMigrate = "cpuset.memory_migrate",
    // v2
    CpuMax = "cpu.max", CpuWeight = "cpu.weight",
    MemoryCurrent = "memory.current", MemoryPeak = "memory.peak", MemoryMax = "memory.max", MemoryLow = "memory.low",
    SwapCurrent = "memory.swap.current", SwapMax = "memory.swap.max", MemoryEvents = "memory.events",
    IoStat = "io.stat",
    CpuPressure = "cpu.pressure", MemoryPressure = "memory.pressure", IoPressure = "io.pressure",
    // both
    PidsCurrent = "pids.current", PidsMax = "pids.max",
    NumaStat = "memory.numa_stat",
}

impl File {
    /// The file's name.
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    pub(super) fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// What came of reading one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its text, of this length, is in the buffer.
    Read(usize),
    /// The kernel, or this group, does not have it.
    Missing,
    /// The group went away between open and read.
    Vanished,
    /// No right to read it.
    Denied,
    /// Another error, or larger than [`FILE_LIMIT`].
    Failed,
}

impl Outcome {
    /// What an error of open or read means.
    pub(super) fn of(errno: Errno) -> Self {
        match errno {
            // EOPNOTSUPP: the kernel was booted without the feature (psi=0, nokmem).
            Errno::NOENT | Errno::OPNOTSUPP => Self::Missing,
            Errno::NODEV => Self::Vanished,
            Errno::ACCESS | Errno::PERM => Self::Denied,
            _ => Self::Failed,
        }
    }
}

/// Descriptors of one group's files that stay open between reads.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// By number of the file; empty until the first is kept.
    open: Vec<Option<OwnedFd>>,
    count: usize,
}

impl Kept {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn get(&self, file: File) -> Option<BorrowedFd<'_>> {
        self.open.get(file as usize)?.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn put(&mut self, file: File, descriptor: OwnedFd) {
        if self.open.is_empty() {
            self.open.resize_with(NAMES.len(), || None);
        }
        self.count += usize::from(self.open[file as usize].replace(descriptor).is_none());
    }

    pub(super) fn close(&mut self, file: File) {
        let closed = self.open.get_mut(file as usize).and_then(Option::take);
        self.count -= usize::from(closed.is_some());
    }
}

/// The buffer and the path that are used for every read.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    buffer: Vec<u8>,
    path: Vec<u8>,
}

impl Scratch {
    /// Reads `file` of the group at `group` (absolute within the hierarchy, `/` for its root) below `hierarchy`.
    pub(super) fn read(&mut self, hierarchy: &OwnedFd, group: &[u8], file: &str) -> Outcome {
        self.open(hierarchy, group, file).map_or_else(Outcome::of, |opened| self.read_open(opened.as_fd()))
    }

    /// Opens what [`Scratch::read`] reads.
    pub(super) fn open(&mut self, hierarchy: &OwnedFd, group: &[u8], file: &str) -> Result<OwnedFd, Errno> {
        self.path.clear();
        self.path.extend_from_slice(group.strip_prefix(b"/").unwrap_or(group));
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(file.as_bytes());
        openat(hierarchy, self.path.as_slice(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }

    /// Reads an open file from its start.
    pub(super) fn read_open(&mut self, file: BorrowedFd<'_>) -> Outcome {
        match self.fill(file) {
            Ok(length) if length > FILE_LIMIT => Outcome::Failed,
            Ok(length) => Outcome::Read(length),
            Err(errno) => Outcome::of(errno),
        }
    }

    /// The text of the last read.
    pub(super) fn text(&self, length: usize) -> &[u8] {
        &self.buffer[..length]
    }

    fn fill(&mut self, file: BorrowedFd<'_>) -> Result<usize, Errno> {
        let mut length = 0;
        loop {
            if length == self.buffer.len() {
                if length > FILE_LIMIT {
                    return Ok(length);
                }
                self.buffer.resize((length * 2).clamp(BUFFER, FILE_LIMIT + 1), 0);
            }
            match pread(file, &mut self.buffer[length..], length as u64) {
                Ok(0) => return Ok(length),
                Ok(count) if length == 0 && count < SURELY_WHOLE => return Ok(count),
                Ok(count) => length += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}
