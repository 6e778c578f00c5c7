//! Rows to families.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use hostfs::cgroup::{Device, Limit, Mode, OPERATIONS, Operations, Runtime};
use hostfs::sock_diag::STATES;
use hostfs::{Roots, read_into, text};

use super::devices::DeviceNames;
use super::row::Row;
use crate::catalogue::Metric;
use crate::containers::Names;
use crate::containers::census::{Group, Report};
use crate::exposition::Page;

/// The labels that every series of a container begins with, beside the engine labels that are allowed.
const BASE: &[&str] = &["id", "name", "image"];

crate::metrics! {
    CPU_USAGE = counter("container_cpu_usage_seconds_total").labels(&["id", "name", "image", "cpu"]).unit("seconds")
        .help("CPU time used; cpu is total, or one CPU where cgroup v1 counts them.").source("cpu.stat (v2), cpuacct.usage_percpu or cpuacct.usage (v1)")
        .answers("How much CPU does the container use?");
    CPU_USER = counter("container_cpu_user_seconds_total").labels(BASE).unit("seconds").help("CPU time used in user mode.")
        .source("cpu.stat (v2), cpuacct.stat (v1)").answers("Does the program itself use the CPU, or the kernel for it?");
    CPU_SYSTEM = counter("container_cpu_system_seconds_total").labels(BASE).unit("seconds").help("CPU time used in kernel mode.")
        .source("cpu.stat (v2), cpuacct.stat (v1)").answers("Does the kernel use the CPU on the container's behalf?");
    CFS_PERIODS = counter("container_cpu_cfs_periods_total").labels(BASE).help("Enforcement periods that have passed; only with a CPU quota.")
        .source("cpu.stat").answers("What are throttled periods a share of?");
    CFS_THROTTLED_PERIODS = counter("container_cpu_cfs_throttled_periods_total").labels(BASE).help("Periods in which the CPU quota ran out; only with a quota.")
        .source("cpu.stat").answers("How often does the CPU limit stop the container?");
    CFS_THROTTLED = counter("container_cpu_cfs_throttled_seconds_total").labels(BASE).unit("seconds").help("Time for which the CPU quota kept tasks waiting; only with a quota.")
        .source("cpu.stat").answers("How long does the CPU limit stop the container?");
    CFS_BURST_PERIODS = counter("container_cpu_cfs_burst_periods_total").labels(BASE).help("Periods in which saved-up quota was used; only with a quota.")
        .source("cpu.stat").answers("Does the container live on its burst allowance?");
    CFS_BURST = counter("container_cpu_cfs_burst_seconds_total").labels(BASE).unit("seconds").help("CPU time used above the quota from what was saved up; only with a quota.")
        .source("cpu.stat").answers("How much CPU came from the burst allowance?");
    MEMORY_USAGE = gauge("container_memory_usage_bytes").labels(BASE).unit("bytes").help("Memory charged, page cache included.")
        .source("memory.current (v2), memory.usage_in_bytes (v1)").answers("How much memory is charged to the container?");
    MEMORY_WORKING_SET = gauge("container_memory_working_set_bytes").labels(BASE).unit("bytes").help("Usage less inactive page cache, at least 0.")
        .source("memory.current, memory.stat").answers("How close is the container to being killed for memory?");
    MEMORY_RSS = gauge("container_memory_rss").labels(BASE).unit("bytes").help("Anonymous memory.").source("memory.stat: anon (v2), total_rss (v1)")
        .answers("How much memory did the program allocate and touch?");
    MEMORY_CACHE = gauge("container_memory_cache").labels(BASE).unit("bytes").help("Page cache.").source("memory.stat: file (v2), total_cache (v1)")
        .answers("How much of the memory could the kernel give back?");
    MEMORY_SWAP = gauge("container_memory_swap").labels(BASE).unit("bytes").help("Swap in use.").source("memory.swap.current (v2), memory.stat: total_swap (v1)")
        .answers("Was part of the container swapped out?");
    MEMORY_MAX_USAGE = gauge("container_memory_max_usage_bytes").labels(BASE).unit("bytes").help("Most memory that was charged at a time.")
        .source("memory.peak (v2), memory.max_usage_in_bytes (v1)").answers("How high did the container ever go between scrapes?");
    MEMORY_FAILCNT = counter("container_memory_failcnt").labels(BASE).help("Times that memory use hit the limit; 0 on cgroup v2, which counts container_memory_events_max_total.")
        .source("memory.failcnt (v1)").answers("Does the container run into its memory limit?");
    MEMORY_FAILURES = counter("container_memory_failures_total").labels(&["id", "name", "image", "failure_type", "scope"]).help("Page faults (pgfault) and those that needed I/O (pgmajfault), of the group alone or with all below.")
        .source("memory.stat").answers("Does the container read its own pages back from disk?");
    MEMORY_MAPPED_FILE = gauge("container_memory_mapped_file").labels(BASE).unit("bytes").help("Mapped page cache.").source("memory.stat")
        .answers("How much of the page cache is mapped into processes?");
    MEMORY_KERNEL = gauge("container_memory_kernel_usage").labels(BASE).unit("bytes").help("Kernel memory charged to the container.").source("memory.stat: kernel (v2), memory.kmem.usage_in_bytes (v1)")
        .answers("How much do the kernel's objects, such as sockets, cost for this container?");
    MEMORY_ACTIVE_FILE = gauge("container_memory_total_active_file_bytes").labels(BASE).unit("bytes").help("Page cache in use lately.").source("memory.stat")
        .answers("How much page cache does the container live from?");
    MEMORY_INACTIVE_FILE = gauge("container_memory_total_inactive_file_bytes").labels(BASE).unit("bytes").help("Page cache not used lately, which is reclaimed first.").source("memory.stat")
        .answers("How much page cache can go at once?");
    MEMORY_FILE_DIRTY = gauge("container_memory_file_dirty_bytes").labels(BASE).unit("bytes").help("Page cache that has to be written.").source("memory.stat")
        .answers("How much would be lost in a crash?");
    MEMORY_FILE_WRITEBACK = gauge("container_memory_file_writeback_bytes").labels(BASE).unit("bytes").help("Page cache being written.").source("memory.stat")
        .answers("Is the disk slow to take what the container wrote?");
    MEMORY_MIGRATE = gauge("container_memory_migrate").labels(BASE).help("Whether pages move when the cpuset's nodes change.").source("cpuset.memory_migrate (v1)")
        .answers("Does memory follow the cpuset?");
    MEMORY_PGSCAN = counter("container_memory_pgscan_total").labels(BASE).help("Pages that reclaim looked at.").source("memory.stat (v2)")
        .answers("Is the kernel looking for memory in this container?");
    MEMORY_PGSTEAL = counter("container_memory_pgsteal_total").labels(BASE).help("Pages that reclaim took.").source("memory.stat (v2)")
        .answers("Does reclaim find what it looks for?");
    MEMORY_REFAULT_ANON = counter("container_memory_workingset_refault_anon_total").labels(BASE).help("Anonymous pages that came back soon after they were reclaimed.").source("memory.stat (v2)")
        .answers("Is the container thrashing on swap?");
    MEMORY_REFAULT_FILE = counter("container_memory_workingset_refault_file_total").labels(BASE).help("File pages that came back soon after they were reclaimed.").source("memory.stat (v2)")
        .answers("Is the page cache too small for the container?");
    MEMORY_EVENTS_HIGH = counter("container_memory_events_high_total").labels(BASE).help("Times that usage passed memory.high.").source("memory.events (v2)")
        .answers("Is the container slowed down by memory.high?");
    MEMORY_EVENTS_MAX = counter("container_memory_events_max_total").labels(BASE).help("Times that usage was about to pass memory.max.").source("memory.events (v2)")
        .answers("Does the container run into its memory limit?");
    MEMORY_NUMA = gauge("container_memory_numa_pages").labels(&["id", "name", "image", "node", "scope", "type"]).help("Pages by NUMA node.").source("memory.numa_stat, with --collector.containers.numa")
        .answers("On which node is the container's memory?");
    OOM_EVENTS = counter("container_oom_events_total").labels(BASE).help("Processes of the container that the kernel killed for memory.").source("memory.events (v2), memory.oom_control (v1)")
        .answers("Was something in the container killed for memory?");
    SPEC_CPU_PERIOD = gauge("container_spec_cpu_period").labels(BASE).help("Length of a CPU quota's period, in microseconds.").source("cpu.max (v2), cpu.cfs_period_us (v1)")
        .answers("Over what time does the CPU quota count?");
    SPEC_CPU_QUOTA = gauge("container_spec_cpu_quota").labels(BASE).help("CPU quota per period, in microseconds; only when one is set.").source("cpu.max (v2), cpu.cfs_quota_us (v1)")
        .answers("How many CPUs may the container use?");
    SPEC_CPU_SHARES = gauge("container_spec_cpu_shares").labels(BASE).help("CPU weight on the scale of cgroup v1.").source("cpu.weight (v2), cpu.shares (v1)")
        .answers("Who gets the CPU when it is short?");
    SPEC_MEMORY_LIMIT = gauge("container_spec_memory_limit_bytes").labels(BASE).unit("bytes").help("Memory limit; 0 without one.").source("memory.max (v2), memory.limit_in_bytes (v1)")
        .answers("At how much memory is the container killed?");
    SPEC_MEMORY_SWAP_LIMIT = gauge("container_spec_memory_swap_limit_bytes").labels(BASE).unit("bytes").help("Limit of memory and swap together; 0 without one.").source("memory.swap.max and memory.max (v2), memory.memsw.limit_in_bytes (v1)")
        .answers("How far can the container go into swap?");
    SPEC_MEMORY_RESERVATION = gauge("container_spec_memory_reservation_limit_bytes").labels(BASE).unit("bytes").help("Memory that is protected from reclaim; 0 without one.").source("memory.low (v2), memory.soft_limit_in_bytes (v1)")
        .answers("How much memory is kept for the container?");
    PROCESSES = gauge("container_processes").labels(BASE).help("Processes.").source("cgroup.procs").answers("Does the container lose or leak processes?");
    THREADS = gauge("container_threads").labels(BASE).help("Threads.").source("pids.current").answers("Does the container leak threads?");
    THREADS_MAX = gauge("container_threads_max").labels(BASE).help("Most threads that it may have; 0 without a limit.").source("pids.max").answers("At how many threads does clone fail?");
    PIDS_RATIO = gauge("highload_pids_ratio").labels(BASE).unit("ratio").help("Share of the container's thread limit in use.").source("pids.current, pids.max")
        .answers("How soon does the container fail to start threads?");
    FILE_DESCRIPTORS = gauge("container_file_descriptors").labels(BASE).help("Open file descriptors, at the last census.").source("/proc/PID/fd").answers("Does the container leak descriptors?");
    SOCKETS = gauge("container_sockets").labels(BASE).help("Open sockets, at the last census.").source("/proc/PID/fd").answers("How many sockets do the container's processes hold?");
    ULIMITS = gauge("container_ulimits_soft").labels(&["id", "name", "image", "ulimit"]).help("Soft limit of the container's first process; 0 for unlimited.").source("/proc/PID/limits, at the last census").answers("How many descriptors may the container open?");
    START_TIME = gauge("container_start_time_seconds").labels(BASE).unit("seconds").help("Start of the container's first process, in unix seconds.").source("/proc/PID/stat").answers("When was the container last started?");
    CREATION_TIME = gauge("container_creation_time_seconds").labels(BASE).unit("seconds").help("Creation of the container, in unix seconds, as the engine says.").source("engine API").answers("How old is the container?");
    LAST_SEEN = gauge("container_last_seen").labels(BASE).unit("seconds").help("Now, in unix seconds, while the container is there.").source("clock").answers("Is the container still there?");
    HEALTH = gauge("container_health_state").labels(BASE).help("1 when the engine's health check passed, else 0; only with one.").source("engine API").answers("Does the container's own health check pass?");
    SCRAPE_ERROR = gauge("container_scrape_error").help("1 when a file of a cgroup was there and could not be read.").source("cgroup files").answers("Is anything missing from the container metrics?");
    NET_RX_BYTES = counter("container_network_receive_bytes_total").labels(NET).unit("bytes").help("Bytes received.").source("/proc/PID/net/dev").answers("How much does the container receive?");
    NET_RX_PACKETS = counter("container_network_receive_packets_total").labels(NET).help("Packets received.").source("/proc/PID/net/dev").answers("How many packets does the container receive?");
    NET_RX_ERRORS = counter("container_network_receive_errors_total").labels(NET).help("Packets received in error.").source("/proc/PID/net/dev").answers("Is the container's network broken?");
    NET_RX_DROPPED = counter("container_network_receive_packets_dropped_total").labels(NET).help("Packets dropped on receipt.").source("/proc/PID/net/dev").answers("Does the container lose what it is sent?");
    NET_TX_BYTES = counter("container_network_transmit_bytes_total").labels(NET).unit("bytes").help("Bytes sent.").source("/proc/PID/net/dev").answers("How much does the container send?");
    NET_TX_PACKETS = counter("container_network_transmit_packets_total").labels(NET).help("Packets sent.").source("/proc/PID/net/dev").answers("How many packets does the container send?");
    NET_TX_ERRORS = counter("container_network_transmit_errors_total").labels(NET).help("Packets that failed to be sent.").source("/proc/PID/net/dev").answers("Is the container's network broken?");
    NET_TX_DROPPED = counter("container_network_transmit_packets_dropped_total").labels(NET).help("Packets dropped on sending.").source("/proc/PID/net/dev").answers("Does the container lose what it sends?");
    TCP = gauge("container_network_tcp_usage_total").labels(&["id", "name", "image", "tcp_state"]).help("IPv4 TCP sockets by state, at the last census.").source("sock_diag, with --collector.containers.tcp-states").answers("In which state are the container's connections?");
    TCP6 = gauge("container_network_tcp6_usage_total").labels(&["id", "name", "image", "tcp_state"]).help("IPv6 TCP sockets by state, at the last census.").source("sock_diag, with --collector.containers.tcp-states").answers("In which state are the container's connections?");
    FS_READ_BYTES = counter("container_fs_reads_bytes_total").labels(FS).unit("bytes").help("Bytes read from the device.").source("io.stat (v2), blkio.throttle.io_service_bytes_recursive (v1)").answers("How much does the container read from disk?");
    FS_WRITE_BYTES = counter("container_fs_writes_bytes_total").labels(FS).unit("bytes").help("Bytes written to the device.").source("io.stat (v2), blkio.throttle.io_service_bytes_recursive (v1)").answers("How much does the container write to disk?");
    FS_READS = counter("container_fs_reads_total").labels(FS).help("Read requests.").source("io.stat (v2), blkio.throttle.io_serviced_recursive (v1)").answers("How many reads does the container make?");
    FS_WRITES = counter("container_fs_writes_total").labels(FS).help("Write requests.").source("io.stat (v2), blkio.throttle.io_serviced_recursive (v1)").answers("How many writes does the container make?");
    FS_SECTOR_READS = counter("container_fs_sector_reads_total").labels(FS).help("Sectors of 512 bytes read from the device.").source("as container_fs_reads_bytes_total").answers("How much does the container read from disk?");
    FS_SECTOR_WRITES = counter("container_fs_sector_writes_total").labels(FS).help("Sectors of 512 bytes written to the device.").source("as container_fs_writes_bytes_total").answers("How much does the container write to disk?");
    FS_READS_MERGED = counter("container_fs_reads_merged_total").labels(FS).help("Reads merged into others.").source("blkio.io_merged_recursive (CFQ before Linux 5.0, BFQ with debugging)").answers("Are the container's reads sequential?");
    FS_WRITES_MERGED = counter("container_fs_writes_merged_total").labels(FS).help("Writes merged into others.").source("blkio.io_merged_recursive (CFQ before Linux 5.0, BFQ with debugging)").answers("Are the container's writes sequential?");
    FS_READ_SECONDS = counter("container_fs_read_seconds_total").labels(FS).unit("seconds").help("Time that reads took on the device.").source("blkio.io_service_time_recursive (CFQ, BFQ with debugging)").answers("How long do the container's reads take?");
    FS_WRITE_SECONDS = counter("container_fs_write_seconds_total").labels(FS).unit("seconds").help("Time that writes took on the device.").source("blkio.io_service_time_recursive (CFQ, BFQ with debugging)").answers("How long do the container's writes take?");
    FS_IO_SECONDS = counter("container_fs_io_time_seconds_total").labels(FS).unit("seconds").help("Time that requests took on the device.").source("blkio.io_service_time_recursive (CFQ, BFQ with debugging)").answers("How long do the container's requests take?");
    FS_IO_WEIGHTED = counter("container_fs_io_time_weighted_seconds_total").labels(FS).unit("seconds").help("Time that requests waited in the scheduler.").source("blkio.io_wait_time_recursive (CFQ, BFQ with debugging)").answers("How long do the container's requests wait?");
    FS_IO_CURRENT = gauge("container_fs_io_current").labels(FS).help("Requests in the queue.").source("blkio.io_queued_recursive (CFQ, BFQ with debugging)").answers("Is the container waiting for the disk now?");
    FS_COST_USAGE = counter("container_fs_io_cost_usage_seconds_total").labels(FS).unit("seconds").help("Device time that io.cost charged.").source("io.stat (v2)").answers("What share of the device does the container use?");
    FS_COST_WAIT = counter("container_fs_io_cost_wait_seconds_total").labels(FS).unit("seconds").help("Time that io.cost kept requests waiting.").source("io.stat (v2)").answers("Does io.cost hold the container back?");
    FS_COST_INDEBT = counter("container_fs_io_cost_indebt_seconds_total").labels(FS).unit("seconds").help("Time in debt to io.cost.").source("io.stat (v2)").answers("Does the container do I/O that it has not paid for?");
    FS_COST_INDELAY = counter("container_fs_io_cost_indelay_seconds_total").labels(FS).unit("seconds").help("Time that tasks were delayed for their debt.").source("io.stat (v2)").answers("Is the container slowed down for its debt?");
    FS_LIMIT = gauge("container_fs_limit_bytes").labels(FS).unit("bytes").help("Size of the file system of the container's root, at the last census.").source("statvfs of /proc/PID/root").answers("How much can the container's file system hold?");
    FS_INODES = gauge("container_fs_inodes_total").labels(FS).help("Inodes of the file system of the container's root.").source("statvfs of /proc/PID/root").answers("How many files can the container's file system hold?");
    FS_INODES_FREE = gauge("container_fs_inodes_free").labels(FS).help("Free inodes of the file system of the container's root.").source("statvfs of /proc/PID/root").answers("Is the container about to run out of inodes?");
    FS_USAGE = gauge("container_fs_usage_bytes").labels(FS).unit("bytes").help("Disk that the container's writable layer takes; without its image, volumes and logs. Layers are walked in turns, at the pace of the census; one of more than 50,000 files has no figure.").source("the overlay's upperdir, from /proc/PID/mounts").answers("How much disk did the container fill?");
    FS_USAGE_AGE = gauge("highload_container_fs_usage_age_seconds").unit("seconds").help("Age of the oldest container_fs_usage_bytes on the page.").source("census").answers("How old are the figures of disk use?");
    BLKIO = counter("container_blkio_device_usage_total").labels(&["id", "name", "image", "device", "major", "minor", "operation"]).unit("bytes").help("Bytes by device and operation.").source("io.stat (v2), blkio.throttle.io_service_bytes_recursive (v1)").answers("Which device does the container use?");
    HUGETLB_USAGE = gauge("container_hugetlb_usage_bytes").labels(&["id", "name", "image", "pagesize"]).unit("bytes").help("Huge pages in use.").source("hugetlb.*, with --collector.containers.hugetlb").answers("Who uses the huge pages?");
    HUGETLB_MAX = gauge("container_hugetlb_max_usage_bytes").labels(&["id", "name", "image", "pagesize"]).unit("bytes").help("Most huge pages that were in use.").source("hugetlb.* (v1)").answers("How many huge pages does the container need?");
    HUGETLB_FAILCNT = counter("container_hugetlb_failcnt").labels(&["id", "name", "image", "pagesize"]).help("Huge pages refused for the limit.").source("hugetlb.*").answers("Does the container lack huge pages?");
    PSI_CPU_SOME = counter("container_pressure_cpu_waiting_seconds_total").labels(BASE).unit("seconds").help("Time in which some task waited for a CPU.").source("cpu.pressure").answers("Is the container short of CPU?");
    PSI_CPU_FULL = counter("container_pressure_cpu_stalled_seconds_total").labels(BASE).unit("seconds").help("Time in which all tasks waited for a CPU.").source("cpu.pressure").answers("Does the lack of CPU stop the whole container?");
    PSI_MEMORY_SOME = counter("container_pressure_memory_waiting_seconds_total").labels(BASE).unit("seconds").help("Time in which some task waited for memory.").source("memory.pressure").answers("Is the container short of memory?");
    PSI_MEMORY_FULL = counter("container_pressure_memory_stalled_seconds_total").labels(BASE).unit("seconds").help("Time in which all tasks waited for memory.").source("memory.pressure").answers("Does the lack of memory stop the whole container?");
    PSI_IO_SOME = counter("container_pressure_io_waiting_seconds_total").labels(BASE).unit("seconds").help("Time in which some task waited for I/O; an idle io_uring wait may count.").source("io.pressure").answers("Is the container waiting for disks?");
    PSI_IO_FULL = counter("container_pressure_io_stalled_seconds_total").labels(BASE).unit("seconds").help("Time in which all tasks waited for I/O; an idle io_uring wait may count.").source("io.pressure").answers("Does waiting for disks stop the whole container?");
    CONTAINERS = gauge("highload_containers").labels(&["runtime"]).help("Containers by the runtime that their cgroup's path names.").source("cgroup paths").answers("How many containers run here, and who runs them?");
    INFO = gauge("highload_container_info").labels(&["id", "name", "image", "runtime", "container_id"]).help("1 for each container, with the runtime's own id of it.").source("cgroup paths").answers("Which container has this id?");
    RUNTIME_UP = gauge("highload_container_runtime_up").labels(ENGINE).help("1 when the engine answers; at 0 the last-known names stay in use.").source("engine API").answers("Are names of containers fresh?");
    RUNTIME_RESYNCS = counter("highload_container_runtime_resyncs_total").labels(ENGINE).help("Complete lists taken from the engine.").source("engine API").answers("How often is the engine asked for everything?");
    RUNTIME_EVENTS = counter("highload_container_runtime_events_total").labels(ENGINE).help("Events taken from the engine.").source("engine API").answers("How busy is the engine?");
    RUNTIME_FAILURES = counter("highload_container_runtime_failures_total").labels(ENGINE).help("Failed requests and lost event streams.").source("engine API").answers("Is the engine's API unreliable?");
    ENGINE_OOMS = counter("highload_container_engine_ooms_total").labels(&["container_id", "name", "image"]).help("Out-of-memory kills that the engine reported, of containers that may be gone; the last 64.").source("engine events").answers("Which container was killed for memory and is not there to tell?");
    ENGINE_OOM_TIME = gauge("highload_container_last_oom_timestamp_seconds").labels(&["container_id", "name", "image"]).unit("seconds").help("Last out-of-memory kill that the engine reported, in unix seconds.").source("engine events").answers("When was a container last killed for memory?");
    LABELS_DROPPED = counter("highload_container_labels_dropped_total").labels(&["reason"]).help("Engine labels that were not exported: not in the allow-list, too many, or too long.").source("engine API").answers("Why is a container's label missing?");
    CGROUPS = gauge("highload_container_cgroups").labels(&["mode"]).help("Control groups seen; mode is v1, hybrid or v2.").source("cgroup walk").answers("How much is there to read?");
    CGROUPS_SKIPPED = gauge("highload_container_cgroups_skipped").help("Control groups left out by --collector.containers.limit or for their depth.").source("cgroup walk").answers("Are containers missing for the limit?");
    CGROUPS_VANISHED = counter("highload_container_cgroups_vanished_total").help("Control groups that went away while they were read.").source("cgroup walk").answers("How much do containers come and go?");
    FILES_DENIED = counter("highload_container_files_denied_total").help("Files of control groups that the agent may not read.").source("cgroup files").answers("Does the agent lack rights?");
}

