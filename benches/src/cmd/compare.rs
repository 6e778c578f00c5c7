//! `lab compare`: two results side by side, or two engines of one.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::compare::{Compared, METRICS, Request, compare, table};
use crate::failure::{Failure, exit, unknown};
use crate::verdict::Call;

/// Compare two results, or two engines of one: ratios with intervals, and what could have been seen.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab compare results/monday results/tuesday            every engine and load that both have
  lab compare results/a results/b --engines ring        one of them
  lab compare results/a results/b --relative-to mio     what the box did to mio as well falls out
  lab compare results/a --engines mio,ring              two engines of one result, baseline first, paired by round
  lab compare results/a results/b --json | jq -r .headline

A result of a server of your own (--server, --pid, --container) compares as an engine's does; what it was asked must be the same.
Results of different machines, profiles, compilers, schemas or of commits with changes are refused with the reasons; --force
compares them all the same and marks the output.
Exit codes: 0 compared (whatever came out; `lab gate` judges), 2 no result, or not fit to be compared, 4 nothing counts on both sides.")]
pub struct Args {
    /// The result that is compared with
    before: PathBuf,
    /// The other one; without it, --engines names two engines of the first
    after: Option<PathBuf>,
    #[command(flatten)]
    how: How,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// How results are compared, the same for `lab compare` and `lab gate`.
#[derive(Clone, Debug, clap::Args)]
pub struct How {
    /// Engines to look at; within one result two of them, the baseline first
    #[arg(long, value_name = "ENGINE", value_delimiter = ',')]
    pub(super) engines: Vec<String>,
    /// Figures to look at: cpu, p99, syscalls, rss, server-bytes, kernel-bytes, connect-cpu
    #[arg(long, value_name = "FIGURE", value_delimiter = ',')]
    pub(super) figures: Vec<String>,
    /// Divide every figure by that of this engine in the same round first
    #[arg(long, value_name = "ENGINE")]
    relative_to: Option<String>,
    /// Compare results that are not fit for it, and mark the output
    #[arg(long)]
    force: bool,
}

impl How {
    /// Compares the figures that were asked for.
    ///
    /// # Errors
    /// Those of [`compare`], and a usage failure for an unknown figure.
    pub(super) fn compare(&self, before: &std::path::Path, after: Option<&std::path::Path>) -> Result<Compared> {
        let known = METRICS.iter().map(|metric| metric.key);
        if let Some(other) = self.figures.iter().find(|name| !known.clone().any(|key| key == **name)) {
            return Err(unknown("figure", other, known).into());
        }
        if after.is_none() && self.engines.len() != 2 {
            return Err(Failure::Usage(
                "one result by itself: name a second one, or two of its engines with --engines BASELINE,OTHER"
                    .to_owned(),
            )
            .into());
        }
        compare(&Request {
            before: before.to_owned(),
            after: after.unwrap_or(before).to_owned(),
            engines: self.engines.clone(),
            within: after.is_none(),
            figures: self.figures.clone(),
            relative_to: self.relative_to.clone(),
            force: self.force,
        })
    }
}

/// Runs `lab compare`.
///
/// # Errors
/// Usage failures for what is no result or not fit to be compared.
pub fn run(args: &Args) -> Result<ExitCode> {
    let compared = args.how.compare(&args.before, args.after.as_deref())?;
    let text = if args.json { serde_json::to_string_pretty(&compared)? + "\n" } else { table::render(&compared) };
    super::print(&text)?;
    let counts = compared.figures.iter().flat_map(|figure| &figure.overall);
    let void = counts.clone().all(|line| line.comparison.call == Call::Absent);
    Ok(if void { ExitCode::from(exit::VOID) } else { ExitCode::SUCCESS })
}
