//! The fleet: server processes and the holders that connect to them, started, ordered, watched and ended.
//!
//! No member outlives the fleet: each is killed when it is dropped and, by the kernel, when the lab dies. A member that
//! dies is noticed within 50 ms, named, and ends the climb: what was held by it is part of what is measured.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::orders::{Answer, Order};
use super::plan::{Plan, Spread};
use crate::child::{Child, Said, ended};
use crate::engines::Engine;
use crate::failure::exit;
use crate::observe::{GroupProbe, Members, ProbeError};
use crate::target::Own;
use crate::target::running::Running;

/// How often the members' deaths and the stop flag are looked for while nothing is said.
const LOOK: Duration = Duration::from_millis(50);

/// How long all servers may take from exec to their ready lines: a process takes 10 ms, and dozens start on one core.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a server may take from SIGTERM to its counters with all its connections to close.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The same for holders and servers after Ctrl-C: a holder that is busy connecting does not hear that it may leave.
const INTERRUPTED_TIMEOUT: Duration = Duration::from_secs(3);

/// How long holders may take to say how many connections are alive.
const COUNT_TIMEOUT: Duration = Duration::from_secs(10);

/// Lines of the whole fleet that may wait to be read.
const LINES: usize = 1024;

/// What every member is started with.
#[derive(Clone, Debug)]
pub struct Launch<'a> {
    /// The engine, its program, and the CPUs that all servers share.
    pub engine: &'a Engine,
    /// Path of the server's program.
    pub server: &'a Path,
    /// CPUs of the servers.
    pub server_cpus: &'a [usize],
    /// This program, which is the holder too.
    pub lab: &'a Path,
    /// CPUs of the holders.
    pub holder_cpus: &'a [usize],
    /// Framing.
    pub protocol: &'a str,
    /// Wire format.
    pub format: &'a str,
    /// Arguments that say what holders ask: service, payload, pages, time-out, seed.
    pub workload: &'a [String],
    /// The servers take orders to tell events.
    pub push: bool,
}

/// Why a climb ended before its top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The engine cannot run here.
    Unavailable(String),
    /// A server died or broke the contract: the engine did not hold.
    Server(String),
    /// A generator died or could not go on: nothing is known of the engine.
    Generator(String),
    /// Ctrl-C.
    Interrupted,
}

/// A running fleet.
pub struct Fleet {
    servers: Vec<Child>,
    /// A server of one's own, in the place of `servers`.
    own: Option<Running>,
    holders: Vec<Child>,
    /// Where each server listens.
    addresses: Vec<String>,
    /// Ready lines of the servers.
    pub ready: Vec<Value>,
    said: Receiver<Said>,
    said_by_holders: Receiver<Said>,
    /// Events told so far.
    events: u32,
    stop: Arc<AtomicBool>,
}

impl Fleet {
    /// Starts all servers and waits until they are ready, then all holders, which do nothing yet.
    ///
    /// # Errors
    /// [`Trouble`]; nothing is left running then.
    pub fn start(plan: &Plan, launch: &Launch<'_>, stop: &Arc<AtomicBool>) -> Result<Self, Trouble> {
        let (servers_say, said) = sync_channel(LINES);
        let (holders_say, said_by_holders) = sync_channel(LINES);
        let mut fleet = Self {
            servers: Vec::new(),
            own: None,
            holders: Vec::new(),
            addresses: vec![String::new(); plan.shards.len()],
            ready: vec![Value::Null; plan.shards.len()],
            said,
            said_by_holders,
            events: 0,
            stop: Arc::clone(stop),
        };
        match &launch.engine.own {
            Some(own) => fleet.find(own, launch)?,
            None => fleet.start_servers(plan, launch, &servers_say)?,
        }
        for (number, holder) in plan.holders.iter().enumerate() {
            let command = self::holder(launch, holder, &fleet.addresses[holder.shard]);
            let member = Child::start_member(command, launch.holder_cpus, number, holders_say.clone());
            fleet.holders.push(member.map_err(|error| Trouble::Generator(format!("starting a holder: {error}")))?);
        }
        Ok(fleet)
    }

