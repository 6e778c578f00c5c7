//! `lab wire`: what formats cost on live connections, the codec's share, and what another format buys.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};

use crate::calculator::Demand;
use crate::engines::Engines;
use crate::failure::{Failure, unknown};
use crate::plan::{self, Cpus};
use crate::scenario::{Any, Scenario, WorkloadPart};
use crate::session::{self, Options, only};
use crate::sizes;
use crate::verdict::RAW;

/// Compare wire formats on live connections: the codec's share of server CPU, and what another format buys.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab wire                                             every format on three engines, about twenty minutes
  lab wire wire-broadcast                              a rich record and a small note, four formats on eight engines
  lab wire --only mio --formats json,protobuf,msgpack  raw is always there: it is what is subtracted
  lab wire --only mio --ask publish                    what each library takes for a rich record
  lab wire --users 300000 --rate 0.033 --bytes 512     cores, Gbit/s and memory for a service of this size
  lab wire --ask add:64,add:2048,list:50 --protocols frame,http1
  lab wire --sizes                                     encoded bytes by data set and format, without any load

A server of your own has no formats to compare: `lab run http --only mio --server …` sets it beside an engine.
Exit codes: 0 measured, 2 usage, 3 this box cannot do it (the sentence names the knob), 4 interrupted or nothing counts.")]
pub struct Args {
    /// Scenario file or name to begin with; it must not climb
    #[arg(default_value = "wire")]
    scenario: String,
    /// Print encoded bytes by data set and format, and end
    #[arg(long)]
    sizes: bool,
    /// Engines, instead of the scenario's: any that `lab list` names
    #[arg(long, value_name = "ENGINE", value_delimiter = ',')]
    only: Vec<String>,
    /// Framings, instead of the scenario's
    #[arg(long, value_name = "PROTOCOL", value_delimiter = ',')]
    protocols: Vec<String>,
    /// Formats, instead of the scenario's; raw is added
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    formats: Vec<String>,
    /// What is asked, instead of the scenario's workloads: add:BYTES of text, list:NOTES in a page, echo:BYTES, publish (a rich record)
    #[arg(long, value_name = "WHAT:SIZE", value_delimiter = ',')]
    ask: Vec<String>,
    /// Requests per second offered to every engine and format alike, instead of the scenario's
    #[arg(long, value_name = "RATE")]
    load: Option<f64>,
    /// Calculator: connected users
    #[arg(long)]
    users: Option<u64>,
    /// Calculator: messages per second of each user
    #[arg(long)]
    rate: Option<f64>,
    /// Calculator: bytes of a request and its reply, bodies in raw
    #[arg(long)]
    bytes: Option<f64>,
    /// Rounds, instead of the scenario's
    #[arg(long)]
    rounds: Option<u32>,
    /// Seconds measured per trial, instead of the scenario's
    #[arg(long, value_name = "SECONDS")]
    measure: Option<f64>,
    /// Seed of the shuffle and of the load, instead of the scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// Take a flame graph of each combination too
    #[arg(long)]
    flames: bool,
    /// Result directory; default: a new one below ./lab-results
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Cargo profile of the servers: measured for numbers, dev or release to try things out
    #[arg(long, default_value = "measured")]
    profile: String,
    /// Engines file, instead of the built-in one
    #[arg(long, value_name = "FILE")]
    engines: Option<PathBuf>,
    /// Print the summary as JSON instead of the tables
    #[arg(long)]
    json: bool,
}

