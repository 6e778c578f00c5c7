//! `io_uring`: rings per process and container, from `/proc/PID/fdinfo`, at the last census. No eBPF.
//!
//! **Idle rings and iowait.** Since Linux 6.5 (and in stable kernels of that summer) a thread that waits in
//! io_uring_enter(2) with requests in flight sleeps as an I/O waiter. So an idle server on io_uring shows as iowait in
//! `node_cpu_seconds_total`, in `node_procs_blocked` and in `container_pressure_io_*`, although no disk is slow. Linux
//! 6.15 lets a program say no (`IORING_ENTER_NO_IOWAIT`). To tell the two apart, compare `node_procs_blocked` with
//! `highload_io_uring_waiting_threads`: as many blocked tasks as waiting threads, and `node_disk_io_now` at 0,
//! is an idle ring; more blocked tasks than that is a disk.

use std::sync::Arc;

use crate::catalogue::Metric;
use crate::collector::{Collector, Failure, Spec};
use crate::containers::census::{Census, ProcessRings};
use crate::containers::{FIRST_WAIT, Shared};
use crate::exposition::{Page, Rendered};
use crate::flags::Setup;

crate::metrics! {
    RINGS = gauge("highload_io_uring_rings").labels(OF).help("io_uring instances that a process holds.").source("/proc/PID/fd").answers("Which programs use io_uring, and with how many rings?");
    SQ_ENTRIES = gauge("highload_io_uring_submission_entries").labels(OF).help("Entries that the submission queues hold.").source("/proc/PID/fdinfo").answers("How large are the submission queues?");
    CQ_ENTRIES = gauge("highload_io_uring_completion_entries").labels(OF).help("Entries that the completion queues hold.").source("/proc/PID/fdinfo").answers("How large are the completion queues?");
    SQ_WAITING = gauge("highload_io_uring_submissions_waiting").labels(OF).help("Submissions that the kernel has not taken.").source("/proc/PID/fdinfo (Linux 5.19)").answers("Does a submission poller fall behind?");
    CQ_WAITING = gauge("highload_io_uring_completions_waiting").labels(OF).help("Completions that the program has not taken.").source("/proc/PID/fdinfo (Linux 5.19)").answers("Does the program fall behind its completions?");
    CQ_RATIO = gauge("highload_io_uring_completion_queue_ratio").labels(OF).unit("ratio").help("Completions waiting as a share of the completion queues' entries.").source("/proc/PID/fdinfo (Linux 5.19)").answers("How close is a ring to overflow?");
    OVERFLOW = gauge("highload_io_uring_overflow").labels(OF).help("Completions that found no room and wait in kernel memory.").source("/proc/PID/fdinfo").answers("Is a completion queue too small?");
    POLLS = gauge("highload_io_uring_polls").labels(OF).help("Polls that are armed.").source("/proc/PID/fdinfo").answers("How many descriptors does the ring watch?");
    POLLERS = gauge("highload_io_uring_pollers").labels(OF).help("Rings with a submission poller (SQPOLL), which burns a CPU while there is work.").source("/proc/PID/fdinfo").answers("Which program keeps a CPU spinning?");
    POLLER_TIME = gauge("highload_io_uring_poller_seconds").labels(OF).unit("seconds").help("Life time of the rings' submission pollers, summed.").source("/proc/PID/fdinfo (Linux 6.9)").answers("What is the pollers' work a share of?");
    POLLER_WORK = gauge("highload_io_uring_poller_work_seconds").labels(OF).unit("seconds").help("Time in which the submission pollers found work.").source("/proc/PID/fdinfo (Linux 6.9)").answers("Is the submission poller worth its CPU?");
    FILES = gauge("highload_io_uring_registered_files").labels(OF).help("Slots of registered file tables; direct descriptors live here and in no fd table.").source("/proc/PID/fdinfo").answers("How many connections can the rings hold beside the descriptor limit?");
    BUFFERS = gauge("highload_io_uring_registered_buffers").labels(OF).help("Registered buffers.").source("/proc/PID/fdinfo").answers("How many buffers are pinned?");
    WORKERS = gauge("highload_io_uring_workers").labels(OF).help("Kernel workers that carry requests that would block (iou-wrk).").source("/proc/PID/task/TID/comm").answers("Do requests fall back to threads?");
    WAITING = gauge("highload_io_uring_waiting_threads").labels(OF).help("Threads inside io_uring_enter, waiting as a rule; each may count as iowait on an idle box.").source("/proc/PID/task/TID/syscall").answers("Is this iowait a slow disk, or an idle ring?");
    VISIBLE = gauge("highload_io_uring_visible").help("1 when the descriptors of every process could be seen; 0 means rings of other users are missing.").source("/proc/PID/fd").answers("Is anything missing from the io_uring metrics?");
}

const OF: &[&str] = &["id", "name", "image", "command", "pid"];

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

struct IoUring {
    census: Arc<Census>,
    shared: Arc<Shared>,
    first: bool,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    Ok(Box::new(IoUring { census: Census::of(setup)?, shared: setup.shared.clone(), first: true }))
}

/// Families with a value per process.
type Get = fn(&ProcessRings) -> Option<f64>;

static FAMILIES: &[(&Metric, Get)] = &[
    (&RINGS, |of| Some(of.rings as f64)),
    (&SQ_ENTRIES, |of| Some(of.submission_entries as f64)),
    (&CQ_ENTRIES, |of| Some(of.completion_entries as f64)),
    (&SQ_WAITING, |of| of.submissions_waiting.map(|count| count as f64)),
    (&CQ_WAITING, |of| of.completions_waiting.map(|count| count as f64)),
    (&CQ_RATIO, |of| of.completions_waiting.map(|count| count as f64 / of.completion_entries.max(1) as f64)),
    (&OVERFLOW, |of| of.overflow.map(|count| count as f64)),
    (&POLLS, |of| of.polls.map(|count| count as f64)),
    (&POLLERS, |of| Some(of.poller_rings as f64)),
    (&POLLER_TIME, |of| (of.poller_rings > 0).then_some(of.poller_total_us as f64 / 1e6)),
    (&POLLER_WORK, |of| (of.poller_rings > 0).then_some(of.poller_busy_us as f64 / 1e6)),
    (&FILES, |of| Some(of.files as f64)),
    (&BUFFERS, |of| Some(of.buffers as f64)),
    (&WORKERS, |of| Some(of.threads.workers as f64)),
    (&WAITING, |of| of.threads.waiting.map(|count| count as f64)),
];

impl Collector for IoUring {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let patience = if std::mem::take(&mut self.first) { FIRST_WAIT } else { std::time::Duration::ZERO };
        let Some(report) = self.census.last(patience) else {
            return Err(Failure::NoData("the first census is not done yet".into()));
        };
        page.single(&VISIBLE, report.gaps.descriptors == 0 && report.gaps.rings == 0);
        let mut found: Vec<(Rendered, &ProcessRings)> = Vec::new();
        for group in report.groups.iter().filter(|group| !group.rings.is_empty()) {
            let base = super::connections::base_labels(&self.shared, group);
            for rings in &group.rings {
                let mut labels = base.clone();
                labels.push("command", &rings.command);
                labels.push("pid", rings.pid.to_string().as_bytes());
                found.push((labels, rings));
            }
        }
        for (metric, get) in FAMILIES {
            let mut family = page.family(metric);
            for (labels, rings) in &found {
                if let Some(value) = get(rings) {
                    family.sample_of(labels, &[], value);
                }
            }
        }
        match &report.error {
            Some(error) => Err(Failure::Broken(error.clone())),
            None => Ok(()),
        }
    }
}
