//! A run: scenario to plan, plan to trials, trials to files, files to report.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::engines::{Engine, Engines};
use crate::estimates;
use crate::failure::Failure;
use crate::host;
use crate::observe::Timeline;
use crate::plan::{self, Cpus};
use crate::report::{self, Summary};
use crate::result::{Pass, Plan, PlannedTrial, Status, Trial};
use crate::scenario::Scenario;
use crate::servers;
use crate::store::Store;
use crate::target::Own;
use crate::target::arguments::Arguments;
use crate::target::running::Running;
use crate::trial::Bench;

/// How a run is made, beside its scenario.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Result directory; default: a new one below ./lab-results
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Rounds, instead of the scenario's
    #[arg(long)]
    pub rounds: Option<u32>,
    /// Seconds measured per trial, instead of the scenario's
    #[arg(long, value_name = "SECONDS")]
    pub measure: Option<f64>,
    /// Seed of the shuffle and of the load, instead of the scenario's
    #[arg(long)]
    pub seed: Option<u64>,
    /// Engines, instead of the scenario's: any that `lab list` names, and the scenario's `[[target]]` tables
    #[arg(long, value_name = "ENGINE", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Take a flame graph of each engine, protocol and format too, in a pass of its own after the timings
    #[arg(long)]
    pub flames: bool,
    /// Requests per second, instead of the scenario's
    #[arg(long, value_name = "RATE")]
    pub rate: Option<f64>,
    /// Connections, instead of the scenario's
    #[arg(long, value_name = "N")]
    pub connections: Option<u32>,
    /// Users at each plateau of a scenario that climbs, ascending, instead of the scenario's
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub users: Vec<u32>,
    /// Cargo profile of the servers: measured for numbers, dev or release to try things out
    #[arg(long, default_value = "measured")]
    pub profile: String,
    /// Engines file, instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub engines: Option<PathBuf>,
    /// Print the summary as JSON instead of the table
    #[arg(long)]
    pub json: bool,
    /// A server of one's own
    #[command(flatten)]
    pub own: Arguments,
}