const NET: &[&str] = &["id", "name", "image", "interface"];
const FS: &[&str] = &["id", "name", "image", "device"];
const ENGINE: &[&str] = &["runtime", "socket"];

/// A value of a row, in the metric's unit; `None` leaves the series out.
type Get = fn(&Row) -> Option<f64>;

/// Families with one series per group and no further labels, in page order.
static SIMPLE: &[(&Metric, Get)] = &[
    (&CPU_USER, |row| seconds(row.sample.cpu.user)),
    (&CPU_SYSTEM, |row| seconds(row.sample.cpu.system)),
    (&CFS_PERIODS, |row| with_quota(row, number(row.sample.cpu.periods))),
    (&CFS_THROTTLED_PERIODS, |row| with_quota(row, number(row.sample.cpu.throttled_periods))),
    (&CFS_THROTTLED, |row| with_quota(row, seconds(row.sample.cpu.throttled))),
    (&CFS_BURST_PERIODS, |row| with_quota(row, number(row.sample.cpu.burst_periods))),
    (&CFS_BURST, |row| with_quota(row, seconds(row.sample.cpu.burst))),
    (&MEMORY_USAGE, |row| number(row.sample.memory.usage)),
    (&MEMORY_WORKING_SET, |row| number(row.sample.memory.working_set())),
    (&MEMORY_RSS, |row| number(row.sample.memory.rss)),
    (&MEMORY_CACHE, |row| number(row.sample.memory.cache)),
    (&MEMORY_SWAP, |row| number(row.sample.memory.swap)),
    (&MEMORY_MAX_USAGE, |row| number(row.sample.memory.peak)),
    (&MEMORY_FAILCNT, |row| row.sample.memory.usage.map(|_| row.sample.memory.limit_hits.unwrap_or(0) as f64)),
    (&MEMORY_MAPPED_FILE, |row| number(row.sample.memory.mapped_file)),
    (&MEMORY_KERNEL, |row| number(row.sample.memory.kernel)),
    (&MEMORY_ACTIVE_FILE, |row| number(row.sample.memory.active_file)),
    (&MEMORY_INACTIVE_FILE, |row| number(row.sample.memory.inactive_file)),
    (&MEMORY_FILE_DIRTY, |row| number(row.sample.memory.file_dirty)),
    (&MEMORY_FILE_WRITEBACK, |row| number(row.sample.memory.file_writeback)),
    (&MEMORY_MIGRATE, |row| number(row.sample.memory_migrate)),
    (&MEMORY_PGSCAN, |row| number(row.sample.memory.pages_scanned)),
    (&MEMORY_PGSTEAL, |row| number(row.sample.memory.pages_stolen)),
    (&MEMORY_REFAULT_ANON, |row| number(row.sample.memory.refault_anon)),
    (&MEMORY_REFAULT_FILE, |row| number(row.sample.memory.refault_file)),
    (&MEMORY_EVENTS_HIGH, |row| number(row.sample.memory.events_high)),
    (&MEMORY_EVENTS_MAX, |row| number(row.sample.memory.events_max)),
    (&OOM_EVENTS, |row| number(row.sample.memory.oom_kills)),
    (&SPEC_CPU_PERIOD, |row| number(row.sample.cpu.period)),
    (&SPEC_CPU_QUOTA, |row| with_quota(row, limit(row.sample.cpu.quota))),
    (&SPEC_CPU_SHARES, |row| number(row.sample.cpu.shares)),
    (&SPEC_MEMORY_SWAP_LIMIT, |row| limit(row.sample.memory.swap_limit)),
    (&SPEC_MEMORY_RESERVATION, |row| limit(row.sample.memory.reservation)),
    (&PROCESSES, |row| row.sample.processes.map(|_| row.processes as f64)),
    (&THREADS, |row| number(row.sample.pids)),
    (&THREADS_MAX, |row| limit(row.sample.pids_max)),
    (&PIDS_RATIO, |row| match (row.sample.pids, row.sample.pids_max) {
        (Some(pids), Some(Limit::At(max))) if max > 0 => Some(pids as f64 / max as f64),
        _ => None,
    }),
    (&START_TIME, |row| row.started),
    (&CREATION_TIME, |row| row.decoration.as_ref()?.created),
    (&HEALTH, |row| row.decoration.as_ref()?.healthy.map(f64::from)),
    (&PSI_CPU_SOME, |row| micros(row.sample.pressure.cpu.some)),
    (&PSI_CPU_FULL, |row| micros(row.sample.pressure.cpu.full)),
    (&PSI_MEMORY_SOME, |row| micros(row.sample.pressure.memory.some)),
    (&PSI_MEMORY_FULL, |row| micros(row.sample.pressure.memory.full)),
    (&PSI_IO_SOME, |row| micros(row.sample.pressure.io.some)),
    (&PSI_IO_FULL, |row| micros(row.sample.pressure.io.full)),
];

