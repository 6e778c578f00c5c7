//! Runs a search: rounds over every contender in a shuffled order, each load a trial with fresh processes, watched.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use serde::Serialize;

use super::axis::Axis;
use super::export;
use super::live::{Show, Told};
use super::result::{Conclusion, Ended, FILE, Key, Limit, Round, SCHEMA};
use super::search::{Bounds, Found, Next, Phase, Search};
use super::slo::Objective;
use super::step::{Bar, Outcome, Step};
use crate::climb::namespace::Namespace;
use crate::engines::{Engine, Engines};
use crate::failure::{Failure, exit};
use crate::host;
use crate::load::Shuffle;
use crate::plan::{self, Cpus};
use crate::result::{PlannedTrial, Status};
use crate::saturation::{Rules, Verdict, Watch, judge};
use crate::scenario::Scenario;
use crate::session::Options;
use crate::stats::SplitMix64;
use crate::store::Store;
use crate::trial::{Bench, DIED};
use crate::{report, servers};

/// What is asked of a search, beside its scenario.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What is varied.
    pub over: Axis,
    /// What must hold.
    pub objectives: Vec<Objective>,
    /// From where to where, how finely.
    pub bounds: Bounds,
    /// Descriptors that one process may have open.
    pub descriptors: u64,
    /// Seconds that the limit is held for; other loads are measured as long as the scenario says.
    pub hold_seconds: f64,
    /// Stay in the host's network namespace.
    pub host_namespace: bool,
    /// Directory of a textfile collector.
    pub textfile: Option<PathBuf>,
}

/// `plan.json` of a search.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
pub struct Plan {
    /// Version of the rows.
    pub schema: u32,
    /// The scenario's name.
    pub scenario: String,
    /// Its question.
    pub question: String,
    /// What was varied.
    pub over: Axis,
    /// What had to hold.
    pub objectives: Vec<Objective>,
    /// From where to where.
    pub bounds: Bounds,
    /// Seconds of a load, and of a hold.
    pub seconds: (f64, f64),
    /// Rounds.
    pub rounds: u32,
    /// Seed.
    pub seed: u64,
    /// CPUs of the servers.
    pub server_cpus: Vec<usize>,
    /// CPUs of the generator.
    pub generator_cpus: Vec<usize>,
    /// The network namespace.
    pub namespace: String,
}

/// An engine with a framing and a format has a limit.
fn name(contender: &PlannedTrial) -> String {
    format!("{} {} {}", contender.engine, contender.protocol, contender.format)
}

