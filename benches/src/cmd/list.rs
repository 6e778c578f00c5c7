//! `lab list`: what there is to run.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::engines::Engines;
use crate::scale::scenario::{BUILT_IN as SCALES, Scenario as Scale};
use crate::scenario::{Any, BUILT_IN, SERVICES};

/// List engines, scenarios, protocols, formats and services.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab list                                       everything that can be named, with what it is for
  lab list --json | jq -r '.engines[] | select(.interface == \"io_uring\") | .name'
  lab list --engines my-engines.toml             the engines of a file of yours

Exit codes: 0 listed, 2 the engines file is wrong.")]
pub struct Args {
    /// Engines file, instead of the built-in one
    #[arg(long, value_name = "FILE")]
    engines: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `lab list`.
///
/// # Errors
/// Those of the engines file.
pub fn run(args: &Args) -> Result<ExitCode> {
    let engines = Engines::load(args.engines.as_deref())?;
    let scenarios = BUILT_IN
        .iter()
        .map(|(_, text)| Any::parse(text))
        .collect::<Result<Vec<_>, _>>()
        .expect("a test reads them all");
    let scales = SCALES
        .iter()
        .map(|(_, text)| Scale::parse(text))
        .collect::<Result<Vec<_>, _>>()
        .expect("a test reads them all");
    let protocols = wire::Protocol::ALL.map(wire::Protocol::name);
    let formats = wire::Format::ALL.map(wire::Format::name);
    if args.json {
        let engines: Vec<_> =
            engines.all().map(|e| json!({"name": e.name, "interface": e.interface, "note": e.note})).collect();
        let scenarios: Vec<_> =
            scenarios.iter().map(|s| json!({"name": s.about().0, "question": s.about().1})).collect();
        let scales: Vec<_> = scales.iter().map(|s| json!({"name": s.name, "question": s.question})).collect();
        let all = json!({"engines": engines, "scenarios": scenarios, "scales": scales, "protocols": protocols, "formats": formats, "services": SERVICES});
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(ExitCode::SUCCESS);
    }
    println!("Engines");
    for engine in engines.all() {
        println!("  {:<19}{:<10}{}", engine.name, engine.interface, engine.note);
    }
    println!("\nScenarios (or a TOML file of yours, see benches/scenarios/)");
    for scenario in scenarios {
        let (name, question, _) = scenario.about();
        println!("  {name:<19}{question}");
    }
    println!("\nScenarios of `lab scale`");
    for scale in scales {
        println!("  {:<19}{}", scale.name, scale.question);
    }
    println!(
        "\nProtocols  {}\nFormats    {}\nServices   {}",
        protocols.join(", "),
        formats.join(", "),
        SERVICES.join(", ")
    );
    Ok(ExitCode::SUCCESS)
}
