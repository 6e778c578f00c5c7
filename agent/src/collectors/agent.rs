//! `agent`: what the agent itself costs, under the names that every Prometheus client uses.
//!
//! What each collector costs is on the page too, from the scrape itself ([`crate::scrape`]). The prometheus crate's
//! registry is not used here: a gather builds a tree of families on the heap, and this page is written without one. That
//! is a choice of design; what it saves has not been measured.

use std::time::{SystemTime, UNIX_EPOCH};

use hostfs::text::{fields, trim};
use hostfs::{Error, Source, attributes};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::Setup;

crate::metrics! {
    BUILD_INFO = gauge("node_exporter_build_info").labels(&["branch", "goarch", "goos", "goversion", "revision", "tags", "version"])
        .help("1, with the version of the agent, which stands where dashboards look for node_exporter's.").source("the agent")
        .answers("Which version runs on which host?");
    CPU = counter("process_cpu_seconds_total").unit("seconds").help("CPU time of the agent, user and system.")
        .source("clock_gettime(CLOCK_PROCESS_CPUTIME_ID)").answers("What does the monitoring cost?");
    RESIDENT = gauge("process_resident_memory_bytes").unit("bytes").help("Memory of the agent that is resident.")
        .source("/proc/self/statm").answers("How much memory does the agent take?");
    VIRTUAL = gauge("process_virtual_memory_bytes").unit("bytes").help("Address space of the agent.")
        .source("/proc/self/statm").answers("How much address space does the agent take?");
    VIRTUAL_MAX = gauge("process_virtual_memory_max_bytes").unit("bytes").help("Most address space that the agent may have.")
        .source("getrlimit(RLIMIT_AS)").answers("Is the agent's address space limited?");
    OPEN_FDS = gauge("process_open_fds").help("Open files of the agent.").source("/proc/self/fd")
        .answers("Does the agent leak descriptors?");
    MAX_FDS = gauge("process_max_fds").help("Most files that the agent may open.").source("getrlimit(RLIMIT_NOFILE)")
        .answers("How near is the agent to its limit of open files?");
    START_TIME = gauge("process_start_time_seconds").unit("seconds").help("When the agent started, as a Unix time.")
        .source("the agent").answers("When did the agent restart?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: METRICS, flags: &[], build };

/// What an unlimited resource is exported as: the largest number of the kernel's interface.
const UNLIMITED: u64 = u64::MAX;

struct Agent {
    memory: Source,
    started: f64,
    page_size: u64,
}

/// Reads the live procfs, whatever `--path.procfs` says: this is about the agent, not about the host that is looked at.
fn build(_: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let page_size = rustix::param::page_size() as u64;
    Ok(Box::new(Agent { memory: Source::new("/proc/self/statm".into(), 256), started, page_size }))
}

impl Collector for Agent {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let labels: [(&str, &[u8]); 7] = [
            ("branch", b""),
            ("goarch", if cfg!(target_arch = "x86_64") { b"amd64" } else { std::env::consts::ARCH.as_bytes() }),
            ("goos", b"linux"),
            ("goversion", b"none; highload-agent is written in Rust"),
            ("revision", b""),
            ("tags", b""),
            ("version", env!("CARGO_PKG_VERSION").as_bytes()),
        ];
        page.family(&BUILD_INFO).sample(&labels, 1u64);
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        page.single(&CPU, cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
        let (path, text) = self.memory.read()?;
        let mut pages = fields(trim(text));
        let (total, resident) = pages.u64().zip(pages.u64()).ok_or_else(|| Error::format(path, 1, text))?;
        page.single(&RESIDENT, resident * self.page_size);
        page.single(&VIRTUAL, total * self.page_size);
        page.single(&VIRTUAL_MAX, getrlimit(Resource::As).current.unwrap_or(UNLIMITED));
        page.single(&OPEN_FDS, open_descriptors()?);
        page.single(&MAX_FDS, getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED));
        page.single(&START_TIME, self.started);
        Ok(())
    }
}

/// Since Linux 6.2 the directory's size is the number of descriptors; before it is 0, and they are counted.
fn open_descriptors() -> Result<u64, Failure> {
    let directory = std::path::Path::new("/proc/self/fd");
    match std::fs::metadata(directory).map_err(|source| Error::read(directory, source))?.len() {
        0 => Ok(attributes::names(directory)?.len() as u64),
        known => Ok(known),
    }
}
