//! One climb: start a fleet, take it from plateau to plateau, hold it at the top, measure, and leave nothing behind.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use hostfs::Roots;

use super::fleet::{Fleet, Launch, Trouble};
use super::life;
use super::memory::{self, Memory};
use super::meters::Meters;
use super::orders::{Answer, Order};
use super::plan::Plan;
use super::result::{Climb, Hold, Leftovers, Life, Plateau, SCHEMA, Totals};
use super::window::{self, Chatter};
use crate::result::Status;
use crate::scenario::VoidsPart;
use crate::target;

/// How long a holder may take for one slice of connections or for its probe.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// How long the kernel may take to release the sockets of processes that have ended.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a climb does.
#[derive(Clone, Debug)]
pub struct Ascent {
    /// Users at each plateau, ascending; the last one is the top.
    pub plateaus: Vec<u32>,
    /// Loads offered at each plateau.
    pub chatter: Vec<Chatter>,
    /// Offer them at the top only.
    pub chatter_at_top_only: bool,
    /// How long the top is held in silence; zero for no hold.
    pub hold: Duration,
    /// Share of the users that are asked a request before and after the hold.
    pub probe_share: f64,
    /// When a load does not count.
    pub voids: VoidsPart,
    /// What users do at the top beside talking, in this order, after the hold.
    pub life: Vec<life::Part>,
    /// They do it at every plateau instead, after the loads.
    pub life_at_every_plateau: bool,
    /// Count system calls too, each load a second time.
    pub syscalls: bool,
    /// Seed of probes and arrivals.
    pub seed: u64,
}

/// Where a climb is.
#[derive(Clone, Debug)]
pub struct Moment {
    /// What it does now.
    pub stage: String,
    /// Users connected and served.
    pub connected: u32,
    /// Users at the top.
    pub users: u32,
    /// Connections a second since the plateau was begun.
    pub rate: f64,
}

/// What names a climb's row.
pub struct Name<'a> {
    /// Place in the file.
    pub index: u32,
    /// Round, from 1.
    pub round: u32,
    /// `echo` or `note`.
    pub service: &'a str,
    /// The namespace in a sentence.
    pub namespace: &'a str,
}

/// Makes one climb. Whatever breaks becomes the row's status and reason.
pub fn climb(
    plan: &Plan,
    launch: &Launch<'_>,
    ascent: &Ascent,
    name: &Name<'_>,
    stop: &Arc<AtomicBool>,
    tell: &mut dyn FnMut(&Moment),
) -> Climb {
    let mut row = blank(plan, launch, name);
    match Fleet::start(plan, launch, stop) {
        Err(trouble) => judge(&mut row, Err(trouble)),
        Ok(fleet) => {
            row.ready = fleet.ready.first().cloned().unwrap_or_default();
            let holder_cpus = launch.holder_cpus.len();
            let mut climber = Climber { plan, holder_cpus, ascent, fleet, connected: 0, tell };
            let ended = climber.go_up(&mut row);
            let ended = ended.map_err(|trouble| climber.count_the_lost(trouble));
            let pids = climber.fleet.started();
            climber.say("ending");
            let counters = climber.fleet.end();
            row.accepted = counters.iter().map(|said| said["accepted"].as_u64().unwrap_or(0)).collect();
            row.totals = Totals::of(&counters);
            let ended = ended.and_then(|()| counted(&counters));
            row.leftovers = leftovers(&pids);
            judge(&mut row, ended);
        }
    }
    row.slopes = memory::slopes(row.plateaus.iter().map(|plateau| (plateau.users, &plateau.memory)));
    if let Some(slopes) = &row.slopes {
        // Two hundred caches have nothing to do with connections; rows keep those that grew.
        let grew = |name: &String| slopes.caches.iter().any(|cache| cache.cache == *name);
        row.plateaus.iter_mut().for_each(|plateau| plateau.memory.caches.retain(|name, _| grew(name)));
    }
    row
}

