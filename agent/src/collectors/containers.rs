//! `containers`: the `container_*` metrics that cAdvisor's dashboards use, from cgroups, with names from engines.
//!
//! Values and labels follow cAdvisor but for four things, each a known complaint about it: samples have no
//! timestamps (they break staleness), engine labels are an allow-list and stand only on the series of containers that
//! have them, containers of the host's network show no copy of its interfaces, and a container's files are never
//! walked by a scrape but by the census, in turns and bounded.

mod devices;
pub mod families;
mod row;

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use hostfs::Roots;
use hostfs::cgroup::{Cgroups, Detail, Layout, Reader};
use hostfs::processes::Processes;

use crate::collector::{Collector, Failure, Spec};
use crate::containers::census::Census;
use crate::containers::engine::{self, Engine};
use crate::containers::{FIRST_WAIT, Names, Policy};
use crate::descriptor_limit;
use crate::exposition::Page;
use crate::flags::{Flag, Setup, list, switch, text};
use devices::DeviceNames;
use families::Facts;
use row::{Known, Row};

const ENGINE: &str = "collector.containers.engine";
const LABELS: &str = "collector.containers.labels";
const RAW: &str = "collector.containers.raw";
const PER_CPU: &str = "collector.containers.per-cpu";
const NUMA: &str = "collector.containers.numa";
const HUGE_PAGES: &str = "collector.containers.hugetlb";
const TCP_STATES: &str = "collector.containers.tcp-states";
const LIMIT: &str = "collector.containers.limit";
const DESCRIPTORS: &str = "collector.containers.descriptors";

/// Most cgroups, and most descriptors, that can be asked for.
const MOST: u64 = 1_000_000;

/// Labels that dashboards group by.
const DEFAULT_LABELS: &str = "com.docker.compose.project,com.docker.compose.service,com.docker.swarm.service.name,\
    io.kubernetes.container.name,io.kubernetes.pod.name,io.kubernetes.pod.namespace";

/// Sockets that are asked when no flag names any, below the root.
const DEFAULT_ENGINES: [(&str, &str); 2] = [("docker", "var/run/docker.sock"), ("podman", "run/podman/podman.sock")];

/// See [`crate::collector`].
pub static SPEC: Spec = Spec { metrics: families::METRICS, flags: FLAGS, build };

static FLAGS: &[Flag] = &[
    list(
        ENGINE,
        "Engine to ask for names: [NAME=]unix:///PATH; without it the usual sockets of Docker and Podman; 'none' for none",
    ),
    text(LABELS, DEFAULT_LABELS, "Engine labels to export, separated by commas; PREFIX* and * are allowed"),
    switch(RAW, true, "Export cgroups that are no containers, such as systemd's slices"),
    switch(PER_CPU, true, "Export CPU time of each CPU where the kernel counts it (cgroup v1)"),
    switch(NUMA, false, "Export memory by NUMA node"),
    switch(HUGE_PAGES, false, "Export huge pages by size"),
    switch(TCP_STATES, false, "Export TCP sockets by state, from the census"),
    text(LIMIT, "5000", "Most cgroups that are exported"),
    text(
        DESCRIPTORS,
        "16384",
        "Most cgroup files that stay open between scrapes, which makes scrapes several times cheaper; 0 for none",
    ),
];

