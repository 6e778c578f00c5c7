//! Runs the collectors and joins their parts to a page.
//!
//! One worker thread runs all selected collectors one after the other, so that an ordinary scrape costs one wake-up
//! and not one per collector. When a collector holds the worker for longer than [`PATIENCE`], a second worker takes over
//! the collectors after it; the first goes on, and its samples are on the page if it ends before the deadline. At the
//! deadline the page is made of what is there. A collector that hangs for ever (a dead NFS server under statfs)
//! therefore costs one parked thread, its own samples, and [`PATIENCE`] once: later scrapes see that it is still
//! running and pass it by.
//!
//! Scrapes of the same selection at the same time share one run; others wait for their turn.

mod engine;
mod own;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use tokio::sync::watch;

pub use engine::Outcome;
pub use own::METRICS;

use crate::collector::{COLLECTORS, Collector};
use engine::Engine;

/// How long one collector may hold up those after it. Reading all kernel files of a host takes about a
/// millisecond, so that this is only ever reached by something that waits for hardware or a network.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// The deadline of a scrape whose client names none; half of Prometheus's default timeout.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// A page, shared by all who asked for it.
pub type Page = Bytes;

/// Which collectors a page is made of: one flag per line of [`COLLECTORS`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selection(Vec<bool>);

impl Selection {
    /// Whether the collector at `position` of the table is wanted.
    pub fn has(&self, position: usize) -> bool {
        self.0[position]
    }
}

/// The collectors that run, and the scrapes that are on their way.
#[derive(Debug)]
pub struct Scraper {
    engine: Arc<tokio::sync::Mutex<Engine>>,
    enabled: Selection,
    running: Mutex<HashMap<Selection, watch::Receiver<Option<Page>>>>,
}

impl Scraper {
    /// A scraper of the collectors that are `Some`, in table order.
    pub fn new(collectors: Vec<Option<Box<dyn Collector>>>) -> Self {
        assert_eq!(collectors.len(), COLLECTORS.len(), "one place per line of the table");
        let enabled = Selection(collectors.iter().map(Option::is_some).collect());
        let engine = Engine::new(collectors);
        Self { engine: Arc::new(tokio::sync::Mutex::new(engine)), enabled, running: Mutex::default() }
    }

    /// All enabled collectors.
    pub fn everything(&self) -> Selection {
        self.enabled.clone()
    }

    /// What `?collect[]=` and `?exclude[]=` select.
    ///
    /// # Errors
    /// One sentence for the client: both are given, or a name is unknown or switched off.
    pub fn select(&self, collect: &[&str], exclude: &[&str]) -> anyhow::Result<Selection> {
        if !collect.is_empty() && !exclude.is_empty() {
            bail!("collect[] and exclude[] exclude each other: give one");
        }
        let mut selection =
            if collect.is_empty() { self.everything() } else { Selection(vec![false; COLLECTORS.len()]) };
        for (names, wanted) in [(collect, true), (exclude, false)] {
            for name in names {
                match crate::collector::position(name) {
                    Some(position) if self.enabled.has(position) => selection.0[position] = wanted,
                    Some(_) => bail!("collector {name:?} is switched off here"),
                    None => bail!("there is no collector {name:?}"),
                }
            }
        }
        Ok(selection)
    }

    /// A page of `selection`, within about `deadline`.
    pub async fn scrape(&self, selection: Selection, deadline: Duration) -> Page {
        loop {
            let mut receiver = self.join(&selection, deadline);
            // The sender is only dropped without a value when the task died with its runtime.
            if let Ok(page) = receiver.wait_for(Option::is_some).await {
                return page.clone().expect("waited for it");
            }
        }
    }

    /// Joins the run of `selection` that is on its way, or starts one.
    fn join(&self, selection: &Selection, deadline: Duration) -> watch::Receiver<Option<Page>> {
        let mut running = self.running.lock().expect("no panic while holding this lock");
        if let Some(receiver) = running.get(selection) {
            // Done or died: what it read may be old, so that a new run is due.
            if receiver.borrow().is_none() && receiver.has_changed().is_ok() {
                return receiver.clone();
            }
        }
        running.retain(|_, receiver| receiver.borrow().is_none() && receiver.has_changed().is_ok());
        let (sender, receiver) = watch::channel(None);
        running.insert(selection.clone(), receiver.clone());
        let (engine, selection) = (self.engine.clone(), selection.clone());
        // A task of its own, so that a client that goes away does not take the run from those who joined it.
        tokio::spawn(async move {
            let page = engine.lock().await.run(&selection, deadline).await;
            // Nobody may be left to read it.
            let _ = sender.send(Some(page));
        });
        receiver
    }
}
