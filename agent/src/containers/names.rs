//! What engines say about containers, by container id. Written by the engines' thread, read by scrapes.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hostfs::Roots;
use hostfs::cgroup::Identity;

use super::bundle;
use super::labels::{LeftOut, Policy, TEXT_LIMIT, cut};

/// Most containers that are remembered. An engine with more shows the rest by their ids.
const CONTAINER_LIMIT: usize = 10_000;

/// Most out-of-memory kills that are remembered after their container is gone.
const OOM_LIMIT: usize = 64;

/// In place of an engine's position, of what no engine said.
const NO_ENGINE: usize = usize::MAX;

/// What an engine says about one container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoration {
    /// Name, without Docker's leading slash.
    pub name: String,
    /// Image as the container was asked for.
    pub image: String,
    /// Exported labels: `container_label_NAME` and value.
    pub labels: Vec<(String, String)>,
    /// Result of the health check, where there is one.
    pub healthy: Option<bool>,
    /// Creation, in unix seconds.
    pub created: Option<f64>,
    pub(super) engine: usize,
}

/// An out-of-memory kill that an engine reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Oom {
    /// Container id.
    pub id: String,
    /// Name at that time.
    pub name: String,
    /// Image.
    pub image: String,
    /// When, in unix seconds.
    pub at: f64,
    /// How many since the agent started.
    pub count: u64,
}

/// State of one engine.
#[derive(Clone, Debug, Default)]
pub struct EngineState {
    /// `docker` or `podman`.
    pub runtime: String,
    /// Path of its socket.
    pub socket: String,
    /// Whether it answered last time.
    pub up: bool,
    /// Whether anything speaks for its presence: it was asked for by a flag, or its socket has been seen.
    pub expected: bool,
    /// Complete lists taken.
    pub resyncs: u64,
    /// Events taken.
    pub events: u64,
    /// Failed requests and lost streams.
    pub failures: u64,
    /// The last failure.
    pub message: String,
    tried: bool,
}

/// Labels that were left out since the start, by reason.
#[derive(Debug, Default)]
pub struct Dropped {
    not_allowed: AtomicU64,
    too_many: AtomicU64,
    too_long: AtomicU64,
}