struct Climber<'a> {
    plan: &'a Plan,
    holder_cpus: usize,
    ascent: &'a Ascent,
    fleet: Fleet,
    connected: u32,
    tell: &'a mut dyn FnMut(&Moment),
}

impl<'a> Climber<'a> {
    fn say(&mut self, stage: &str) {
        let moment = Moment { stage: stage.to_owned(), connected: self.connected, users: self.plan.users, rate: 0.0 };
        (self.tell)(&moment);
    }

    /// From no users to the top.
    fn go_up(&mut self, row: &mut Climb) -> Result<(), Trouble> {
        let servers = self.fleet.probes().map_err(broken)?;
        let mut meters = Meters::new(servers, &self.fleet.pids().1).map_err(broken)?;
        for users in std::iter::once(0).chain(self.ascent.plateaus.iter().copied()) {
            let mut plateau = self.connect(users, &mut meters)?;
            let top = users == self.plan.users;
            if users > 0 && (top || !self.ascent.chatter_at_top_only) {
                for (number, chatter) in self.ascent.chatter.iter().enumerate() {
                    self.say(&format!(
                        "{:.3} % say {:.0} requests/s, {}",
                        chatter.active_share * 100.0,
                        chatter.rate(users),
                        chatter.arrivals
                    ));
                    let offered = self.offered(chatter, users, number);
                    plateau.windows.push(window::measure(&mut self.fleet, &mut meters, &offered)?);
                }
            }
            if users > 0 && self.ascent.life_at_every_plateau {
                plateau.life = self.live(users, &mut meters)?;
            }
            row.plateaus.push(plateau);
        }
        if !self.ascent.hold.is_zero() {
            row.hold = Some(self.hold(&mut meters)?);
        }
        if !self.ascent.life_at_every_plateau {
            row.life = self.live(self.plan.users, &mut meters)?;
        }
        Ok(())
    }

    /// Lets everything happen that users do beside talking.
    fn live(&mut self, users: u32, meters: &mut Meters) -> Result<Vec<Life>, Trouble> {
        let ascent = self.ascent;
        let mut lives = Vec::new();
        for (number, part) in ascent.life.iter().enumerate() {
            self.say(part.name());
            let chatter = ascent.chatter.first().map(|chatter| self.offered(chatter, users, number));
            let seed = ascent.seed.wrapping_add(1_000 + number as u64);
            lives.push(life::live(&mut self.fleet, meters, part, chatter.as_ref(), ascent.syscalls, seed)?);
        }
        Ok(lives)
    }