    /// Starts or finds a server of one's own.
    fn find(&mut self, own: &Own, launch: &Launch<'_>) -> Result<(), Trouble> {
        let stop = Arc::clone(&self.stop);
        let running = Running::start(own, launch.lab, launch.server_cpus, &|| stop.load(Ordering::Relaxed));
        let running = running.map_err(|said| match self.stop.load(Ordering::Relaxed) {
            true => Trouble::Interrupted,
            false => Trouble::Unavailable(said),
        })?;
        self.addresses = vec![running.address().to_string()];
        self.ready = vec![running.about().clone()];
        self.own = Some(running);
        Ok(())
    }

    /// Starts all servers of an engine and waits until they are ready.
    fn start_servers(
        &mut self,
        plan: &Plan,
        launch: &Launch<'_>,
        servers_say: &SyncSender<Said>,
    ) -> Result<(), Trouble> {
        for number in 0..plan.shards.len() {
            let listen = match plan.spread {
                Spread::Reuseport if number > 0 => self.addresses[0].clone(),
                _ => "127.0.0.1:0".to_owned(),
            };
            let command = server(launch, plan.spread, &listen);
            let member = Child::start_member(command, launch.server_cpus, number, servers_say.clone());
            let name = launch.server.display();
            self.servers.push(member.map_err(|error| Trouble::Generator(format!("starting {name}: {error}")))?);
            if plan.spread == Spread::Reuseport {
                self.await_ready(number + 1, launch)?;
            }
        }
        self.await_ready(plan.shards.len(), launch)
    }