impl Dropped {
    /// Reasons and counts.
    pub fn counts(&self) -> [(&'static str, u64); 3] {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [("not_allowed", of(&self.not_allowed)), ("too_long", of(&self.too_long)), ("too_many", of(&self.too_many))]
    }

    fn add(&self, out: LeftOut) {
        for (counter, count) in
            [(&self.not_allowed, out.not_allowed), (&self.too_many, out.too_many), (&self.too_long, out.too_long)]
        {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// What an engine said of a container, before the rules on labels and lengths.
#[derive(Clone, Debug, Default)]
pub(super) struct Raw {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) image: String,
    pub(super) labels: HashMap<String, String>,
    pub(super) healthy: Option<bool>,
    pub(super) created: Option<f64>,
}

#[derive(Debug, Default)]
struct Inner {
    containers: HashMap<String, Arc<Decoration>>,
    engines: Vec<EngineState>,
    ooms: VecDeque<Oom>,
}

/// The names of all containers.
#[derive(Debug, Default)]
pub struct Names {
    policy: Policy,
    inner: Mutex<Inner>,
    settled: Condvar,
    /// Labels that were left out.
    pub dropped: Dropped,
}

impl Names {
    /// No names yet.
    pub fn new(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// What is known of the container `id`.
    pub fn find(&self, id: &str) -> Option<Arc<Decoration>> {
        self.lock().containers.get(id).cloned()
    }

    /// What a container's bundle says, for runtimes that no engine answers for; under the same rules. Reads a file.
    pub fn of_bundle(&self, roots: &Roots, identity: &Identity) -> Option<Arc<Decoration>> {
        bundle::read(roots, identity).map(|raw| Arc::new(self.decoration(NO_ENGINE, raw)))
    }

    /// State of every engine.
    pub fn engines(&self) -> Vec<EngineState> {
        self.lock().engines.clone()
    }

    /// Out-of-memory kills that engines reported, newest last.
    pub fn ooms(&self) -> Vec<Oom> {
        self.lock().ooms.iter().cloned().collect()
    }

    /// Waits until every engine was tried once, at most `patience`.
    pub fn wait_until_tried(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut inner = self.lock();
        while inner.engines.iter().any(|engine| !engine.tried) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return };
            inner = self.settled.wait_timeout(inner, left).map_or_else(|e| e.into_inner().0, |(inner, _)| inner);
        }
    }

    pub(super) fn add_engine(&self, runtime: &str, socket: &str, expected: bool) -> usize {
        let mut inner = self.lock();
        let (runtime, socket) = (runtime.to_owned(), socket.to_owned());
        inner.engines.push(EngineState { runtime, socket, expected, ..EngineState::default() });
        inner.engines.len() - 1
    }

    pub(super) fn engine(&self, engine: usize, change: impl FnOnce(&mut EngineState)) {
        change(&mut self.lock().engines[engine]);
    }

    /// The engine was asked and has answered or failed.
    pub(super) fn tried(&self, engine: usize) {
        self.lock().engines[engine].tried = true;
        self.settled.notify_all();
    }

    /// Takes a complete list: what the engine had before and has not now is forgotten.
    pub(super) fn replace(&self, engine: usize, list: Vec<Raw>) {
        let fresh: Vec<_> = list.into_iter().map(|raw| (raw.id.clone(), self.decoration(engine, raw))).collect();
        let mut inner = self.lock();
        inner.containers.retain(|_, known| known.engine != engine);
        let room = CONTAINER_LIMIT.saturating_sub(inner.containers.len());
        inner.containers.extend(fresh.into_iter().take(room).map(|(id, decoration)| (id, Arc::new(decoration))));
    }

    /// Takes what an event says; what it leaves open stays as it was.
    pub(super) fn put(&self, engine: usize, raw: Raw) {
        let id = raw.id.clone();
        let mut decoration = self.decoration(engine, raw);
        let mut inner = self.lock();
        if let Some(known) = inner.containers.get(&id) {
            decoration.created = decoration.created.or(known.created);
            decoration.healthy = decoration.healthy.or(known.healthy);
        } else if inner.containers.len() >= CONTAINER_LIMIT {
            return;
        }
        inner.containers.insert(id, Arc::new(decoration));
    }

    pub(super) fn remove(&self, id: &str) {
        self.lock().containers.remove(id);
    }

    pub(super) fn oom(&self, id: &str, at: f64) {
        let mut inner = self.lock();
        let known = inner.containers.get(id).cloned().unwrap_or_default();
        let position = inner.ooms.iter().position(|oom| oom.id == id);
        let before = position.and_then(|position| inner.ooms.remove(position)).map_or(0, |oom| oom.count);
        if inner.ooms.len() >= OOM_LIMIT {
            inner.ooms.pop_front();
        }
        let (name, image) = (known.name.clone(), known.image.clone());
        inner.ooms.push_back(Oom { id: id.to_owned(), name, image, at, count: before + 1 });
    }

    fn decoration(&self, engine: usize, raw: Raw) -> Decoration {
        let (labels, out) = self.policy.select(raw.labels.into_iter());
        self.dropped.add(out);
        let (name, image) = (cut(raw.name, TEXT_LIMIT), cut(raw.image, TEXT_LIMIT));
        Decoration { name, image, labels, healthy: raw.healthy, created: raw.created, engine }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is whole before anything can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(id: &str, name: &str) -> Raw {
        Raw { id: id.into(), name: name.into(), ..Raw::default() }
    }

    /// A list replaces what its own engine said, an event changes one, and what it leaves open stays.
    #[test]
    fn lists_and_events() {
        let names = Names::new(Policy::new("*"));
        let (docker, podman) = (names.add_engine("docker", "a", false), names.add_engine("podman", "b", false));
        names.replace(docker, vec![raw("1", "one"), raw("2", "two")]);
        names.replace(podman, vec![raw("3", "three")]);
        names.replace(docker, vec![Raw { created: Some(7.0), healthy: Some(true), ..raw("2", "two") }]);
        assert!(names.find("1").is_none() && names.find("3").is_some());
        names.put(docker, raw("2", "renamed"));
        let known = names.find("2").unwrap();
        assert_eq!((known.name.as_str(), known.created, known.healthy), ("renamed", Some(7.0), Some(true)));
        names.remove("2");
        assert!(names.find("2").is_none());
    }

    /// Kills outlive their container, are counted per container, and are bounded.
    #[test]
    fn ooms() {
        let names = Names::default();
        let engine = names.add_engine("docker", "a", false);
        names.put(engine, raw("1", "one"));
        names.oom("1", 5.0);
        names.oom("1", 6.0);
        names.remove("1");
        assert_eq!(names.ooms(), [Oom { id: "1".into(), name: "one".into(), image: String::new(), at: 6.0, count: 2 }]);
        (0..1000).for_each(|i| names.oom(&i.to_string(), 1.0));
        assert_eq!(names.ooms().len(), OOM_LIMIT);
    }

    /// The first scrape waits no longer than it says for an engine that never answers.
    #[test]
    fn waits_bounded() {
        let names = Names::default();
        let engine = names.add_engine("docker", "a", false);
        names.wait_until_tried(Duration::from_millis(5));
        names.tried(engine);
        names.wait_until_tried(Duration::from_secs(3600));
    }
}
