//! A run of climbs: the namespace, the plans, the climbs one after the other, their rows, and the report.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use serde::Serialize;

use super::ascent::{self, Ascent, Moment, Name};
use super::fleet::Launch;
use super::life::Part;
use super::namespace::{Alone, Namespace};
use super::plan::{self, Limits, Plan, Spread};
use super::result::Climb;
use crate::engines::Engine;
use crate::failure::Failure;
use crate::host::{self, Files, Machine};
use crate::observe::Timeline;
use crate::plan::Cpus;
use crate::report;
use crate::result::Status;
use crate::servers::{self, Binaries};
use crate::store::Store;
use crate::target::Origin;

/// One climb to be made.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    /// Round, from 1.
    pub round: u32,
    /// The engine.
    pub engine: &'a Engine,
    /// Framing.
    pub protocol: String,
    /// Wire format.
    pub format: String,
}

/// What all climbs of a run share.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// Its name, part of the result directory's.
    pub name: String,
    /// The question, for the report.
    pub question: String,
    /// The climbs, in their order.
    pub wishes: Vec<Wish<'a>>,
    /// What each of them does.
    pub ascent: Ascent,
    /// How connections come to the servers.
    pub spread: Spread,
    /// Stay in the host's network namespace.
    pub host_namespace: bool,
    /// `echo` or `note`.
    pub service: String,
    /// Arguments of the holders that say what they ask.
    pub workload: Vec<String>,
    /// Cores of the servers.
    pub server_cores: usize,
    /// Result directory; `None` makes a new one.
    pub out: Option<PathBuf>,
    /// Cargo profile of the servers.
    pub profile: String,
}

/// `plan.json` of a run of climbs.
#[derive(Serialize)]
struct Described<'a> {
    schema: u32,
    scenario: &'a str,
    question: &'a str,
    seed: u64,
    plateaus: &'a [u32],
    namespace: String,
    server_cpus: &'a [usize],
    holder_cpus: &'a [usize],
    plan: &'a Plan,
}

/// Where a run is prepared: in which namespace, with which limits.
pub struct Place {
    /// The namespace.
    pub namespace: Namespace,
    /// Limits in it.
    pub limits: Limits,
    /// CPUs.
    pub cpus: Cpus,
    machine: Machine,
}

impl Place {
    /// Enters the namespace and reads the limits there. From the main thread while it is the only one.
    ///
    /// # Errors
    /// When the namespace is of no use or there are too few CPUs.
    pub fn enter(host_namespace: bool, server_cores: usize, results: &Path) -> Result<Self> {
        let cpus = Cpus::assign(&Cpus::allowed().context("sched_getaffinity")?, server_cores)?;
        let namespace = Namespace::enter(host_namespace)?;
        let machine = Machine::here(results);
        let conntrack = machine.live.conntrack_on_loopback == Some(true);
        let files = Files::default();
        let in_user_namespace = matches!(namespace, Namespace::Own { with_user: true, .. });
        let limits = Limits::read(&files, conntrack, !in_user_namespace && has_sys_admin(&files));
        match &namespace {
            Namespace::Host { reason } if !host_namespace => eprintln!("warning: {}", on_the_host(reason, &limits)),
            Namespace::Host { .. } => {}
            Namespace::Own { warnings, .. } => warnings.iter().for_each(|warning| eprintln!("warning: {warning}")),
        }
        Ok(Self { namespace, limits, cpus, machine })
    }

    /// The fleet for `users` on `engine`.
    pub fn plan(&self, engine: &Engine, users: u32, spread: Spread) -> Plan {
        let cpus = (self.cpus.server.len(), self.cpus.generator.len());
        plan::plan(&self.machine.files, &self.limits, engine, users, spread, cpus)
    }
}

/// Whether CAP_SYS_ADMIN is in force (capabilities(7), bit 21).
fn has_sys_admin(files: &Files) -> bool {
    let effective = files.field("self/status", "CapEff").and_then(|bits| u64::from_str_radix(&bits, 16).ok());
    effective.is_some_and(|bits| bits & (1 << 21) != 0)
}

/// What limits a run in the host's namespace.
fn on_the_host(reason: &str, limits: &Limits) -> String {
    let conntrack = match limits.conntrack {
        Some((free, max)) => format!("nf_conntrack has {free} of {max} entries free"),
        None => "conntrack does not see loopback".to_owned(),
    };
    format!(
        "running in the host's network namespace ({reason}): there {conntrack}, each source address has {} ports, and what \
         ends on its own stays in TIME_WAIT for a minute",
        limits.ports.1 + 1 - limits.ports.0
    )
}

/// Makes the climbs of `run`, writes their rows and the report; prints the table, or the rows as JSON.
///
/// # Errors
/// Usage and environment failures before anything ran; void when it was interrupted or no climb counts; missed when an
/// engine did not hold.
pub fn run(run: &Run<'_>, json: bool, stop: &Arc<AtomicBool>, tell: &mut dyn FnMut(&Moment)) -> Result<Outcome> {
    let (directory, rows) = measure(run, stop, tell)?;
    let summary = report::climbs::write(&directory)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        print!("{}", summary.table);
        println!("Report: {}", directory.join("report.html").display());
    }
    outcome(&rows)
}