    /// Waits until the first `count` servers have said where they listen.
    fn await_ready(&mut self, count: usize, launch: &Launch<'_>) -> Result<(), Trouble> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while self.addresses[..count].iter().any(String::is_empty) {
            let Some((number, line)) = hear(&self.said) else {
                self.look()?;
                if Instant::now() > deadline {
                    let name = &launch.engine.name;
                    return Err(Trouble::Server(format!(
                        "{name}: not all of {count} servers were ready within {} s",
                        READY_TIMEOUT.as_secs()
                    )));
                }
                continue;
            };
            let Some(line) = line else { return Err(self.never_ready(number)) };
            let ready: Value = serde_json::from_str(&line)
                .map_err(|error| Trouble::Server(format!("the ready line is not JSON ({error}): {line:.200}")))?;
            let address = ready["addresses"][0].as_str().map(str::to_owned);
            self.addresses[number] =
                address.ok_or_else(|| Trouble::Server(format!("no addresses in the ready line: {line:.200}")))?;
            self.ready[number] = ready;
        }
        Ok(())
    }

    /// Why a server ended before it was ready: exit code 3 means that the engine cannot run here.
    fn never_ready(&mut self, number: usize) -> Trouble {
        let server = &mut self.servers[number];
        let status = server.wait(STOP_TIMEOUT);
        let reason = server.last_words();
        if status.and_then(|status| status.code()) == Some(i32::from(exit::ENVIRONMENT)) {
            return Trouble::Unavailable(reason);
        }
        Trouble::Server(format!(
            "server {} of {} ended before it was ready ({}): {reason}",
            number + 1,
            self.servers.len(),
            ended(status)
        ))
    }

    /// The number of the next event that the servers are to tell.
    pub fn next_event(&mut self) -> u32 {
        self.events += 1;
        self.events
    }

    /// Where the servers take orders.
    ///
    /// # Errors
    /// [`Trouble`] when one has no such address, against the contract.
    pub fn admins(&self) -> Result<Vec<SocketAddr>, Trouble> {
        let admin = |ready: &Value| ready["admin"].as_str().and_then(|admin| admin.parse().ok());
        let missing = |ready: &Value| Trouble::Server(format!("no admin address in the ready line: {ready}"));
        self.ready.iter().map(|ready| admin(ready).ok_or_else(|| missing(ready))).collect()
    }

    /// Process ids of servers and of holders.
    pub fn pids(&self) -> (Vec<u32>, Vec<u32>) {
        let pids = |members: &[Child]| members.iter().map(Child::pid).collect::<Vec<_>>();
        let own = self.own.as_ref().and_then(|own| own.probe().ok()?.processes().ok()).unwrap_or_default();
        ([pids(&self.servers), own].concat(), pids(&self.holders))
    }

    /// Process ids of what the lab started: nobody of these may be left at the end.
    pub fn started(&self) -> Vec<u32> {
        let (servers, holders) = self.pids();
        let found = self.own.as_ref().is_some_and(|own| !own.is_started());
        if found { holders } else { [servers, holders].concat() }
    }

    /// A probe on each server.
    ///
    /// # Errors
    /// When one of them has ended.
    pub fn probes(&self) -> Result<Vec<GroupProbe>, ProbeError> {
        let servers = self.servers.iter().map(|server| GroupProbe::new(Members::One(server.pid())));
        servers.chain(self.own.iter().map(Running::probe)).collect()
    }

    /// Looks whether a member died or the run was interrupted.
    ///
    /// # Errors
    /// [`Trouble`] that names the member and how it ended.
    pub fn look(&mut self) -> Result<(), Trouble> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Trouble::Interrupted);
        }
        if let Some(said) = dead(&mut self.servers, "server") {
            return Err(Trouble::Server(said));
        }
        if let Some(said) = self.own.as_mut().and_then(Running::ended) {
            return Err(Trouble::Server(said));
        }
        dead(&mut self.holders, "holder").map_or(Ok(()), |said| Err(Trouble::Generator(said)))
    }

    /// Gives every holder its order and waits for all their answers, `timeout` at most between two of them. `progress`
    /// hears every answer that is not its holder's last.
    ///
    /// # Errors
    /// [`Trouble`] when a member dies, says something else or says that it failed.
    pub fn ask(
        &mut self,
        order: impl Fn(usize) -> Order,
        timeout: Duration,
        progress: &mut dyn FnMut(usize, &Answer),
    ) -> Result<Vec<Answer>, Trouble> {
        self.order(order)?;
        self.answers(timeout, progress)
    }

    /// Gives every holder its order.
    ///
    /// # Errors
    /// [`Trouble`] when one of them is dead.
    pub fn order(&mut self, order: impl Fn(usize) -> Order) -> Result<(), Trouble> {
        for number in 0..self.holders.len() {
            let line = serde_json::to_string(&order(number)).expect("an order is plain data");
            if self.holders[number].order(&line).is_err() {
                // It closed its stdin, so it is ending.
                let _ = self.holders[number].wait(LOOK);
                self.look()?;
            }
        }
        Ok(())
    }

    /// Waits for every holder's answer to its order, as [`ask`](Self::ask) does.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn answers(
        &mut self,
        timeout: Duration,
        progress: &mut dyn FnMut(usize, &Answer),
    ) -> Result<Vec<Answer>, Trouble> {
        let mut answers: Vec<Option<Answer>> = vec![None; self.holders.len()];
        let mut deadline = Instant::now() + timeout;
        while answers.iter().any(Option::is_none) {
            // Here as well as in `look`: dozens of holders that tell of their progress leave no moment of silence.
            if self.stop.load(Ordering::Relaxed) {
                return Err(Trouble::Interrupted);
            }
            let Some((number, line)) = hear(&self.said_by_holders) else {
                self.look()?;
                if Instant::now() > deadline {
                    let silent = answers.iter().filter(|answer| answer.is_none()).count();
                    return Err(Trouble::Generator(format!(
                        "{silent} of {} holders did not answer within {} s",
                        answers.len(),
                        timeout.as_secs()
                    )));
                }
                continue;
            };
            deadline = Instant::now() + timeout;
            let Some(line) = line else {
                // Its end is seen by `look` once the kernel has it; a server's end explains more.
                std::thread::sleep(LOOK);
                self.look()?;
                return Err(Trouble::Generator(format!("holder {} closed its stdout", number + 1)));
            };
            match serde_json::from_str(&line) {
                Ok(answer @ Answer::Opened { done: false, .. }) => progress(number, &answer),
                Ok(Answer::Failed { reason }) => {
                    self.look()?;
                    return Err(Trouble::Server(reason));
                }
                Ok(answer) => {
                    progress(number, &answer);
                    answers[number] = Some(answer);
                }
                Err(error) => {
                    return Err(Trouble::Generator(format!("holder {} said {line:.200} ({error})", number + 1)));
                }
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Users alive and lost as the holders see it, when a server has died; `None` when they cannot say.
    pub fn count_despite_deaths(&mut self) -> Option<(u32, u32)> {
        // Answers to an order that the death cut short may still come; they are skipped.
        let line = serde_json::to_string(&Order::Count).expect("an order is plain data");
        let mut waiting: Vec<bool> = self.holders.iter_mut().map(|holder| holder.order(&line).is_ok()).collect();
        let deadline = Instant::now() + COUNT_TIMEOUT;
        let mut sum = (0, 0);
        while waiting.contains(&true) && Instant::now() < deadline {
            match hear(&self.said_by_holders) {
                Some((number, Some(line))) => {
                    if let Ok(Answer::Alive { alive, lost, .. }) = serde_json::from_str(&line) {
                        sum = (sum.0 + alive, sum.1 + lost);
                        waiting[number] = false;
                    }
                }
                Some((number, None)) => waiting[number] = false,
                None => {}
            }
        }
        (sum != (0, 0)).then_some(sum)
    }

    /// Sleeps until `deadline`, looking after the members.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub fn sleep_until(&mut self, deadline: Instant) -> Result<(), Trouble> {
        loop {
            self.look()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK));
        }
    }

    /// Lets the holders reset their connections and end, then the servers; what these counted, in order. Whoever does not
    /// end in time is killed.
    pub fn end(mut self) -> Vec<Value> {
        let grace = if self.stop.load(Ordering::Relaxed) { INTERRUPTED_TIMEOUT } else { STOP_TIMEOUT };
        let leave = serde_json::to_string(&Order::Leave).expect("an order is plain data");
        for holder in &mut self.holders {
            let _ = holder.order(&leave);
        }
        end_all(&mut self.holders, grace);
        if let Some(own) = &mut self.own {
            own.stop();
        }
        self.servers.iter().for_each(Child::terminate);
        let mut counters = vec![Value::Null; self.servers.len()];
        let mut open = self.servers.len();
        let deadline = Instant::now() + grace;
        while open > 0 && Instant::now() < deadline {
            match hear(&self.said) {
                Some((number, Some(line))) => counters[number] = serde_json::from_str(&line).unwrap_or_default(),
                Some((_, None)) => open -= 1,
                None => {}
            }
        }
        end_all(&mut self.servers, deadline.saturating_duration_since(Instant::now()));
        counters
    }
}

