//! Runs a scenario of scaling: so many instances, a stub of their dependency, and load on all of them at once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use wire::{Format, Protocol};

use super::result::{Plan, Point, SCHEMA};
use super::scenario::{Scaling, Scenario};
use crate::child::{Child, Line};
use crate::engines::{Engine, Engines};
use crate::failure::Failure;
use crate::host;
use crate::load::workload::Kind;
use crate::load::{self, Latencies, Outcome, Pacing, Shuffle, Spec, Workload};
use crate::observe::ProcessProbe;
use crate::plan::Cpus;
use crate::servers;
use crate::store::Store;

/// How long a process may take until it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long replies may take beyond the window.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// Share of its CPUs from which one side is called saturated: what more instances bring is then the box's doing.
const SATURATED: f64 = 0.9;

/// How a run is made, beside its scenario.
#[derive(Clone, Debug)]
pub struct Options {
    /// Result directory; `None` makes a new one.
    pub out: Option<PathBuf>,
    /// Cargo profile of the servers.
    pub profile: String,
    /// Engines file, instead of the built-in one.
    pub engines: Option<PathBuf>,
}

/// Runs `scenario`, writes its rows, and returns the result directory. `tell` hears of each point before it is measured.
///
/// # Errors
/// Usage and environment failures; void when interrupted, with the rows so far whole.
pub fn run(
    scenario: &Scenario,
    options: &Options,
    stop: &Arc<AtomicBool>,
    tell: &mut dyn FnMut(usize, usize, u32),
) -> Result<PathBuf> {
    scenario.check()?;
    let engines = Engines::load(options.engines.as_deref())?;
    let engine = engines.named(&scenario.engine)?;
    let cpus = Cpus::assign(&Cpus::allowed().context("sched_getaffinity")?, 1)?;
    let binaries = servers::build([engine], &options.profile)?;
    let server = binaries.get(&engine.name).context("the engine was not built")?;
    let directory = options
        .out
        .clone()
        .unwrap_or_else(|| Path::new("lab-results").join(format!("{}-{}", scenario.name, host::compact_utc_now())));
    let order = order(scenario);
    let mut store = Store::create(&directory, "scale.jsonl")?;
    let plan = Plan {
        schema: SCHEMA,
        scenario: scenario.clone(),
        server_cpus: cpus.server.clone(),
        load_cpus: cpus.generator.clone(),
        order: order.clone(),
    };
    store.describe(&plan, &host::fingerprint(host::command_line(), &options.profile))?;
    let lab = std::env::current_exe().context("finding this program")?;
    let bench = Bench { scenario, engine, server, lab: &lab, cpus: &cpus, stop };
    for (index, (instances, round)) in order.iter().enumerate() {
        tell(index, order.len(), *instances);
        let mut point = bench.point(*instances, *round).with_context(|| format!("{instances} instances"))?;
        if stop.load(Ordering::Relaxed) {
            let written = store.written();
            return Err(
                Failure::Void(format!("interrupted; {written} points are whole in {}", directory.display())).into()
            );
        }
        point.index = u32::try_from(index).unwrap_or(u32::MAX);
        store.append(&point)?;
    }
    Ok(directory)
}

/// Instances and round of each point: every round has all numbers, in an order of its own.
fn order(scenario: &Scenario) -> Vec<(u32, u32)> {
    let mut shuffle = Shuffle::new(scenario.scale.seed);
    let mut all = Vec::new();
    for round in 1..=scenario.scale.rounds {
        let mut once: Vec<(u32, u32)> = scenario.scale.instances.iter().map(|instances| (*instances, round)).collect();
        shuffle.shuffle(&mut once);
        all.append(&mut once);
    }
    all
}

struct Bench<'a> {
    scenario: &'a Scenario,
    engine: &'a Engine,
    server: &'a Path,
    lab: &'a Path,
    cpus: &'a Cpus,
    stop: &'a Arc<AtomicBool>,
}

