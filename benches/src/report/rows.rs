//! One row an engine and cell: the medians of its rounds and the percentiles of its merged histogram.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::read::Run;
use crate::result::{Pass, Status};
use crate::stats::{median, spread};
use crate::verdict::{Call, Figure, Matrix, Verdict, drift};

/// Middle and range of a figure over the rounds that count.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Middle {
    /// Median.
    pub median: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
}

/// An engine in a cell.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Label of the cell.
    pub cell: String,
    /// The engine.
    pub engine: String,
    /// The engine that it is a second name of.
    pub twin_of: Option<String>,
    /// `io_uring` or `epoll`.
    pub interface: String,
    /// Timing trials that count.
    pub counted: usize,
    /// Timing trials planned.
    pub planned: usize,
    /// Trials that count and whose figures drifted within their window.
    pub drifting: usize,
    /// Why a trial does not count.
    pub reason: Option<String>,
    /// Server CPU-microseconds per request.
    pub cpu_us_per_request: Option<Middle>,
    /// The part of it spent in the kernel, median, in microseconds.
    pub cpu_system_us_per_request: Option<f64>,
    /// Engine ÷ baseline in CPU per request.
    pub cpu_ratio: Option<f64>,
    /// Its 95 % interval.
    pub cpu_interval: Option<[f64; 2]>,
    /// What it comes to; `None` for the baseline and its twin.
    pub call: Option<Call>,
    /// Response time in microseconds from the merged histograms (else medians of the rounds): p50, p99, p99.9, largest.
    pub response_us: Option<[f64; 4]>,
    /// System calls per request.
    pub syscalls_per_request: Option<f64>,
    /// Context switches per request, voluntary and not, median.
    pub context_switches_per_request: Option<f64>,
    /// Resident set size in bytes, median.
    pub rss_bytes: Option<f64>,
    /// Completed requests per second, median.
    pub rate: Option<f64>,
    /// Limiters of the trials that count, each once.
    pub limiters: Vec<String>,
    /// CPU per request of each round that counts.
    #[serde(skip)]
    pub cpu_rounds: Vec<f64>,
    /// All rounds' response times, added, in nanoseconds.
    #[serde(skip)]
    pub merged: Option<Histogram<u64>>,
}

/// All rows, cells in order, engines in order within a cell.
pub(super) fn rows(matrix: &Matrix, verdict: &Verdict, run: &Run) -> Vec<Row> {
    let pairs = (0..matrix.cells.len()).flat_map(|cell| (0..matrix.engines.len()).map(move |engine| (engine, cell)));
    pairs.map(|(engine, cell)| row(matrix, verdict, run, engine, cell)).collect()
}

fn row(matrix: &Matrix, verdict: &Verdict, run: &Run, engine: usize, cell: usize) -> Row {
    let counted: Vec<_> =
        matrix.rows(engine, cell).filter(|t| t.status == Status::Ok && t.pass == Pass::Timing).collect();
    let middle =
        |of: &dyn Fn(&crate::result::Trial) -> f64| median(&counted.iter().map(|trial| of(trial)).collect::<Vec<_>>());
    let cpu_rounds: Vec<f64> = matrix.values(engine, cell, Figure::Cpu).into_values().collect();
    let syscalls: Vec<f64> = matrix.values(engine, cell, Figure::Syscalls).into_values().collect();
    let (name, label) = (&matrix.engines[engine].name, &matrix.cells[cell].label);
    let compared = verdict.figures.first().and_then(|figure| figure.of(name, Some(label)));
    let merged = merge(&counted, run);
    let tally = matrix.tally(engine, cell);
    let mut limiters: Vec<String> = counted.iter().filter_map(|trial| trial.limiter.clone()).collect();
    limiters.sort();
    limiters.dedup();
    let response_us = match &merged {
        Some(merged) => {
            let at = |quantile| merged.value_at_quantile(quantile) as f64 / 1e3;
            Some([at(0.5), at(0.99), at(0.999), merged.max() as f64 / 1e3])
        }
        None => middle(&|t| t.response.p50_us).and_then(|p50| {
            Some([
                p50,
                middle(&|t| t.response.p99_us)?,
                middle(&|t| t.response.p999_us)?,
                middle(&|t| t.response.max_us)?,
            ])
        }),
    };
    Row {
        cell: label.clone(),
        engine: name.clone(),
        twin_of: matrix.engines[engine].twin_of.clone(),
        interface: matrix.engines[engine].interface.clone(),
        counted: tally.counted,
        planned: tally.planned,
        drifting: counted.iter().filter(|trial| drift(trial).is_some()).count(),
        reason: tally.reason,
        cpu_us_per_request: spread(&cpu_rounds).map(|s| Middle { median: s.median, min: s.min, max: s.max }),
        cpu_system_us_per_request: middle(&|t| t.server.cpu_system_us_per_request),
        cpu_ratio: compared.and_then(|comparison| comparison.ratio),
        cpu_interval: compared.and_then(|comparison| comparison.interval),
        call: compared.map(|comparison| comparison.call),
        response_us,
        syscalls_per_request: median(&syscalls),
        context_switches_per_request: middle(&|t| {
            t.server.context_switches_voluntary_per_request + t.server.context_switches_involuntary_per_request
        }),
        rss_bytes: middle(&|t| t.server.rss_bytes as f64),
        rate: middle(&|t| t.rate_achieved),
        limiters,
        cpu_rounds,
        merged,
    }
}

/// Adds the histograms of all trials; `None` unless every one of them has its own, since a percentile of a part misleads.
fn merge(trials: &[&crate::result::Trial], run: &Run) -> Option<Histogram<u64>> {
    let mut merged: Option<Histogram<u64>> = None;
    for trial in trials {
        let place = run.trials.iter().position(|other| std::ptr::eq(other, *trial))?;
        let histogram = run.responses[place].as_ref()?;
        match &mut merged {
            // A histogram with other bounds or digits grows or is refused; both are the row's own fault.
            Some(sum) => sum.add(histogram).ok()?,
            None => {
                let mut first = histogram.clone();
                first.auto(true);
                merged = Some(first);
            }
        }
    }
    merged
}
