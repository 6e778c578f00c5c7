//! One event to all users: every server is ordered to tell it at the same moment, every user has to hear it once.
//!
//! Orders go to the servers' admin addresses (see `runtimes/README.md`), over connections of their own: the users' are what
//! is measured. All servers begin at one moment of the clock that all processes share, from which deliveries count.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::fleet::{Fleet, Trouble};
use super::life::Serialise;
use super::meters::{Meters, Syscalls};
use super::orders::{Answer, Event, Live, Order};
use super::result::{Broadcast, Life};
use crate::load::{Clock, Latencies};

/// From the order to the moment at which the servers begin: each of dozens has read its order by then.
const LEAD: Duration = Duration::from_millis(100);

/// How long an admin address may take to answer, once its server was to begin.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long holders may take, beyond the time that they give to users who hear nothing.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is to be told.
#[derive(Clone, Copy, Debug)]
pub struct Telling {
    /// Bytes of the event's text.
    pub bytes: u32,
    /// How its messages are made.
    pub serialise: Serialise,
    /// Events.
    pub times: u32,
    /// Count system calls, while one more event is told.
    pub syscalls: bool,
}

/// One event, told and heard.
struct Round {
    listeners: u64,
    heard: u64,
    bytes: u64,
    times: Latencies,
    example: Option<String>,
}

