//! A run of spreads: for each case fresh servers and a fresh client, in shuffled rounds; then the report.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::result::{Row, SCHEMA};
use super::scenario::{Case, Scenario};
use crate::child::{Child, Line, ended};
use crate::engines::{Engine, Engines};
use crate::failure::{Failure, exit};
use crate::host;
use crate::load::Shuffle;
use crate::load::summary::{Event, Summary};
use crate::observe::{ProcessProbe, Timeline};
use crate::plan::Cpus;
use crate::report;
use crate::result::{Latency, Status};
use crate::servers::{self, Binaries};
use crate::session::Options;
use crate::store::Store;

/// How long a server may take to be ready, and how long to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// `plan.json` of such a run.
#[derive(serde::Serialize)]
struct Described<'a> {
    schema: u32,
    seed: u64,
    server_cpus: &'a [usize],
    generator_cpus: &'a [usize],
    scenario: &'a str,
    question: &'a str,
    asked: &'a Scenario,
}

/// What the cases of a run share.
struct Bench<'a> {
    scenario: &'a Scenario,
    binaries: &'a Binaries,
    cpus: &'a Cpus,
    lab: PathBuf,
    stop: &'a Arc<AtomicBool>,
}

/// Why a case was not measured.
enum Cut {
    Unavailable(String),
    Failed(String),
}

/// Runs `scenario`, writes rows and reports, prints the table or the rows as JSON.
///
/// # Errors
/// Usage and environment failures before anything ran; void when it was interrupted or no case counts.
pub fn run(scenario: &Scenario, options: &Options, stop: &Arc<AtomicBool>) -> Result<()> {
    let engines = Engines::load(options.engines.as_deref())?;
    let used: Vec<&Engine> = scenario.engines.iter().map(|name| engines.named(name)).collect::<Result<_, _>>()?;
    let cores = scenario.server.cores.unwrap_or(1) as usize;
    let cpus = Cpus::assign(&Cpus::allowed().context("sched_getaffinity")?, cores)?;
    let directory = options
        .out
        .clone()
        .unwrap_or_else(|| Path::new("lab-results").join(format!("{}-{}", scenario.name, host::compact_utc_now())));
    let needs = host::Needs {
        connections: scenario.load.connections,
        io_uring: used.iter().all(|engine| engine.interface == "io_uring"),
        listen: None,
    };
    host::preflight_on(&host::Machine::here(&directory), &needs)
        .map_err(|refusal| Failure::Environment(refusal.to_string()))?;
    let binaries = servers::build(used.iter().copied(), &options.profile)?;
    let mut store = Store::create(&directory, "spreads.jsonl")?;
    let described = Described {
        schema: SCHEMA,
        seed: scenario.rounds.seed,
        server_cpus: &cpus.server,
        generator_cpus: &cpus.generator,
        scenario: &scenario.name,
        question: &scenario.question,
        asked: scenario,
    };
    store.describe(&described, &host::fingerprint(host::command_line(), &options.profile))?;
    let timeline = Timeline::start(&directory.join("timeline.jsonl"), &cpus.observer)
        .with_context(|| format!("watching the host from {}", directory.display()))?;
    let lab = std::env::current_exe().context("finding this program")?;
    let bench = Bench { scenario, binaries: &binaries, cpus: &cpus, lab, stop };
    let measured = bench.cases(&used, &mut store);
    timeline.stop().context("writing the host's timeline")?;
    let rows = measured?;
    let summary = report::spread::write(&directory)?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        print!("{}", summary.table);
        println!("Report: {}", directory.join("report.html").display());
    }
    outcome(&rows)
}

/// A run in which nothing counts is not a result.
fn outcome(rows: &[Row]) -> Result<()> {
    if rows.iter().any(|row| row.status == Status::Ok) {
        return Ok(());
    }
    let reason = rows.iter().find_map(|row| row.reason.clone()).unwrap_or_default();
    Err(if rows.iter().all(|row| row.status == Status::Unavailable) {
        Failure::Environment(format!("no engine can run here: {reason}"))
    } else {
        Failure::Void(format!("none of {} cases counts; the first reason: {reason}", rows.len()))
    }
    .into())
}

