//! One trial: one engine under one load once, with a fresh server process and a fresh generator process.
//!
//! Nothing here sleeps to wait for something: the server says when it is ready, the generator says when the
//! measured window begins and ends, and at both moments the lab reads its meters. Whatever breaks becomes a
//! row with its reason; only what would break every further trial too (disk full, Ctrl-C) is an error.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};

use crate::child::{Child, Line, ended};
use crate::climb::meters::Syscalls;
use crate::engines::{Engine, Engines};
use crate::failure::{Failure, exit};
use crate::flame::{self, Sampling};
use crate::judge::{self, Judged};
use crate::load::summary::{Event, Summary};
use crate::observe::{BoxProbe, BoxReading, GroupProbe, Members, ProbeError, ProcessProbe, ProcessReading};
use crate::plan::{Cpus, engine_of};
use crate::result::{GeneratorCost, Pass, PlannedTrial, SCHEMA, ServerCost, Slice, Status, Surroundings, Trial};
use crate::scenario::Scenario;
use crate::servers::Binaries;
use crate::target::running::Running;

/// How long a server may take from exec to its ready line. A debug build on a loaded box needs 100 ms.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may take from SIGTERM to its counters; the contract asks for less.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a server whose connections are all gone may take to be gone itself: the kernel closes them first, and a server
/// of several processes ends one after the other.
const DEATH: Duration = Duration::from_millis(500);

/// How the reason of a trial begins whose server died.
pub const DIED: &str = "the server died during the trial";

/// What every trial of a run shares.
pub struct Bench<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// The contenders.
    pub engines: &'a Engines,
    /// Their programs.
    pub binaries: &'a Binaries,
    /// Who runs where.
    pub cpus: &'a Cpus,
    /// The result directory.
    pub directory: &'a Path,
    /// The program to start as generator: this one.
    pub generator: &'a Path,
    /// Set by Ctrl-C and SIGTERM.
    pub stop: &'a Arc<AtomicBool>,
}

/// An edge of the measured window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// It begins.
    Start,
    /// It ends.
    End,
}

/// Who looks on while a trial runs, with meters of its own. Told from the main thread, which does not wait long.
pub trait Watcher {
    /// The server is ready and nobody is connected; `line` is its ready line, `server` finds its processes.
    fn ready(&self, server: &GroupProbe, line: &serde_json::Value);
    /// The load generator was started.
    fn generator(&self, pid: u32);
    /// The measured window begins or ends.
    fn window(&self, edge: Edge);
}

/// Nobody looks on.
struct Unwatched;

impl Watcher for Unwatched {
    fn ready(&self, _: &GroupProbe, _: &serde_json::Value) {}
    fn generator(&self, _: u32) {}
    fn window(&self, _: Edge) {}
}

/// Why a trial ended without a measurement.
enum Cut {
    /// The engine cannot run here.
    Unavailable(String),
    /// It, or the measurement of it, broke.
    Failed(String),
}

impl From<flame::Error> for Cut {
    fn from(error: flame::Error) -> Self {
        match error {
            flame::Error::Unavailable(reason) => Self::Unavailable(reason),
            flame::Error::Failed(reason) => Self::Failed(reason),
        }
    }
}

/// All meters at one moment.
struct Meters {
    server: ProcessReading,
    generator: ProcessReading,
    whole_box: BoxReading,
    syscalls: Option<u64>,
}

/// What the meters are read through.
struct Probes {
    server: GroupProbe,
    generator: ProcessProbe,
    whole_box: BoxProbe,
    syscalls: Option<Syscalls>,
}

/// The server of a trial.
enum Server {
    /// It keeps the contract: one process, a ready line, its counters at the end.
    Contract(Child),
    /// It is one's own.
    Own(Running),
}

impl Server {
    fn probe(&self) -> Result<GroupProbe, ProbeError> {
        match self {
            Self::Contract(child) => GroupProbe::new(Members::One(child.pid())),
            Self::Own(running) => running.probe(),
        }
    }

    /// How it died, in words; `None` when it lives on for `patience`.
    fn died(&mut self, patience: Duration) -> Option<String> {
        match self {
            Self::Contract(child) => {
                let status = child.wait(patience)?;
                let last = child.last_words();
                Some(format!("{DIED} ({}): {last}", ended(Some(status))))
            }
            Self::Own(running) => running.ended_within(patience).map(|how| format!("{DIED}: {how}")),
        }
    }

