//! `lab flame`: where a server's CPU goes under a scenario's load, and how that differs from another engine or format.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;

use crate::engines::Engines;
use crate::failure::{Failure, unknown};
use crate::plan::{self, Cpus, Side};
use crate::scenario::{Any, Scenario};
use crate::session::{self, Options};
use crate::target::Own;
use crate::target::arguments::Arguments;

/// The sampler that needs nothing of the server.
const PERF: &str = crate::flame::SAMPLERS[1];

/// What two graphs may differ in.
const AXES: [&str; 3] = ["engine", "format", "protocol"];

/// Take a flame graph of a server under a scenario's load; with --against, of a second one and their difference.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab flame demo --engine mio                           mio with the demo's first format and protocol
  lab flame demo --engine mio --format json --against format=protobuf
  lab flame http --engine ring --against engine=mio --sampler perf   kernel frames too, where perf may
  lab flame my.toml --seconds 10 --hertz 499 --out flames/a
  lab run demo --flames                                 one of each engine and format, linked from the report
  lab flame own --server \"nginx -c $PWD/my.conf\" --address 127.0.0.1:8080 --request 'GET /'   a server of your own, by perf

The stacks are sampled in the server (pprof, no privilege) or beside it (perf) while the load runs; both graphs of a difference
are drawn at one scale, CPU per request. Folded stacks lie beside the pictures for any other viewer. A server of your own is
sampled by perf, all its processes; with --against engine=… it stands beside an engine.

Exit codes: 0 taken, 2 usage, 3 this box cannot do it (the sentence names the knob), 4 interrupted or nothing was sampled.")]
pub struct Args {
    /// Scenario file or name; it must not climb
    scenario: String,
    /// Engine [default: the scenario's first]
    #[arg(long, short = 'e', conflicts_with = "own")]
    engine: Option<String>,
    /// Framing [default: the scenario's first]
    #[arg(long)]
    protocol: Option<String>,
    /// Wire format [default: the scenario's first]
    #[arg(long)]
    format: Option<String>,
    /// Take a second graph that differs in one thing, and draw the difference: engine=E, format=F or protocol=P
    #[arg(long, value_name = "AXIS=VALUE")]
    against: Vec<String>,
    /// Seconds sampled, instead of the scenario's
    #[arg(long)]
    seconds: Option<u32>,
    /// Samples per second of CPU time, instead of the scenario's
    #[arg(long)]
    hertz: Option<u32>,
    /// pprof or perf, instead of the scenario's; perf for a server of your own
    #[arg(long)]
    sampler: Option<String>,
    /// Result directory; default: a new one below ./lab-results
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seed of the load, instead of the scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// Cargo profile of the servers: measured for numbers, dev or release to try things out
    #[arg(long, default_value = "measured")]
    profile: String,
    /// Engines file, instead of the built-in one
    #[arg(long, value_name = "FILE")]
    engines: Option<PathBuf>,
    /// Print the summary as JSON instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    own: Arguments,
}

/// Runs `lab flame`.
///
/// # Errors
/// See [`session::run`].
pub fn run(args: &Args, stop: &Arc<AtomicBool>) -> Result<ExitCode> {
    let mut scenario = match Any::load(&args.scenario)? {
        Any::Trials(scenario) => *scenario,
        other => {
            let name = other.about().0;
            let says =
                format!("scenario {name} has no trials; flame graphs are taken of these, as those of demo and peak");
            return Err(Failure::Usage(says).into());
        }
    };
    let own = args.own.own()?;
    if let Some(own) = &own {
        scenario.targets.retain(|target| target.name != own.name);
        scenario.targets.push(own.clone());
    }
    let sides = sides(args, own.as_ref(), &scenario)?;
    let options = Options {
        out: args.out.clone(),
        seed: args.seed,
        profile: args.profile.clone(),
        engines: args.engines.clone(),
        json: args.json,
        ..Options::default()
    };
    prepare(args, &mut scenario, &sides);
    options.apply(&mut scenario)?;
    let planner = |engines: &Engines, cpus: &Cpus| plan::flames(&scenario, engines, cpus, &sides);
    session::run_plan(&scenario, &options, stop, planner, |summary| &summary.hottest)?;
    Ok(ExitCode::SUCCESS)
}

/// The graphs to take; reports compare every other one with the first.
fn sides(args: &Args, own: Option<&Own>, scenario: &Scenario) -> Result<Vec<Side>, Failure> {
    let first =
        |asked: &Option<String>, list: &[String]| asked.clone().or_else(|| list.first().cloned()).unwrap_or_default();
    let one = Side {
        engine: own.map_or_else(|| first(&args.engine, &scenario.engines), |own| own.name.clone()),
        protocol: first(&args.protocol, &scenario.protocols),
        format: first(&args.format, &scenario.formats),
    };
    let mut sides = Vec::new();
    for against in &args.against {
        let Some((axis, value)) = against.split_once('=') else {
            return Err(Failure::Usage(format!("--against {against}: expected engine=E, format=F or protocol=P")));
        };
        let mut other = one.clone();
        match axis {
            "engine" => value.clone_into(&mut other.engine),
            "format" => value.clone_into(&mut other.format),
            "protocol" => value.clone_into(&mut other.protocol),
            _ => return Err(unknown("axis of --against", axis, AXES)),
        }
        if other == one {
            return Err(Failure::Usage(format!("--against {against}: that is the graph itself; name another {axis}")));
        }
        sides.push(other);
    }
    // One other is what the asked one is held against, so it comes first; several are each held against the asked one.
    match sides.len() {
        1 => sides.push(one),
        _ => sides.insert(0, one),
    }
    Ok(sides)
}

/// Leaves in the scenario what the sides need, so that its checks are made of that.
fn prepare(args: &Args, scenario: &mut Scenario, sides: &[Side]) {
    let mut engines: Vec<String> = Vec::new();
    for side in sides {
        if !engines.contains(&side.engine) {
            engines.push(side.engine.clone());
        }
    }
    scenario.name = format!("flame-{}", scenario.name);
    scenario.engines = engines;
    scenario.twin = None;
    // A scenario of servers that are asked something of their own has none.
    let named = |of: fn(&Side) -> &String| sides.iter().map(of).filter(|name| !name.is_empty()).cloned().collect();
    (scenario.protocols, scenario.formats) = (named(|side| &side.protocol), named(|side| &side.format));
    scenario.calculator = None;
    scenario.flame.seconds = args.seconds.unwrap_or(scenario.flame.seconds);
    scenario.flame.hertz = args.hertz.unwrap_or(scenario.flame.hertz);
    let own = sides.iter().any(|side| scenario.targets.iter().any(|own| own.name == side.engine));
    match &args.sampler {
        Some(sampler) => scenario.flame.sampler.clone_from(sampler),
        // There is no pprof in it.
        None if own => PERF.clone_into(&mut scenario.flame.sampler),
        None => {}
    }
}
