//! What users do beside talking: they come back all at once, come and go, vanish, or do not read. Each with its verdict.

use std::time::{Duration, Instant};

use serde::Deserialize;
use wire::limits;

use super::broadcast::{self, Telling};
use super::fleet::{Fleet, Trouble};
use super::meters::Meters;
use super::orders::{Answer, Event, Live, Order};
use super::result::Life;
use super::window::{self, Offered};
use crate::load::{Clock, Latencies};

/// From the order to the event, so that every holder has read its order by then.
const LEAD: Duration = Duration::from_millis(100);

/// How long an event may take once it has begun, beyond its own length.
const PATIENCE: Duration = Duration::from_secs(120);

/// One event, as a scenario names it in `[[climb.life]]`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Part {
    /// Users are cut off at once and come back at once.
    Storm {
        /// Share of the users.
        share: f64,
    },
    /// Users vanish without a word and come back on new connections.
    Vanish {
        /// Share of the users.
        share: f64,
    },
    /// Users leave and others come.
    Churn {
        /// Users a second, over all.
        per_second: f64,
        /// For how long.
        seconds: f64,
    },
    /// Users ask and do not read, while others chatter.
    SlowReaders {
        /// Share of the users.
        share: f64,
        /// Requests of each of them at most.
        requests: u32,
    },
    /// The servers tell every user an event.
    Broadcast {
        /// Bytes of the event's text.
        bytes: u32,
        /// Made once for all connections, or anew for each.
        serialise: Serialise,
        /// Events, one after the other.
        times: u32,
    },
}

/// How the message for each connection is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Serialise {
    /// Once for the process.
    Once,
    /// Anew for each connection.
    Each,
}

impl Serialise {
    /// As orders and rows name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Each => "each",
        }
    }
}

impl Part {
    /// As rows name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Storm { .. } => "storm",
            Self::Vanish { .. } => "vanish",
            Self::Churn { .. } => "churn",
            Self::SlowReaders { .. } => "slow-readers",
            Self::Broadcast { .. } => "broadcast",
        }
    }

    /// Whether the servers tell something.
    pub fn is_broadcast(&self) -> bool {
        matches!(self, Self::Broadcast { .. })
    }

    /// Key and value of what is out of range.
    pub fn wrong(&self) -> Option<String> {
        let share = |share: f64| {
            (!(1e-6..=1.0).contains(&share)).then(|| format!("share = {share}: must be above 0 and at most 1"))
        };
        match *self {
            Self::Storm { share: asked } | Self::Vanish { share: asked } => share(asked),
            Self::Churn { per_second, seconds } => (!(0.1..=1e6).contains(&per_second)
                || !(0.1..=3600.0).contains(&seconds))
            .then(|| format!("per_second = {per_second}, seconds = {seconds}: must be 0.1 to 1000000 and 0.1 to 3600")),
            Self::SlowReaders { share: asked, requests } => share(asked).or_else(|| {
                (!(1..=10_000).contains(&requests)).then(|| format!("requests = {requests}: must be 1 to 10000"))
            }),
            Self::Broadcast { bytes, times, .. } => (!(1..=limits::EVENT_BYTES as u32).contains(&bytes)
                || !(1..=10_000).contains(&times))
            .then(|| format!("bytes = {bytes}, times = {times}: must be 1 to {} and 1 to 10000", limits::EVENT_BYTES)),
        }
    }
}

/// Lets it happen and measures what it cost. `chatter` is what the others say meanwhile; `syscalls` asks for the system calls
/// of broadcasts.
///
/// # Errors
/// [`Trouble`] when a member dies or a meter breaks.
pub fn live(
    fleet: &mut Fleet,
    meters: &mut Meters,
    part: &Part,
    chatter: Option<&Offered<'_>>,
    syscalls: bool,
    seed: u64,
) -> Result<Life, Trouble> {
    let broken = |error: anyhow::Error| Trouble::Generator(format!("{error:#}"));
    let holders = fleet.pids().1.len() as f64;
    let event = match *part {
        Part::Storm { share } => Event::Storm { share },
        Part::Vanish { share } => Event::Vanish { share },
        Part::Churn { per_second, seconds } => Event::Churn { per_second: per_second / holders, seconds },
        Part::SlowReaders { share, requests } => Event::StopReading { share, requests },
        Part::Broadcast { bytes, serialise, times } => {
            return broadcast::tell(fleet, meters, &Telling { bytes, serialise, times, syscalls });
        }
    };
    let (start, pss) = (meters.read().map_err(broken)?, meters.memory().map_err(broken)?.0);
    let began = Instant::now();
    let mut life = happen(fleet, event, seed)?;
    life.kind = part.name().to_owned();
    if let Part::SlowReaders { .. } = part {
        life.others = chatter.map(|offered| window::measure(fleet, meters, offered)).transpose()?;
        life.server_memory_delta = delta(meters.memory().map_err(broken)?.0, pss);
        let again = happen(fleet, Event::ReadAgain, seed)?;
        (life.right, life.example) = (again.right, life.example.or(again.example));
    } else {
        life.server_memory_delta = delta(meters.memory().map_err(broken)?.0, pss);
    }
    life.seconds = began.elapsed().as_secs_f64();
    let spent = meters.read().map_err(broken)?.since(&start, 0.0);
    life.server_cpu_seconds = spent.server_cpu.as_secs_f64();
    life.listen_overflows = spent.whole_box.surroundings.listen_overflows;
    life.verdict = verdict(&life);
    Ok(life)
}

/// Gives the order and adds up the answers.
fn happen(fleet: &mut Fleet, event: Event, seed: u64) -> Result<Life, Trouble> {
    let at_ns = Clock.now() + LEAD.as_nanos() as u64;
    let order = |number: usize| Order::Live(Live { event, at_ns, seed: seed.wrapping_add(number as u64 * 6_700_417) });
    let length =
        if let Event::Churn { seconds, .. } = event { Duration::from_secs_f64(seconds) } else { Duration::ZERO };
    let mut life = Life::default();
    let mut times = Latencies::new();
    for answer in fleet.ask(order, length + PATIENCE, &mut |_, _| {})? {
        if let Answer::Lived { affected, asked, right, served_again, example, .. } = answer {
            life.affected += affected;
            life.asked += asked;
            life.right += right;
            life.example = life.example.or(example);
            times
                .add_base64(&served_again)
                .map_err(|error| Trouble::Generator(format!("a holder's histogram: {error}")))?;
        }
    }
    life.served_again = times.summary();
    Ok(life)
}

fn delta(after: u64, before: u64) -> f64 {
    after as f64 - before as f64
}

/// What was not kept; `None` when everybody was served.
fn verdict(life: &Life) -> Option<String> {
    if life.right < life.asked {
        let said = life.example.as_deref().map(|said| format!(", the first: {said}")).unwrap_or_default();
        return Some(format!("{} of {} requests got no right reply{said}", life.asked - life.right, life.asked));
    }
    life.others.as_ref().and_then(|others| {
        let errors: u64 = others.errors.values().sum();
        (errors > 0).then(|| format!("{errors} requests of the other users failed meanwhile"))
    })
}