    /// Asks it to end, and keeps its own counters; a process that ran before the lab goes on.
    fn stop(&mut self, row: &mut Trial) {
        match self {
            Self::Own(running) => {
                // Who belongs to it is settled by now; when it began to listen its workers may not have been there.
                let processes = running.probe().and_then(|probe| probe.processes()).unwrap_or_default();
                row.ready["processes"] = serde_json::json!(processes);
                running.stop();
            }
            Self::Contract(child) => {
                child.terminate();
                if let Line::Said(line) = child.line(STOP_TIMEOUT, &|| false) {
                    row.counters = serde_json::from_str(&line).unwrap_or_default();
                }
                if child.stop(STOP_TIMEOUT).is_none() {
                    let said = format!("no exit within {} s of SIGTERM", STOP_TIMEOUT.as_secs());
                    row.counters = serde_json::json!({ "killed": said });
                }
            }
        }
    }
}

impl Bench<'_> {
    /// Runs `planned`; `index` is its place in the order in which trials really ran.
    ///
    /// # Errors
    /// A void failure when the run was interrupted; others when the lab itself cannot go on.
    pub fn run(&self, planned: &PlannedTrial, index: u32) -> Result<Trial> {
        self.run_watched(planned, index, &Unwatched)
    }

    /// [`run`](Self::run) while `watcher` looks on.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_watched(&self, planned: &PlannedTrial, index: u32, watcher: &dyn Watcher) -> Result<Trial> {
        let mut row = blank(planned, index);
        let engine = self.engines.named(engine_of(planned))?;
        match self.measure(engine, planned, &mut row, watcher) {
            Ok(()) => {
                let Judged { status, reason, limiter } = judge::judge(&row, &self.scenario.voids, self.cpus);
                (row.status, row.reason, row.limiter) = (status, reason, limiter);
            }
            Err(Cut::Unavailable(reason)) => (row.status, row.reason) = (Status::Unavailable, Some(reason)),
            Err(Cut::Failed(reason)) => (row.status, row.reason) = (Status::Failed, Some(reason)),
        }
        if self.stop.load(Ordering::Relaxed) {
            return Err(Failure::Void("interrupted".to_owned()).into());
        }
        Ok(row)
    }

    fn measure(
        &self,
        engine: &Engine,
        planned: &PlannedTrial,
        row: &mut Trial,
        watcher: &dyn Watcher,
    ) -> Result<(), Cut> {
        let failed = |what: &'static str| move |error: anyhow::Error| Cut::Failed(format!("{what}: {error:#}"));
        let (mut server, address) = self.ready_server(engine, planned, row)?;
        // One that has ended already is explained by what comes next.
        if let Ok(probe) = server.probe() {
            watcher.ready(&probe, &row.ready);
        }
        let mut generator =
            self.start_generator(engine, &address, planned, row).map_err(failed("starting the load generator"))?;
        watcher.generator(generator.pid());
        let (summary, window) = self.watch(&mut server, &mut generator, planned, row, watcher)?;
        server.stop(row);
        fill(row, summary, window);
        Ok(())
    }

    /// A server that takes connections, and where.
    fn ready_server(&self, engine: &Engine, planned: &PlannedTrial, row: &mut Trial) -> Result<(Server, String), Cut> {
        if let Some(own) = &engine.own {
            let stop = || self.stop.load(Ordering::Relaxed);
            let running = Running::start(own, self.generator, &self.cpus.server, &stop).map_err(Cut::Failed)?;
            row.ready = running.about().clone();
            let address = running.address().to_string();
            return Ok((Server::Own(running), address));
        }
        let starting = |error: anyhow::Error| Cut::Failed(format!("starting the server: {error:#}"));
        let mut child = self.start_server(engine, planned).map_err(starting)?;
        let address = self.await_ready(&mut child, engine, row)?;
        Ok((Server::Contract(child), address))
    }

    fn start_server(&self, engine: &Engine, planned: &PlannedTrial) -> Result<Child> {
        let binary = self.binaries.get(&engine.name).context("the engine was not built")?;
        let mut command = Command::new(binary);
        command
            .args(&engine.args)
            .args(["--listen", self.scenario.server.listen.as_deref().unwrap_or("127.0.0.1:0")])
            .args(["--protocol", &planned.protocol, "--format", &planned.format])
            .args(["--shards", &self.cpus.server.len().to_string()])
            .args(&self.scenario.server.args);
        if planned.pass == Pass::Flame && Sampling::needs_admin(&self.scenario.flame) {
            command.args(["--admin", "127.0.0.1:0"]);
        }
        Child::start(command, &self.cpus.server).with_context(|| binary.display().to_string())
    }

    /// Waits for the ready line; the address in it.
    fn await_ready(&self, server: &mut Child, engine: &Engine, row: &mut Trial) -> Result<String, Cut> {
        match server.line(READY_TIMEOUT, &|| self.stop.load(Ordering::Relaxed)) {
            Line::Said(line) => {
                let ready: serde_json::Value = serde_json::from_str(&line).map_err(|error| {
                    Cut::Failed(format!("{}: the ready line is not JSON ({error}): {line:.200}", engine.name))
                })?;
                let address = ready["addresses"][0].as_str().map(str::to_owned);
                row.ready = ready;
                address
                    .ok_or_else(|| Cut::Failed(format!("{}: no addresses in the ready line: {line:.200}", engine.name)))
            }
            Line::Ended => {
                let status = server.wait(STOP_TIMEOUT);
                let reason = server.last_words();
                match status.and_then(|status| status.code()) {
                    Some(code) if code == i32::from(exit::ENVIRONMENT) => Err(Cut::Unavailable(reason)),
                    _ => Err(Cut::Failed(format!(
                        "{} ended before it was ready ({}): {reason}",
                        engine.name,
                        ended(status)
                    ))),
                }
            }
            Line::Nothing => {
                Err(Cut::Failed(format!("{} was not ready within {} s", engine.name, READY_TIMEOUT.as_secs())))
            }
        }
    }

    fn start_generator(
        &self,
        engine: &Engine,
        address: &str,
        planned: &PlannedTrial,
        row: &mut Trial,
    ) -> Result<Child> {
        let load = &planned.load;
        let mut command = Command::new(self.generator);
        let cpus: Vec<String> = self.cpus.generator.iter().map(usize::to_string).collect();
        command
            .args(["load", address, "--events"])
            .args(asked(engine, planned))
            .args(["--payload-bytes", &load.payload_bytes.to_string()])
            .args(["--add-share", &load.add_share.unwrap_or(self.scenario.workload.add_share).to_string()])
            .args(["--page", &load.page.unwrap_or(self.scenario.workload.page).to_string()])
            .args(["--connections", &load.connections.to_string(), "--in-flight", &load.in_flight.to_string()])
            .args(["--warmup", &load.warmup_seconds.to_string(), "--duration", &load.measure_seconds.to_string()])
            .args(["--timeout", &self.scenario.load.timeout_seconds.to_string()])
            .args(["--cpus", &cpus.join(",")])
            // The same arrivals and payloads for every engine of a round, others in the next round.
            .args(["--seed", &(self.scenario.rounds.seed.wrapping_add(u64::from(planned.round))).to_string()]);
        match (load.rate, &load.arrivals) {
            (Some(rate), Some(arrivals)) => command.args(["--rate", &rate.to_string(), "--arrivals", arrivals]),
            _ => command.arg("--closed"),
        };
        if planned.pass == Pass::Timing {
            let prefix = format!("histograms/{:04}", row.index);
            command.arg("--histograms").arg(self.directory.join(&prefix));
            for kind in ["response", "service"] {
                row.histograms.insert(kind.to_owned(), format!("{prefix}-{kind}"));
            }
        }
        Ok(Child::start(command, &self.cpus.generator)?)
    }

    /// Follows the generator through its phases and reads the meters at both edges of the window.
    fn watch(
        &self,
        server: &mut Server,
        generator: &mut Child,
        planned: &PlannedTrial,
        row: &mut Trial,
        watcher: &dyn Watcher,
    ) -> Result<(Summary, Option<Readings>), Cut> {
        let mut probes = Probes::open(server, generator, planned.pass, row)
            .map_err(|error| self.explain(server, generator, &format!("reading the processes: {error:#}")))?;
        let load = &planned.load;
        let patience = Duration::from_secs_f64(
            load.warmup_seconds + load.measure_seconds + 2.0 * self.scenario.load.timeout_seconds,
        ) + READY_TIMEOUT;
        let (mut start, mut end, mut clocks) = (None, None, Vec::new());
        let mut sampling = None;
        loop {
            let line = match generator.line(patience, &|| self.stop.load(Ordering::Relaxed)) {
                Line::Said(line) => line,
                Line::Ended => return Err(self.explain(server, generator, "the load generator ended early")),
                Line::Nothing => return Err(Cut::Failed("the load generator did not answer in time".to_owned())),
            };
            match serde_json::from_str(&line) {
                Ok(Event::Connected) => {}
                Ok(Event::WindowStart) => {
                    row.started_unix_ms = unix_ms();
                    start = probes.read(false).ok();
                    if planned.pass == Pass::Flame {
                        let (part, cpus) = (&self.scenario.flame, &self.cpus.observer);
                        sampling = Some(Sampling::start(part, &probes.server, &row.ready, self.directory, cpus)?);
                    }
                    watcher.window(Edge::Start);
                }
                Ok(Event::WindowEnd) => {
                    end = probes.read(true).ok();
                    watcher.window(Edge::End);
                }
                Ok(Event::SliceEnd) => clocks.extend(probes.server.cpu_ns().map(|cpu_ns| (Instant::now(), cpu_ns))),
                Ok(Event::Done(summary)) => {
                    // A server that dies closes its connections first.
                    let patience = if summary.alive == 0 { DEATH } else { Duration::ZERO };
                    if let Some(died) = server.died(patience) {
                        return Err(Cut::Failed(died));
                    }
                    if let Some(sampling) = sampling {
                        let file = format!("flames/{:04}.folded", row.index);
                        row.flame = Some(sampling.finish(&self.scenario.flame, self.directory, &file)?);
                    }
                    return Ok((*summary, start.zip(end).map(|(start, end)| Readings { start, end, clocks })));
                }
                Err(error) => return Err(Cut::Failed(format!("the load generator said {line:.200} ({error})"))),
            }
        }
    }

    /// Why there is no measurement: the server's end explains more than the generator's.
    fn explain(&self, server: &mut Server, generator: &mut Child, what: &str) -> Cut {
        if let Some(died) = server.died(DEATH) {
            return Cut::Failed(died);
        }
        let status = generator.wait(Duration::from_millis(200));
        let last = if status.is_some() { generator.last_words() } else { "it has not ended".to_owned() };
        Cut::Failed(format!("{what} ({}): {last}", ended(status)))
    }
}