impl Options {
    /// Settles who is measured: those that `--only` names instead of the scenario's, in that order, and a server of one's own in
    /// their place, or beside those that `--only` names. An engine that the scenario does not list is as good as one that it does:
    /// what is asked of it is the same. Whether there is such an engine is for [`Engines::named`] to say.
    ///
    /// # Errors
    /// Those of [`Arguments::own`], and a usage failure when nobody is left.
    pub fn contenders(&self, engines: &mut Vec<String>, targets: &mut Vec<Own>) -> Result<(), Failure> {
        let own = self.own.own()?;
        only(&self.only, engines)?;
        if let Some(own) = own {
            if self.only.is_empty() {
                engines.clear();
            }
            engines.push(own.name.clone());
            targets.retain(|target| target.name != own.name);
            targets.push(own);
        }
        targets.retain(|target| engines.contains(&target.name));
        if engines.is_empty() {
            return Err(Failure::Usage(
                "nobody is to be measured: the scenario names no engine, so --server COMMAND, --pid PID or --container NAME is \
                 needed, with --address"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// The engines, with `targets` among them.
    ///
    /// # Errors
    /// Those of [`Engines::load`] and [`Engines::add`].
    pub fn all_engines(&self, targets: &[Own]) -> Result<Engines> {
        let mut engines = Engines::load(self.engines.as_deref())?;
        for own in targets {
            engines.add(own.clone())?;
        }
        Ok(engines)
    }

    /// Puts what was asked on the command line into the scenario.
    ///
    /// # Errors
    /// A usage failure for what does not fit it.
    pub fn apply(&self, scenario: &mut Scenario) -> Result<(), Failure> {
        scenario.rounds.flames |= self.flames;
        scenario.rounds.count = self.rounds.unwrap_or(scenario.rounds.count);
        scenario.rounds.seed = self.seed.unwrap_or(scenario.rounds.seed);
        scenario.load.measure_seconds = self.measure.unwrap_or(scenario.load.measure_seconds);
        if !self.users.is_empty() {
            return Err(Failure::Usage(format!("--users: scenario {} does not climb", scenario.name)));
        }
        if let Some(rate) = self.rate {
            scenario.load.rate = Some(rate);
        }
        scenario.load.connections = self.connections.unwrap_or(scenario.load.connections);
        self.contenders(&mut scenario.engines, &mut scenario.targets)?;
        scenario.twin = scenario.twin.take().filter(|twin| scenario.engines.contains(twin));
        if scenario.twin.is_none() && scenario.engines.len() == scenario.targets.len() {
            // No figure of a server is worth more than what it differs from itself.
            scenario.twin = scenario.targets.last().map(|own| own.name.clone());
        }
        scenario.check()
    }
}

/// Puts the engines that were asked for, if any, in the place of the scenario's, in their order.
///
/// # Errors
/// A usage failure for one that is named twice: its rows would be mixed up. `twin` is the way to run one under two names.
pub fn only(asked: &[String], engines: &mut Vec<String>) -> Result<(), Failure> {
    if let Some((_, twice)) = asked.iter().enumerate().find(|(place, name)| asked[..*place].contains(name)) {
        return Err(Failure::Usage(format!("--only names {twice:?} twice: once is enough")));
    }
    if !asked.is_empty() {
        engines.clear();
        engines.extend_from_slice(asked);
    }
    Ok(())
}

/// Runs `scenario` and prints table and verdict.
///
/// # Errors
/// Usage and environment failures before anything ran; void when the run was interrupted or no trial counts.
pub fn run(mut scenario: Scenario, options: &Options, stop: &Arc<AtomicBool>) -> Result<()> {
    options.apply(&mut scenario)?;
    let planner = |engines: &Engines, cpus: &Cpus| plan::plan(&scenario, engines, cpus);
    run_plan(&scenario, options, stop, planner, |summary| &summary.table)
}

/// Runs what `planner` makes of `scenario` and prints what `show` takes from the summary.
///
/// # Errors
/// As for [`run`].
pub fn run_plan(
    scenario: &Scenario,
    options: &Options,
    stop: &Arc<AtomicBool>,
    planner: impl FnOnce(&Engines, &Cpus) -> Result<Plan, Failure>,
    show: fn(&Summary) -> &str,
) -> Result<()> {
    let engines = options.all_engines(&scenario.targets)?;
    let cpus =
        Cpus::assign(&Cpus::allowed().context("sched_getaffinity")?, scenario.server.cores.unwrap_or(1) as usize)?;
    let plan = planner(&engines, &cpus)?;
    let used: Vec<&Engine> = scenario.engines.iter().map(|name| engines.named(name)).collect::<Result<_, _>>()?;
    let directory = options.out.clone().unwrap_or_else(|| default_directory(&scenario.name));
    let machine = host::Machine::here(&directory);
    host::preflight_on(&machine, &needs(scenario, &used))
        .map_err(|refusal| Failure::Environment(refusal.to_string()))?;

    let progress = Progress::new(plan.trials.len());
    progress.say("building the servers, one package at a time");
    let binaries = servers::build(used, &options.profile)?;
    let generator = std::env::current_exe().context("finding this program")?;
    for own in &scenario.targets {
        progress.say(&format!("looking whether {} can be reached", own.name));
        // What is wrong with it is wrong in every trial: said once, before anything is written.
        Running::start(own, &generator, &cpus.server, &|| stop.load(Ordering::Relaxed))
            .map_err(|said| Failure::Environment(format!("{}: {said}", own.name)))?;
    }
    let mut store = Store::create(&directory, "trials.jsonl")?;
    store.describe(&plan, &host::fingerprint(host::command_line(), &options.profile))?;
    if plan.calculator.is_some() {
        store.keep(estimates::FILE, &estimates::to_lines(&estimates::read(&estimates::directory())))?;
    }
    eprintln!(
        "{}: {} trials, {:.0} s of load, server on CPU {:?}, generator on CPU {:?}; results in {}",
        scenario.name,
        plan.trials.len(),
        plan::seconds(&plan),
        cpus.server,
        cpus.generator,
        directory.display()
    );

    let timeline = Timeline::start(&directory.join("timeline.jsonl"), &cpus.observer)
        .with_context(|| format!("watching the host from {}", directory.display()))?;
    let bench = Bench {
        scenario,
        engines: &engines,
        binaries: &binaries,
        cpus: &cpus,
        directory: &directory,
        generator: &generator,
        stop,
    };
    let measured = measure(&bench, &plan.trials, &mut store, &timeline, &progress);
    timeline.stop().context("writing the host's timeline")?;
    progress.finish();
    conclude(measured, &store, options.json, show)
}

/// Runs every planned trial; a void one again at the end of its round, as often as the scenario allows.
fn measure(
    bench: &Bench<'_>,
    trials: &[PlannedTrial],
    store: &mut Store,
    timeline: &Timeline,
    progress: &Progress,
) -> Result<Vec<Trial>> {
    let mut rows = Vec::new();
    for round in trials.chunk_by(|a, b| a.round == b.round) {
        let mut queue: Vec<&PlannedTrial> = round.iter().collect();
        for attempt in 0..=bench.scenario.voids.retries {
            let mut again = Vec::new();
            for planned in queue {
                if bench.stop.load(Ordering::Relaxed) {
                    return Err(Failure::Void("interrupted".to_owned()).into());
                }
                let index = store.written();
                progress.trial(planned, attempt);
                timeline.set_trial(Some(index));
                let row = bench.run(planned, index);
                timeline.set_trial(None);
                let row = row?;
                store.append(&row)?;
                if row.status == Status::Void {
                    again.push(planned);
                }
                rows.push(row);
            }
            queue = again;
        }
    }
    Ok(rows)
}

/// Makes the report of what was measured, and says how the run ended.
fn conclude(measured: Result<Vec<Trial>>, store: &Store, json: bool, show: fn(&Summary) -> &str) -> Result<()> {
    let directory = store.directory().display();
    let rows = measured.map_err(|error| {
        error.context(match store.written() {
            0 => format!("no trial was finished; the plan is in {directory}"),
            written => format!(
                "{written} trials are whole in {directory}; `cargo lab report {directory}` makes a report of them"
            ),
        })
    })?;
    let summary = report::write(store.directory())
        .map_err(|error| error.context(format!("the rows are whole in {directory}")))?;
    if json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        print!("{}", show(&summary));
        println!("Report: {}", store.directory().join("report.html").display());
        if !summary.flames.is_empty() {
            println!("Flame graphs: {}", store.directory().join("flames.html").display());
        }
    }
    outcome(&rows)
}

/// A run in which nothing counts is not a result: its timing trials, where it has some. Counted system calls alone answer no question.
fn outcome(rows: &[Trial]) -> Result<()> {
    let timing: Vec<&Trial> = rows.iter().filter(|row| row.pass == Pass::Timing).collect();
    let (rows, what) = if timing.is_empty() { (rows.iter().collect(), "trials") } else { (timing, "timing trials") };
    let count = |status: Status| rows.iter().filter(|row| row.status == status).count();
    if count(Status::Ok) > 0 {
        return Ok(());
    }
    let reason = rows.iter().find_map(|row| row.reason.clone()).unwrap_or_default();
    Err(if count(Status::Unavailable) == rows.len() {
        Failure::Environment(format!("no engine can run here: {reason}"))
    } else {
        Failure::Void(format!("none of {} {what} counts; the first reason: {reason}", rows.len()))
    }
    .into())
}

/// What the box must give before it is worth starting.
fn needs(scenario: &Scenario, engines: &[&Engine]) -> host::Needs {
    host::Needs {
        connections: scenario.load.connections,
        io_uring: engines.iter().all(|engine| engine.interface == "io_uring"),
        listen: scenario.server.listen.clone(),
    }
}

/// `./lab-results/NAME-DATE-TIME`, in UTC.
fn default_directory(name: &str) -> PathBuf {
    Path::new("lab-results").join(format!("{name}-{}", host::compact_utc_now()))
}

/// Progress on stderr, on a terminal only.
struct Progress(ProgressBar);

impl Progress {
    fn new(trials: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(trials as u64), ProgressDrawTarget::hidden());
        if std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {elapsed} of about {duration}  {wide_msg}");
        bar.set_style(style.expect("the template is right"));
        Self(bar)
    }

    fn say(&self, what: &str) {
        self.0.set_message(what.to_owned());
        self.0.tick();
    }

    fn trial(&self, planned: &PlannedTrial, attempt: u32) {
        if attempt == 0 {
            self.0.inc(1);
        }
        let again = if attempt > 0 { " again, it was void" } else { "" };
        let round = match planned.pass {
            Pass::Timing => format!("round {}", planned.round),
            Pass::Syscalls => "system calls".to_owned(),
            Pass::Flame => "flame graph".to_owned(),
        };
        self.say(&format!("{round}: {} {} {}{again}", planned.engine, planned.protocol, planned.format));
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }
}
