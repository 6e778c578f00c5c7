//! `lab run` and `lab demo`: measure a scenario.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;

use crate::climb;
use crate::climb::progress::{Progress, Show};
use crate::climb::session::Outcome;
use crate::failure::exit;
use crate::scenario::Any;
use crate::session::{self, Options};
use crate::spread;

/// Measure a scenario: a TOML file, or the name of a built-in one (see `lab list`).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab run peak                                  a built-in scenario
  lab run my.toml --rounds 9 --out results/a    a file of yours, more rounds, your directory
  lab run http --json > summary.json
  lab run own --server \"nginx -c $PWD/my.conf\" --address 127.0.0.1:8080 --request 'GET /' --rate 2000   a server of yours
  lab run http --only mio --pid 4711 --address 127.0.0.1:8080 --request 'GET /notes'   beside an engine
  lab run ccu-curve --only mio,ring --users 10000,50000,100000   a scenario that climbs, fewer engines and plateaus

Exit codes: 0 measured, 2 usage, 3 this box cannot do it (the sentence names the knob), 4 interrupted or nothing counts.")]
pub struct Args {
    /// Scenario file or name
    scenario: String,
    #[command(flatten)]
    options: Options,
}

/// Compare epoll and io_uring servers on this box, for raw, JSON and protobuf, in about three minutes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab demo                                      four engines, three formats, five rounds, system calls, a report
  lab demo --only mio,ring --rounds 3           two engines: a minute
  lab demo --rounds 1 --measure 0.5             does everything work here? Too short for any claim
  lab demo --flames --out results/demo          flame graphs too, in a directory of your choice
  lab demo --json | jq -r .verdict.headline

`lab run demo` is the same. Exit codes: 0 measured, 2 usage, 3 this box cannot do it (the sentence names the knob), 4 interrupted or
nothing counts.")]
pub struct DemoArgs {
    #[command(flatten)]
    options: Options,
}

/// Runs `lab run`.
///
/// # Errors
/// See [`session::run`].
pub fn run(args: &Args, stop: &Arc<AtomicBool>) -> Result<ExitCode> {
    measure(Any::load(&args.scenario)?, &args.options, stop)
}

fn measure(scenario: Any, options: &Options, stop: &Arc<AtomicBool>) -> Result<ExitCode> {
    match scenario {
        Any::Trials(scenario) => {
            session::run(*scenario, options, stop)?;
            Ok(ExitCode::SUCCESS)
        }
        Any::Spreads(mut scenario) => {
            scenario.apply(options)?;
            spread::session::run(&scenario, options, stop)?;
            Ok(ExitCode::SUCCESS)
        }
        Any::Climbs(mut scenario) => {
            scenario.apply(options)?;
            let engines = options.all_engines(&scenario.targets)?;
            let run = scenario.run(&engines, options)?;
            let mut progress = Progress::new(Show::Auto);
            let ended = climb::session::run(&run, options.json, stop, &mut |moment| progress.tell(moment));
            progress.finish();
            Ok(match ended? {
                Outcome::Held => ExitCode::SUCCESS,
                Outcome::Missed => ExitCode::from(exit::MISSED),
            })
        }
    }
}

/// Runs `lab demo`.
///
/// # Errors
/// See [`session::run`].
pub fn demo(args: &DemoArgs, stop: &Arc<AtomicBool>) -> Result<ExitCode> {
    measure(Any::load("demo")?, &args.options, stop)
}