/// What the generator asks, as its arguments.
fn asked(engine: &Engine, planned: &PlannedTrial) -> Vec<String> {
    let Some(own) = &engine.own else { return lab_request(planned) };
    let mut arguments = match &own.ask {
        None => lab_request(planned),
        Some(ask) => vec!["--ask".to_owned(), serde_json::to_string(ask).expect("what is asked is plain data")],
    };
    if own.allow_remote {
        arguments.push("--allow-remote".to_owned());
    }
    arguments
}

/// The lab's own services.
fn lab_request(planned: &PlannedTrial) -> Vec<String> {
    ["--protocol", &planned.protocol, "--format", &planned.format, "--service", &planned.service]
        .map(str::to_owned)
        .to_vec()
}

impl Probes {
    fn open(server: &Server, generator: &Child, pass: Pass, row: &mut Trial) -> Result<Self> {
        let server = server.probe()?;
        let syscalls = match pass {
            Pass::Timing | Pass::Flame => None,
            Pass::Syscalls => Syscalls::attach(&server.processes()?)
                .map_err(|unavailable| row.server.syscalls_unavailable = Some(unavailable))
                .ok(),
        };
        Ok(Self {
            server,
            generator: ProcessProbe::new(generator.pid())?,
            whole_box: BoxProbe::new(vec![generator.pid(), std::process::id()])?,
            syscalls,
        })
    }

