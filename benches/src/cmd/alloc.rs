//! `lab alloc`: what each codec allocates for a message, and how many bytes it makes of it.
//!
//! The counting is done by `lab-alloc`, which this builds and runs: an allocator that counts has no place in a binary that is timed.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use wire::Format;

use crate::codec::census;
use crate::failure::{Failure, exit, unknown};
use crate::servers;

/// Count allocations and encoded bytes of every codec operation.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab alloc                                  every data set, format and operation
  lab alloc --set note --set broadcast
  lab alloc --format json --format protobuf --json | jq -r '[.set, .format, .operation, .allocations] | @tsv'
  lab wire --sizes                           encoded bytes alone, each format against JSON

Counts are those of the second pass over the 50 messages of a set, in the table divided by 50: the first pass grows what is reused.
Exit codes: 0 counted, 2 usage, 3 the counting binary cannot be built or run.")]
pub struct Args {
    #[command(flatten)]
    census: Census,
    /// Cargo profile to build the counting binary with; the counts on record are those of dev
    #[arg(long, value_name = "PROFILE", default_value = "dev")]
    profile: String,
}

/// What to count, shared with `lab-alloc`.
#[derive(Debug, clap::Args)]
pub struct Census {
    /// Only this data set; may be given several times
    #[arg(long, value_name = "NAME", value_parser = set_name)]
    set: Vec<String>,
    /// Only this format; may be given several times
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(Format::ALL.map(Format::name)))]
    format: Vec<String>,
    /// Print JSON Lines: totals over all messages of a set
    #[arg(long)]
    json: bool,
}

impl Census {
    /// Whether a data set is to be counted in a format.
    pub fn wants(&self, set: &str, format: Format) -> bool {
        let named = |names: &[String], name: &str| names.is_empty() || names.iter().any(|known| known == name);
        named(&self.set, set) && named(&self.format, format.name())
    }

    /// The same as arguments.
    fn arguments(&self) -> Vec<&str> {
        let sets = self.set.iter().flat_map(|set| ["--set", set]);
        let formats = self.format.iter().flat_map(|format| ["--format", format]);
        sets.chain(formats).chain(self.json.then_some("--json")).collect()
    }
}

/// A name out of [`wire::data::NAMES`].
fn set_name(name: &str) -> Result<String, Failure> {
    if wire::data::NAMES.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(unknown("data set", name, wire::data::NAMES))
}

/// Runs `lab alloc`.
///
/// # Errors
/// An environment failure when the counting binary cannot be built or run.
pub fn run(args: &Args) -> Result<ExitCode> {
    let binary = servers::cargo_build("lab", "lab-alloc", &args.profile)?;
    let status = Command::new(&binary)
        .args(args.census.arguments())
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("running {}", binary.display()))?;
    if !status.success() {
        return Err(Failure::Environment(format!("{} ended with {status}", binary.display())).into());
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts and prints: what `lab-alloc` does.
pub fn count(census: &Census) -> ExitCode {
    let rows = census::take(|set, format| census.wants(set, format));
    let line = |row| serde_json::to_string(row).expect("plain data") + "\n";
    let text = if census.json { rows.iter().map(line).collect() } else { census::text(&rows) };
    match super::print(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab-alloc: {error:#}");
            ExitCode::from(exit::ENVIRONMENT)
        }
    }
}
