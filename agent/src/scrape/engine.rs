//! The worker threads, and the waiting for them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::own::{self, Totals};
use super::pages::Pages;
use super::{PATIENCE, Page, Selection};
use crate::collector::{COLLECTORS, Collector, Failure};
use crate::cost::Spent;
use crate::exposition;

/// How a collector's last run ended.
#[derive(Debug, Default)]
pub enum Outcome {
    /// It has not run yet.
    #[default]
    Never,
    /// Without an error.
    Success,
    /// With one.
    Failed(Failure),
}

/// One collector, its part of the page and the account of its runs. Locked while it runs.
pub(super) struct Slot {
    collector: Box<dyn Collector>,
    pub(super) part: exposition::Page,
    pub(super) outcome: Outcome,
    pub(super) duration: Duration,
    pub(super) totals: Totals,
    /// The batch that the part belongs to.
    batch: u64,
}

/// A scrape's work: which slots are left to run.
struct Batch {
    number: u64,
    selection: Selection,
    next: AtomicUsize,
    unfinished: AtomicUsize,
    closed: AtomicBool,
    /// Wakes the waiting scrape when nothing is left.
    done: Notify,
}

/// Threads that wait for batches.
#[derive(Default)]
struct Pool {
    state: Mutex<PoolState>,
    wake: Condvar,
}

#[derive(Default)]
struct PoolState {
    jobs: VecDeque<Arc<Batch>>,
    idle: usize,
}

type Slots = Arc<Vec<Option<Mutex<Slot>>>>;

/// Runs batches of collectors.
pub(super) struct Engine {
    slots: Slots,
    pool: Arc<Pool>,
    batches: u64,
    own: own::Writer,
    pages: Pages,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").field("batches", &self.batches).finish_non_exhaustive()
    }
}

impl Engine {
    pub(super) fn new(collectors: Vec<Option<Box<dyn Collector>>>) -> Self {
        let slot = |collector| {
            Mutex::new(Slot {
                collector,
                part: exposition::Page::default(),
                outcome: Outcome::Never,
                duration: Duration::ZERO,
                totals: Totals::default(),
                batch: 0,
            })
        };
        let slots = collectors.into_iter().map(|collector| collector.map(slot)).collect();
        Self {
            slots: Arc::new(slots),
            pool: Arc::default(),
            batches: 0,
            own: own::Writer::default(),
            pages: Pages::default(),
        }
    }

    /// Runs the selected collectors and returns the page.
    pub(super) async fn run(&mut self, selection: &Selection, deadline: Duration) -> Page {
        let started = Instant::now();
        self.batches += 1;
        let selected = (0..COLLECTORS.len()).filter(|&index| selection.has(index)).count();
        let batch = Arc::new(Batch {
            number: self.batches,
            selection: selection.clone(),
            next: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(selected),
            closed: AtomicBool::new(selected == 0),
            done: Notify::new(),
        });
        self.submit(&batch);
        self.wait(&batch, started + deadline).await;
        batch.closed.store(true, Ordering::Relaxed);
        self.assemble(&batch)
    }

    /// Hands the batch to a waiting worker, or to a new one.
    fn submit(&self, batch: &Arc<Batch>) {
        let mut state = lock(&self.pool.state);
        state.jobs.push_back(batch.clone());
        if state.idle >= state.jobs.len() {
            self.pool.wake.notify_one();
            return;
        }
        drop(state);
        let (slots, pool) = (self.slots.clone(), self.pool.clone());
        let worker = std::thread::Builder::new().name("collect".into()).spawn(move || work(&slots, &pool));
        if let Err(error) = worker {
            // A worker that comes back will find the job; until then the deadline ends the scrape.
            tracing::error!(%error, "cannot start a worker thread");
        }
    }

    /// Waits until the batch is done or `end`; when no collector was begun for [`PATIENCE`], adds a worker.
    async fn wait(&self, batch: &Arc<Batch>, end: Instant) {
        let mut begun = batch.next.load(Ordering::Relaxed);
        while batch.unfinished.load(Ordering::Acquire) > 0 {
            let patience = PATIENCE.min(end.saturating_duration_since(Instant::now()));
            if patience.is_zero() {
                return;
            }
            if tokio::time::timeout(patience, batch.done.notified()).await.is_ok() {
                continue;
            }
            let now_begun = batch.next.load(Ordering::Relaxed);
            if now_begun == begun && now_begun < COLLECTORS.len() {
                self.submit(batch);
            }
            begun = now_begun;
        }
    }