impl Bench<'_> {
    /// Every engine with every case once a round, in an order shuffled from the seed.
    fn cases(&self, engines: &[&Engine], store: &mut Store) -> Result<Vec<Row>> {
        let mut shuffle = Shuffle::new(self.scenario.rounds.seed);
        let mut rows = Vec::new();
        for round in 1..=self.scenario.rounds.count {
            let cases = &self.scenario.spread.case;
            let mut once: Vec<(&Engine, &Case)> =
                engines.iter().flat_map(|engine| cases.iter().map(move |case| (*engine, case))).collect();
            shuffle.shuffle(&mut once);
            for (engine, case) in once {
                eprintln!("round {round}: {} {}", engine.name, case.name);
                let row = self.row(engine, case, round, store.written());
                if self.stop.load(Ordering::Relaxed) {
                    let said = format!("interrupted; {} rows are whole in {}", rows.len(), store.directory().display());
                    return Err(Failure::Void(said).into());
                }
                store.append(&row)?;
                rows.push(row);
            }
        }
        Ok(rows)
    }

    fn row(&self, engine: &Engine, case: &Case, round: u32, index: u32) -> Row {
        let mut row = blank(engine, case, round, index, self.scenario);
        match self.measure(engine, case, &mut row) {
            Ok(()) => {}
            Err(Cut::Unavailable(reason)) => (row.status, row.reason) = (Status::Unavailable, Some(reason)),
            Err(Cut::Failed(reason)) => (row.status, row.reason) = (Status::Failed, Some(reason)),
        }
        row
    }

    fn measure(&self, engine: &Engine, case: &Case, row: &mut Row) -> Result<(), Cut> {
        let (mut servers, mut addresses) = (Vec::new(), Vec::new());
        for number in 1..=self.scenario.spread.servers {
            let fault = case.faults.iter().find(|faulty| faulty.server == number).map(|faulty| faulty.fault.as_str());
            let (server, address) = self.server(engine, fault)?;
            servers.push(server);
            addresses.push(address);
        }
        let mut client = self.client(case, row.round, &addresses)?;
        let probes: Vec<ProcessProbe> =
            servers.iter().filter_map(|server| ProcessProbe::new(server.pid()).ok()).collect();
        let cpu = || probes.iter().map(|probe| probe.cpu_ns().unwrap_or(0)).collect::<Vec<u64>>();
        let (mut start, mut end) = (Vec::new(), Vec::new());
        let load = &self.scenario.load;
        let patience =
            PATIENCE + Duration::from_secs_f64(load.warmup_seconds + load.measure_seconds + load.timeout_seconds);
        let summary = loop {
            let line = match client.line(patience, &|| self.stop.load(Ordering::Relaxed)) {
                Line::Said(line) => line,
                Line::Ended => {
                    let status = client.wait(PATIENCE);
                    let last = client.last_words();
                    return Err(Cut::Failed(format!("the load generator ended early ({}): {last}", ended(status))));
                }
                Line::Nothing => return Err(Cut::Failed("the load generator did not answer in time".to_owned())),
            };
            match serde_json::from_str(&line) {
                Ok(Event::Connected | Event::SliceEnd) => {}
                Ok(Event::WindowStart) => {
                    row.started_unix_ms = unix_ms();
                    start = cpu();
                }
                Ok(Event::WindowEnd) => end = cpu(),
                Ok(Event::Done(summary)) => break *summary,
                Err(error) => return Err(Cut::Failed(format!("the load generator said {line:.200} ({error})"))),
            }
        };
        for (number, server) in servers.iter_mut().enumerate() {
            if let Some(status) = server.wait(Duration::ZERO) {
                return Err(Cut::Failed(format!("server {} died ({})", number + 1, ended(Some(status)))));
            }
        }
        fill(row, summary, load.warmup_seconds, &start, &end);
        let lag = row.schedule_lag.p99_us;
        let most = self.scenario.voids.schedule_lag_p99_us;
        if lag > most {
            let said =
                format!("the schedule lagged: p99 {lag:.0} µs, at most {most:.0} µs (voids.schedule_lag_p99_us)");
            (row.status, row.reason) = (Status::Void, Some(said));
        }
        Ok(())
    }

    /// A server that is ready, and where it listens.
    fn server(&self, engine: &Engine, fault: Option<&str>) -> Result<(Child, String), Cut> {
        let failed = |said: String| Cut::Failed(format!("{}: {said}", engine.name));
        let binary = self.binaries.get(&engine.name).ok_or_else(|| failed("it was not built".to_owned()))?;
        let mut command = Command::new(binary);
        command.args(&engine.args).args(["--listen", "127.0.0.1:0", "--protocol", &self.scenario.protocol]);
        command.args(["--format", &self.scenario.format]);
        if let Some(fault) = fault {
            command.args(["--fault", fault]);
        }
        let mut server = Child::start(command, &self.cpus.server).map_err(|error| failed(error.to_string()))?;
        match server.line(PATIENCE, &|| self.stop.load(Ordering::Relaxed)) {
            Line::Said(line) => {
                let ready: serde_json::Value = serde_json::from_str(&line)
                    .map_err(|error| failed(format!("the ready line is not JSON ({error}): {line:.200}")))?;
                let address = ready["addresses"][0].as_str().map(str::to_owned);
                let address = address.ok_or_else(|| failed(format!("no addresses in the ready line: {line:.200}")))?;
                Ok((server, address))
            }
            Line::Nothing => Err(failed(format!("it was not ready within {} s", PATIENCE.as_secs()))),
            Line::Ended => {
                let status = server.wait(PATIENCE);
                let last = server.last_words();
                Err(match status.and_then(|status| status.code()) {
                    Some(code) if code == i32::from(exit::ENVIRONMENT) => Cut::Unavailable(last),
                    _ => failed(format!("it ended before it was ready ({}): {last}", ended(status))),
                })
            }
        }
    }

    fn client(&self, case: &Case, round: u32, addresses: &[String]) -> Result<Child, Cut> {
        let Scenario { workload, load, spread, .. } = self.scenario;
        let mut command = Command::new(&self.lab);
        command.arg("load").args(addresses).arg("--events");
        if !case.breaker {
            command.arg("--no-breaker");
        }
        let seed = self.scenario.rounds.seed.wrapping_add(u64::from(round));
        let generator = self.cpus.generator.first().map(usize::to_string).unwrap_or_default();
        for (flag, value) in [
            ("--protocol", self.scenario.protocol.clone()),
            ("--format", self.scenario.format.clone()),
            ("--service", workload.service.clone()),
            ("--payload-bytes", workload.payload_bytes.to_string()),
            ("--add-share", workload.add_share.to_string()),
            ("--page", workload.page.to_string()),
            ("--connections", load.connections.to_string()),
            ("--in-flight", load.in_flight.to_string()),
            ("--rate", load.rate.unwrap_or(1.0).to_string()),
            ("--arrivals", load.arrivals.clone()),
            ("--warmup", load.warmup_seconds.to_string()),
            ("--duration", load.measure_seconds.to_string()),
            ("--timeout", load.timeout_seconds.to_string()),
            ("--cpus", generator),
            ("--seed", seed.to_string()),
            ("--ban-after", spread.ban_after.to_string()),
            ("--ban", spread.ban_seconds.to_string()),
            ("--ban-longest", spread.ban_longest_seconds.to_string()),
            ("--attempt-timeout", spread.attempt_timeout_seconds.to_string()),
            ("--retries", spread.retries.to_string()),
            ("--interval", spread.interval_seconds.to_string()),
        ] {
            command.args([flag, &value]);
        }
        Child::start(command, &self.cpus.generator)
            .map_err(|error| Cut::Failed(format!("starting the load generator: {error}")))
    }
}

