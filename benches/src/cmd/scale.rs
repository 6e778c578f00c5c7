//! `lab scale`: what more instances bring, with a fit of the Universal Scalability Law.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;

use crate::failure::{Failure, exit};
use crate::report::scaling;
use crate::scale::measure::{self, Options};
use crate::scale::scenario::Scenario;

/// Run 1, 2, … instances behind a dependency and say how they scale: linear, shared or external.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab scale scale-shared                       seven numbers of instances in front of one shared resource
  lab scale my.toml --predict 16,24            what the fit foretells; a warning beyond twice what was measured
  lab scale scale-external --engine ring --json | jq .seen
  lab scale --from lab-results/scale-shared-…  table and report again, from the files alone

Instances are engines: each is started anew on a port of its own behind the stub, which a server of your own does not let us do.
Built-in scenarios: scale-linear, scale-shared, scale-external; benches/scenarios/ shows how to write one.
Exit codes: 0 it scales as the scenario says, 1 it does not, 2 usage, 3 this box cannot do it, 4 interrupted or too little counts.")]
pub struct Args {
    /// Scenario file or name
    #[arg(required_unless_present = "from")]
    scenario: Option<String>,
    /// Engine, instead of the scenario's
    #[arg(long, value_name = "ENGINE")]
    engine: Option<String>,
    /// Numbers of instances, ascending, instead of the scenario's
    #[arg(long, value_name = "N", value_delimiter = ',')]
    instances: Vec<u32>,
    /// Rounds, instead of the scenario's
    #[arg(long)]
    rounds: Option<u32>,
    /// Seconds measured, instead of the scenario's
    #[arg(long, value_name = "SECONDS")]
    measure: Option<f64>,
    /// Numbers of instances to foretell
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    predict: Vec<u32>,
    /// Make table and report of a result that is there, and measure nothing
    #[arg(long, value_name = "DIR", conflicts_with = "scenario")]
    from: Option<PathBuf>,
    /// Result directory; default: a new one below ./lab-results
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Cargo profile of the servers: measured for numbers, dev or release to try things out
    #[arg(long, default_value = "measured")]
    profile: String,
    /// Engines file, instead of the built-in one
    #[arg(long, value_name = "FILE")]
    engines: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `lab scale`.
///
/// # Errors
/// Those of [`measure::run`] and [`scaling::write`].
pub fn run(args: &Args, stop: &Arc<AtomicBool>) -> Result<ExitCode> {
    let directory = match (&args.from, &args.scenario) {
        (Some(directory), _) => directory.clone(),
        (None, Some(name)) => measure(args, name, stop)?,
        (None, None) => return Err(Failure::Usage("name a scenario, or --from a result directory".to_owned()).into()),
    };
    let summary = scaling::write(&directory, &args.predict)?;
    let text = if args.json { serde_json::to_string_pretty(&summary)? + "\n" } else { summary.table.clone() };
    super::print(&text)?;
    eprintln!("wrote {}", directory.join("report.html").display());
    Ok(match summary.as_stated {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::from(exit::MISSED),
        None => ExitCode::from(exit::VOID),
    })
}

fn measure(args: &Args, name: &str, stop: &Arc<AtomicBool>) -> Result<PathBuf> {
    let mut scenario = Scenario::load(name)?;
    scenario.engine = args.engine.clone().unwrap_or(scenario.engine);
    scenario.scale.rounds = args.rounds.unwrap_or(scenario.scale.rounds);
    scenario.scale.measure_seconds = args.measure.unwrap_or(scenario.scale.measure_seconds);
    if !args.instances.is_empty() {
        scenario.scale.instances.clone_from(&args.instances);
    }
    let options = Options { out: args.out.clone(), profile: args.profile.clone(), engines: args.engines.clone() };
    let live = std::io::stderr().is_terminal();
    measure::run(&scenario, &options, stop, &mut |index, of, instances| {
        if live {
            eprint!("\r{}/{of}: {instances} instances   ", index + 1);
        }
    })
    .inspect(|_| {
        if live {
            eprintln!();
        }
    })
}
