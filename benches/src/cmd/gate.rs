//! `lab gate`: fails when a result is worse than a baseline by more than is allowed. For any CI.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::compare::How;
use crate::compare::gate::{Outcome, check, outcome};
use crate::compare::{junit, table};
use crate::failure::{Failure, exit};
use crate::share;

/// Where runs put their results by themselves.
const RESULTS: &str = "lab-results";

/// Fail when a result is worse than a baseline by more than is allowed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab gate results/new --against results/baseline                     server CPU per request, at most 5 % more
  lab gate --against results/baseline --max-regression 10%            the newest result below ./lab-results
  lab gate results/new --against results/baseline --junit gate.xml --figures cpu,rss
  lab gate results/both --engines old,new                             two builds as two engines of one run: the best gate,
                                                                      since rounds are shared and the box falls out

A regression fails when test, interval and noise band support it and it is larger than what is allowed. A gate passes only where
it could have seen what is not allowed; measure more rounds when it is inconclusive.
Exit codes: 0 passed, 1 a regression is supported, 2 no result, or not fit to be compared, 4 inconclusive: too few rounds or too
much noise to tell, or nothing counts (--inconclusive pass makes that 0).")]
pub struct Args {
    /// The result to judge; the newest one below ./lab-results when absent
    directory: Option<PathBuf>,
    /// The baseline: an older result of the same machine and scenario
    #[arg(long, value_name = "DIR", required_unless_present = "engines")]
    against: Option<PathBuf>,
    /// How much worse a figure may be: 5% or 0.05; from 1 on only with %
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = share::of_growth)]
    max_regression: f64,
    #[command(flatten)]
    how: How,
    /// Write the checks as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// What an inconclusive check does: fail (exit code 4) or pass
    #[arg(long, default_value = "fail", value_parser = ["fail", "pass"])]
    inconclusive: String,
    /// Print comparison and checks as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `lab gate`.
///
/// # Errors
/// Usage failures for what is no result or not fit to be compared; those of writing the JUnit file.
pub fn run(args: &Args) -> Result<ExitCode> {
    let directory = match &args.directory {
        Some(directory) => directory.clone(),
        None => newest(Path::new(RESULTS), args.against.as_deref())?,
    };
    let mut how = args.how.clone();
    if how.figures.is_empty() {
        how.figures.push("cpu".to_owned());
    }
    let compared = match &args.against {
        Some(baseline) => how.compare(baseline, Some(&directory))?,
        None => how.compare(&directory, None)?,
    };
    let allowed = 1.0 + args.max_regression;
    let checks = check(&compared, &how.figures, allowed);
    let tolerant = args.inconclusive == "pass";
    if let Some(path) = &args.junit {
        let xml = junit::render(&compared, &checks, tolerant)?;
        std::fs::write(path, xml)
            .map_err(|error| Failure::Environment(format!("{}: {error}; name another --junit", path.display())))?;
    }
    let found = outcome(&checks);
    let text = if args.json {
        let all = json!({ "outcome": found, "allowed": allowed, "forced": !compared.unfit.is_empty(), "checks": checks, "comparison": compared });
        serde_json::to_string_pretty(&all)? + "\n"
    } else {
        let about = format!("{} against {}\n", compared.after.directory.display(), compared.before.directory.display());
        about + &table::checks(&compared, &checks, allowed)
    };
    super::print(&text)?;
    Ok(match found {
        Outcome::Passed => ExitCode::SUCCESS,
        Outcome::Regressed => ExitCode::from(exit::MISSED),
        Outcome::Inconclusive if tolerant => ExitCode::SUCCESS,
        Outcome::Inconclusive => ExitCode::from(exit::VOID),
    })
}

/// The directory below `results` whose rows were written last, the baseline left out.
fn newest(results: &Path, baseline: Option<&Path>) -> Result<PathBuf> {
    let baseline = baseline.and_then(|path| path.canonicalize().ok());
    let entries = std::fs::read_dir(results).map_err(|error| {
        Failure::Usage(format!("{}: {error}; name the result directory to judge", results.display()))
    })?;
    let written = |path: PathBuf| {
        let rows = ["trials.jsonl", "climbs.jsonl"].iter().find_map(|name| path.join(name).metadata().ok())?;
        Some((rows.modified().ok()?, path))
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let others = paths.filter(|path| path.canonicalize().ok() != baseline);
    let newest = others.filter_map(written).max().map(|(_, path)| path);
    let none = || Failure::Usage(format!("{} holds no result; name the directory to judge", results.display()));
    Ok(newest.ok_or_else(none)?)
}