    /// A load on the users who are connected.
    fn offered(&self, chatter: &'a Chatter, users: u32, number: usize) -> window::Offered<'a> {
        let ascent = self.ascent;
        window::Offered {
            chatter,
            users,
            seed: ascent.seed.wrapping_add(number as u64),
            voids: &ascent.voids,
            syscalls: ascent.syscalls,
            holder_cpus: self.holder_cpus,
        }
    }

    /// Opens connections up to `users` and reads what they cost.
    fn connect(&mut self, users: u32, meters: &mut Meters) -> Result<Plateau, Trouble> {
        let before = meters.read().map_err(broken)?;
        let began = Instant::now();
        let from = self.connected;
        let parts = self.parts(users);
        let mut opened = self.parts(from);
        let (plan, tell) = (self.plan, &mut *self.tell);
        self.fleet.ask(|number| Order::Open { upto: parts[number] }, ANSWER_TIMEOUT, &mut |number, answer| {
            if let Answer::Opened { opened: count, .. } = answer {
                opened[number] = *count;
                let connected = opened.iter().sum();
                let rate = f64::from(connected - from) / began.elapsed().as_secs_f64().max(1e-3);
                tell(&Moment { stage: "connecting".to_owned(), connected, users: plan.users, rate });
            }
        })?;
        self.connected = users;
        let connect_seconds = began.elapsed().as_secs_f64();
        let spent = meters.read().map_err(broken)?.since(&before, 0.0);
        Ok(Plateau {
            users,
            connect_seconds,
            connect_server_cpu_seconds: spent.server_cpu.as_secs_f64(),
            memory: self.memory(meters)?,
            windows: Vec::new(),
            life: Vec::new(),
            listen_overflows: spent.whole_box.surroundings.listen_overflows,
        })
    }

    fn memory(&self, meters: &Meters) -> Result<Memory, Trouble> {
        let mut memory = memory::read(&Roots::default()).map_err(broken)?;
        (memory.servers_pss, memory.generators_pss) = meters.memory().map_err(broken)?;
        Ok(memory)
    }

    /// Each holder's part of `users`: cumulative shares rounded down, so that they add up to it.
    fn parts(&self, users: u32) -> Vec<u32> {
        let (users, all) = (u64::from(users), u64::from(self.plan.users.max(1)));
        let share = |sum: u64| sum * users / all;
        let mut sum = 0;
        let parts = self.plan.holders.iter().map(|holder| {
            let before = share(sum);
            sum += u64::from(holder.users);
            u32::try_from(share(sum) - before).expect("a part is at most the whole")
        });
        parts.collect()
    }

    /// Holds the top in silence, between two probes.
    fn hold(&mut self, meters: &mut Meters) -> Result<Hold, Trouble> {
        self.say("probing");
        let probed_before = self.probe(1)?;
        self.say("holding");
        let (before, began) = (meters.read().map_err(broken)?, Instant::now());
        self.fleet.sleep_until(began + self.ascent.hold)?;
        let spent = meters.read().map_err(broken)?.since(&before, 0.0);
        let seconds = began.elapsed().as_secs_f64();
        self.say("probing");
        let probed_after = self.probe(2)?;
        let (alive, lost) = self.count()?;
        let tcp_sockets = memory::read(&Roots::default()).map_err(broken)?.tcp_sockets;
        let server_cpu_seconds = spent.server_cpu.as_secs_f64();
        Ok(Hold { seconds, alive, lost, tcp_sockets, probed_before, probed_after, server_cpu_seconds })
    }

    /// Asks random users a request; how many were asked and how many replies were right.
    fn probe(&mut self, pass: u64) -> Result<(u32, u32), Trouble> {
        let (share, seed) = (self.ascent.probe_share, self.ascent.seed.wrapping_mul(31).wrapping_add(pass));
        let order = |number: usize| Order::Probe { share, seed: seed.wrapping_add(number as u64 * 7919) };
        let answers = self.fleet.ask(order, ANSWER_TIMEOUT, &mut |_, _| {})?;
        let mut sum = (0, 0);
        for answer in answers {
            if let Answer::Probed { asked, right, .. } = answer {
                sum = (sum.0 + asked, sum.1 + right);
            }
        }
        Ok(sum)
    }

    /// Users alive and lost.
    fn count(&mut self) -> Result<(u32, u32), Trouble> {
        let answers = self.fleet.ask(|_| Order::Count, ANSWER_TIMEOUT, &mut |_, _| {})?;
        let mut sum = (0, 0);
        for answer in answers {
            if let Answer::Alive { alive, lost, .. } = answer {
                sum = (sum.0 + alive, sum.1 + lost);
            }
        }
        Ok(sum)
    }

    /// Adds to a server's death how many users it cost, as far as the holders can still say.
    fn count_the_lost(&mut self, trouble: Trouble) -> Trouble {
        let Trouble::Server(said) = trouble else { return trouble };
        match self.fleet.count_despite_deaths() {
            Some((alive, lost)) => {
                Trouble::Server(format!("{said}; {lost} of {} users were lost with it", alive + lost))
            }
            None => Trouble::Server(said),
        }
    }
}

/// A meter that could not be read: most often its process has just died, which the next look names.
fn broken(error: impl Into<anyhow::Error>) -> Trouble {
    Trouble::Generator(format!("{:#}", error.into()))
}

/// Every server says what it counted when it is told to end; one that does not has died instead.
fn counted(counters: &[serde_json::Value]) -> Result<(), Trouble> {
    let count = counters.len();
    match counters.iter().position(serde_json::Value::is_null) {
        None => Ok(()),
        Some(number) => Err(Trouble::Server(format!(
            "server {} of {count} ended without its counters when the fleet was told to end",
            number + 1
        ))),
    }
}

/// Status and reason of a row from how it ended and from what was measured.
fn judge(row: &mut Climb, ended: Result<(), Trouble>) {
    (row.status, row.reason) = match ended {
        Err(Trouble::Unavailable(reason)) => (Status::Unavailable, Some(reason)),
        Err(Trouble::Server(reason)) => (Status::Failed, Some(reason)),
        Err(Trouble::Generator(reason)) => (Status::Void, Some(reason)),
        Err(Trouble::Interrupted) => (Status::Void, Some("interrupted".to_owned())),
        Ok(()) => match row.hold.as_ref().and_then(unkept).or_else(|| unserved(row)) {
            Some(reason) => (Status::Failed, Some(reason)),
            None => (Status::Ok, None),
        },
    };
}

/// The first event that some users did not get over.
fn unserved(row: &Climb) -> Option<String> {
    let mut all = row.plateaus.iter().flat_map(|plateau| &plateau.life).chain(&row.life);
    all.find_map(|life| Some(format!("{}: {}", life.kind, life.verdict.as_ref()?)))
}

/// What a hold did not keep.
fn unkept(hold: &Hold) -> Option<String> {
    if hold.lost > 0 {
        return Some(format!("{} of {} users were lost during the hold", hold.lost, hold.alive + hold.lost));
    }
    let probes = [("before", hold.probed_before), ("after", hold.probed_after)];
    probes.iter().find(|(_, (asked, right))| right < asked).map(|(when, (asked, right))| {
        format!("{} of {asked} users who were asked {when} the hold got no right reply", asked - right)
    })
}

/// Looks what is left, giving the kernel a moment to release sockets.
fn leftovers(pids: &[u32]) -> Option<Leftovers> {
    let deadline = Instant::now() + RELEASE_TIMEOUT;
    loop {
        let left = look(pids)?;
        if left == Leftovers::default() || Instant::now() > deadline {
            return Some(left);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn look(pids: &[u32]) -> Option<Leftovers> {
    let roots = Roots::default();
    let mut reader = hostfs::sockstat::Reader::new(&roots);
    let sockstat = reader.read().ok()??;
    let value = |name| sockstat.value("TCP", name).ok().flatten().unwrap_or_default();
    let alive = pids.iter().filter(|pid| roots.proc(format!("{pid}/stat")).exists()).count();
    Some(Leftovers { processes: u32::try_from(alive).ok()?, tcp_sockets: value("inuse"), time_wait: value("tw") })
}

fn blank(plan: &Plan, launch: &Launch<'_>, name: &Name<'_>) -> Climb {
    let count = |members: usize| u32::try_from(members).unwrap_or(u32::MAX);
    let asks_its_own = launch.engine.own.as_ref().is_some_and(|own| own.ask.is_some());
    Climb {
        schema: SCHEMA,
        index: name.index,
        round: name.round,
        engine: launch.engine.name.clone(),
        interface: launch.engine.interface.clone(),
        protocol: launch.protocol.to_owned(),
        service: if asks_its_own { target::SERVICE } else { name.service }.to_owned(),
        format: launch.format.to_owned(),
        status: Status::Failed,
        reason: None,
        users: plan.users,
        shards: count(plan.shards.len()),
        holders: count(plan.holders.len()),
        namespace: name.namespace.to_owned(),
        started_unix_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64),
        plateaus: Vec::new(),
        slopes: None,
        hold: None,
        life: Vec::new(),
        leftovers: None,
        accepted: Vec::new(),
        totals: None,
        ready: serde_json::Value::Null,
    }
}
