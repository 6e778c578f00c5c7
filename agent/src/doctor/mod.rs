//! `highload-agent doctor`: which metrics cannot be given here, why, and what would change that.
//!
//! Runs every enabled collector once, as a scrape would, and looks at the host: what the census could not see, which
//! engines do not answer, which controllers and kernel features are missing. It needs no right: what an unprivileged
//! user cannot see is what it is for.
//!
//! A [`Gap`] is something that is there, or was asked for, and cannot be shown: exit code 1. A collector that has nothing to
//! read because the host has nothing of the kind is listed and is no gap.

mod engines;
mod host;
mod print;
mod rights;

use std::sync::mpsc;
use std::time::Duration;

use serde::Serialize;

use crate::cli::Config;
use crate::collector::{COLLECTORS, Collector, Failure};
use crate::containers::census::Census;
use crate::exposition::Page;

pub use print::{json, text};

/// How long one collector may take. An ordinary one needs a millisecond.
const COLLECTOR_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the first census and the first answers of engines are waited for: longer than either may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something that cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The collectors that it concerns.
    pub collectors: Vec<String>,
    /// What is missing from the page: names of metrics, `*` for any ending, or words where no name says it.
    pub missing: String,
    /// Why, with the value that was seen.
    pub reason: String,
    /// What would change it: a right, a flag, a boot parameter.
    pub remedy: String,
}

impl Gap {
    fn new(collectors: &[&str], missing: &str, reason: impl Into<String>, remedy: &str) -> Self {
        Self {
            collectors: collectors.iter().map(|&name| name.to_owned()).collect(),
            missing: missing.to_owned(),
            reason: reason.into(),
            remedy: remedy.to_owned(),
        }
    }
}

/// A collector that the host gives nothing to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Absent {
    /// Its name.
    pub collector: String,
    /// What it did not find.
    pub reason: String,
}

/// What the doctor found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What cannot be shown and could be.
    pub gaps: Vec<Gap>,
    /// What the host does not have.
    pub absent: Vec<Absent>,
    /// Collectors that work.
    pub working: Vec<String>,
    /// Collectors that are switched off.
    pub off: Vec<String>,
}

/// Examines the host with the collectors of `config`, in table order as `main` builds them.
pub fn examine(config: &Config, collectors: Vec<Option<Box<dyn Collector>>>) -> Report {
    let mut report = Report::default();
    for (entry, collector) in COLLECTORS.iter().zip(collectors) {
        let name = entry.name.to_owned();
        let Some(collector) = collector else {
            report.off.push(name);
            continue;
        };
        match run(collector) {
            Ok(Ok(())) => report.working.push(name),
            Ok(Err(Failure::NoData(reason))) => report.absent.push(Absent { collector: name, reason }),
            Ok(Err(Failure::Missing(error))) => {
                report.absent.push(Absent { collector: name, reason: error.to_string() });
            }
            Ok(Err(Failure::Broken(reason))) => {
                report.gaps.push(Gap::new(&[entry.name], &its_metrics(entry.name), reason, "the error names the file"));
            }
            Err(reason) => {
                let off = format!("--no-collector.{} leaves it out", entry.name);
                report.gaps.push(Gap::new(&[entry.name], &its_metrics(entry.name), reason, &off));
            }
        }
    }
    let setup = &config.setup;
    let on = |name: &str| crate::collector::position(name).is_some_and(|position| config.enabled[position]);
    report.gaps.extend(host::gaps(setup, &on));
    if on("containers") || on("connections") || on("io_uring") {
        let census = Census::of(setup).ok().and_then(|census| census.last(PATIENCE));
        report.gaps.extend(rights::gaps(&setup.roots, census.as_deref()));
        report.gaps.extend(engines::gaps(setup, census.as_deref(), PATIENCE));
    }
    report
}

/// The collector's result; an error when it hung or panicked. One that hangs keeps its thread, which ends with the process.
fn run(mut collector: Box<dyn Collector>) -> Result<Result<(), Failure>, String> {
    let (sender, receiver) = mpsc::channel();
    let spawned = std::thread::Builder::new().name("doctor".into()).spawn(move || {
        // Nobody listens any more when it took too long.
        let _ = sender.send(collector.collect(&mut Page::default()));
    });
    if let Err(error) = spawned {
        return Err(format!("no thread to run it: {error}"));
    }
    receiver.recv_timeout(COLLECTOR_TIMEOUT).map_err(|error| match error {
        mpsc::RecvTimeoutError::Timeout => format!("no answer within {} s", COLLECTOR_TIMEOUT.as_secs()),
        mpsc::RecvTimeoutError::Disconnected => "it panicked; stderr has the place".to_owned(),
    })
}

/// What a broken collector costs: its first metric and how many more.
fn its_metrics(collector: &str) -> String {
    let metrics = COLLECTORS.iter().find(|entry| entry.name == collector).map_or(&[][..], |entry| entry.spec.metrics);
    match metrics {
        [] => "its metrics".to_owned(),
        [one] => one.name.to_owned(),
        [first, rest @ ..] => format!("{} and {} more", first.name, rest.len()),
    }
}
