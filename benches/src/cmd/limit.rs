//! `lab limit`: searches for the largest load that holds; `lab limits`: what was found, for other programs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;

use crate::failure::Failure;
use crate::host::Files;
use crate::limit::Axis;
use crate::limit::export::{self, Load};
use crate::limit::session::{self, Ask};
use crate::limit::slo::Objective;
use crate::limit::table;
use crate::scenario::Any;
use crate::session::Options;

/// Rounds when nothing else is asked: a minimum falls with their number, so limits compare only with equally many.
const ROUNDS: u32 = 5;

/// How much longer the limit is held than other loads are measured.
const HOLD: f64 = 3.0;

/// Assumed when no objective is about errors: a server that refuses everything answers fast.
const ERRORS: &str = "errors<0.1%";

/// Find the largest load that holds, why it is the largest, and how sure that is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab limit peak --over rate --slo 'p99<20ms'                       requests per second over the scenario's connections
  lab limit demo --over connections --slo 'p99<20ms' --slo lost=0   users, each of whom sends as often as the scenario's
  lab limit demo --over fanout --slo 'p99<50ms' --only mio,ring     users whom one event reaches at once
  lab limit own --over rate --server \"nginx -c $PWD/my.conf\" --address 127.0.0.1:8080 --request 'GET /'   a server of your own
  lab limit my.toml --over rate --start 500 --ceiling 50000 --rounds 3 --json

Objectives: p50, p90, p99, p99.9, p99.99, max < 20ms (us, ms, s) · errors < 0.1% · lost = 0 · cpu < 80% of the server's cores ·
memory < 1GiB (B, kB, MB, GB, KiB, MiB, GiB). Without one about errors, errors<0.1% is assumed. That the offered rate is
answered is always asked.

A round doubles the load until it breaks, halves the gap, then holds the limit, and a tenth less, for longer. The limit is the
minimum of the rounds. One server and one generator process are driven, so over connections and fanout the descriptors of one
process are the ceiling: beyond it the answer is \"more than N, not found\", and `lab hold` goes further.
A server of your own stands in the place of an engine (below). Exit codes: 0 a limit or more than was asked for, 1 not even the smallest load holds, 2 usage, 3 this
box cannot do it, 4 interrupted (what was found is kept) or nothing can be said.")]
pub struct Args {
    /// Scenario file or name; one of trials, not one that climbs
    scenario: String,
    /// What is varied
    #[arg(long, value_enum)]
    over: Axis,
    /// An objective, such as p99<20ms; may be repeated
    #[arg(long = "slo", value_name = "OBJECTIVE", default_value = "p99<20ms")]
    objectives: Vec<Objective>,
    /// The smallest load [default: 1000 requests/s, 100 connections, 10 users an event]
    #[arg(long, value_name = "LOAD")]
    start: Option<f64>,
    /// The largest load [default: 1,000,000 requests/s, or what the descriptor limit allows]
    #[arg(long, value_name = "LOAD")]
    ceiling: Option<f64>,
    /// Gap between what holds and what breaks that is small enough, in percent: 5 or 5%
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = percent)]
    resolution: f64,
    /// Seconds that the limit is held for [default: three times the scenario's window]
    #[arg(long, value_name = "SECONDS")]
    hold: Option<f64>,
    /// Network namespace: own (its own ports and counters, no conntrack) or host
    #[arg(long, default_value = "own", value_parser = ["own", "host"])]
    netns: String,
    /// Write highload_limit into this directory of a textfile collector
    #[arg(long, value_name = "DIR")]
    textfile: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