/// Tells all users events and measures what that took.
///
/// # Errors
/// [`Trouble`] when a member dies, an order is refused or a meter breaks.
pub fn tell(fleet: &mut Fleet, meters: &mut Meters, telling: &Telling) -> Result<Life, Trouble> {
    let broken = |error: anyhow::Error| Trouble::Generator(format!("{error:#}"));
    let mut told = Broadcast {
        bytes: telling.bytes,
        serialise: telling.serialise.name().to_owned(),
        times: telling.times,
        ..Broadcast::default()
    };
    let mut life = Life { kind: "broadcast".to_owned(), ..Life::default() };
    let (start, pss) = (meters.read().map_err(broken)?, meters.memory().map_err(broken)?.0);
    let began = Instant::now();
    let (mut all, mut firsts, mut lasts) = (Latencies::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    for _ in 0..telling.times {
        let round = round(fleet, telling)?;
        life.affected = u32::try_from(round.listeners).unwrap_or(u32::MAX);
        life.asked += round.listeners;
        life.right += round.heard;
        bytes += round.bytes;
        firsts.push(round.times.min_us());
        lasts.push(round.times.summary().max_us);
        all.add(&round.times);
        life.example = life.example.or(round.example);
    }
    life.seconds = began.elapsed().as_secs_f64();
    let spent = meters.read().map_err(broken)?.since(&start, 0.0);
    life.server_memory_delta = meters.memory().map_err(broken)?.0 as f64 - pss as f64;
    life.server_cpu_seconds = spent.server_cpu.as_secs_f64();
    life.listen_overflows = spent.whole_box.surroundings.listen_overflows;
    let deliveries = life.right.max(1) as f64;
    told.wire_bytes = bytes as f64 / deliveries;
    told.first_us = crate::stats::median(&firsts).unwrap_or_default();
    told.last_us = crate::stats::median(&lasts).unwrap_or_default();
    told.delivery = all.summary();
    told.server_cpu_us = spent.server_cpu.as_secs_f64() * 1e6 / deliveries;
    // Without a rate these are the CPU-microseconds of all holders.
    told.generator_cpu_us = spent.holder_cpu_us_per_request / deliveries;
    told.box_cpu_us = spent.whole_box.busy.as_secs_f64() * 1e6 / deliveries;
    life.verdict = verdict(&life);
    if telling.syscalls {
        count_syscalls(fleet, telling, &mut told, &mut life)?;
    }
    life.broadcast = Some(told);
    Ok(life)
}

/// Who was not told; `None` when everybody was.
fn verdict(life: &Life) -> Option<String> {
    let said = life.example.as_deref().map(|said| format!(", the first: {said}")).unwrap_or_default();
    let missing = life.asked - life.right;
    (missing > 0).then(|| format!("{missing} of {} deliveries were wrong or did not come{said}", life.asked))
}

/// System calls per delivery, in a pass of its own: tracing slows who is traced. Its event is not among those that are
/// reported, but has to be heard like them.
fn count_syscalls(fleet: &mut Fleet, telling: &Telling, told: &mut Broadcast, life: &mut Life) -> Result<(), Trouble> {
    let mut counters = match Syscalls::attach(&fleet.pids().0) {
        Ok(counters) => counters,
        Err(reason) => {
            told.syscalls_unavailable = Some(reason);
            return Ok(());
        }
    };
    let start = counters.read();
    let round = round(fleet, telling)?;
    match (start, counters.read()) {
        (Ok(start), Ok(end)) => told.syscalls = Some(end.saturating_sub(start) as f64 / round.heard.max(1) as f64),
        (Err(error), _) | (_, Err(error)) => told.syscalls_unavailable = Some(error.to_string()),
    }
    let counted = Life { asked: round.listeners, right: round.heard, example: round.example, ..Life::default() };
    if life.verdict.is_none() {
        life.verdict = verdict(&counted).map(|said| format!("{said} (while system calls were counted)"));
    }
    Ok(())
}

/// Tells one event, and waits until everybody has heard it.
fn round(fleet: &mut Fleet, telling: &Telling) -> Result<Round, Trouble> {
    let live = |event: Event, at_ns: u64| move |_: usize| Order::Live(Live { event, at_ns, seed: 0 });
    let number = fleet.next_event();
    fleet.ask(live(Event::Listen { number, bytes: telling.bytes }, 0), PATIENCE, &mut |_, _| {})?;
    let at_ns = Clock.now() + LEAD.as_nanos() as u64;
    let path =
        format!("/push?number={number}&bytes={}&serialise={}&at_ns={at_ns}", telling.bytes, telling.serialise.name());
    let admins = fleet.admins()?;
    let orders = admins.into_iter().map(|admin| order(admin, &path).map_err(|said| refused(admin, &said)));
    let orders = orders.collect::<Result<Vec<_>, _>>()?;
    fleet.order(live(Event::Hear, at_ns))?;
    for (admin, answer) in orders {
        taken(answer).map_err(|said| refused(admin, &said))?;
    }
    let mut round = Round { listeners: 0, heard: 0, bytes: 0, times: Latencies::new(), example: None };
    for answer in fleet.answers(PATIENCE, &mut |_, _| {})? {
        if let Answer::Lived { asked, right, served_again, heard_bytes, example, .. } = answer {
            round.listeners += asked;
            round.heard += right;
            round.bytes += heard_bytes;
            round.example = round.example.or(example);
            let added = round.times.add_base64(&served_again);
            added.map_err(|error| Trouble::Generator(format!("a holder's histogram: {error}")))?;
        }
    }
    Ok(round)
}

fn refused(admin: SocketAddr, said: &str) -> Trouble {
    Trouble::Server(format!("the server behind {admin} did not take the order to tell an event: {said}"))
}

/// Sends an order to an admin address, without waiting for the answer.
fn order(admin: SocketAddr, path: &str) -> Result<(SocketAddr, TcpStream), String> {
    let send = || -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&admin, ADMIN_TIMEOUT)?;
        stream.set_read_timeout(Some(ADMIN_TIMEOUT))?;
        stream.write_all(format!("POST {path} HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\n\r\n").as_bytes())?;
        Ok(stream)
    };
    send().map(|stream| (admin, stream)).map_err(|error| error.to_string())
}

/// Whether the answer says that the order was taken.
fn taken(stream: TcpStream) -> Result<(), String> {
    /// Answers are a line.
    const ANSWER_BYTES: u64 = 16 << 10;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer).map_err(|error| error.to_string())?;
    match wire::http1::parse_reply(&answer) {
        Ok(Some(reply)) if reply.status == 200 => Ok(()),
        Ok(Some(reply)) => Err(format!("status {}: {}", reply.status, String::from_utf8_lossy(reply.body).trim_end())),
        Ok(None) => Err("half an answer".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