/// Runs the search that `ask` describes on `scenario`, writes its files and prints the limits.
///
/// # Errors
/// Usage and environment failures before anything ran; void when it was interrupted or no round says anything.
pub fn run(mut scenario: Scenario, ask: &Ask, options: &Options, stop: &Arc<AtomicBool>) -> Result<ExitCode> {
    (scenario.rounds.syscalls, scenario.rounds.flames, scenario.twin) = (false, false, None);
    // A limit is of one thing that is asked.
    scenario.workloads.clear();
    let engines = options.all_engines(&scenario.targets)?;
    let used: Vec<&Engine> = scenario.engines.iter().map(|name| engines.named(name)).collect::<Result<_, _>>()?;
    let cores = scenario.server.cores.unwrap_or(1) as usize;
    let cpus = Cpus::assign(&Cpus::allowed().context("sched_getaffinity")?, cores)?;
    let contenders = contenders(&scenario, &engines, &cpus)?;
    // Shows before anything is built whether the scenario can be searched on this axis.
    let smallest = smallest(&scenario, ask, &contenders)?;
    let directory = options.out.clone().unwrap_or_else(|| {
        Path::new("lab-results").join(format!("limit-{}-{}", scenario.name, host::compact_utc_now()))
    });
    // Before the namespace is entered: there is no network in it that Cargo could want.
    let binaries = servers::build(used.iter().copied(), &options.profile)?;
    // What runs already is where it is.
    let elsewhere = scenario.targets.iter().any(|own| own.command.is_none());
    let namespace = Namespace::enter(ask.host_namespace || elsewhere)?;
    if let Namespace::Own { warnings, .. } = &namespace {
        warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    }
    host::raise_fd_limit(0).map_err(|refusal| Failure::Environment(refusal.to_string()))?;
    let needs = host::Needs {
        connections: smallest,
        io_uring: used.iter().all(|engine| engine.interface == "io_uring"),
        listen: scenario.server.listen.clone(),
    };
    let machine = host::Machine::here(&directory);
    host::preflight_on(&machine, &needs).map_err(|refusal| Failure::Environment(refusal.to_string()))?;

    let mut store = Store::create(&directory, "steps.jsonl")?;
    let fingerprint = host::fingerprint(host::command_line(), &options.profile);
    store.describe(&describe(&scenario, ask, &cpus, &namespace), &fingerprint)?;
    eprintln!(
        "{} over {}: {} engines, {} rounds, server on CPU {:?}, generator on CPU {:?}; results in {}",
        scenario.name,
        ask.over.name(),
        used.len(),
        scenario.rounds.count,
        cpus.server,
        cpus.generator,
        directory.display()
    );
    let generator = std::env::current_exe().context("finding this program")?;
    let bench = Bench {
        scenario: &scenario,
        engines: &engines,
        binaries: &binaries,
        cpus: &cpus,
        directory: &directory,
        generator: &generator,
        stop,
    };
    let mut hunt = Hunt { ask, bench, store: &mut store, rules: Rules::default(), show: Show::new(ask.over), index: 0 };
    let rounds = hunt.all(&contenders);
    hunt.show.finish();
    let rounds = rounds?;
    let limits: Vec<Limit> = contenders
        .iter()
        .zip(rounds)
        .map(|(contender, rounds)| {
            Limit::conclude(&key(contender, &scenario, ask), &fingerprint, rounds, scenario.rounds.count)
        })
        .collect();
    write(&directory, &limits)?;
    let summary = report::limits::write(&directory)?;
    if let Some(textfile) = &ask.textfile {
        export::write(textfile, &limits, &[])?;
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&limits)?);
    } else {
        print!("{}", summary.table);
        println!("Report: {}", directory.join("report.html").display());
    }
    outcome(&limits, stop, &directory)
}

fn describe(scenario: &Scenario, ask: &Ask, cpus: &Cpus, namespace: &Namespace) -> Plan {
    Plan {
        schema: SCHEMA,
        scenario: scenario.name.clone(),
        question: scenario.question.clone(),
        over: ask.over,
        objectives: ask.objectives.clone(),
        bounds: ask.bounds,
        seconds: (scenario.load.measure_seconds, ask.hold_seconds),
        rounds: scenario.rounds.count,
        seed: scenario.rounds.seed,
        server_cpus: cpus.server.clone(),
        generator_cpus: cpus.generator.clone(),
        namespace: namespace.describe(),
    }
}

/// The trials of one round of the scenario, whose load is then varied.
fn contenders(scenario: &Scenario, engines: &Engines, cpus: &Cpus) -> Result<Vec<PlannedTrial>, Failure> {
    let mut once = scenario.clone();
    once.rounds.count = 1;
    let mut trials = plan::plan(&once, engines, cpus)?.trials;
    // The plan's order is shuffled for measuring; limits are listed as they were asked for.
    trials.sort_by_key(|trial| scenario.engines.iter().position(|engine| *engine == trial.engine));
    Ok(trials)
}

/// Connections of the smallest load.
fn smallest(scenario: &Scenario, ask: &Ask, contenders: &[PlannedTrial]) -> Result<u32, Failure> {
    let first = contenders.first().ok_or_else(|| Failure::Usage("there is no engine to search".to_owned()))?;
    Ok(ask.over.load(scenario, &first.load, ask.bounds.start, scenario.load.measure_seconds)?.connections)
}

fn key(contender: &PlannedTrial, scenario: &Scenario, ask: &Ask) -> Key {
    Key {
        service: contender.service.clone(),
        engine: contender.engine.clone(),
        interface: contender.interface.clone(),
        protocol: contender.protocol.clone(),
        format: contender.format.clone(),
        scenario: scenario.name.clone(),
        over: ask.over,
        objectives: ask.objectives.clone(),
    }
}

