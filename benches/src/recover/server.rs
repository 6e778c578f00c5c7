//! The server of one story: started, ready, ended.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::plan::Telling;
use crate::child::{Child, Line, ended};
use crate::engines::Engine;
use crate::failure::exit;
use crate::scenario::Scenario;

/// How long a server may take from exec to its ready line.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may take from SIGTERM to its counters. It drains for two seconds at most.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no server.
pub(super) enum NoServer {
    /// The engine cannot run here.
    Unavailable(String),
    /// It broke.
    Failed(String),
}

/// A server that serves.
pub(super) struct Server {
    pub(super) child: Child,
    pub(super) address: SocketAddr,
    pub(super) ready: Value,
}

/// What a server is to speak, and where.
pub(super) struct Place<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) protocol: &'a str,
    pub(super) format: &'a str,
    pub(super) cpus: &'a [usize],
}

impl Server {
    /// Starts `engine` for `telling` and waits until it is ready.
    pub(super) fn start(
        engine: &Engine,
        binary: &Path,
        place: &Place<'_>,
        telling: &Telling,
    ) -> Result<Server, NoServer> {
        let mut command = Command::new(binary);
        command
            .args(&engine.args)
            .args(["--listen", place.scenario.server.listen.as_deref().unwrap_or("127.0.0.1:0")])
            .args(["--protocol", place.protocol, "--format", place.format])
            .args(["--shards", &place.cpus.len().to_string()])
            .args(&place.scenario.server.args);
        if let Some(limiter) = &telling.limiter {
            command.args(["--limit-requests", limiter]);
        }
        if telling.limits_connections {
            command.args(["--limit-connections", &place.scenario.load.connections.to_string()]);
        }
        let mut child = Child::start(command, place.cpus)
            .map_err(|error| NoServer::Failed(format!("{}: {error}", binary.display())))?;
        let line = match child.line(READY_TIMEOUT, &|| false) {
            Line::Said(line) => line,
            Line::Ended => return Err(explain(&mut child, engine)),
            Line::Nothing => {
                return Err(NoServer::Failed(format!("not ready within {} s", READY_TIMEOUT.as_secs())));
            }
        };
        let ready: Value = serde_json::from_str(&line)
            .map_err(|error| NoServer::Failed(format!("the ready line is not JSON ({error}): {line:.200}")))?;
        let address = ready["addresses"][0].as_str().and_then(|text| text.parse().ok());
        let address =
            address.ok_or_else(|| NoServer::Failed(format!("no addresses in the ready line: {line:.200}")))?;
        Ok(Server { child, address, ready })
    }

    /// Whether it still runs; otherwise how it ended.
    pub(super) fn died(&mut self) -> Option<String> {
        let status = self.child.wait(Duration::ZERO)?;
        let last = self.child.last_words();
        Some(format!("the server died ({}): {last}", ended(Some(status))))
    }

    /// Ends it; its own counters.
    pub(super) fn stop(mut self) -> Value {
        self.child.terminate();
        let counters = match self.child.line(STOP_TIMEOUT, &|| false) {
            Line::Said(line) => serde_json::from_str(&line).unwrap_or_default(),
            Line::Ended | Line::Nothing => Value::Null,
        };
        self.child.stop(STOP_TIMEOUT);
        counters
    }
}

fn explain(child: &mut Child, engine: &Engine) -> NoServer {
    let status = child.wait(STOP_TIMEOUT);
    let reason = child.last_words();
    match status.and_then(|status| status.code()) {
        Some(code) if code == i32::from(exit::ENVIRONMENT) => NoServer::Unavailable(reason),
        _ => NoServer::Failed(format!("{} ended before it was ready ({}): {reason}", engine.name, ended(status))),
    }
}