    /// Joins the parts that are there and adds the scrape's own samples.
    fn assemble(&mut self, batch: &Batch) -> Page {
        let mut page = self.pages.take();
        let reports = self.own.begin();
        for index in (0..COLLECTORS.len()).filter(|index| batch.selection.has(*index)) {
            let slot = self.slots[index].as_ref().and_then(try_lock);
            match slot.as_ref().filter(|slot| slot.batch == batch.number) {
                Some(slot) => {
                    page.extend_from_slice(slot.part.as_bytes());
                    reports.ran(index, slot);
                }
                None => reports.timed_out(index),
            }
        }
        reports.write(&mut page);
        self.pages.lend(page)
    }
}

impl Drop for Engine {
    /// Lets idle workers end: nobody will submit any more.
    fn drop(&mut self) {
        let mut state = lock(&self.pool.state);
        state.idle = usize::MAX / 2;
        self.pool.wake.notify_all();
    }
}

/// A worker's life: take a batch, run what is left of it, wait for the next. One idle worker is kept.
fn work(slots: &Slots, pool: &Pool) {
    loop {
        let batch = {
            let mut state = lock(&pool.state);
            loop {
                if let Some(batch) = state.jobs.pop_front() {
                    break batch;
                }
                if state.idle > 0 {
                    return;
                }
                state.idle += 1;
                state = pool.wake.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
                if state.idle > 1 {
                    return;
                }
                state.idle -= 1;
            }
        };
        run_batch(slots, &batch);
    }
}

/// A point in the life of a worker. Where one collector ends the next begins, so that each needs one look at the clocks.
#[derive(Clone, Copy)]
struct Stamp {
    at: Instant,
    spent: Spent,
}

impl Stamp {
    fn now() -> Self {
        Self { at: Instant::now(), spent: Spent::now() }
    }
}

fn run_batch(slots: &Slots, batch: &Batch) {
    let mut began = Stamp::now();
    while !batch.closed.load(Ordering::Relaxed) {
        let index = batch.next.fetch_add(1, Ordering::Relaxed);
        if index >= slots.len() {
            return;
        }
        if !batch.selection.has(index) {
            continue;
        }
        // A locked slot is still running for an earlier scrape: this one passes it by.
        if let Some(mut slot) = slots[index].as_ref().and_then(try_lock) {
            began = run_collector(&mut slot, COLLECTORS[index].name, began);
            slot.batch = batch.number;
        }
        if batch.unfinished.fetch_sub(1, Ordering::AcqRel) == 1 {
            batch.done.notify_one();
        }
    }
}

/// Runs a collector that begins at `began`; returns when it ended.
fn run_collector(slot: &mut Slot, name: &'static str, began: Stamp) -> Stamp {
    slot.part.clear();
    let Slot { collector, part, .. } = slot;
    // A panic is a bug in one collector; the others must go on. Its state stays as it is: every collector rewrites its
    // buffers at the start of a run.
    let result = catch_unwind(AssertUnwindSafe(|| collector.collect(part))).unwrap_or_else(|_| {
        part.cut_to_whole_lines();
        Err(Failure::Broken("the collector panicked; the log has the place".into()))
    });
    let ended = Stamp::now();
    slot.duration = ended.at.duration_since(began.at);
    slot.totals.add(ended.spent.since(began.spent), slot.part.as_bytes().len(), slot.part.samples());
    report_change(name, &slot.outcome, &result);
    slot.outcome = match result {
        Ok(()) => Outcome::Success,
        Err(failure) => Outcome::Failed(failure),
    };
    ended
}

/// Logs a failure when it begins, changes or ends, not at every scrape.
fn report_change(name: &str, before: &Outcome, now: &Result<(), Failure>) {
    match (before, now) {
        (Outcome::Failed(Failure::Broken(_)), Ok(())) => tracing::info!(collector = name, "works again"),
        (Outcome::Failed(old), Err(new)) if old == new => {}
        (_, Err(Failure::NoData(reason))) => tracing::debug!(collector = name, reason, "no data"),
        (_, Err(Failure::Missing(reason))) => tracing::debug!(collector = name, %reason, "no data"),
        (_, Err(Failure::Broken(reason))) => tracing::warn!(collector = name, reason, "failed"),
        (_, Ok(())) => {}
    }
}

/// The lock, also after a panic: what it guards is rewritten by its next user.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
