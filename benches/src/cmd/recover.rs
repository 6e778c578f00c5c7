//! `lab recover`: what an engine does past its limit.

use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;

use crate::engines::Engines;
use crate::failure::{Failure, exit};
use crate::load::RATE_LIMIT;
use crate::recover::plan::Wish;
use crate::recover::session::{self, Limits, Run};
use crate::scenario::Any;
use crate::session::only;
use crate::share;

/// Hold an engine at 0.8 of its limit, push it to 1.5 and 2 times, come back, and say how it took that.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab recover overload --limit 3500                       every engine, 3,500 requests/s being what each can do
  lab recover overload --limits lab-results/limit-…       limits as `lab limit --over rate` measured them
  lab recover overload --limit 3500 --only mio,ring --limiter fixed:16,aimd:5,vegas
  lab recover overload --limit 3500 --only mio --phase 1 --recovery 3 --json | jq '.rows[].score'

Each story has a fresh server: with and without limiter, with users who try again and with users who do not; a reconnect storm; and
what a refusal costs beside a request that is served. Goodput counts right replies within the users' patience.
A server of your own cannot be told about here: every story is told with and without a limiter that only engines take
(--limit-requests, --limit-connections). `lab limit` finds where yours breaks, `lab run --rate` shows it beyond that.
Exit codes: 0 told, 1 a limiter kept less goodput than --min-goodput, 2 usage, 3 this box cannot do it, 4 interrupted or nothing counts.")]
pub struct Args {
    /// Scenario file or name: engines, requests, connections (`[load] rate` is not used)
    scenario: String,
    /// The limit of every engine, requests per second
    #[arg(long, value_name = "N", required_unless_present = "limits", conflicts_with = "limits")]
    limit: Option<f64>,
    /// limits.jsonl of `lab limit`, or a directory that holds one: each engine by its own limit
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,
    /// What the servers' --limit-requests is in the stories with a limiter
    #[arg(long, value_name = "ALGORITHM", value_delimiter = ',', default_value = "fixed:16")]
    limiter: Vec<String>,
    /// How often users try again who do; 0 leaves those stories out
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=10))]
    retries: u32,
    /// Patience of users, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 250.0)]
    deadline: f64,
    /// Seconds at each load below and above the limit
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    phase: f64,
    /// Seconds of watching how it comes back
    #[arg(long, value_name = "SECONDS", default_value_t = 8.0)]
    recovery: f64,
    /// Leave the reconnect storm out
    #[arg(long)]
    no_storm: bool,
    /// Exit with 1 when goodput at twice the limit, with a limiter, is below this share of the limit: 90% or 0.9
    #[arg(long, value_name = "SHARE", value_parser = share::of_whole)]
    min_goodput: Option<f64>,
    /// Engines, instead of the scenario's: any that `lab list` names
    #[arg(long, value_name = "ENGINE", value_delimiter = ',')]
    only: Vec<String>,
    /// Seed of arrivals and payloads, instead of the scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// Result directory; default: a new one below ./lab-results
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Cargo profile of the servers: measured for numbers, dev or release to try things out
    #[arg(long, default_value = "measured")]
    profile: String,
    /// Engines file, instead of the built-in one
    #[arg(long, value_name = "FILE")]
    engines: Option<PathBuf>,
    /// Print the rows as JSON instead of the table
    #[arg(long)]
    json: bool,
}

/// Runs `lab recover`.
///
/// # Errors
/// See [`session::run`].
pub fn run(args: &Args, stop: &Arc<AtomicBool>) -> Result<ExitCode> {
    let engines = Engines::load(args.engines.as_deref())?;
    let run = asked(args)?;
    let progress = std::io::stderr().is_terminal();
    let say = |what: &str| {
        if progress {
            eprintln!("{what}");
        }
    };
    let summary = session::run(&run, &engines, stop, &say)?;
    let text = if args.json { serde_json::to_string_pretty(&summary)? + "\n" } else { summary.table.clone() };
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    if summary.is_void() {
        return Err(Failure::Void("no story counts; the reasons are above".to_owned()).into());
    }
    let least = summary.least_goodput();
    if let (Some(wanted), Some((engine, kept))) = (args.min_goodput, least)
        && kept < wanted
    {
        eprintln!(
            "lab: {engine} kept {kept:.3} of its limit's goodput at twice the limit, at least {wanted} is wanted (--min-goodput)"
        );
        return Ok(ExitCode::from(exit::MISSED));
    }
    Ok(ExitCode::SUCCESS)
}

/// Checks what clap cannot.
fn asked(args: &Args) -> Result<Run> {
    let Any::Trials(mut scenario) = Any::load(&args.scenario)? else {
        return Err(
            Failure::Usage(format!("scenario {} climbs; recover wants one with a [load]", args.scenario)).into()
        );
    };
    if let Some(own) = scenario.targets.first() {
        let says = format!(
            "[[target]] {:?}: its stories need a server that takes --limit-requests, which only the engines do; `lab run` and `lab load` \
             measure your own",
            own.name
        );
        return Err(Failure::Usage(says).into());
    }
    let bounds = [
        ("--deadline", args.deadline, 1.0, 60_000.0, "milliseconds"),
        ("--phase", args.phase, 0.5, 600.0, "seconds"),
        ("--recovery", args.recovery, 1.0, 1_800.0, "seconds"),
        // Twice the limit is offered, and users try again.
        ("--limit", args.limit.unwrap_or(1.0), 1.0, RATE_LIMIT / 10.0, "requests per second"),
    ];
    for (flag, seen, low, high, unit) in bounds {
        if !(low..=high).contains(&seen) {
            return Err(Failure::Usage(format!("{flag} {seen}: must be between {low} and {high} {unit}")).into());
        }
    }
    only(&args.only, &mut scenario.engines)?;
    scenario.rounds.seed = args.seed.unwrap_or(scenario.rounds.seed);
    let limits = match (args.limit, &args.limits) {
        (Some(limit), _) => Limits::Given(limit),
        (None, Some(path)) => Limits::read(path)?,
        (None, None) => return Err(Failure::Usage("--limit N or --limits FILE is needed".to_owned()).into()),
    };
    Ok(Run {
        scenario: *scenario,
        limits,
        wish: Wish {
            limiters: args.limiter.clone(),
            retries: args.retries,
            phase_seconds: args.phase,
            recovery_seconds: args.recovery,
            storms: !args.no_storm,
        },
        deadline: Duration::from_secs_f64(args.deadline / 1e3),
        profile: args.profile.clone(),
        out: args.out.clone(),
    })
}
