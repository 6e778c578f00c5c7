//! Reads a result directory. Tolerates what an interrupted run leaves and says so; refuses what is no result.

use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use serde::de::DeserializeOwned;

use crate::estimates::{self, Estimate};
use crate::failure::Failure;
use crate::result::{Fingerprint, HostSample, Plan, SCHEMA, Trial};

/// Largest file of rows that is read: a row is about 3 KiB, so this is some 80,000 trials.
const LARGEST_FILE: u64 = 256 << 20;

/// Largest histogram that is read: three digits up to a minute are 60 KiB before compression.
const LARGEST_HISTOGRAM: u64 = 4 << 20;

/// Warnings kept; a file of another kind would give one for each line.
const WARNINGS: usize = 20;

/// A result directory in memory.
#[derive(Debug, Default)]
pub struct Run {
    /// `plan.json`.
    pub plan: Option<Plan>,
    /// `host.json`.
    pub host: Option<Fingerprint>,
    /// `trials.jsonl`, in the order of the file.
    pub trials: Vec<Trial>,
    /// `timeline.jsonl`, in the order of the file.
    pub timeline: Vec<HostSample>,
    /// The response-time histogram of each trial, in nanoseconds; `None` where a row names none or it is unreadable.
    pub responses: Vec<Option<Histogram<u64>>>,
    /// `codecs.jsonl`: codecs by themselves, as criterion had measured them when the run began.
    pub estimates: Vec<Estimate>,
    /// What was wrong with the files, in sentences.
    pub warnings: Vec<String>,
}

/// Reads `directory`.
///
/// # Errors
/// [`Failure::Usage`] without `trials.jsonl` or with rows none of which can be read; those of reading.
pub fn read(directory: &Path) -> Result<Run> {
    let mut run = Run::default();
    let Some(rows) = text(&directory.join("trials.jsonl"))? else {
        let message =
            format!("{} holds no trials.jsonl; name the directory that a run wrote (--out)", directory.display());
        return Err(Failure::Usage(message).into());
    };
    run.trials = lines("trials.jsonl", &rows, &mut run.warnings);
    if run.trials.is_empty() && !run.warnings.is_empty() {
        return Err(
            Failure::Usage(format!("{} holds no readable row: {}", directory.display(), run.warnings[0])).into()
        );
    }
    if let Some(newer) = run.trials.iter().map(|trial| trial.schema).filter(|schema| *schema > SCHEMA).max() {
        warn(
            &mut run.warnings,
            format!("rows have schema {newer}, this lab knows {SCHEMA}: fields it does not know are left out"),
        );
    }
    run.plan = document(directory, "plan.json", &mut run.warnings)?;
    run.host = document(directory, "host.json", &mut run.warnings)?;
    run.timeline = match text(&directory.join("timeline.jsonl"))? {
        Some(timeline) => lines("timeline.jsonl", &timeline, &mut run.warnings),
        None => Vec::new(),
    };
    run.timeline.retain(sound);
    if let Some(estimates) = text(&directory.join(estimates::FILE))? {
        run.estimates = lines(estimates::FILE, &estimates, &mut run.warnings);
        run.estimates.retain(|estimate| estimate.nanoseconds.is_finite() && estimate.nanoseconds > 0.0);
    }
    for trial in &run.trials {
        run.responses.push(response(directory, trial).unwrap_or_else(|error| {
            warn(&mut run.warnings, format!("histogram of trial {}: {error:#}", trial.index));
            None
        }));
    }
    Ok(run)
}

/// Whether a sample can be drawn: JSON may carry numbers that no kernel gives.
pub(super) fn sound(sample: &HostSample) -> bool {
    let usable = |value: f64| value.is_finite() && (0.0..1e12).contains(&value);
    [sample.at_seconds, sample.context_switches_per_second, sample.softirqs_per_second].into_iter().all(usable)
        && sample.cpu.values().all(|share| usable(*share))
}

/// The text of a file; `None` when it is not there.
pub(super) fn text(path: &Path) -> Result<Option<String>> {
    Ok(bytes(path, LARGEST_FILE)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn bytes(path: &Path, largest: u64) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("opening {}", path.display())),
    };
    let mut bytes = Vec::new();
    file.take(largest + 1).read_to_end(&mut bytes).with_context(|| format!("reading {}", path.display()))?;
    if bytes.len() as u64 > largest {
        anyhow::bail!("{} is larger than {} MiB, which no run writes", path.display(), largest >> 20);
    }
    Ok(Some(bytes))
}

/// One value a line. A last line without its line feed that does not parse was torn by an interruption.
pub(super) fn lines<T: DeserializeOwned>(name: &str, text: &str, warnings: &mut Vec<String>) -> Vec<T> {
    let whole = text.ends_with('\n');
    let count = text.lines().count();
    let mut values = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(value) => values.push(value),
            Err(_) if index + 1 == count && !whole => {
                warn(warnings, format!("{name}: the last line is torn; the run was interrupted while writing it"));
            }
            Err(error) => warn(warnings, format!("{name} line {}: left out: {error}", index + 1)),
        }
    }
    values
}

pub(super) fn document<T: DeserializeOwned>(
    directory: &Path,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<Option<T>> {
    let Some(text) = text(&directory.join(name))? else {
        warn(warnings, format!("{name} is missing"));
        return Ok(None);
    };
    Ok(serde_json::from_str(&text).map_err(|error| warn(warnings, format!("{name}: left out: {error}"))).ok())
}

/// The response-time histogram that a row names.
fn response(directory: &Path, trial: &Trial) -> Result<Option<Histogram<u64>>> {
    let Some(path) = trial.histograms.get("response") else { return Ok(None) };
    let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    anyhow::ensure!(inside, "{path:?} leads out of the result directory");
    let path = directory.join(format!("{path}.hdr"));
    let Some(bytes) = bytes(&path, LARGEST_HISTOGRAM)? else { anyhow::bail!("{} is missing", path.display()) };
    let histogram: Histogram<u64> =
        Deserializer::new().deserialize(&mut &bytes[..]).map_err(|error| anyhow::anyhow!("{error}"))?;
    anyhow::ensure!(
        histogram.len() == trial.response.count,
        "it holds {} samples, its row says {}",
        histogram.len(),
        trial.response.count
    );
    Ok(Some(histogram))
}

fn warn(warnings: &mut Vec<String>, warning: String) {
    match warnings.len() {
        0..WARNINGS => warnings.push(warning),
        WARNINGS => warnings.push("further warnings are left out".to_owned()),
        _ => {}
    }
}
