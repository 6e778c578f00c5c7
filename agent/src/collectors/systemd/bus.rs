//! systemd's manager over D-Bus: a new connection for each scrape, closed after it, and one limit on the whole.

use std::time::Duration;

use tokio::time::timeout;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::{OwnedObjectPath, OwnedVariant};

/// How long connecting, authenticating and asking may take together.
const LIMIT: Duration = Duration::from_secs(4);

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const ROOT: &str = "/org/freedesktop/systemd1";

/// What is asked beyond the states of units.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extras {
    pub restarts: bool,
    pub start_time: bool,
    pub tasks: bool,
}

/// Answers of the manager. A property that this systemd does not have is `None`.
#[derive(Debug, Default)]
pub(super) struct Manager {
    pub version: Option<String>,
    pub virtualization: Option<String>,
    pub state: Option<String>,
    /// ActiveState of every unit, wanted or not.
    pub states: Vec<String>,
    /// Wanted units.
    pub units: Vec<Unit>,
}

/// A unit.
#[derive(Debug, Default)]
pub(super) struct Unit {
    pub name: String,
    pub state: String,
    /// Type of a service or mount.
    pub kind: Option<String>,
    pub restarts: Option<u32>,
    /// When it became active, in microseconds; zero when it is not.
    pub active_since: Option<u64>,
    pub tasks: Option<u64>,
    pub tasks_limit: Option<u64>,
    /// When a timer last elapsed, in microseconds.
    pub last_trigger: Option<u64>,
    /// Connections of a socket.
    pub accepted: Option<u32>,
    pub connected: Option<u32>,
    pub refused: Option<u32>,
}

/// The signature of `ListUnits`: name, description, load state, active state, sub state, followed unit, object path,
/// job, job type, job's object path.
type Listed = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// Asks the manager behind the bus at `address`, and every loaded unit that is `wanted` for its properties.
///
/// # Errors
/// One sentence: there is no such bus, it refuses, or it does not answer in time.
pub(super) fn read(address: &str, extras: Extras, wanted: impl FnMut(&str) -> bool) -> Result<Manager, String> {
    // Most hosts that have no systemd have no bus either: that is seen before a runtime is made for asking it.
    if let Some(path) = address.strip_prefix("unix:path=").filter(|path| !path.contains([',', ';', '%'])) {
        std::fs::metadata(path).map_err(|error| error.to_string())?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no event loop: {error}"))?;
    let answer = runtime.block_on(async { timeout(LIMIT, ask(address, extras, wanted)).await });
    runtime.shutdown_background();
    match answer {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer after {} s", LIMIT.as_secs())),
    }
}

async fn ask(address: &str, extras: Extras, mut wanted: impl FnMut(&str) -> bool) -> zbus::Result<Manager> {
    let bus = Builder::address(address).build().await?;
    let property = async |name| get::<String>(&bus, ROOT, MANAGER, name).await;
    let mut manager = Manager {
        version: property("Version").await,
        virtualization: property("Virtualization").await,
        ..Manager::default()
    };
    let reply = bus.call_method(Some(SYSTEMD), ROOT, Some(MANAGER), "ListUnits", &()).await?;
    for (name, _, loaded, state, _, _, path, ..) in reply.body().deserialize::<Vec<Listed>>()? {
        manager.states.push(state.clone());
        if loaded == "loaded" && wanted(&name) {
            manager.units.push(unit(&bus, extras, name, state, path.as_str()).await);
        }
    }
    manager.state = property("SystemState").await;
    Ok(manager)
}

async fn unit(bus: &Connection, extras: Extras, name: String, state: String, path: &str) -> Unit {
    let mut unit = Unit { name, state, ..Unit::default() };
    match unit.name.rsplit_once('.').map(|(_, suffix)| suffix) {
        Some("service") => {
            let interface = "org.freedesktop.systemd1.Service";
            unit.kind = get(bus, path, interface, "Type").await;
            if extras.restarts {
                unit.restarts = get(bus, path, interface, "NRestarts").await;
            }
            if extras.tasks {
                unit.tasks = get(bus, path, interface, "TasksCurrent").await;
                unit.tasks_limit = get(bus, path, interface, "TasksMax").await;
            }
        }
        Some("mount") => unit.kind = get(bus, path, "org.freedesktop.systemd1.Mount", "Type").await,
        Some("timer") => unit.last_trigger = get(bus, path, "org.freedesktop.systemd1.Timer", "LastTriggerUSec").await,
        Some("socket") => {
            let interface = "org.freedesktop.systemd1.Socket";
            unit.accepted = get(bus, path, interface, "NAccepted").await;
            unit.connected = get(bus, path, interface, "NConnections").await;
            unit.refused = get(bus, path, interface, "NRefused").await;
        }
        _ => {}
    }
    if extras.start_time {
        unit.active_since = if unit.state == "active" {
            get(bus, path, "org.freedesktop.systemd1.Unit", "ActiveEnterTimestamp").await
        } else {
            Some(0)
        };
    }
    unit
}

/// A property, or nothing when the manager refuses it: older ones lack some, and units go while they are read.
async fn get<T: TryFrom<OwnedVariant>>(bus: &Connection, path: &str, interface: &str, name: &str) -> Option<T> {
    let properties = Some("org.freedesktop.DBus.Properties");
    let reply = bus.call_method(Some(SYSTEMD), path, properties, "Get", &(interface, name)).await.ok()?;
    reply.body().deserialize::<OwnedVariant>().ok()?.try_into().ok()
}
