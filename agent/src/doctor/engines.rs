//! Container engines that do not answer, and containers that nobody can name.

use std::time::Duration;

use hostfs::cgroup::Runtime;

use super::Gap;
use crate::containers::census::Report;
use crate::flags::Setup;

/// What is missing without an engine.
const MISSING: &str = "name, image and container_label_* of its containers, container_health_state, container_creation_time_seconds, \
    highload_container_engine_ooms_total";

/// Gaps of engines: one that was asked for or whose socket or containers are there, and that does not answer. An engine that
/// nothing speaks for is none.
pub(super) fn gaps(setup: &Setup, census: Option<&Report>, patience: Duration) -> Vec<Gap> {
    let Some(names) = setup.shared.known_names() else { return Vec::new() };
    names.wait_until_tried(patience);
    let containers = |runtime: &str| {
        let groups = census.map_or(&[][..], |census| &census.groups);
        let is = |known: Runtime| known.name() == runtime;
        groups.iter().filter(|group| group.identity.as_ref().is_some_and(|identity| is(identity.runtime))).count()
    };
    let mut gaps = Vec::new();
    for engine in names.engines().into_iter().filter(|engine| !engine.up) {
        let running = containers(&engine.runtime);
        if !engine.expected && running == 0 {
            continue;
        }
        let why = if engine.message.is_empty() { "no answer yet" } else { &engine.message };
        let reason = format!("{} at {}: {why}; {running} containers of it run", engine.runtime, engine.socket);
        gaps.push(Gap::new(&["containers"], MISSING, reason, remedy(why)));
    }
    gaps
}

/// What to do about an answer, by its words: the errors come through three libraries and have no common type.
fn remedy(why: &str) -> &'static str {
    let why = why.to_ascii_lowercase();
    if why.contains("permission denied") {
        "add the agent's user to the group of the socket (often docker), or run as root"
    } else if why.contains("refused") || why.contains("no such file") {
        "start the engine, name its socket with --collector.containers.engine, or give that flag none"
    } else {
        "look at the engine's own log; the agent asks again, with growing pauses, at most every 5 s"
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hostfs::Roots;

    use super::*;
    use crate::containers::engine::{Engine, start};
    use crate::containers::{Names, Policy};

    fn setup_with(socket: &std::path::Path, explicit: bool) -> Setup {
        let setup = Setup::new(Roots::default());
        let names = setup.shared.names(|| Arc::new(Names::new(Policy::new(""))));
        let engine = Engine { runtime: "podman".into(), socket: socket.to_owned(), explicit };
        start(vec![engine], &names).unwrap();
        setup
    }

    /// An engine that was asked for and is not there, one that refuses, and one that nobody asked for.
    #[test]
    fn missing_and_refusing() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("podman.sock");
        let patience = Duration::from_secs(60);
        assert_eq!(gaps(&setup_with(&socket, false), None, patience), []);
        let found = gaps(&setup_with(&socket, true), None, patience);
        assert!(found.len() == 1 && found[0].remedy.starts_with("start the engine"), "{found:?}");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let found = gaps(&setup_with(&socket, true), None, patience);
        assert!(found[0].reason.contains("refused"), "{found:?}");
    }

    #[test]
    fn remedies() {
        assert!(remedy("Permission denied (os error 13)").contains("group"));
        assert!(remedy("no answer within 5 s").contains("log"));
    }
}
