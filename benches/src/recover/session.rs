//! A run: scenario to stories, stories to rows, rows to the report.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use rustix::thread::CpuSet;
use wire::{Format, Protocol, UnknownName};

use super::plan::{Telling, Wish, seconds, tellings};
use super::result::{FILE, Phase, Row, SCHEMA, StormScore, Story};
use super::score;
use super::server::{NoServer, Place, Server};
use super::users::{Spec, Told, Users};
use crate::engines::{Engine, Engines};
use crate::failure::Failure;
use crate::host;
use crate::load::{Latencies, Workload};
use crate::observe::{BoxProbe, ProcessProbe};
use crate::plan::Cpus;
use crate::report::recover::{self, Plan, Summary};
use crate::result::{Status, Surroundings};
use crate::scenario::{Scenario, VoidsPart};
use crate::servers;
use crate::store::Store;

/// Share of its core from which the generator is called the bottleneck.
const SATURATED: f64 = 0.95;

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Run {
    /// Engines, framing, formats, requests, connections.
    pub scenario: Scenario,
    /// The limit of each engine and format, requests per second.
    pub limits: Limits,
    /// Which stories.
    pub wish: Wish,
    /// Patience of users.
    pub deadline: Duration,
    /// Cargo profile of the servers.
    pub profile: String,
    /// Result directory; default: a new one below ./lab-results.
    pub out: Option<PathBuf>,
}

/// The limits that were given or found.
#[derive(Clone, Debug)]
pub enum Limits {
    /// One for all.
    Given(f64),
    /// Rows of `limits.jsonl`: engine, protocol, format, service, requests per second.
    Measured(Vec<(String, String, String, String, f64)>),
}

impl Limits {
    fn of(&self, engine: &str, protocol: &str, format: &str, service: &str) -> Result<f64, Failure> {
        match self {
            Self::Given(limit) => Ok(*limit),
            Self::Measured(rows) => {
                // Of rows with one key the last one counts.
                let found = rows
                    .iter()
                    .rev()
                    .find(|row| (&*row.0, &*row.1, &*row.2, &*row.3) == (engine, protocol, format, service));
                found.map(|row| row.4).ok_or_else(|| {
                    Failure::Usage(format!(
                        "no limit over rate of {engine} {protocol} {format} {service} among those measured: `cargo lab limit` measures it, or \
                         --limit N says what it is"
                    ))
                })
            }
        }
    }

    /// Reads `limits.jsonl`, as far as it is about requests per second.
    ///
    /// # Errors
    /// A usage failure when the file cannot be read or says nothing about that.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let path = if path.is_dir() { path.join("limits.jsonl") } else { path.to_owned() };
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Failure::Usage(format!("limits {}: {error}", path.display())))?;
        let row = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).ok()?;
            let text = |name: &str| row[name].as_str().map(str::to_owned);
            let is_rate = row["over"] == "rate" && row["conclusion"] == "found";
            let limit = row["limit"].as_f64().filter(|limit| is_rate && *limit >= 1.0)?;
            Some((text("engine")?, text("protocol")?, text("format")?, text("service")?, limit))
        };
        let rows: Vec<_> = text.lines().filter_map(row).collect();
        if rows.is_empty() {
            return Err(Failure::Usage(format!(
                "{} holds no limit over rate that was found: `cargo lab limit SCENARIO --over rate` writes one, or --limit N",
                path.display()
            )));
        }
        Ok(Self::Measured(rows))
    }
}

/// One engine with one framing and one format.
struct Cell<'a> {
    engine: &'a Engine,
    protocol: &'a str,
    format: &'a str,
    limit: f64,
}

/// Tells every story, writes rows and report.
///
/// # Errors
/// Usage and environment failures before anything ran; void when it was interrupted or no row counts.
pub fn run(run: &Run, engines: &Engines, stop: &Arc<AtomicBool>, say: &dyn Fn(&str)) -> Result<Summary> {
    let scenario = &run.scenario;
    let cpus =
        Cpus::assign(&Cpus::allowed().context("sched_getaffinity")?, scenario.server.cores.unwrap_or(1) as usize)?;
    let used: Vec<&Engine> = scenario.engines.iter().map(|name| engines.named(name)).collect::<Result<_, _>>()?;
    let cells = cells(run, &used)?;
    let told = tellings(&run.wish);
    // In a storm there are twice as many, and those that were cut off may not have gone yet.
    host::raise_fd_limit(3 * u64::from(scenario.load.connections))
        .map_err(|refusal| Failure::Environment(refusal.to_string()))?;
    say("building the servers, one package at a time");
    let binaries = servers::build(used, &run.profile)?;
    let directory = run.out.clone().unwrap_or_else(|| {
        Path::new("lab-results").join(format!("recover-{}-{}", scenario.name, host::compact_utc_now()))
    });
    let mut store = Store::create(&directory, FILE)?;
    let plan = Plan {
        scenario: scenario.name.clone(),
        question: scenario.question.clone(),
        seed: scenario.rounds.seed,
        arguments: scenario.server.args.clone(),
    };
    store.describe(&plan, &host::fingerprint(host::command_line(), &run.profile))?;
    let total = cells.len() * told.len();
    eprintln!(
        "{total} stories, {:.0} s of load; results in {}",
        seconds(&told) * cells.len() as f64,
        directory.display()
    );
    pin(&cpus.generator)?;
    for cell in &cells {
        let mut served: Option<Phase> = None;
        for telling in &told {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            say(&format!("{}/{total} {}", store.written() + 1, words(cell, telling)));
            let binary = binaries.get(&cell.engine.name).context("the engine was not built")?;
            let mut row = tell(run, cell, telling, binary, &cpus, stop);
            conclude(&mut row, telling, &mut served);
            if !stop.load(Ordering::Relaxed) {
                store.append(&row)?;
            }
        }
    }
    let summary = recover::write(&directory)?;
    if stop.load(Ordering::Relaxed) {
        let said = format!("interrupted; {} rows are whole in {}", store.written(), directory.display());
        return Err(Failure::Void(said).into());
    }
    Ok(summary)
}