/// Position in [`OPERATIONS`].
const READ: usize = 0;
const WRITE: usize = 1;
const TOTAL: usize = 5;

/// Families with a series per block device.
static BY_DEVICE: &[(&Metric, fn(&Device) -> Option<f64>)] = &[
    (&FS_READ_BYTES, |device| number(device.bytes[READ])),
    (&FS_WRITE_BYTES, |device| number(device.bytes[WRITE])),
    (&FS_READS, |device| number(device.requests[READ])),
    (&FS_WRITES, |device| number(device.requests[WRITE])),
    (&FS_SECTOR_READS, |device| number(device.bytes[READ].map(|bytes| bytes / 512))),
    (&FS_SECTOR_WRITES, |device| number(device.bytes[WRITE].map(|bytes| bytes / 512))),
    (&FS_READS_MERGED, |device| number(device.merged[READ])),
    (&FS_WRITES_MERGED, |device| number(device.merged[WRITE])),
    (&FS_READ_SECONDS, |device| seconds(device.service_time[READ])),
    (&FS_WRITE_SECONDS, |device| seconds(device.service_time[WRITE])),
    (&FS_IO_SECONDS, |device| seconds(device.service_time[TOTAL])),
    (&FS_IO_WEIGHTED, |device| seconds(device.wait_time[TOTAL])),
    (&FS_IO_CURRENT, |device| number(device.queued[TOTAL])),
    (&FS_COST_USAGE, |device| micros(device.cost_usage)),
    (&FS_COST_WAIT, |device| micros(device.cost_wait)),
    (&FS_COST_INDEBT, |device| micros(device.cost_indebt)),
    (&FS_COST_INDELAY, |device| micros(device.cost_indelay)),
];