struct Containers {
    roots: Roots,
    names: Arc<Names>,
    census: Arc<Census>,
    first: bool,
    raw: bool,
    layout: Option<Layout>,
    groups: Cgroups<Known>,
    /// Most files of groups that stay open.
    descriptors: usize,
    reader: Reader,
    processes: Option<Processes>,
    rows: Vec<Row>,
    devices: DeviceNames,
    facts: Facts,
    /// Of each network namespace: the row with the oldest process in it.
    owners: HashMap<u64, (u64, usize)>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let number = |flag: &str, least: u64| {
        let text = setup.text(flag);
        let number = text.parse().ok().filter(|number| (least..=MOST).contains(number));
        number.with_context(|| format!("--{flag}={text:?}: wanted a number from {least} to {MOST}"))
    };
    let limit = usize::try_from(number(LIMIT, 1)?)?;
    let descriptors = usize::try_from(descriptor_limit::spare(number(DESCRIPTORS, 0)?))?;
    let detail = Detail {
        per_cpu: setup.is_on(PER_CPU),
        numa: setup.is_on(NUMA),
        huge_pages: if setup.is_on(HUGE_PAGES) { devices::huge_page_sizes(&setup.roots) } else { Vec::new() },
    };
    let engines = engines(setup)?;
    let names = setup.shared.names(|| Arc::new(Names::new(Policy::new(setup.text(LABELS)))));
    engine::start(engines, &names)?;
    Ok(Box::new(Containers {
        roots: setup.roots.clone(),
        names,
        census: Census::of(setup)?,
        first: true,
        raw: setup.is_on(RAW),
        layout: None,
        groups: Cgroups::new(limit),
        descriptors,
        reader: Reader::new(detail),
        processes: None,
        rows: Vec::new(),
        devices: DeviceNames::new(&setup.roots),
        facts: Facts::new(&setup.roots, setup.is_on(TCP_STATES)),
        owners: HashMap::new(),
    }))
}

fn engines(setup: &Setup) -> anyhow::Result<Vec<Engine>> {
    let given = setup.list(ENGINE);
    if given.iter().any(|text| text == "none") {
        return Ok(Vec::new());
    }
    if !given.is_empty() {
        return given.iter().map(|text| Engine::parse(text)).collect();
    }
    let usual = |(runtime, socket): (&str, &str)| Engine {
        runtime: runtime.to_owned(),
        socket: setup.roots.rootfs.join(socket),
        explicit: false,
    };
    // A tree of files has no engines, and a test on one should not start threads that ask for them.
    let live = setup.roots.proc("self").exists();
    Ok(if live { DEFAULT_ENGINES.into_iter().map(usual).collect() } else { Vec::new() })
}

impl Collector for Containers {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        if self.layout.is_none() {
            self.layout = Layout::find(&self.roots)?;
        }
        let Some(layout) = &self.layout else {
            return Err(Failure::NoData("no cgroup hierarchy is mounted".into()));
        };
        if self.processes.is_none() {
            self.processes = Processes::open(&self.roots).ok();
        }
        let patience = if std::mem::take(&mut self.first) { FIRST_WAIT } else { std::time::Duration::ZERO };
        self.names.wait_until_tried(patience);
        let report = self.census.last(patience);
        self.groups.walk(layout)?;
        self.reader.keep(self.descriptors.saturating_sub(self.groups.descriptors()));
        let mut used = 0;
        for (path, group) in self.groups.iter_mut() {
            if group.identity.is_none() && group.nested {
                // A container that put its processes into groups of its own: they still count, and one tells the network.
                if let Some(row) =
                    self.rows[..used].iter_mut().rev().find(|row| row.is_container).filter(|row| row.holds(path))
                {
                    row.add_processes(self.reader.processes(layout, path, group));
                }
                continue;
            }
            if group.identity.is_none() && !self.raw && path != b"/" {
                continue;
            }
            if used == self.rows.len() {
                self.rows.push(Row::default());
            }
            if self.reader.read(layout, path, group, &mut self.rows[used].sample) {
                self.rows[used].describe(&self.roots, path, group, &self.names);
                used += 1;
            }
        }
        let rows = &mut self.rows[..used];
        if let Some(processes) = &mut self.processes {
            self.facts.refresh(&self.roots);
            row::processes_and_networks(&self.roots, processes, self.facts.boot_time, rows, &mut self.owners);
        }
        for row in rows.iter_mut() {
            self.devices.learn(row.sample.devices());
        }
        // Memory of containers that were many once is given back.
        self.rows.truncate((used * 2).max(64));
        let rows = &self.rows[..used];
        families::write(page, rows, &self.facts, &self.devices, report.as_deref());
        let state = families::Walk {
            mode: layout.mode,
            groups: self.groups.len() as u64,
            skipped: self.groups.skipped,
            vanished: self.groups.vanished + self.reader.vanished,
            denied: self.reader.denied,
        };
        families::write_own(page, rows, &state, &self.names);
        Ok(())
    }
}