/// Runs `lab wire`.
///
/// # Errors
/// See [`session::run`].
pub fn run(args: &Args, stop: &Arc<AtomicBool>) -> Result<ExitCode> {
    if args.sizes {
        return print_sizes(args.json);
    }
    let mut scenario = match Any::load(&args.scenario)? {
        Any::Trials(scenario) => *scenario,
        other => {
            let name = other.about().0;
            let says = format!("scenario {name} has no trials; formats are compared by these, as by those of wire");
            return Err(Failure::Usage(says).into());
        }
    };
    generate(args, &mut scenario)?;
    let options = Options {
        out: args.out.clone(),
        rounds: args.rounds,
        measure: args.measure,
        seed: args.seed,
        flames: args.flames,
        profile: args.profile.clone(),
        engines: args.engines.clone(),
        json: args.json,
        ..Options::default()
    };
    options.apply(&mut scenario)?;
    let planner = |engines: &Engines, cpus: &Cpus| plan::plan(&scenario, engines, cpus);
    session::run_plan(&scenario, &options, stop, planner, |summary| &summary.formats)?;
    Ok(ExitCode::SUCCESS)
}

/// Puts what was asked on the command line into the scenario.
fn generate(args: &Args, scenario: &mut Scenario) -> Result<(), Failure> {
    if !args.only.is_empty() {
        only(&args.only, &mut scenario.engines)?;
        scenario.twin = scenario.twin.take().filter(|twin| args.only.contains(twin));
    }
    if !args.protocols.is_empty() {
        scenario.protocols.clone_from(&args.protocols);
    }
    if !args.formats.is_empty() {
        scenario.formats.clone_from(&args.formats);
    }
    if !scenario.formats.iter().any(|format| format == RAW) {
        scenario.formats.insert(0, RAW.to_owned());
    }
    if !args.ask.is_empty() {
        let mut workloads = args.ask.iter().map(|ask| workload(ask)).collect::<Result<Vec<_>, _>>()?;
        scenario.workload = workloads.remove(0);
        scenario.workloads = workloads;
    }
    if let Some(load) = args.load {
        scenario.load.rate = Some(load);
    }
    let asked = scenario.calculator.unwrap_or(Demand { users: 300_000, rate: 0.033, bytes: 512.0 });
    scenario.calculator = Some(Demand {
        users: args.users.unwrap_or(asked.users),
        rate: args.rate.unwrap_or(asked.rate),
        bytes: args.bytes.unwrap_or(asked.bytes),
    });
    Ok(())
}

/// `list:5`, `add:128` or `echo:64`; the scenario's check bounds the sizes.
fn workload(ask: &str) -> Result<WorkloadPart, Failure> {
    let usage = || Failure::Usage(format!("--ask {ask}: expected add:BYTES, list:NOTES, echo:BYTES or publish"));
    if ask == "publish" {
        return Ok(WorkloadPart { service: "content".to_owned(), payload_bytes: 1, add_share: 0.0, page: 1 });
    }
    let (what, size) = ask.split_once(':').ok_or_else(usage)?;
    let size: u32 = size.parse().map_err(|_| usage())?;
    let (service, add_share, page, payload_bytes) = match what {
        "list" => ("note", 0.0, size, 64),
        "add" => ("note", 1.0, 1, size),
        "echo" => ("echo", 0.0, 1, size),
        _ => return Err(unknown("request of --ask", what, ["add", "list", "echo", "publish"])),
    };
    Ok(WorkloadPart { service: service.to_owned(), payload_bytes, add_share, page })
}

fn print_sizes(json: bool) -> Result<ExitCode> {
    let sizes = sizes::measure();
    let text = if json { serde_json::to_string_pretty(&sizes)? + "\n" } else { sizes::table(&sizes) };
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written.context("writing to stdout")?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows what requests may be asked for, and that others are explained.
    #[test]
    fn asks_are_read() {
        let list = workload("list:50").unwrap();
        assert_eq!((list.service.as_str(), list.add_share, list.page), ("note", 0.0, 50));
        let add = workload("add:2048").unwrap();
        assert_eq!((add.add_share, add.payload_bytes), (1.0, 2048));
        assert!(workload("lst:5").unwrap_err().to_string().contains("did you mean \"list\"?"));
        for wrong in ["list", "list:", "add:-1", "add:x", ":5"] {
            assert!(workload(wrong).is_err(), "{wrong}");
        }
    }
}