/// What an interface counts, at its place in `net/dev`.
static BY_INTERFACE: &[(&Metric, bool, usize)] = &[
    (&NET_RX_BYTES, true, 0),
    (&NET_RX_PACKETS, true, 1),
    (&NET_RX_ERRORS, true, 2),
    (&NET_RX_DROPPED, true, 3),
    (&NET_TX_BYTES, false, 0),
    (&NET_TX_PACKETS, false, 1),
    (&NET_TX_ERRORS, false, 2),
    (&NET_TX_DROPPED, false, 3),
];

fn number(value: Option<u64>) -> Option<f64> {
    value.map(|value| value as f64)
}

/// From nanoseconds.
fn seconds(value: Option<u64>) -> Option<f64> {
    value.map(|value| value as f64 / 1e9)
}

/// From microseconds.
fn micros(value: Option<u64>) -> Option<f64> {
    value.map(|value| value as f64 / 1e6)
}

/// No limit is 0.
fn limit(value: Option<Limit>) -> Option<f64> {
    value.map(|limit| match limit {
        Limit::Max => 0.0,
        Limit::At(value) => value as f64,
    })
}

fn with_quota(row: &Row, value: Option<f64>) -> Option<f64> {
    value.filter(|_| matches!(row.sample.cpu.quota, Some(Limit::At(quota)) if quota > 0))
}

