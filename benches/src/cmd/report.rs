//! `lab report`: a result directory to its reports, from files alone.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

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
    if args.directory.join("scale.jsonl").exists() {
        let summary = report::scaling::write(&args.directory, &[])?;
        let text = if args.json { serde_json::to_string_pretty(&summary)? + "\n" } else { summary.table.clone() };
        super::print(&text)?;
        let void = summary.as_stated.is_none();
        return Ok(if void { ExitCode::from(exit::VOID) } else { ExitCode::SUCCESS });
    }
    let (text, files, void) = if report::limits::is_here(&args.directory) {
        let summary = report::limits::write(&args.directory)?;
        let json = args.json.then(|| serde_json::to_string_pretty(&summary.limits)).transpose()?;
        (json.map_or_else(|| summary.table.clone(), |json| json + "\n"), summary.files.clone(), summary.is_void())
    } else if report::climbs::is_here(&args.directory) {
        let summary = report::climbs::write(&args.directory)?;
        let json = args.json.then(|| serde_json::to_string_pretty(&summary)).transpose()?;
        (json.map_or_else(|| summary.table.clone(), |json| json + "\n"), summary.files.clone(), summary.is_void())
    } else if report::spread::is_here(&args.directory) {
        let summary = report::spread::write(&args.directory)?;
        let json = args.json.then(|| serde_json::to_string_pretty(&summary)).transpose()?;
        (json.map_or_else(|| summary.table.clone(), |json| json + "\n"), summary.files.clone(), summary.is_void())
    } else if report::codecs::is_here(&args.directory) {
        let summary = report::codecs::write(&args.directory)?;
        let json = args.json.then(|| serde_json::to_string_pretty(&summary.estimates)).transpose()?;
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
    super::print(&text)?;
    for file in &files {
        eprintln!("wrote {}", file.display());
    }
    Ok(if void { ExitCode::from(exit::VOID) } else { ExitCode::SUCCESS })
}