/// Writes `limits.jsonl` beside and renames, so that whoever reads it sees all rows or none.
fn write(directory: &Path, limits: &[Limit]) -> Result<(), Failure> {
    let path = directory.join(FILE);
    let mut text = Vec::new();
    for limit in limits {
        serde_json::to_writer(&mut text, limit).expect("limits are plain data");
        text.push(b'\n');
    }
    let fresh = path.with_added_extension("new");
    std::fs::write(&fresh, text)
        .and_then(|()| std::fs::rename(&fresh, &path))
        .map_err(|error| Failure::Environment(format!("{}: {error}", path.display())))
}

/// A limit, or more than was asked for, is a result; the smallest load that breaks is a goal that was missed.
fn outcome(limits: &[Limit], stop: &AtomicBool, directory: &Path) -> Result<ExitCode> {
    let any = |wanted: Conclusion| limits.iter().find(|limit| limit.conclusion == wanted);
    if stop.load(Ordering::Relaxed) {
        let found = limits.iter().flat_map(|limit| &limit.rounds).filter(|round| round.ended == Ended::Limit).count();
        return Err(Failure::Void(format!(
            "interrupted; {found} rounds found a limit until then and are kept, marked incomplete, in {}",
            directory.join(FILE).display()
        ))
        .into());
    }
    if any(Conclusion::BelowSmallest).is_some() {
        return Ok(ExitCode::from(exit::MISSED));
    }
    if any(Conclusion::Found).is_some() || any(Conclusion::MoreThan).is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(match (any(Conclusion::Void), any(Conclusion::Unavailable)) {
        (Some(limit), _) => Failure::Void(format!("{}: no limit: {}", limit.engine, limit.stopped)),
        (None, Some(limit)) => Failure::Environment(format!("{}: {}", limit.engine, limit.stopped)),
        (None, None) => Failure::Void("nothing was searched".to_owned()),
    }
    .into())
}

/// A search under way.
struct Hunt<'a> {
    ask: &'a Ask,
    bench: Bench<'a>,
    store: &'a mut Store,
    rules: Rules,
    show: Show,
    index: u32,
}