/// Most CPUs that are shown one by one.
const CPU_LIMIT: usize = 1024;

/// What is true of the host as a whole.
#[derive(Debug)]
pub(super) struct Facts {
    tcp_states: bool,
    /// Boot, in unix seconds.
    pub(super) boot_time: Option<f64>,
    memory_bytes: Option<u64>,
    cpu_names: Vec<String>,
}

impl Facts {
    pub(super) fn new(roots: &Roots, tcp_states: bool) -> Self {
        let cpu_names = (0..CPU_LIMIT).map(|cpu| format!("cpu{cpu:02}")).collect();
        let mut facts = Self { tcp_states, boot_time: None, memory_bytes: None, cpu_names };
        facts.refresh(roots);
        facts
    }

    /// Reads what was not there yet; neither changes while the host is up, but for memory that is plugged in.
    pub(super) fn refresh(&mut self, roots: &Roots) {
        if self.boot_time.is_none() {
            self.boot_time = field(roots, "stat", b"btime").map(|seconds| seconds as f64);
        }
        if self.memory_bytes.is_none() {
            self.memory_bytes = field(roots, "meminfo", b"MemTotal:").map(|kilobytes| kilobytes.saturating_mul(1024));
        }
    }
}

fn field(roots: &Roots, file: &str, key: &[u8]) -> Option<u64> {
    let mut bytes = Vec::new();
    read_into(&roots.proc(file), &mut bytes, 8 << 20).ok()?;
    let mut fields =
        text::lines(&bytes).map(text::fields).find_map(|mut fields| (fields.next()? == key).then_some(fields))?;
    fields.u64()
}