fn cells<'a>(run: &'a Run, engines: &[&'a Engine]) -> Result<Vec<Cell<'a>>, Failure> {
    let scenario = &run.scenario;
    let mut cells = Vec::new();
    for &engine in engines {
        for protocol in &scenario.protocols {
            for format in &scenario.formats {
                let limit = run.limits.of(&engine.name, protocol, format, &scenario.workload.service)?;
                cells.push(Cell { engine, protocol, format, limit });
            }
        }
    }
    Ok(cells)
}

fn words(cell: &Cell<'_>, telling: &Telling) -> String {
    let limiter = telling.limiter.as_deref().unwrap_or("no limiter");
    format!(
        "{} {} {}: {:?}, {limiter}, {} retries",
        cell.engine.name, cell.protocol, cell.format, telling.story, telling.retries
    )
}

/// The generator is this thread: it has a core to itself, as the generator of a trial has.
fn pin(cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu));
    rustix::thread::sched_setaffinity(None, &set).context("sched_setaffinity")
}

/// One story: a fresh server, fresh users, a row whatever happens.
fn tell(run: &Run, cell: &Cell<'_>, telling: &Telling, binary: &Path, cpus: &Cpus, stop: &AtomicBool) -> Row {
    let mut row = blank(run, cell, telling);
    if telling.story == Story::Storm && cell.protocol == "websocket" {
        row.reason = Some("a storm's refused WebSockets would end the story: their handshake is refused".to_owned());
        return row;
    }
    let place = Place { scenario: &run.scenario, protocol: cell.protocol, format: cell.format, cpus: &cpus.server };
    let mut server = match Server::start(cell.engine, binary, &place, telling) {
        Ok(server) => server,
        Err(NoServer::Unavailable(reason)) => {
            (row.status, row.reason) = (Status::Unavailable, Some(reason));
            return row;
        }
        Err(NoServer::Failed(reason)) => {
            row.reason = Some(reason);
            return row;
        }
    };
    row.ready = server.ready.clone();
    let outcome = live(run, cell, telling, &server, &mut row, stop);
    match outcome {
        Ok(told) => fill(&mut row, told, &run.scenario.voids),
        Err(broken) => row.reason = Some(server.died().unwrap_or(broken)),
    }
    row.counters = server.stop();
    row
}

/// The users' part, with the meters read around it.
fn live(
    run: &Run,
    cell: &Cell<'_>,
    telling: &Telling,
    server: &Server,
    row: &mut Row,
    stop: &AtomicBool,
) -> Result<Told, String> {
    let scenario = &run.scenario;
    let protocol: Protocol = cell.protocol.parse().map_err(|error: UnknownName| error.to_string())?;
    let format: Format = cell.format.parse().map_err(|error: UnknownName| error.to_string())?;
    let kind = scenario.workload.kind().map_err(|error| error.to_string())?;
    let host = server.address.to_string();
    let seed = scenario.rounds.seed;
    let workload = Workload::new(protocol, format, &kind, scenario.workload.payload_bytes, &host, seed);
    let spec = Spec {
        target: server.address,
        connections: scenario.load.connections as usize,
        in_flight: scenario.load.in_flight as usize,
        limit: cell.limit,
        deadline: run.deadline,
        retries: telling.retries,
        seed,
    };
    let users = Users::connected(spec, workload)?;
    let pid = server.child.pid();
    let probe = ProcessProbe::new(pid).map_err(|error| error.to_string())?;
    let mut whole_box = BoxProbe::new(vec![pid, std::process::id()]).map_err(|error| error.to_string())?;
    let before = whole_box.read().map_err(|error| error.to_string())?;
    let (began, own) = (Instant::now(), own_cpu_seconds());
    let mut server_cpu_us = || probe.cpu_ns().map(|ns| ns as f64 / 1e3).map_err(|error| error.to_string());
    let told = users.live(&telling.phases, &mut server_cpu_us, stop)?;
    row.generator_core_share = (own_cpu_seconds() - own) / began.elapsed().as_secs_f64();
    let after = whole_box.read().map_err(|error| error.to_string())?;
    row.surroundings = after.since(&before).surroundings;
    Ok(told)
}

