//! `lab report`: a result directory to its reports, from files alone.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::failure::exit;
use crate::report;

/// Write report.md, report.html and lab.prom of a result directory again, and print its table.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab report lab-results/demo
  lab report lab-results/demo --json | jq -r .verdict.headline

Exit codes: 0 reported, 2 no result directory, 3 it cannot be read or written, 4 no trial of it counts.")]
pub struct Args {
    /// The result directory
    directory: PathBuf,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `lab report`.
///
/// # Errors
/// Those of [`report::write`].
pub fn run(args: &Args) -> Result<ExitCode> {
    let summary = report::write(&args.directory)?;
    let text = if args.json { serde_json::to_string_pretty(&summary)? + "\n" } else { summary.table.clone() };
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written.context("writing to stdout")?,
    }
    for file in &summary.files {
        eprintln!("wrote {}", file.display());
    }
    Ok(if summary.is_void() { ExitCode::from(exit::VOID) } else { ExitCode::SUCCESS })
}