/// Limits that were found, for other programs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab limits lab-results/limit-peak-20261122T093000Z               what was found
  lab limits results/*/limits.jsonl --textfile /var/lib/highload-agent/textfile
  lab limits limits.jsonl --textfile DIR --port 7000               with the connections that port 7000 has now, and the headroom
  lab limits limits.jsonl --textfile DIR --load rate=12000         with a load that you know

Of rows with the same service, version, engine, protocol, format, scenario, objectives and machine the last one counts.")]
pub struct LimitsArgs {
    /// limits.jsonl files, or result directories that hold one
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Write highload_limit, highload_load and highload_headroom_ratio into this directory of a textfile collector
    #[arg(long, value_name = "DIR")]
    textfile: Option<PathBuf>,
    /// Present load of an axis, such as rate=12000; may be repeated
    #[arg(long = "load", value_name = "AXIS=LOAD", value_parser = load)]
    loads: Vec<Load>,
    /// Count the established connections of this local port as the present load over connections
    #[arg(long)]
    port: Option<u16>,
    /// Print the rows as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `lab limit`.
///
/// # Errors
/// See [`session::run`].
pub fn run(args: &Args, stop: &Arc<AtomicBool>) -> Result<ExitCode> {
    let Any::Trials(mut scenario) = Any::load(&args.scenario)? else {
        return Err(Failure::Usage(format!(
            "scenario {}: it climbs; limits are searched on a scenario of trials (lab list), `lab hold` climbs",
            args.scenario
        ))
        .into());
    };
    // The scenario's rounds are for comparing means.
    scenario.rounds.count = ROUNDS;
    args.options.apply(&mut scenario)?;
    let hold_seconds = args.hold.unwrap_or(HOLD * scenario.load.measure_seconds);
    if !(0.05..=3600.0).contains(&hold_seconds) {
        return Err(Failure::Usage(format!("--hold {hold_seconds}: must be between 0.05 and 3600 seconds")).into());
    }
    let mut objectives = args.objectives.clone();
    if !objectives.iter().any(Objective::is_about_errors) {
        objectives.push(ERRORS.parse().expect("it is one"));
    }
    // Children raise theirs to the hard limit.
    let descriptors = Files::default().limit("Max open files").map_or(u64::MAX, |(_, hard)| hard);
    let ask = Ask {
        over: args.over,
        objectives,
        bounds: args.over.bounds(args.start, args.ceiling, args.resolution / 100.0, descriptors)?,
        descriptors,
        hold_seconds,
        host_namespace: args.netns == "host",
        textfile: args.textfile.clone(),
    };
    session::run(*scenario, &ask, &args.options, stop)
}

/// Runs `lab limits`.
///
/// # Errors
/// Usage failures for files that are none, environment failures when the metrics cannot be written.
pub fn limits(args: &LimitsArgs) -> Result<ExitCode> {
    let limits = export::read(&args.files)?;
    let mut loads = args.loads.clone();
    if let Some(port) = args.port {
        loads.push(Load { over: Axis::Connections, now: connections(port)? as f64 });
    }
    if let Some(directory) = &args.textfile {
        let path = export::write(directory, &limits, &loads)?;
        eprintln!("wrote {}", path.display());
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&limits)?);
    } else if args.textfile.is_none() {
        print!("{}", table::render(&limits));
    }
    Ok(ExitCode::SUCCESS)
}

/// Established connections of a local port, both families.
fn connections(port: u16) -> Result<u64> {
    use hostfs::sock_diag::{Dumper, FAMILIES, State};
    let mut dumper = Dumper::open()?;
    let mut count = 0;
    for family in FAMILIES {
        dumper.tcp(family, &[State::Established], None, |entry| count += u64::from(entry.local_port == port))?;
    }
    Ok(count)
}

/// `5%` or `5`.
fn percent(text: &str) -> Result<f64, String> {
    let digits = text.trim().trim_end_matches('%').trim();
    match digits.parse::<f64>() {
        Ok(percent) if (0.1..=100.0).contains(&percent) => Ok(percent),
        Ok(percent) => Err(format!("{percent} %: must be between 0.1 and 100 percent, such as 5%")),
        Err(_) => Err("must be a percentage, such as 5%".to_owned()),
    }
}

/// `rate=12000`.
fn load(text: &str) -> Result<Load, String> {
    const FORM: &str = "must be an axis, = and a number, such as rate=12000";
    let (axis, now) = text.split_once('=').ok_or(FORM)?;
    let over = <Axis as clap::ValueEnum>::from_str(axis.trim(), false).map_err(|_| FORM)?;
    let now: f64 = now.trim().parse().map_err(|_| FORM)?;
    if now.is_finite() && now >= 0.0 { Ok(Load { over, now }) } else { Err(FORM.to_owned()) }
}
