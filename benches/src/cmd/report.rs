//! `lab report`: a result directory to its reports, from files alone.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::failure::exit;
use crate::report;

/// Write the reports of a result directory again (of trials lab.prom too), and print its table.
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
    let (text, files, void) = if report::climbs::is_here(&args.directory) {
        let summary = report::climbs::write(&args.directory)?;
        let json = args.json.then(|| serde_json::to_string_pretty(&summary)).transpose()?;
        (json.map_or_else(|| summary.table.clone(), |json| json + "\n"), summary.files.clone(), summary.is_void())
    } else if report::spread::is_here(&args.directory) {
        let summary = report::spread::write(&args.directory)?;
        let json = args.json.then(|| serde_json::to_string_pretty(&summary)).transpose()?;
        (json.map_or_else(|| summary.table.clone(), |json| json + "\n"), summary.files.clone(), summary.is_void())
    } else if report::recover::is_here(&args.directory) {
        let summary = report::recover::write(&args.directory)?;
        let json = args.json.then(|| serde_json::to_string_pretty(&summary)).transpose()?;
        (json.map_or_else(|| summary.table.clone(), |json| json + "\n"), summary.files.clone(), summary.is_void())
    } else {
        let summary = report::write(&args.directory)?;
        let json = args.json.then(|| serde_json::to_string_pretty(&summary)).transpose()?;
        (json.map_or_else(|| summary.text(), |json| json + "\n"), summary.files.clone(), summary.is_void())
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written.context("writing to stdout")?,
    }
    for file in &files {
        eprintln!("wrote {}", file.display());
    }
    Ok(if void { ExitCode::from(exit::VOID) } else { ExitCode::SUCCESS })
}