impl Hunt<'_> {
    /// All rounds, for each contender in the order of `contenders`.
    fn all(&mut self, contenders: &[PlannedTrial]) -> Result<Vec<Vec<Round>>> {
        let seed = self.bench.scenario.rounds.seed;
        let (mut shuffle, mut random) = (Shuffle::new(seed), SplitMix64(seed));
        let mut found: Vec<Vec<Round>> = contenders.iter().map(|_| Vec::new()).collect();
        for round in 1..=self.bench.scenario.rounds.count {
            let mut order: Vec<usize> = (0..contenders.len()).collect();
            shuffle.shuffle(&mut order);
            for place in order {
                if self.bench.stop.load(Ordering::Relaxed) {
                    return Ok(found);
                }
                // An engine that cannot run here cannot the next time either.
                if found[place].iter().any(|round| round.ended == Ended::Unavailable) {
                    continue;
                }
                let start = self.start(&found[place], random.unit());
                let ended = self.round(&contenders[place], round, start)?;
                self.show.tell(&Told::Round(&name(&contenders[place]), &ended));
                found[place].push(ended);
            }
        }
        Ok(found)
    }

    /// Where a round's climb begins: the first at the smallest load, later ones at half of what has held so far, moved by less
    /// than the resolution, so that rounds do not try the same loads and agree by that alone.
    fn start(&self, rounds: &[Round], unit: f64) -> f64 {
        let Bounds { start, ceiling, resolution, .. } = self.ask.bounds;
        let least = rounds.iter().filter(|round| round.ended == Ended::Limit).filter_map(|round| round.load);
        let half = least.reduce(f64::min).unwrap_or(0.0) / 2.0 * (1.0 + unit * resolution);
        half.clamp(start, ceiling)
    }

    /// One round of one contender, from `start`; from the smallest load when even that breaks.
    fn round(&mut self, contender: &PlannedTrial, number: u32, start: f64) -> Result<Round> {
        let bounds = Bounds { start, ..self.ask.bounds };
        let ended = self.search(contender, number, bounds)?;
        if ended.ended == Ended::BelowSmallest && start > self.ask.bounds.start {
            return self.search(contender, number, self.ask.bounds);
        }
        Ok(ended)
    }

    fn search(&mut self, contender: &PlannedTrial, number: u32, bounds: Bounds) -> Result<Round> {
        let mut search = Search::new(bounds);
        let (mut loads, mut noisy) = (0, 0);
        // The step that broke at the smallest load: it says why.
        let mut knee: Option<Step> = None;
        loop {
            let (load, phase) = match search.next() {
                Next::Try(load, phase) => (load, phase),
                Next::Done(found) => {
                    let mut round = concluded(number, found, knee.as_ref(), &search, loads);
                    if round.ended == Ended::Ceiling {
                        round.why = self.ask.over.end_of_descriptors(bounds.ceiling, self.ask.descriptors);
                    }
                    return Ok(round);
                }
            };
            let (best, broke) = (search.best(), search.broke());
            self.show.tell(&Told::Trying { name: &name(contender), round: number, load, phase, best, broke });
            let Some(step) = self.step(contender, number, load, phase, best)? else {
                return Ok(Round::new(number, Ended::Interrupted, best, None, loads));
            };
            loads += 1;
            let ended = match step.outcome {
                Outcome::Held | Outcome::Broke | Outcome::Died => None,
                Outcome::Noise if noisy < self.bench.scenario.voids.retries => {
                    noisy += 1;
                    continue;
                }
                Outcome::Noise => Some(Ended::Void),
                Outcome::Generator => Some(Ended::Generator),
                Outcome::Unavailable => Some(Ended::Unavailable),
            };
            if let Some(ended) = ended {
                return Ok(Round { broke, ..Round::new(number, ended, best, Some(&step), loads) });
            }
            noisy = 0;
            let held = step.outcome == Outcome::Held;
            search.learn(load, phase, held);
            if !held && phase != Phase::HoldBelow {
                knee = Some(step);
            }
        }
    }

    /// One load; `None` when the search is interrupted.
    fn step(
        &mut self,
        contender: &PlannedTrial,
        round: u32,
        load: f64,
        phase: Phase,
        best: Option<f64>,
    ) -> Result<Option<Step>> {
        let scenario = self.bench.scenario;
        let hold = matches!(phase, Phase::Hold | Phase::HoldBelow);
        let seconds = if hold { self.ask.hold_seconds } else { scenario.load.measure_seconds };
        let planned = PlannedTrial {
            index: self.index,
            round,
            load: self.ask.over.load(scenario, &contender.load, load, seconds)?,
            ..contender.clone()
        };
        let watch = Watch::new(self.bench.cpus, seconds, phase != Phase::Climb || best.is_none());
        let row = match self.bench.run_watched(&planned, self.index, &watch) {
            Ok(row) => row,
            Err(_) if self.bench.stop.load(Ordering::Relaxed) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut record = watch.finish();
        record.add("server.refusals", refusals(&row.counters));
        let said = row.reason.clone().unwrap_or_default();
        let bar = Bar { objectives: &self.ask.objectives, voids: &scenario.voids, cpus: self.bench.cpus };
        // Whether an objective was missed is known without the verdict, and the verdict needs to know it.
        let missed = bar.judge(&row, Verdict::default(), phase, load).outcome != Outcome::Held;
        let mut verdict = judge(&self.rules, &record, &said, missed);
        verdict.died = row.status == Status::Failed && said.starts_with(DIED);
        let step = bar.judge(&row, verdict, phase, load);
        self.index += 1;
        self.store.append(&step)?;
        self.show.tell(&Told::Step(&step));
        Ok(Some(step))
    }
}

/// Connections and requests that the server says it refused by its own limits.
fn refusals(counters: &serde_json::Value) -> f64 {
    ["busy-connections", "busy-in-flight"].iter().filter_map(|kind| counters["errors"][kind].as_f64()).sum()
}

fn concluded(number: u32, found: Found, knee: Option<&Step>, search: &Search, loads: u32) -> Round {
    let (ended, load, steady) = match found {
        Found::Limit { load, steady } => (Ended::Limit, Some(load), Some(steady)),
        Found::Ceiling(load) => (Ended::Ceiling, Some(load), None),
        Found::BelowSmallest(_) => (Ended::BelowSmallest, None, None),
        Found::Unsteady(load) => (Ended::Unsteady, Some(load), None),
    };
    // A ceiling that was held has no knee, even if a load below it broke for once.
    let knee = knee.filter(|_| ended != Ended::Ceiling);
    Round { broke: search.broke(), steady, ..Round::new(number, ended, load, knee, loads) }
}