/// Makes the climbs of `run` and writes their rows; the result directory, and the rows.
///
/// # Errors
/// Usage and environment failures before anything ran; void when it was interrupted.
pub fn measure(run: &Run<'_>, stop: &Arc<AtomicBool>, tell: &mut dyn FnMut(&Moment)) -> Result<(PathBuf, Vec<Climb>)> {
    let mut seen = Vec::new();
    run.wishes.iter().for_each(|wish| {
        if !seen.iter().any(|engine: &&Engine| engine.name == wish.engine.name) {
            seen.push(wish.engine);
        }
    });
    // Before the namespace is entered: there is no network in it that Cargo could want.
    let binaries = servers::build(seen.iter().copied(), &run.profile)?;
    let _alone = Alone::take()?;
    let directory = run
        .out
        .clone()
        .unwrap_or_else(|| Path::new("lab-results").join(format!("{}-{}", run.name, host::compact_utc_now())));
    let stay = run.host_namespace || run.wishes.iter().any(runs_already);
    let place = Place::enter(stay, run.server_cores, &directory)?;
    let top = *run.ascent.plateaus.last().context("a climb has a plateau")?;
    for engine in &seen {
        place
            .plan(engine, top, run.spread)
            .check(&place.limits)
            .map_err(|refusal| Failure::Environment(format!("{}: {refusal}", engine.name)))?;
    }
    host::raise_fd_limit(0).map_err(|refusal| Failure::Environment(refusal.to_string()))?;

    let mut store = Store::create(&directory, "climbs.jsonl")?;
    let described = Described {
        schema: super::result::SCHEMA,
        scenario: &run.name,
        question: &run.question,
        seed: run.ascent.seed,
        plateaus: &run.ascent.plateaus,
        namespace: place.namespace.describe(),
        server_cpus: &place.cpus.server,
        holder_cpus: &place.cpus.generator,
        plan: &place.plan(seen[0], top, run.spread),
    };
    store.describe(&described, &host::fingerprint(host::command_line(), &run.profile))?;
    let timeline = Timeline::start(&directory.join("timeline.jsonl"), &place.cpus.observer)
        .with_context(|| format!("watching the host from {}", directory.display()))?;
    let made = climbs(run, &place, &binaries, &mut store, stop, tell);
    timeline.stop().context("writing the host's timeline")?;
    Ok((directory, made?))
}

/// The program of an engine; nothing for a server of one's own, which has a command or runs already.
fn program<'a>(binaries: &'a Binaries, engine: &Engine) -> Result<&'a Path> {
    match binaries.get(&engine.name) {
        Some(path) => Ok(path),
        None if engine.own.is_some() => Ok(Path::new("")),
        None => anyhow::bail!("engine {} was not built", engine.name),
    }
}

/// Whether a wish is for a server that runs already, which is not in a namespace that this run makes.
fn runs_already(wish: &Wish<'_>) -> bool {
    let origin = wish.engine.own.as_ref().and_then(|own| own.origin().ok());
    matches!(origin, Some(Origin::Process(_) | Origin::Container(_)))
}

/// How a run ended when nothing was in its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every climb that could run here held.
    Held,
    /// An engine did not hold.
    Missed,
}

/// The climbs in their order, each one's row written as soon as it is there.
fn climbs(
    run: &Run<'_>,
    place: &Place,
    binaries: &Binaries,
    store: &mut Store,
    stop: &Arc<AtomicBool>,
    tell: &mut dyn FnMut(&Moment),
) -> Result<Vec<Climb>> {
    let lab = std::env::current_exe().context("finding this program")?;
    let top = *run.ascent.plateaus.last().context("a climb has a plateau")?;
    let namespace = place.namespace.describe();
    let mut rows = Vec::new();
    for (index, wish) in (0..).zip(&run.wishes) {
        let launch = Launch {
            engine: wish.engine,
            server: program(binaries, wish.engine)?,
            server_cpus: &place.cpus.server,
            lab: &lab,
            holder_cpus: &place.cpus.generator,
            protocol: &wish.protocol,
            format: &wish.format,
            workload: &run.workload,
            push: run.ascent.life.iter().any(Part::is_broadcast),
        };
        let plan = place.plan(wish.engine, top, run.spread);
        let name = Name { index, round: wish.round, service: &run.service, namespace: &namespace };
        let row = ascent::climb(&plan, &launch, &run.ascent, &name, stop, tell);
        store.append(&row)?;
        rows.push(row);
        if stop.load(Ordering::Relaxed) {
            let directory = store.directory().display().to_string();
            report::climbs::write(store.directory())?;
            return Err(Failure::Void(format!("interrupted; what was measured until then is in {directory}")).into());
        }
    }
    Ok(rows)
}

/// How a run ended: one in which nothing counts is not a result; one in which an engine lost users missed its goal.
///
/// # Errors
/// A void or environment failure with the first reason.
pub fn outcome(rows: &[Climb]) -> Result<Outcome> {
    let first = |status: Status| rows.iter().find(|row| row.status == status);
    let reason = |row: &Climb| format!("{}: {}", row.engine, row.reason.as_deref().unwrap_or("no reason given"));
    if let Some(row) = first(Status::Failed) {
        eprintln!("lab: {}", reason(row));
        return Ok(Outcome::Missed);
    }
    if first(Status::Ok).is_some() {
        return Ok(Outcome::Held);
    }
    Err(match (first(Status::Void), first(Status::Unavailable)) {
        (Some(row), _) => Failure::Void(reason(row)),
        (None, Some(row)) => Failure::Environment(reason(row)),
        (None, None) => Failure::Void("there was no climb".to_owned()),
    }
    .into())
}
