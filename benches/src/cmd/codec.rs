//! `lab codec`: what criterion measured of codecs, as tables and a page.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::estimates::{self, Estimate};
use crate::failure::Failure;
use crate::host;
use crate::report::codecs;

/// Tables and a report of what `cargo bench -p lab` measured: nanoseconds and bytes by operation, format and size.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo bench -p lab --bench codec && lab codec      measure, then report
  lab codec decode/broadcast project-4               only groups with one of these words in their names
  lab codec --json | jq -r '[.group, .function, .value, .nanoseconds] | @tsv'
  lab codec --criterion other/target/criterion --out results/codecs

A result directory has codecs.jsonl, sizes.jsonl and host.json; `lab report DIR` makes its report.md and report.html again.
Exit codes: 0 reported, 2 usage, 3 files cannot be read or written, 4 nothing was measured.")]
pub struct Args {
    /// Words, one of which a group's name must have
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// Criterion's directory; default: CRITERION_HOME, or target/criterion
    #[arg(long, value_name = "DIR")]
    criterion: Option<PathBuf>,
    /// Result directory; default: a new one below ./lab-results
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON Lines, a bench each, and write nothing
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

/// Runs `lab codec`.
///
/// # Errors
/// A void failure when criterion has measured nothing that is asked for; those of writing.
pub fn run(args: &Args) -> Result<ExitCode> {
    let criterion = args.criterion.clone().unwrap_or_else(estimates::directory);
    let mut measured = estimates::read(&criterion);
    measured.retain(|estimate| wanted(&args.words, estimate));
    if measured.is_empty() {
        let of = if args.words.is_empty() { String::new() } else { format!(" of {}", args.words.join(", ")) };
        return Err(Failure::Void(format!(
            "criterion has measured nothing{of} below {}: run `cargo bench -p lab --bench codec`, or name its directory with --criterion",
            criterion.display()
        ))
        .into());
    }
    if args.json {
        super::print(&estimates::to_lines(&measured))?;
        return Ok(ExitCode::SUCCESS);
    }
    let directory = args
        .out
        .clone()
        .unwrap_or_else(|| Path::new("lab-results").join(format!("codecs-{}", host::compact_utc_now())));
    keep(&directory, &measured)?;
    let summary = codecs::write(&directory)?;
    super::print(&summary.table)?;
    for file in &summary.files {
        eprintln!("wrote {}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn wanted(words: &[String], estimate: &Estimate) -> bool {
    words.is_empty() || words.iter().any(|word| estimate.group.contains(word.as_str()))
}

/// The files that the report is made from.
fn keep(directory: &Path, measured: &[Estimate]) -> Result<()> {
    let host = host::fingerprint(host::command_line(), "bench");
    let host = serde_json::to_string_pretty(&host).expect("plain data") + "\n";
    std::fs::create_dir_all(directory)
        .with_context(|| format!("making {}; name another directory with --out", directory.display()))?;
    for (name, text) in
        [(estimates::FILE, estimates::to_lines(measured)), (codecs::SIZES, codecs::size_lines()), ("host.json", host)]
    {
        let path = directory.join(name);
        if path.exists() {
            let says = format!("{} is there already; name another directory with --out", path.display());
            return Err(Failure::Usage(says).into());
        }
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
