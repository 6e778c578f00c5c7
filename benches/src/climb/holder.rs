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

use super::orders::{Answer, Event, Live, Load, Loaded, Order};
use crate::load::worker::{Leave, Task, Turn, Worker};
use crate::load::{Clock, Latencies, Pacing, Schedule, Spec, Workload};
use crate::stats::SplitMix64;

/// Connections opened before the last of them is asked for a verified reply: an accept queue is first come, first served,
/// so that reply says that the queue is empty. Half of the smallest backlog that servers ask for (4,096).
const SLICE: u32 = 2_000;

/// Users who come back are timed in groups of this size.
const STEP: usize = 250;

/// Follows orders until told to leave, until stdin ends or until `stop`.
///
/// # Errors
/// When the supervisor says something that is no order, or a system call of the generator itself fails.
pub fn follow(spec: &Spec, workload: &Workload, stop: &Arc<AtomicBool>) -> Result<()> {
    let task = Task::of(spec, 0, 1);
    let (worker, turn) = (Worker::new(spec, task, workload)?, Turn::new());
    let mut holder = Holder { worker, turn, stop: Arc::clone(stop), deaf: (Vec::new(), 0) };
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
    /// Connections that do not read their replies for now, and the requests that they asked.
    deaf: (Vec<usize>, usize),
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
            Order::Live(live) => self.live(&live),
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
        let chosen = self.chosen(share, seed);
        let asked = count(chosen.len());
        let right = self.worker.probe(chosen.into_iter(), &mut self.turn, &self.stop)?;
        say(&Answer::Probed { asked, right: count(right), example: self.worker.recorded().example.clone() });
        Ok(())
    }

    fn live(&mut self, live: &Live) -> Result<()> {
        self.worker.wait_until(live.at_ns, &mut self.turn, &self.stop)?;
        let mut times = Latencies::new();
        let mut heard_bytes = 0;
        let (affected, asked, right) = match live.event {
            Event::Storm { share } => self.come_back(live, share, Leave::Reset, &mut times)?,
            Event::Vanish { share } => self.come_back(live, share, Leave::Silently, &mut times)?,
            Event::Churn { per_second, seconds } => self.churn(live, per_second, seconds, &mut times)?,
            Event::StopReading { share, requests } => {
                let chosen = self.chosen(share, live.seed);
                let asked = self.worker.ignore(&chosen, requests as usize);
                let affected = chosen.len();
                self.deaf = (chosen, asked);
                (affected, asked, 0)
            }
            Event::ReadAgain => {
                let (chosen, asked) = std::mem::take(&mut self.deaf);
                let right = self.worker.hear(&chosen, &mut self.turn, &self.stop)?;
                (chosen.len(), asked, right)
            }
            Event::Listen { number, bytes } => {
                self.worker.listen(number, bytes as usize);
                (self.worker.alive(), 0, 0)
            }
            Event::Hear => {
                let heard = self.worker.heard(&mut self.turn, &self.stop)?;
                heard.at.iter().for_each(|at| times.record(at.saturating_sub(live.at_ns)));
                heard_bytes = heard.bytes;
                (heard.listeners, heard.listeners, heard.at.len())
            }
        };
        say(&Answer::Lived {
            affected: count(affected),
            asked: asked as u64,
            right: right as u64,
            served_again: times.to_base64(),
            heard_bytes,
            example: self.worker.recorded().example.clone(),
        });
        Ok(())
    }

    /// Users picked at random; at least one, so that a small fleet takes part as well.
    fn chosen(&self, share: f64, seed: u64) -> Vec<usize> {
        let mut random = SplitMix64(seed);
        (0..self.worker.opened()).filter(|index| *index == 0 || random.unit() < share).collect()
    }

    /// Cuts users off and lets them come back; each is served again when it had a right reply.
    fn come_back(
        &mut self,
        live: &Live,
        share: f64,
        how: Leave,
        times: &mut Latencies,
    ) -> Result<(usize, usize, usize)> {
        let chosen = self.chosen(share, live.seed);
        self.worker.leave(&chosen, how);
        let mut right = 0;
        for slice in chosen.chunks(SLICE as usize) {
            self.worker.come_back(slice)?;
            for group in slice.chunks(STEP) {
                right += self.worker.probe(group.iter().copied(), &mut self.turn, &self.stop)?;
                let waited = Clock.now().saturating_sub(live.at_ns);
                group.iter().for_each(|_| times.record(waited));
            }
        }
        Ok((chosen.len(), chosen.len(), right))
    }

    /// Replaces one user after the other, each at its due time or as soon after it as the one before is served.
    fn churn(
        &mut self,
        live: &Live,
        per_second: f64,
        seconds: f64,
        times: &mut Latencies,
    ) -> Result<(usize, usize, usize)> {
        let (total, opened) = ((per_second * seconds).floor() as usize, self.worker.opened());
        let (mut asked, mut right) = (0, 0);
        for number in 0..total {
            let due = live.at_ns + (number as f64 * 1e9 / per_second) as u64;
            self.worker.wait_until(due, &mut self.turn, &self.stop)?;
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let place = [number % opened.max(1)];
            self.worker.leave(&place, Leave::Reset);
            self.worker.come_back(&place)?;
            asked += 1;
            right += self.worker.probe(place.into_iter(), &mut self.turn, &self.stop)?;
            times.record(Clock.now().saturating_sub(due));
        }
        Ok((asked, asked, right))
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
            answered: recorder.answered,
            sent: recorder.sent,
            sent_bytes: recorder.sent_bytes,
            received_bytes: recorder.received_bytes,
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
