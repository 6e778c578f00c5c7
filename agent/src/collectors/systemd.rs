//! `systemd`: states of units, timers and sockets, asked over D-Bus.
//!
//! A manager that does not answer costs this collector a few seconds and its samples: connecting, authenticating and
//! asking have one time limit together.

mod bus;

use anyhow::Context;
use regex_lite::Regex;

use self::bus::{Extras, Manager, Unit};
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::{Grouping, Page};
use crate::filter::Filter;
use crate::flags::{self, Setup};

crate::metrics! {
    VERSION = gauge("node_systemd_version").labels(&["version"])
        .help("Version of systemd as a number; the label has all of it.").source("D-Bus Manager.Version")
        .answers("Which systemd runs here?");
    VIRTUALIZATION = gauge("node_systemd_virtualization_info").labels(&["virtualization_type"])
        .help("Always 1; the label has the virtualization that systemd found, or none.")
        .source("D-Bus Manager.Virtualization").answers("Is this a virtual machine or container?");
    UNITS = gauge("node_systemd_units").labels(&["state"]).help("Units in a state, filtered or not.")
        .source("D-Bus Manager.ListUnits").answers("Did any unit fail?");
    UNIT_STATE = gauge("node_systemd_unit_state").labels(&["name", "state", "type"])
        .help("1 for the state that a unit is in, 0 for the others.").source("D-Bus Manager.ListUnits")
        .answers("Which unit failed?");
    RESTARTS = counter("node_systemd_service_restart_total").labels(&["name"])
        .help("Automatic restarts of a service.").source("D-Bus Service.NRestarts").answers("Does a service crash?");
    START_TIME = gauge("node_systemd_unit_start_time_seconds").labels(&["name"])
        .help("When a unit became active, in Unix time; 0 when it is not.")
        .source("D-Bus Unit.ActiveEnterTimestamp").answers("When was a service started?");
    TASKS = gauge("node_systemd_unit_tasks_current").labels(&["name"]).help("Tasks of a service.")
        .source("D-Bus Service.TasksCurrent").answers("Does a service leak threads?");
    TASKS_MAX = gauge("node_systemd_unit_tasks_max").labels(&["name"]).help("Tasks that a service may have.")
        .source("D-Bus Service.TasksMax").answers("How far is a service from its limit of tasks?");
    LAST_TRIGGER = gauge("node_systemd_timer_last_trigger_seconds").labels(&["name"])
        .help("When a timer last elapsed, in Unix time.").source("D-Bus Timer.LastTriggerUSec")
        .answers("Did a job run?");
    ACCEPTED = counter("node_systemd_socket_accepted_connections_total").labels(&["name"])
        .help("Connections that a socket unit accepted.").source("D-Bus Socket.NAccepted")
        .answers("Is an activated service used?");
    CONNECTED = gauge("node_systemd_socket_current_connections").labels(&["name"])
        .help("Connections of a socket unit.").source("D-Bus Socket.NConnections")
        .answers("Who is connected to an activated service?");
    REFUSED = gauge("node_systemd_socket_refused_connections_total").labels(&["name"])
        .help("Connections that a socket unit refused; typed as node_exporter types it.")
        .source("D-Bus Socket.NRefused").answers("Does an activated service turn users away?");
    RUNNING = gauge("node_systemd_system_running").help("1 when the system's state is running, 0 otherwise.")
        .source("D-Bus Manager.SystemState").answers("Is the host up and not degraded?");
}

const INCLUDE: &str = "collector.systemd.unit-include";
const EXCLUDE: &str = "collector.systemd.unit-exclude";
const RESTART_METRICS: &str = "collector.systemd.enable-restarts-metrics";
const START_TIME_METRICS: &str = "collector.systemd.enable-start-time-metrics";
const TASK_METRICS: &str = "collector.systemd.enable-task-metrics";

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[
        flags::text(INCLUDE, ".+", "units to export, whole names"),
        flags::text(EXCLUDE, r".+\.(automount|device|mount|scope|slice)", "units not to export, whole names"),
        flags::switch(RESTART_METRICS, false, "restarts of services too"),
        flags::switch(START_TIME_METRICS, false, "start times of units too"),
        flags::switch(TASK_METRICS, false, "tasks of services too"),
    ],
    build,
};

