//! Keeps [`Names`] fresh from Docker's and Podman's API: a list at first, then the stream of events, and a list again
//! whenever something may have been missed.
//!
//! All engines share one thread with its own event loop, so that a scrape's collectors, which run on threads
//! without one, never wait for an engine. Everything is bounded: requests in time, answers in bytes
//! (see `transport`), names in number.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use bollard::models::{ContainerSummary, EventMessage};
use bollard::query_parameters::{EventsOptionsBuilder, ListContainersOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt;

use super::names::{Names, Raw};
use super::transport;

/// How long an engine may take for a list. Docker needs some milliseconds for a hundred containers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the list is taken anew, events or not: names heal by themselves, and an engine that hangs is noticed.
const RESYNC: Duration = Duration::from_secs(60);

/// Waits after a failure: the first, and the longest that doubling leads to. A restarted engine is back within the latter.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_LONGEST: Duration = Duration::from_secs(5);

/// An engine to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// `docker` or `podman`, for labels.
    pub runtime: String,
    /// Its socket.
    pub socket: PathBuf,
    /// Whether it was asked for by a flag.
    pub explicit: bool,
}

impl Engine {
    /// From `unix:///path`, `/path`, or `podman=/path`.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let (runtime, address) = text.split_once('=').unwrap_or(("", text));
        let path = address.strip_prefix("unix://").unwrap_or(address);
        if !path.starts_with('/') {
            bail!("{text:?} is no engine: wanted unix:///PATH, /PATH or NAME=/PATH");
        }
        let runtime = match runtime {
            "" if path.contains("podman") => "podman",
            "" => "docker",
            given => given,
        };
        Ok(Self { runtime: runtime.to_owned(), socket: path.into(), explicit: true })
    }
}

