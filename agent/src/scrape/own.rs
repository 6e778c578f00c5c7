//! The scrape's own samples: which collectors ran, and what each cost.

use std::time::Duration;

use super::engine::{Outcome, Slot};
use crate::collector::{COLLECTORS, Entry};
use crate::cost::Spent;
use crate::exposition::{self, Rendered};

crate::metrics! {
    DURATION = gauge("node_scrape_collector_duration_seconds").labels(&["collector"]).unit("seconds")
        .help("Wall-clock time of the collector's last run.").source("clock_gettime(CLOCK_MONOTONIC)")
        .answers("Which collector makes the scrape slow?");
    SUCCESS = gauge("node_scrape_collector_success").labels(&["collector"])
        .help("1 when the collector's run ended without an error before the deadline.").source("the agent")
        .answers("Which samples are missing from this page, and because of which collector?");
    TIMED_OUT = gauge("highload_collector_timed_out").labels(&["collector"])
        .help("1 when the collector was still running at the deadline.").source("the agent")
        .answers("Does a collector hang, rather than fail?");
    CPU = counter("highload_collector_cpu_seconds_total").labels(&["collector"]).unit("seconds")
        .help("CPU time of the collector's runs, user and system.").source("clock_gettime(CLOCK_THREAD_CPUTIME_ID)")
        .answers("Which collector does the agent spend its CPU on?");
    ALLOCATIONS = counter("highload_collector_allocations_total").labels(&["collector"])
        .help("Memory allocations of the collector's runs.").source("the agent's allocator")
        .answers("Which collector allocates in the steady state?");
    BYTES = gauge("highload_collector_page_bytes").labels(&["collector"]).unit("bytes")
        .help("Length of the collector's part of the page.").source("the agent")
        .answers("Which collector makes the page large?");
    SAMPLES = gauge("highload_collector_samples").labels(&["collector"])
        .help("Samples in the collector's part of the page.").source("the agent")
        .answers("Which collector costs series in Prometheus?");
}

/// What the runs of one collector cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    spent: Spent,
    bytes: usize,
    samples: u64,
}

impl Totals {
    pub(super) fn add(&mut self, spent: Spent, bytes: usize, samples: u64) {
        self.spent.cpu_ns += spent.cpu_ns;
        self.spent.allocations += spent.allocations;
        self.bytes = bytes;
        self.samples = samples;
    }
}

#[derive(Debug)]
struct Report {
    /// Place of the collector in the table.
    place: usize,
    /// `None` when the collector did not end in time.
    ran: Option<(bool, Duration, Totals)>,
}

/// Collects the reports of one page; kept for its memory.
#[derive(Debug)]
pub(super) struct Writer {
    /// The label of each collector of the table, escaped once for the seven families of every scrape.
    labels: Vec<Rendered>,
    reports: Vec<Report>,
    page: exposition::Page,
}

impl Default for Writer {
    fn default() -> Self {
        let label = |entry: &Entry| {
            let mut label = Rendered::default();
            label.push("collector", entry.name.as_bytes());
            label
        };
        let labels = COLLECTORS.iter().map(label).collect();
        Self { labels, reports: Vec::new(), page: exposition::Page::default() }
    }
}

impl Writer {
    pub(super) fn begin(&mut self) -> &mut Self {
        self.reports.clear();
        self.page.clear();
        self
    }

    pub(super) fn ran(&mut self, place: usize, slot: &Slot) {
        let success = matches!(slot.outcome, Outcome::Success);
        self.reports.push(Report { place, ran: Some((success, slot.duration, slot.totals)) });
    }

    pub(super) fn timed_out(&mut self, place: usize) {
        self.reports.push(Report { place, ran: None });
    }

    pub(super) fn write(&mut self, bytes: &mut Vec<u8>) {
        let Self { labels, reports, page } = self;
        let label = |report: &Report| &labels[report.place];
        let finished = || reports.iter().filter_map(|report| Some((label(report), report.ran?)));
        let mut family = page.family(&DURATION);
        finished().for_each(|(label, (_, duration, _))| _ = family.sample_of(label, &[], duration.as_secs_f64()));
        let mut family = page.family(&SUCCESS);
        for report in &*reports {
            family.sample_of(label(report), &[], report.ran.is_some_and(|(success, ..)| success));
        }
        let mut family = page.family(&TIMED_OUT);
        reports.iter().for_each(|report| _ = family.sample_of(label(report), &[], report.ran.is_none()));
        let mut family = page.family(&CPU);
        finished().for_each(|(label, (.., totals))| _ = family.sample_of(label, &[], totals.spent.cpu_ns as f64 / 1e9));
        let mut family = page.family(&ALLOCATIONS);
        finished().for_each(|(label, (.., totals))| _ = family.sample_of(label, &[], totals.spent.allocations));
        let mut family = page.family(&BYTES);
        finished().for_each(|(label, (.., totals))| _ = family.sample_of(label, &[], totals.bytes as u64));
        let mut family = page.family(&SAMPLES);
        finished().for_each(|(label, (.., totals))| _ = family.sample_of(label, &[], totals.samples));
        bytes.extend_from_slice(page.as_bytes());
    }
}