/// States that every unit is compared with.
const STATES: [&str; 5] = ["active", "activating", "deactivating", "inactive", "failed"];

struct Systemd {
    address: String,
    extras: Extras,
    filter: Filter,
    version: Regex,
    samples: Grouping,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let address = std::env::var("DBUS_SYSTEM_BUS_ADDRESS");
    let address = address.unwrap_or_else(|_| "unix:path=/run/dbus/system_bus_socket".into());
    Ok(Box::new(systemd(setup, address)?))
}

fn systemd(setup: &Setup, address: String) -> anyhow::Result<Systemd> {
    let whole = |flag| format!("^(?:{})$", setup.text(flag));
    Ok(Systemd {
        address,
        extras: Extras {
            restarts: setup.is_on(RESTART_METRICS),
            start_time: setup.is_on(START_TIME_METRICS),
            tasks: setup.is_on(TASK_METRICS),
        },
        filter: Filter::new(&whole(INCLUDE), &whole(EXCLUDE)).with_context(|| format!("--{INCLUDE} or --{EXCLUDE}"))?,
        version: Regex::new(r"[0-9]{3,}(\.[0-9]+)?")?,
        samples: Grouping::default(),
    })
}

impl Collector for Systemd {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let manager = bus::read(&self.address, self.extras, |name| self.filter.wants(name.as_bytes()))
            .map_err(|error| Failure::Broken(format!("systemd at {}: {error}", self.address)))?;
        self.manager(&manager);
        for unit in &manager.units {
            self.unit(unit);
        }
        let state = manager.state.as_deref();
        if let Some(state) = state {
            self.samples.sample(&RUNNING, &[], u64::from(state == "running"));
        }
        self.samples.write_to(page);
        state.map(|_| ()).ok_or_else(|| Failure::Broken("systemd does not tell the system's state".into()))
    }
}

impl Systemd {
    fn manager(&mut self, manager: &Manager) {
        let samples = &mut self.samples;
        let version = manager.version.as_deref().unwrap_or_default();
        let number = self.version.find(version).and_then(|number| number.as_str().parse::<f64>().ok());
        samples.sample(&VERSION, &[("version", version.as_bytes())], number.unwrap_or(0.0));
        let virtualization = match manager.virtualization.as_deref() {
            None => "unknown",
            Some("") => "none",
            Some(kind) => kind,
        };
        samples.sample(&VIRTUALIZATION, &[("virtualization_type", virtualization.as_bytes())], 1_u64);
        let mut others: Vec<&str> =
            manager.states.iter().map(String::as_str).filter(|state| !STATES.contains(state)).collect();
        others.sort_unstable();
        others.dedup();
        for state in STATES.into_iter().chain(others) {
            let units = manager.states.iter().filter(|seen| *seen == state).count();
            samples.sample(&UNITS, &[("state", state.as_bytes())], units as u64);
        }
    }

    fn unit(&mut self, unit: &Unit) {
        let samples = &mut self.samples;
        let name = ("name", unit.name.as_bytes());
        let kind = ("type", unit.kind.as_deref().unwrap_or_default().as_bytes());
        for state in STATES {
            samples.sample(&UNIT_STATE, &[name, ("state", state.as_bytes()), kind], u64::from(unit.state == state));
        }
        let seconds = |microseconds: u64| microseconds as f64 / 1e6;
        let limited = |tasks: &u64| *tasks != u64::MAX;
        let numbers = [
            (&RESTARTS, unit.restarts.map(f64::from)),
            (&START_TIME, unit.active_since.map(seconds)),
            (&TASKS, unit.tasks.filter(limited).map(|tasks| tasks as f64)),
            (&TASKS_MAX, unit.tasks_limit.filter(limited).map(|tasks| tasks as f64)),
            (&LAST_TRIGGER, unit.last_trigger.map(seconds)),
            (&ACCEPTED, unit.accepted.map(f64::from)),
            (&CONNECTED, unit.accepted.and(unit.connected).map(f64::from)),
            (&REFUSED, unit.accepted.and(unit.connected).and(unit.refused).map(f64::from)),
        ];
        for (metric, number) in numbers {
            if let Some(number) = number {
                samples.sample(metric, &[name], number);
            }
        }
    }
}

#[cfg(test)]
mod tests;