    /// Reads everything; memory only at the end of a window, since the kernel walks page tables for it.
    fn read(&mut self, with_memory: bool) -> Result<Meters> {
        let syscalls = self.syscalls.as_mut().map(Syscalls::read).transpose()?;
        let whole_box = self.whole_box.read_beside(self.server.cpu_ns()?)?;
        let generator = self.generator.read_counters()?;
        let server = if with_memory { self.server.read()? } else { self.server.read_counters()? };
        Ok(Meters { server, generator, whole_box, syscalls })
    }
}

/// The readings of one window.
struct Readings {
    start: Meters,
    end: Meters,
    /// The server's CPU clock at the ends of the slices between, and when it was read.
    clocks: Vec<(Instant, u64)>,
}

impl Readings {
    /// The generator's slices with the server's CPU time in each.
    fn slices(&self, summary: &Summary) -> Vec<Slice> {
        let (start, end) = (&self.start.server, &self.end.server);
        let mut clocks = vec![(start.at, start.cpu_ns)];
        clocks.extend(&self.clocks);
        clocks.push((end.at, end.cpu_ns));
        let count = summary.slices.len();
        let length = summary.measured_seconds / count.max(1) as f64;
        let slice = |(place, slice): (usize, &crate::load::summary::Slice)| {
            // As for the whole window: requests are scaled to the time between the readings.
            let cpu = (clocks.len() == count + 1 && length > 0.0).then(|| {
                let ((from, before), (to, after)) = (clocks[place], clocks[place + 1]);
                let requests = slice.answered as f64 / length * to.saturating_duration_since(from).as_secs_f64();
                after.saturating_sub(before) as f64 / 1e3 / requests
            });
            Slice {
                completed: slice.completed,
                response_mean_us: slice.response_mean_us,
                server_cpu_us_per_request: cpu.filter(|cpu| cpu.is_finite()),
            }
        };
        summary.slices.iter().enumerate().map(slice).collect()
    }
}