/// Writes everything that cAdvisor has a name for.
pub(super) fn write(page: &mut Page, rows: &[Row], facts: &Facts, devices: &DeviceNames, report: Option<&Report>) {
    write_cpu(page, rows, facts);
    for (metric, get) in SIMPLE {
        let mut family = page.family(metric);
        for row in rows {
            if let Some(value) = get(row) {
                family.sample_of(&row.labels.full, &[], value);
            }
        }
    }
    write_spec_memory(page, rows, facts);
    write_memory_failures(page, rows);
    write_interfaces(page, rows);
    write_devices(page, rows, devices);
    write_optional(page, rows);
    if let Some(report) = report {
        write_census(page, rows, facts, report);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let mut family = page.family(&LAST_SEEN);
    for row in rows {
        family.sample_of(&row.labels.full, &[], now);
    }
    page.single(&SCRAPE_ERROR, rows.iter().any(|row| row.sample.failed != 0));
}

fn write_cpu(page: &mut Page, rows: &[Row], facts: &Facts) {
    let mut family = page.family(&CPU_USAGE);
    for row in rows {
        let cpu = &row.sample.cpu;
        if cpu.per_cpu.is_empty()
            && let Some(usage) = seconds(cpu.usage)
        {
            family.sample_of(&row.labels.full, &[("cpu", b"total")], usage);
        }
        for (name, &nanos) in facts.cpu_names.iter().zip(&cpu.per_cpu) {
            // A CPU that is possible but absent stays at 0 for ever.
            if nanos > 0 || cpu.per_cpu.len() == 1 {
                family.sample_of(&row.labels.full, &[("cpu", name.as_bytes())], nanos as f64 / 1e9);
            }
        }
    }
}

fn write_spec_memory(page: &mut Page, rows: &[Row], facts: &Facts) {
    let mut family = page.family(&SPEC_MEMORY_LIMIT);
    for row in rows {
        // The root's limit is the machine.
        let root = if row.path == b"/" { number(facts.memory_bytes) } else { None };
        if let Some(value) = root.or_else(|| limit(row.sample.memory.limit)) {
            family.sample_of(&row.labels.full, &[], value);
        }
    }
}

fn write_memory_failures(page: &mut Page, rows: &[Row]) {
    let mut family = page.family(&MEMORY_FAILURES);
    for row in rows {
        let memory = &row.sample.memory;
        for (kind, scope, value) in [
            ("pgfault", "container", memory.page_faults),
            ("pgfault", "hierarchy", memory.page_faults_tree),
            ("pgmajfault", "container", memory.major_faults),
            ("pgmajfault", "hierarchy", memory.major_faults_tree),
        ] {
            if let Some(value) = value {
                let labels = [("failure_type", kind.as_bytes()), ("scope", scope.as_bytes())];
                family.sample_of(&row.labels.full, &labels, value);
            }
        }
    }
}

fn write_interfaces(page: &mut Page, rows: &[Row]) {
    for &(metric, receive, at) in BY_INTERFACE {
        let mut family = page.family(metric);
        for row in rows {
            for interface in &row.interfaces {
                let value = if receive { interface.receive[at] } else { interface.transmit[at] };
                family.sample_of(&row.labels.full, &[("interface", interface.name())], value);
            }
        }
    }
}

fn write_devices(page: &mut Page, rows: &[Row], names: &DeviceNames) {
    for (metric, get) in BY_DEVICE {
        let mut family = page.family(metric);
        for row in rows {
            for device in row.sample.devices() {
                if let (Some(value), Some((name, _, _))) = (get(device), names.of(device)) {
                    family.sample_of(&row.labels.full, &[("device", name.as_bytes())], value);
                }
            }
        }
    }
    let mut family = page.family(&BLKIO);
    for row in rows {
        for device in row.sample.devices() {
            let Some((name, major, minor)) = names.of(device) else { continue };
            let bytes: &Operations = &device.bytes;
            for (operation, value) in OPERATIONS.iter().zip(bytes) {
                if let Some(value) = *value {
                    let labels = [
                        ("device", name.as_bytes()),
                        ("major", major.as_bytes()),
                        ("minor", minor.as_bytes()),
                        ("operation", operation.as_bytes()),
                    ];
                    family.sample_of(&row.labels.full, &labels, value);
                }
            }
        }
    }
}

/// NUMA nodes and huge pages.
fn write_optional(page: &mut Page, rows: &[Row]) {
    let mut family = page.family(&MEMORY_NUMA);
    for row in rows {
        for (scope, kind, node, pages) in &row.sample.numa {
            let node = node.to_string();
            let labels = [("node", node.as_bytes()), ("scope", scope.as_bytes()), ("type", kind.as_bytes())];
            family.sample_of(&row.labels.full, &labels, *pages);
        }
    }
    for (metric, which) in [(&HUGETLB_USAGE, 0), (&HUGETLB_MAX, 1), (&HUGETLB_FAILCNT, 2)] {
        let mut family = page.family(metric);
        for row in rows {
            for pages in &row.sample.huge_pages {
                if let Some(value) = [pages.usage, pages.peak, pages.failures][which] {
                    family.sample_of(&row.labels.full, &[("pagesize", pages.size.as_bytes())], value);
                }
            }
        }
    }
}

/// What the last census knows of containers.
fn write_census(page: &mut Page, rows: &[Row], facts: &Facts, report: &Report) {
    let groups: HashMap<&[u8], usize> =
        report.groups.iter().enumerate().map(|(index, group)| (&group.path[..], index)).collect();
    let of = |row: &Row| groups.get(&row.path[..]).filter(|_| row.is_container).map(|&index| &report.groups[index]);
    for (metric, which) in [(&FILE_DESCRIPTORS, 0), (&SOCKETS, 1)] {
        let mut family = page.family(metric);
        for row in rows {
            if let Some(group) = of(row).filter(|group| group.open > 0) {
                family.sample_of(&row.labels.full, &[], [group.open, group.sockets][which]);
            }
        }
    }
    let mut family = page.family(&ULIMITS);
    for row in rows {
        if let Some(group) = of(row) {
            let labels: &[(&str, &[u8])] = &[("ulimit", b"max_open_files")];
            family.sample_of(&row.labels.full, labels, group.open_limit.unwrap_or(0));
        }
    }
    for (metric, which) in [(&FS_LIMIT, 0), (&FS_INODES, 1), (&FS_INODES_FREE, 2)] {
        let mut family = page.family(metric);
        for row in rows {
            if let Some(filesystem) = of(row).and_then(|group| group.filesystem.as_ref()) {
                let value = [filesystem.size_bytes, filesystem.inodes, filesystem.inodes_free][which];
                family.sample_of(&row.labels.full, &[("device", &filesystem.device)], value);
            }
        }
    }
    write_disk_use(page, rows, &of);
    if facts.tcp_states {
        write_tcp_states(page, rows, &groups, report);
    }
}

fn write_disk_use<'a>(page: &mut Page, rows: &[Row], of: &impl Fn(&Row) -> Option<&'a Group>) {
    let mut oldest: Option<f64> = None;
    let mut family = page.family(&FS_USAGE);
    for row in rows {
        let Some(group) = of(row) else { continue };
        if let (Some(disk), Some(filesystem)) = (&group.disk, &group.filesystem) {
            family.sample_of(&row.labels.full, &[("device", &filesystem.device)], disk.bytes);
            let age = disk.at.elapsed().as_secs_f64();
            oldest = Some(oldest.map_or(age, |oldest| oldest.max(age)));
        }
    }
    if let Some(oldest) = oldest {
        page.single(&FS_USAGE_AGE, oldest);
    }
}

