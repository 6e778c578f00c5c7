//! A holder: one generator process of the fleet, driven by orders on stdin.
//!
//! One thread. Between orders it sleeps until the supervisor or a connection has something to say, so that thousands of
//! idle connections cost no CPU and a lost one is noticed at once.

use std::io::{BufRead, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};

use super::orders::{Answer, Load, Loaded, Order};
use crate::load::worker::{Task, Turn, Worker};
use crate::load::{Pacing, Schedule, Spec, Workload};
use crate::stats::SplitMix64;

/// Connections opened before the last of them is asked for a verified reply: an accept queue is first come, first served,
/// so that reply says that the queue is empty. Half of the smallest backlog that servers ask for (4,096).
const SLICE: u32 = 2_000;

/// Follows orders until told to leave, until stdin ends or until `stop`.
///
/// # Errors
/// When the supervisor says something that is no order, or a system call of the generator itself fails.
pub fn follow(spec: &Spec, workload: &Workload, stop: &Arc<AtomicBool>) -> Result<()> {
    let task = Task::of(spec, 0, 1);
    let mut holder = Holder { worker: Worker::new(spec, task, workload)?, turn: Turn::new(), stop: Arc::clone(stop) };
    let mut stdin = std::io::stdin().lock();
    let mut line = String::new();
    while !stop.load(Ordering::Relaxed) {
        if !holder.wait(stdin.as_fd())? {
            continue;
        }
        line.clear();
        if stdin.read_line(&mut line).context("reading orders")? == 0 {
            return Ok(());
        }
        let order = serde_json::from_str(&line).with_context(|| format!("not an order: {}", line.trim_end()))?;
        if order == Order::Leave {
            holder.worker.reset_all();
            return Ok(());
        }
        if let Err(error) = holder.obey(order) {
            say(&Answer::Failed { reason: format!("{error:#}") });
        }
    }
    Ok(())
}

struct Holder {
    worker: Worker,
    turn: Turn,
    stop: Arc<AtomicBool>,
}

impl Holder {
    /// Waits for an order, looking after the connections meanwhile; false when there is none yet.
    ///
    /// The supervisor sends one order and waits for its answer, so nothing can hide in stdin's buffer.
    fn wait(&mut self, stdin: impl AsFd) -> Result<bool> {
        let mut watched =
            [PollFd::new(&stdin, PollFlags::IN), PollFd::from_borrowed_fd(self.worker.events(), PollFlags::IN)];
        match poll(&mut watched, None) {
            Err(rustix::io::Errno::INTR) => return Ok(false),
            other => other.context("poll")?,
        };
        let (order, events) = (!watched[0].revents().is_empty(), !watched[1].revents().is_empty());
        if events {
            self.worker.look(&mut self.turn)?;
        }
        Ok(order)
    }

    fn obey(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Open { upto } => self.open(upto),
            Order::Probe { share, seed } => self.probe(share, seed),
            Order::Load(load) => self.load(&load),
            Order::Count => {
                self.worker.look(&mut self.turn)?;
                let (opened, alive) = (self.worker.opened(), self.worker.alive());
                say(&Answer::Alive {
                    alive: count(alive),
                    lost: count(opened - alive),
                    example: self.worker.recorded().example.clone(),
                });
                Ok(())
            }
            Order::Leave => Ok(()),
        }
    }

    fn open(&mut self, upto: u32) -> Result<()> {
        loop {
            let opened = count(self.worker.opened());
            let slice = upto.saturating_sub(opened).min(SLICE);
            self.worker.grow(slice as usize)?;
            if slice > 0 {
                let last = self.worker.opened() - 1;
                if self.worker.probe(std::iter::once(last), &mut self.turn, &self.stop)? == 0 {
                    let said = self.worker.recorded().example.clone();
                    bail!(
                        "connection {} was opened and not served: {}",
                        last + 1,
                        said.unwrap_or_else(|| "no reply came in time".to_owned())
                    );
                }
            }
            let opened = count(self.worker.opened());
            let done = opened >= upto;
            say(&Answer::Opened { opened, done });
            if done || self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }

    fn probe(&mut self, share: f64, seed: u64) -> Result<()> {
        let mut random = SplitMix64(seed);
        // At least one, so that a small fleet is probed as well.
        let chosen: Vec<usize> =
            (0..self.worker.opened()).filter(|index| *index == 0 || random.unit() < share).collect();
        let asked = count(chosen.len());
        let right = self.worker.probe(chosen.into_iter(), &mut self.turn, &self.stop)?;
        say(&Answer::Probed { asked, right: count(right), example: self.worker.recorded().example.clone() });
        Ok(())
    }

    fn load(&mut self, load: &Load) -> Result<()> {
        let pacing = if load.arrivals == "constant" { Pacing::Constant(load.rate) } else { Pacing::Poisson(load.rate) };
        let task = Task {
            pacing,
            phase: load.phase,
            seed: load.seed,
            in_flight: load.in_flight,
            active_share: load.active_share,
            request_limit: None,
        };
        let schedule =
            Schedule { start: load.start_ns, window_start: load.window_start_ns, window_end: load.window_end_ns };
        let finished = self.worker.drive(task, schedule, &mut self.turn, &self.stop)?;
        let recorder = &finished.recorder;
        say(&Answer::Loaded(Box::new(Loaded {
            completed: recorder.completed,
            sent: recorder.sent,
            errors: recorder.errors.iter().map(|(kind, count)| (kind.name().to_owned(), *count)).collect(),
            example: recorder.example.clone(),
            ended_early: finished.ended_early,
            response: recorder.response.to_base64(),
            service: recorder.service.to_base64(),
            lag: recorder.lag.to_base64(),
        })));
        Ok(())
    }
}

/// A count of connections; [`crate::load::CONNECTION_LIMIT`] is far below the type's.
fn count(connections: usize) -> u32 {
    u32::try_from(connections).unwrap_or(u32::MAX)
}

/// Answers at once. A supervisor that is gone takes this process with it (PR_SET_PDEATHSIG): there is nobody to tell.
fn say(answer: &Answer) {
    let mut line = serde_json::to_vec(answer).expect("an answer is plain data");
    line.push(b'\n');
    let _ = std::io::stdout().lock().write_all(&line);
}