/// Waits until all have ended, `grace` at most, and kills the rest: all at once, since each has thousands of sockets to close.
fn end_all(members: &mut [Child], grace: Duration) {
    let deadline = Instant::now() + grace;
    let left = || deadline.saturating_duration_since(Instant::now());
    let mut late: Vec<&mut Child> = members.iter_mut().filter_map(|m| m.wait(left()).is_none().then_some(m)).collect();
    late.iter().for_each(|member| member.send_kill());
    late.iter_mut().for_each(|member| member.kill());
}

/// The next line, if one comes within [`LOOK`].
fn hear(said: &Receiver<Said>) -> Option<Said> {
    match said.recv_timeout(LOOK) {
        Ok(said) => Some(said),
        Err(RecvTimeoutError::Timeout) => None,
        // Every sender is gone with its child: the deaths say why.
        Err(RecvTimeoutError::Disconnected) => {
            std::thread::sleep(LOOK);
            None
        }
    }
}

/// The first dead member in words.
fn dead(members: &mut [Child], role: &str) -> Option<String> {
    let count = members.len();
    members.iter_mut().enumerate().find_map(|(number, member)| {
        let status = member.wait(Duration::ZERO)?;
        let last = member.last_words();
        Some(format!("{role} {} of {count} (pid {}) died ({}): {last}", number + 1, member.pid(), ended(Some(status))))
    })
}

/// A holder of connections to `address`.
fn holder(launch: &Launch<'_>, holder: &super::plan::Holder, address: &str) -> Command {
    let sources: Vec<String> = holder.sources.iter().map(ToString::to_string).collect();
    let mut command = Command::new(launch.lab);
    command.args(["holder", address, "--sources", &sources.join(",")]);
    match launch.engine.own.as_ref().and_then(|own| own.ask.as_ref()) {
        None => command.args(["--protocol", launch.protocol, "--format", launch.format]),
        Some(ask) => {
            let told = serde_json::to_string(ask).expect("what is asked is plain data");
            command.args(["--protocol", ask.framing().name(), "--format", "raw", "--ask", &told])
        }
    };
    command.args(launch.workload);
    command
}

fn server(launch: &Launch<'_>, spread: Spread, listen: &str) -> Command {
    let mut command = Command::new(launch.server);
    command.args(&launch.engine.args).args([
        "--listen",
        listen,
        "--protocol",
        launch.protocol,
        "--format",
        launch.format,
    ]);
    if spread == Spread::Reuseport {
        command.arg("--reuse-port");
    }
    if launch.push {
        command.args(["--push", "--admin", "127.0.0.1:0"]);
    }
    command
}