fn write_tcp_states(page: &mut Page, rows: &[Row], groups: &HashMap<&[u8], usize>, report: &Report) {
    for (metric, which) in [(&TCP, 0), (&TCP6, 1)] {
        let mut family = page.family(metric);
        for row in rows.iter().filter(|row| row.is_container) {
            let group = groups.get(&row.path[..]).copied();
            let mut networks =
                report.networks.iter().filter(|network| network.group.is_some() && network.group == group);
            let Some(states) = networks.find_map(|network| network.states) else { continue };
            for state in STATES {
                // cAdvisor writes the states without underscores.
                let name = state.name().replace('_', "");
                family.sample_of(&row.labels.full, &[("tcp_state", name.as_bytes())], states[which].count(state));
            }
        }
    }
}

/// How the last walk went.
pub(super) struct Walk {
    pub(super) mode: Mode,
    pub(super) groups: u64,
    pub(super) skipped: u64,
    pub(super) vanished: u64,
    pub(super) denied: u64,
}

/// Writes what cAdvisor has no name for.
pub(super) fn write_own(page: &mut Page, rows: &[Row], walk: &Walk, names: &Names) {
    let mut family = page.family(&CONTAINERS);
    for runtime in [
        Runtime::Docker,
        Runtime::Containerd,
        Runtime::CriO,
        Runtime::Podman,
        Runtime::Lxc,
        Runtime::Nspawn,
        Runtime::Oci,
    ] {
        let count = rows.iter().filter(|row| row.runtime == Some(runtime)).count() as u64;
        if count > 0 {
            family.sample(&[("runtime", runtime.name().as_bytes())], count);
        }
    }
    let mut family = page.family(&INFO);
    for row in rows {
        if let Some(runtime) = row.runtime {
            let labels = [("runtime", runtime.name().as_bytes()), ("container_id", row.container_id.as_bytes())];
            family.sample_of(&row.labels.short, &labels, 1u64);
        }
    }
    write_engines(page, rows, names);
    page.family(&CGROUPS).sample(&[("mode", walk.mode.name().as_bytes())], walk.groups);
    page.single(&CGROUPS_SKIPPED, walk.skipped);
    page.single(&CGROUPS_VANISHED, walk.vanished);
    page.single(&FILES_DENIED, walk.denied);
}

