//! Runs the collectors and joins their parts to a page.
//!
//! One worker thread runs all selected collectors one after the other, so that an ordinary scrape costs one wake-up
//! and not one per collector. When a collector holds the worker for longer than [`PATIENCE`], a second worker takes over
//! the collectors after it; the first goes on, and its samples are on the page if it ends before the deadline. At the
//! deadline the page is made of what is there. A collector that hangs for ever (a dead NFS server under statfs)
//! therefore costs one parked thread, its own samples, and one scrape that lasts until its deadline: later scrapes see
//! that it is still running and pass it by.
//!
//! Scrapes of the same selection at the same time share one run; others wait for their turn.

mod engine;
mod own;
mod pages;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use tokio::sync::watch;

pub use engine::Outcome;
pub use own::METRICS;

use crate::collector::{COLLECTORS, CONTAINER_HALF, Collector};
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

    /// Only the collectors of containers, or only the others: what `/metrics/cadvisor` and `/metrics/node` show.
    pub fn half(mut self, containers: bool) -> Self {
        for (entry, wanted) in COLLECTORS.iter().zip(&mut self.0) {
            *wanted &= CONTAINER_HALF.contains(&entry.name) == containers;
        }
        self
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex};
    use std::time::Instant;

    use super::*;
    use crate::collector::Failure;
    use crate::exposition;

    /// What a test collector does, given the number of its runs so far.
    type Behaviour = Box<dyn FnMut(usize, &mut exposition::Page) -> Result<(), Failure> + Send>;

    struct Scripted(Behaviour, usize);

    impl Collector for Scripted {
        fn collect(&mut self, page: &mut exposition::Page) -> Result<(), Failure> {
            self.1 += 1;
            (self.0)(self.1, page)
        }
    }

    /// A scraper whose first collectors in the table are these.
    fn scraper(behaviours: Vec<Behaviour>) -> Scraper {
        let mut collectors: Vec<Option<Box<dyn Collector>>> = COLLECTORS.iter().map(|_| None).collect();
        for (place, behaviour) in collectors.iter_mut().zip(behaviours) {
            *place = Some(Box::new(Scripted(behaviour, 0)));
        }
        Scraper::new(collectors)
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn says(page: &Page, line: &str) -> bool {
        std::str::from_utf8(page).unwrap().lines().any(|found| found == line)
    }

    fn mark(name: &'static str) -> Behaviour {
        Box::new(move |_, page| {
            page.raw(format!("{name} 1\n").as_bytes(), 1);
            Ok(())
        })
    }

    /// A collector that panics in the middle of a line and one that fails leave the others alone; what they had
    /// written before stays.
    #[test]
    fn failures_cost_only_themselves() {
        let fail: Behaviour = Box::new(|_, page| {
            page.raw(b"before_failure 1\n", 1);
            Err(Failure::Broken("/proc/x:3: unexpected".into()))
        });
        let panic: Behaviour = Box::new(|_, page| {
            page.raw(b"before_panic 1\nhalf{", 1);
            panic!("a test's panic");
        });
        let scraper = scraper(vec![fail, panic, mark("healthy")]);
        let page = runtime().block_on(scraper.scrape(scraper.everything(), DEADLINE));
        for (name, success) in COLLECTORS.iter().zip([0, 0, 1]) {
            let line = format!("node_scrape_collector_success{{collector=\"{}\"}} {success}", name.name);
            assert!(says(&page, &line), "{line}");
        }
        for line in ["before_failure 1", "before_panic 1", "healthy 1"] {
            assert!(says(&page, line), "{line}");
        }
        assert!(!std::str::from_utf8(&page).unwrap().contains("half"));
    }

    /// A collector that hangs costs the first scrape its deadline and later ones nothing; when it comes back, it is
    /// on the page again.
    #[test]
    fn a_hanging_collector_is_passed_by() {
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let waiter = gate.clone();
        let hang: Behaviour = Box::new(move |_, page| {
            let guard = waiter.0.lock().unwrap();
            drop(waiter.1.wait_while(guard, |open| !*open).unwrap());
            page.raw(b"released 1\n", 1);
            Ok(())
        });
        let scraper = scraper(vec![hang, mark("healthy")]);
        let runtime = runtime();
        let scrape = || runtime.block_on(scraper.scrape(scraper.everything(), PATIENCE * 5));
        let timed_out = format!("highload_collector_timed_out{{collector=\"{}\"}} 1", COLLECTORS[0].name);
        for _ in 0..3 {
            let page = scrape();
            assert!(says(&page, &timed_out) && says(&page, "healthy 1") && !says(&page, "released 1"));
        }
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        let began = Instant::now();
        while !says(&scrape(), "released 1") {
            assert!(began.elapsed() < Duration::from_secs(60), "it never came back");
        }
    }

    /// Scrapes at the same time share one run, also when the one that began it goes away; another selection gets its
    /// own run.
    #[test]
    fn parallel_scrapes_share_a_run() {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let count: Behaviour = Box::new(|_, _| {
            RUNS.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let scraper = scraper(vec![count, mark("other")]);
        runtime().block_on(async {
            let mut first = Box::pin(scraper.scrape(scraper.everything(), DEADLINE));
            // Polled once, it has begun the run; then its client hangs up.
            std::future::poll_fn(|context| {
                assert!(first.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            let second = scraper.scrape(scraper.everything(), DEADLINE);
            drop(first);
            second.await;
            assert_eq!(RUNS.load(Ordering::Relaxed), 1);
            let only = scraper.select(&[COLLECTORS[1].name], &[]).unwrap();
            let page = scraper.scrape(only, DEADLINE).await;
            assert!(says(&page, "other 1"));
            assert_eq!(RUNS.load(Ordering::Relaxed), 1);
        });
    }

    /// A selection of nothing is an empty page, not a wait.
    #[test]
    fn nothing_selected() {
        let scraper = scraper(vec![mark("a")]);
        let nothing = scraper.select(&[], &[COLLECTORS[0].name]).unwrap();
        assert!(runtime().block_on(scraper.scrape(nothing, DEADLINE)).is_empty());
    }
}