/// What the client measured, and what each server spent on its own right replies.
fn fill(row: &mut Row, summary: Summary, warmup: f64, start: &[u64], end: &[u64]) {
    row.status = Status::Ok;
    row.measured_seconds = summary.measured_seconds;
    row.completed = summary.completed;
    row.errors = summary.errors;
    row.response = summary.response;
    row.schedule_lag = summary.schedule_lag;
    row.seen = summary.spread.unwrap_or_default();
    row.goodput_ratio = summary.completed as f64 / row.seen.due.max(1) as f64;
    // The meters were read at the edges of the window, and intervals are counted from the start of the load.
    let in_window = |at: f64| (warmup..=warmup + summary.measured_seconds + 1e-6).contains(&(at - 1e-6));
    let replies = |server: usize| -> u64 {
        let moments = row.seen.moments.iter().filter(|moment| in_window(moment.at_seconds));
        moments.filter_map(|moment| moment.servers.get(server)).map(|at| at.completed).sum()
    };
    row.server_cpu_us_per_request = (start.iter().zip(end).enumerate())
        .map(|(server, (start, end))| match replies(server) {
            0 => 0.0,
            replies => end.saturating_sub(*start) as f64 / 1e3 / replies as f64,
        })
        .collect();
}

fn blank(engine: &Engine, case: &Case, round: u32, index: u32, scenario: &Scenario) -> Row {
    Row {
        schema: SCHEMA,
        index,
        round,
        engine: engine.name.clone(),
        interface: engine.interface.clone(),
        case: case.name.clone(),
        breaker: case.breaker,
        faults: case.faults.iter().map(|faulty| (faulty.server, faulty.fault.clone())).collect(),
        status: Status::Failed,
        reason: None,
        started_unix_ms: unix_ms(),
        rate: scenario.load.rate.unwrap_or(0.0),
        measured_seconds: 0.0,
        completed: 0,
        goodput_ratio: 0.0,
        errors: Default::default(),
        response: Latency::default(),
        schedule_lag: Latency::default(),
        seen: Default::default(),
        server_cpu_us_per_request: Vec::new(),
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