/// Puts the generator's summary and the difference of the meters into the row.
fn fill(row: &mut Trial, summary: Summary, window: Option<Readings>) {
    if let Some(readings) = window {
        row.slices = readings.slices(&summary);
        let Readings { start, end, .. } = readings;
        // The meters were read a little after the window's edges; the load was the same there, so requests are
        // scaled to the time between the readings.
        let between = end.server.at.saturating_duration_since(start.server.at).as_secs_f64();
        let requests = (summary.rate * between).round() as u64;
        let unavailable = row.server.syscalls_unavailable.take();
        let difference = end.whole_box.since(&start.whole_box);
        row.server = end.server.cost_since(&start.server, requests, difference.busy);
        row.server.syscalls_unavailable = unavailable;
        row.server.syscalls_per_request = end
            .syscalls
            .zip(start.syscalls)
            .map(|(end, start)| end.saturating_sub(start) as f64 / requests.max(1) as f64);
        let generator = end.generator.cost_since(&start.generator, requests, Duration::ZERO);
        row.generator = GeneratorCost {
            cpu_us_per_request: generator.cpu_us_per_request,
            core_share: generator.core_share,
            schedule_lag: summary.schedule_lag,
        };
        row.surroundings = difference.surroundings;
    }
    row.measured_seconds = summary.measured_seconds;
    row.due = (summary.due > 0).then_some(summary.due);
    row.completed = summary.completed;
    row.rate_achieved = summary.rate;
    row.errors = summary.errors;
    row.response = summary.response;
    row.service_time = summary.service_time;
    row.reason = summary.ended_early.or(summary.example);
}

/// A row that says what was planned and nothing more.
fn blank(planned: &PlannedTrial, index: u32) -> Trial {
    Trial {
        schema: SCHEMA,
        index,
        round: planned.round,
        pass: planned.pass,
        engine: planned.engine.clone(),
        twin_of: planned.twin_of.clone(),
        interface: planned.interface.clone(),
        protocol: planned.protocol.clone(),
        service: planned.service.clone(),
        format: planned.format.clone(),
        load: planned.load.clone(),
        status: Status::Failed,
        reason: None,
        limiter: None,
        started_unix_ms: unix_ms(),
        measured_seconds: 0.0,
        due: None,
        completed: 0,
        rate_achieved: 0.0,
        errors: Default::default(),
        response: Default::default(),
        service_time: Default::default(),
        slices: Vec::new(),
        histograms: Default::default(),
        flame: None,
        server: ServerCost::default(),
        generator: GeneratorCost::default(),
        surroundings: Surroundings::default(),
        ready: serde_json::Value::Null,
        counters: serde_json::Value::Null,
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