/// Starts the thread that keeps `names` fresh from `engines`. It lives as long as the process.
///
/// # Errors
/// When the thread or its event loop cannot be made.
pub fn start(engines: Vec<Engine>, names: &Arc<Names>) -> anyhow::Result<()> {
    if engines.is_empty() {
        return Ok(());
    }
    let followers: Vec<_> = engines
        .into_iter()
        .map(|engine| {
            let index = names.add_engine(&engine.runtime, &engine.socket.to_string_lossy(), engine.explicit);
            Follower { engine, index, names: names.clone() }
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("engines' event loop")?;
    let run = move || {
        runtime.block_on(async {
            let tasks: Vec<_> = followers.into_iter().map(|follower| tokio::spawn(follower.follow())).collect();
            for task in tasks {
                // Only a panic ends one; the others go on.
                let _ = task.await;
            }
        });
    };
    std::thread::Builder::new().name("engines".into()).spawn(run).context("engines' thread")?;
    Ok(())
}

/// Follows one engine.
struct Follower {
    engine: Engine,
    index: usize,
    names: Arc<Names>,
}

impl Follower {
    async fn follow(self) {
        let mut wait = BACKOFF_FIRST;
        loop {
            let mut synced = false;
            let error = match self.session(&mut synced).await {
                Ok(never) => never,
                Err(error) => error,
            };
            if synced {
                wait = BACKOFF_FIRST;
            }
            let present = self.engine.socket.exists();
            self.names.engine(self.index, |state| {
                if state.up {
                    tracing::warn!("{}: {error:#}", self.engine.socket.display());
                }
                state.up = false;
                state.expected |= present;
                state.failures += 1;
                state.message = format!("{error:#}");
            });
            self.names.tried(self.index);
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(BACKOFF_LONGEST);
        }
    }

    /// One connection's life: list, then events until something fails.
    async fn session(&self, synced: &mut bool) -> anyhow::Result<anyhow::Error> {
        let socket = self.engine.socket.clone();
        let docker = Docker::connect_with_custom_transport(
            move |request| transport::send(socket.clone(), request),
            Some("http://localhost"),
            ANSWER_TIMEOUT.as_secs(),
            API_DEFAULT_VERSION,
        )?;
        let docker = timed(docker.negotiate_version())
            .await?
            .map_err(|error| anyhow!("it does not tell its version: {error}"))?;
        loop {
            // Events of the second in which the list is taken may come twice, which changes nothing.
            let since = unix_now().floor();
            self.resync(&docker).await?;
            *synced = true;
            self.events(&docker, since).await?;
        }
    }

    async fn resync(&self, docker: &Docker) -> anyhow::Result<()> {
        let options = ListContainersOptionsBuilder::new().all(false).build();
        let list = timed(docker.list_containers(Some(options))).await?.context("list of containers")?;
        self.names.replace(self.index, list.into_iter().filter_map(from_summary).collect());
        self.names.engine(self.index, |state| {
            if !state.up {
                tracing::info!("{}: connected", self.engine.socket.display());
            }
            (state.up, state.expected, state.message) = (true, true, String::new());
            state.resyncs += 1;
        });
        self.names.tried(self.index);
        Ok(())
    }

    /// Takes events until it is time for a new list.
    async fn events(&self, docker: &Docker, since: f64) -> anyhow::Result<()> {
        let filters = [("type", vec!["container"])].into();
        let options = EventsOptionsBuilder::new().since(&since.to_string()).filters(&filters).build();
        let mut events = std::pin::pin!(docker.events(Some(options)));
        let mut due = std::pin::pin!(tokio::time::sleep(RESYNC));
        loop {
            tokio::select! {
                () = &mut due => return Ok(()),
                event = events.next() => match event {
                    Some(Ok(event)) => self.take(event),
                    Some(Err(error)) => return Err(error).context("stream of events"),
                    None => bail!("the stream of events ended"),
                },
            }
        }
    }

    fn take(&self, event: EventMessage) {
        let (Some(action), Some(actor)) = (event.action, event.actor) else { return };
        let Some(id) = actor.id else { return };
        let at = event.time_nano.map_or_else(unix_now, |nanos| nanos as f64 / 1e9);
        self.names.engine(self.index, |state| state.events += 1);
        let mut attributes = actor.attributes.unwrap_or_default();
        let health = action.strip_prefix("health_status").map(|status| status.trim_start_matches(':').trim());
        match action.as_str() {
            "create" | "start" | "rename" => {}
            "oom" => return self.names.oom(&id, at),
            "destroy" | "remove" => return self.names.remove(&id),
            _ if health.is_some() => {}
            // exec_create and the like, which a health check makes every few seconds.
            _ => return,
        }
        let created = (action == "create").then_some(at);
        let name = attributes.remove("name").unwrap_or_default().trim_start_matches('/').to_owned();
        let image = attributes.remove("image").unwrap_or_default();
        // The rest are the container's labels, but for what rename adds.
        attributes.remove("oldName");
        let healthy = health.map(|status| status == "healthy");
        self.names.put(self.index, Raw { id, name, image, labels: attributes, healthy, created });
    }
}

async fn timed<T>(request: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::time::timeout(ANSWER_TIMEOUT, request)
        .await
        .map_err(|_| anyhow!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))
}

fn from_summary(summary: ContainerSummary) -> Option<Raw> {
    let status = summary.status.unwrap_or_default();
    // "Up 5 minutes (healthy)", "Up 1 second (health: starting)", or no such word without a check.
    let healthy = status.contains("health").then(|| status.contains("(healthy)"));
    Some(Raw {
        id: summary.id?,
        name: summary.names.and_then(|names| names.into_iter().next())?.trim_start_matches('/').to_owned(),
        image: summary.image.unwrap_or_default(),
        labels: summary.labels.unwrap_or_default(),
        healthy,
        created: summary.created.map(|seconds| seconds as f64),
    })
}

fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let parsed = |text| Engine::parse(text).map(|engine| (engine.runtime, engine.socket)).ok();
        assert_eq!(parsed("unix:///var/run/docker.sock"), Some(("docker".into(), "/var/run/docker.sock".into())));
        assert_eq!(parsed("/run/podman/podman.sock"), Some(("podman".into(), "/run/podman/podman.sock".into())));
        assert_eq!(parsed("docker=unix:///x.sock"), Some(("docker".into(), "/x.sock".into())));
        assert_eq!(parsed("tcp://host:2375"), None);
    }
}