impl Bench<'_> {
    /// Starts everything afresh, loads it, and ends it.
    fn point(&self, instances: u32, round: u32) -> Result<Point> {
        let mut servers = Vec::new();
        let mut addresses = Vec::new();
        for _ in 0..instances {
            let (child, address) = self.start_server()?;
            servers.push(child);
            addresses.extend(address);
        }
        let mut stubs = Vec::new();
        let mut targets = Vec::new();
        let shares = if self.scenario.scaling == Scaling::Linear { 1 } else { addresses.len() };
        for upstreams in addresses.chunks(shares) {
            let (child, fronts) = self.start_stub(upstreams, instances)?;
            stubs.push(child);
            targets.extend(fronts);
        }
        let server_pids: Vec<u32> = servers.iter().map(Child::pid).collect();
        let load_pids: Vec<u32> = stubs.iter().map(Child::pid).chain([std::process::id()]).collect();
        let began = Instant::now();
        let before = (cpu(&server_pids)?, cpu(&load_pids)?);
        let started_unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let outcomes = self.load(&targets)?;
        let after = (cpu(&server_pids)?, cpu(&load_pids)?);
        let elapsed = began.elapsed();
        for child in servers.iter_mut().chain(&mut stubs) {
            child.terminate();
        }
        for child in servers.iter_mut().chain(&mut stubs) {
            child.stop(STOP_TIMEOUT);
        }
        let share = |(before, after): (Duration, Duration), cpus: usize| {
            after.saturating_sub(before).as_secs_f64() / elapsed.as_secs_f64() / cpus.max(1) as f64
        };
        let mut point = Point {
            schema: SCHEMA,
            round,
            instances,
            server_share: share((before.0, after.0), self.cpus.server.len()),
            load_share: share((before.1, after.1), self.cpus.generator.len()),
            started_unix_ms,
            ..Point::default()
        };
        fill(&mut point, &outcomes);
        Ok(point)
    }

    fn start_server(&self) -> Result<(Child, Vec<String>)> {
        let mut command = Command::new(self.server);
        command
            .args(&self.engine.args)
            .args(["--listen", "127.0.0.1:0", "--protocol", Protocol::Frame.name(), "--format", &self.scenario.format])
            .args(["--shards", "1"]);
        self.start(command, &self.cpus.server, &self.engine.name)
    }

    fn start_stub(&self, upstreams: &[String], instances: u32) -> Result<(Child, Vec<String>)> {
        let nature = &self.scenario.dependency;
        // Only what all instances share hears of the others.
        let others = if self.scenario.scaling == Scaling::Linear { 0 } else { instances - 1 };
        let mut command = Command::new(self.lab);
        command
            .arg("dependency")
            .arg("--hold-ms")
            .arg((nature.hold_ms + nature.crosstalk_ms * f64::from(others)).to_string());
        for upstream in upstreams {
            command.args(["--upstream", upstream]);
        }
        if let Some(permits) = nature.permits {
            command.args(["--permits", &permits.to_string()]);
        }
        if let Some(rate) = nature.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        self.start(command, &self.cpus.generator, "the dependency's stub")
    }

    /// Starts a process and waits for the addresses in its ready line.
    fn start(&self, command: Command, cpus: &[usize], name: &str) -> Result<(Child, Vec<String>)> {
        let mut child = Child::start(command, cpus).with_context(|| format!("starting {name}"))?;
        match child.line(READY_TIMEOUT, &|| self.stop.load(Ordering::Relaxed)) {
            Line::Said(line) => {
                let ready: serde_json::Value = serde_json::from_str(&line)
                    .with_context(|| format!("{name}: the ready line is not JSON: {line:.200}"))?;
                let addresses = ready["addresses"].as_array().map(Vec::as_slice).unwrap_or_default();
                let addresses: Vec<String> =
                    addresses.iter().filter_map(|address| Some(address.as_str()?.to_owned())).collect();
                if addresses.is_empty() {
                    bail!("{name}: no addresses in the ready line: {line:.200}");
                }
                Ok((child, addresses))
            }
            Line::Ended => {
                child.wait(STOP_TIMEOUT);
                let last = child.last_words();
                Err(Failure::Environment(format!("{name} ended before it was ready: {last}")).into())
            }
            Line::Nothing if self.stop.load(Ordering::Relaxed) => Err(Failure::Void("interrupted".to_owned()).into()),
            Line::Nothing => bail!("{name} was not ready within {} s", READY_TIMEOUT.as_secs()),
        }
    }

    /// Closed loop on every target, all at once, each from a thread of its own.
    fn load(&self, targets: &[String]) -> Result<Vec<Outcome>> {
        let (scenario, scale) = (self.scenario, &self.scenario.scale);
        let format: Format = scenario.format.parse().map_err(|error| Failure::Usage(format!("format: {error}")))?;
        let kind = match scenario.workload.service.as_str() {
            "echo" => Kind::Echo,
            _ => Kind::Note { add_share: scenario.workload.add_share, page: scenario.workload.page },
        };
        let outcomes = std::thread::scope(|scope| {
            let threads: Vec<_> = (0_u64..)
                .zip(targets)
                .map(|(number, target)| {
                    let seed = scale.seed.wrapping_add(number);
                    let workload =
                        Workload::new(Protocol::Frame, format, &kind, scenario.workload.payload_bytes, target, seed);
                    let cpu = self.cpus.generator[number as usize % self.cpus.generator.len()];
                    scope.spawn(move || -> Result<Outcome> {
                        let spec = Spec {
                            target: target.parse().context("the stub's address")?,
                            sources: Vec::new(),
                            connections: scale.connections,
                            active_share: 1.0,
                            in_flight: 1,
                            pacing: Pacing::Closed,
                            warmup: Duration::from_secs_f64(scale.warmup_seconds),
                            measure: Duration::from_secs_f64(scale.measure_seconds),
                            request_limit: None,
                            timeout: REPLY_TIMEOUT,
                            cpus: vec![cpu],
                            seed,
                            spread: None,
                        };
                        Ok(load::run(&spec, &workload, self.stop, &mut |_| {})?)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("a load does not panic")).collect::<Result<Vec<_>>>()
        });
        outcomes.map_err(|error| Failure::Environment(format!("{error:#}")).into())
    }
}

/// CPU time of processes so far.
fn cpu(pids: &[u32]) -> Result<Duration> {
    let mut sum = 0;
    for pid in pids {
        sum += ProcessProbe::new(*pid).and_then(|probe| probe.cpu_ns()).context("reading a process's CPU clock")?;
    }
    Ok(Duration::from_nanos(sum))
}

/// Adds up what the loads saw and says whether it counts.
fn fill(point: &mut Point, outcomes: &[Outcome]) {
    let mut times = load::Recorder::new();
    for outcome in outcomes {
        point.of_each.push(outcome.rate());
        times.add(&outcome.recorder);
    }
    point.throughput = point.of_each.iter().sum();
    point.service_time = Latencies::summary(&times.service);
    point.errors = times.errors.iter().map(|(kind, count)| (kind.name().to_owned(), *count)).collect();
    let early = outcomes.iter().find_map(|outcome| outcome.ended_early.clone());
    point.void = if let Some((kind, count)) = point.errors.iter().next() {
        let example = times.example.as_deref().unwrap_or("no example");
        Some(format!("{count} requests ended in {kind}, the first: {example}"))
    } else if early.is_some() {
        early
    } else if point.server_share >= SATURATED {
        Some(format!("the instances used {:.0} % of their CPU: the box was the limit", point.server_share * 100.0))
    } else if point.load_share >= SATURATED {
        Some(format!("load and stub used {:.0} % of their CPU: they were the limit", point.load_share * 100.0))
    } else {
        None
    };
}