fn own_cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// What was told goes into the row, and whether it counts.
fn fill(row: &mut Row, told: Told, voids: &VoidsPart) {
    row.schedule_lag_p99_us = lag_p99_us(&told.lag);
    (row.phases, row.ticks) = (told.phases, told.ticks);
    row.storm = told.storm.map(|storm| StormScore {
        cut_off: storm.cut_off as u32,
        strangers: storm.strangers as u32,
        connect_seconds: storm.connect_seconds,
        ..StormScore::default()
    });
    row.reason = void(row, voids);
    row.status = if row.reason.is_some() { Status::Void } else { Status::Ok };
}

fn lag_p99_us(lag: &Latencies) -> f64 {
    let summary = lag.summary();
    if summary.count == 0 { 0.0 } else { summary.p99_us }
}

/// Why a row does not count.
fn void(row: &Row, voids: &VoidsPart) -> Option<String> {
    if row.generator_core_share >= SATURATED {
        return Some(format!(
            "the load generator was the bottleneck: {:.0} % of its CPU",
            row.generator_core_share * 100.0
        ));
    }
    let Surroundings { steal_share, foreign_cpu_share, .. } = row.surroundings;
    let shares = [
        ("the hypervisor took", steal_share, voids.steal_share, "voids.steal_share"),
        ("other processes took", foreign_cpu_share, voids.foreign_cpu_share, "voids.foreign_cpu_share"),
    ];
    shares.iter().find(|(_, seen, most, _)| seen > most).map(|(who, seen, most, knob)| {
        format!("{who} {:.1} % of the CPU, at most {:.1} % ({knob})", seen * 100.0, most * 100.0)
    })
}

/// Figures from the row's own counts; `served` carries the phase in which everything was served to the one in which nothing was.
fn conclude(row: &mut Row, telling: &Telling, served: &mut Option<Phase>) {
    let refused_connections = row.counters["errors"]["busy-connections"].as_u64().unwrap_or(0);
    match telling.story {
        Story::Overload => row.score = score::overload(&row.phases, &row.ticks, row.limit),
        Story::Storm => {
            let back = row.phases.last().cloned();
            if let (Some(storm), Some(back)) = (&mut row.storm, back) {
                storm.refused_connections = refused_connections;
                storm.recovery_seconds = score::recovery(&back, &row.ticks);
            }
        }
        Story::Price => match (&telling.limiter, served.take()) {
            (None, _) => *served = row.phases.last().cloned(),
            (Some(_), Some(served)) => {
                row.price = row.phases.last().and_then(|refused| score::price(&served, refused));
            }
            (Some(_), None) => {}
        },
    }
}

fn blank(run: &Run, cell: &Cell<'_>, telling: &Telling) -> Row {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Row {
        schema: SCHEMA,
        engine: cell.engine.name.clone(),
        interface: cell.engine.interface.clone(),
        protocol: cell.protocol.to_owned(),
        format: cell.format.to_owned(),
        service: run.scenario.workload.service.clone(),
        story: telling.story,
        limiter: telling.limiter.clone(),
        retries: telling.retries,
        limit: cell.limit,
        deadline_ms: run.deadline.as_secs_f64() * 1e3,
        connections: run.scenario.load.connections,
        in_flight: run.scenario.load.in_flight,
        status: Status::Failed,
        reason: None,
        started_unix_ms: now.map_or(0, |since| since.as_millis() as u64),
        phases: Vec::new(),
        ticks: Vec::new(),
        score: None,
        storm: None,
        price: None,
        generator_core_share: 0.0,
        schedule_lag_p99_us: 0.0,
        surroundings: Surroundings::default(),
        ready: serde_json::Value::Null,
        counters: serde_json::Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows which rows of `limits.jsonl` are limits of requests per second, and what is said when there are none.
    #[test]
    fn limits_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("limits.jsonl");
        let row = |over: &str, conclusion: &str, limit: u32| {
            format!(
                r#"{{"engine":"mio","protocol":"frame","format":"json","service":"note","over":"{over}","conclusion":"{conclusion}","limit":{limit}}}"#
            )
        };
        let text = [
            row("connections", "found", 9),
            row("rate", "more-than", 8),
            row("rate", "found", 7),
            row("rate", "found", 6),
        ];
        std::fs::write(&path, text.join("\n") + "\n{torn").unwrap();
        let limits = Limits::read(folder.path()).unwrap();
        assert_eq!(limits.of("mio", "frame", "json", "note").unwrap(), 6.0);
        assert!(limits.of("ring", "frame", "json", "note").unwrap_err().to_string().contains("--limit N"));
        std::fs::write(&path, row("connections", "found", 9)).unwrap();
        assert!(Limits::read(&path).unwrap_err().to_string().contains("--over rate"));
        assert!(Limits::read(&folder.path().join("nothing")).is_err());
    }
}