fn write_engines(page: &mut Page, rows: &[Row], names: &Names) {
    let has = |runtime: &str| rows.iter().any(|row| row.runtime.is_some_and(|known| known.name() == runtime));
    let engines: Vec<_> =
        names.engines().into_iter().filter(|engine| engine.expected || has(&engine.runtime)).collect();
    for (metric, which) in [(&RUNTIME_UP, 0), (&RUNTIME_RESYNCS, 1), (&RUNTIME_EVENTS, 2), (&RUNTIME_FAILURES, 3)] {
        let mut family = page.family(metric);
        for engine in &engines {
            let value = [u64::from(engine.up), engine.resyncs, engine.events, engine.failures][which];
            family.sample(&[("runtime", engine.runtime.as_bytes()), ("socket", engine.socket.as_bytes())], value);
        }
    }
    let ooms = names.ooms();
    for (metric, which) in [(&ENGINE_OOMS, 0), (&ENGINE_OOM_TIME, 1)] {
        let mut family = page.family(metric);
        for oom in &ooms {
            let labels =
                [("container_id", oom.id.as_bytes()), ("name", oom.name.as_bytes()), ("image", oom.image.as_bytes())];
            family.sample(&labels, [oom.count as f64, oom.at][which]);
        }
    }
    let mut family = page.family(&LABELS_DROPPED);
    for (reason, count) in names.dropped.counts() {
        family.sample(&[("reason", reason.as_bytes())], count);
    }
}
