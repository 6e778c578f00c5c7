//! A load at a plateau: a share of the users chatters in open loop while all others are held.

use std::time::{Duration, Instant};

use super::fleet::{Fleet, Trouble};
use super::meters::{Meters, Spent, Syscalls};
use super::orders::{Answer, Load, Loaded, Order};
use super::result::Window;
use crate::load::{Clock, Latencies};
use crate::scenario::VoidsPart;

/// From the order to the first due request, so that every holder has read its order by then.
const LEAD: Duration = Duration::from_millis(100);

/// How long late replies and the holders' answers may take after a window.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Share of the holders' cores from which they are called saturated.
const SATURATED: f64 = 0.95;

/// Who says how much, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Chatter {
    /// Share of the users that send.
    pub active_share: f64,
    /// Requests per second of each of them.
    pub requests_per_active_user: f64,
    /// `constant` or `poisson`.
    pub arrivals: String,
    /// Requests in flight per connection at most.
    pub in_flight: u32,
    /// Load before the measurement.
    pub warmup: Duration,
    /// The measured window.
    pub measure: Duration,
}

impl Chatter {
    /// Requests per second of all of `users` together.
    pub fn rate(&self, users: u32) -> f64 {
        f64::from(users) * self.active_share * self.requests_per_active_user
    }
}

/// A load on a fleet.
pub struct Offered<'a> {
    /// Who says how much.
    pub chatter: &'a Chatter,
    /// Users held.
    pub users: u32,
    /// Seed of arrivals.
    pub seed: u64,
    /// When it does not count.
    pub voids: &'a VoidsPart,
    /// Count system calls, in a second pass.
    pub syscalls: bool,
    /// CPUs of the holders.
    pub holder_cpus: usize,
}

/// Offers the load and measures; then once more, shorter, to count system calls.
///
/// # Errors
/// [`Trouble`] when a member dies or a meter breaks.
pub fn measure(fleet: &mut Fleet, meters: &mut Meters, offered: &Offered<'_>) -> Result<Window, Trouble> {
    let (loaded, spent) = offer(fleet, meters, offered)?;
    let chatter = offered.chatter;
    let mut window = merge(&loaded).map_err(Trouble::Generator)?;
    window.active_share = chatter.active_share;
    window.arrivals.clone_from(&chatter.arrivals);
    window.rate = chatter.rate(offered.users);
    window.measured_seconds = chatter.measure.as_secs_f64();
    let answered: u64 = loaded.iter().map(|part| part.answered).sum();
    window.rate_achieved = answered as f64 / window.measured_seconds;
    let spent = spent.scaled(window.rate_achieved);
    window.server = spent.server;
    window.generator_cpu_us_per_request = spent.holder_cpu_us_per_request;
    window.surroundings = spent.whole_box.surroundings;
    let example = loaded.iter().find_map(|part| part.example.clone());
    window.void = void(&window, offered.voids, spent.holder_core_share / offered.holder_cpus.max(1) as f64, example);
    if offered.syscalls {
        match count_syscalls(fleet, offered)? {
            Ok(count) => window.server.syscalls_per_request = Some(count),
            Err(reason) => window.server.syscalls_unavailable = Some(reason),
        }
    }
    Ok(window)
}

/// Two readings, to be spread over requests once these are known.
struct Readings {
    start: super::meters::Reading,
    end: super::meters::Reading,
}

impl Readings {
    fn scaled(&self, rate: f64) -> Spent {
        self.end.since(&self.start, rate)
    }
}

/// Offers one load; what the holders measured, and the meters at both edges of the window.
fn offer(fleet: &mut Fleet, meters: &mut Meters, offered: &Offered<'_>) -> Result<(Vec<Loaded>, Readings), Trouble> {
    let broken = |error: anyhow::Error| Trouble::Generator(format!("{error:#}"));
    let running = order(fleet, offered, offered.chatter.measure)?;
    fleet.sleep_until(running.window_start)?;
    let start = meters.read().map_err(broken)?;
    fleet.sleep_until(running.window_end)?;
    let end = meters.read().map_err(broken)?;
    Ok((running.loaded(fleet)?, Readings { start, end }))
}

/// System calls per request, in a pass of its own; a reason where they cannot be counted.
fn count_syscalls(fleet: &mut Fleet, offered: &Offered<'_>) -> Result<Result<f64, String>, Trouble> {
    let mut counters = match Syscalls::attach(&fleet.pids().0) {
        Ok(counters) => counters,
        Err(reason) => return Ok(Err(reason)),
    };
    let measure = offered.chatter.measure / 2;
    let running = order(fleet, offered, measure)?;
    fleet.sleep_until(running.window_start)?;
    let (start, began) = (counters.read(), Instant::now());
    fleet.sleep_until(running.window_end)?;
    let (end, seconds) = (counters.read(), began.elapsed().as_secs_f64());
    let loaded = running.loaded(fleet)?;
    let answered: u64 = loaded.iter().map(|part| part.answered).sum();
    let requests = answered as f64 / measure.as_secs_f64() * seconds;
    Ok(match (start, end) {
        (Ok(start), Ok(end)) => Ok(end.saturating_sub(start) as f64 / requests.max(1.0)),
        (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
    })
}

/// A load that was ordered.
struct Running {
    window_start: Instant,
    window_end: Instant,
}

/// Tells every holder its part, all on one clock.
fn order(fleet: &mut Fleet, offered: &Offered<'_>, measure: Duration) -> Result<Running, Trouble> {
    let chatter = offered.chatter;
    let now = Instant::now();
    let start_ns = Clock.now() + LEAD.as_nanos() as u64;
    let window_start_ns = start_ns + chatter.warmup.as_nanos() as u64;
    let window_end_ns = window_start_ns + measure.as_nanos() as u64;
    let holders = fleet.pids().1.len();
    let rate = chatter.rate(offered.users) / holders as f64;
    fleet.order(|number| {
        Order::Load(Load {
            start_ns,
            window_start_ns,
            window_end_ns,
            arrivals: chatter.arrivals.clone(),
            rate,
            phase: number as f64 / holders as f64,
            active_share: chatter.active_share,
            in_flight: chatter.in_flight,
            seed: offered.seed.wrapping_add(number as u64 * 104_729),
        })
    })?;
    let window_start = now + LEAD + chatter.warmup;
    Ok(Running { window_start, window_end: window_start + measure })
}

impl Running {
    /// Waits for what the holders measured.
    fn loaded(&self, fleet: &mut Fleet) -> Result<Vec<Loaded>, Trouble> {
        let answers = fleet.answers(ANSWER_TIMEOUT, &mut |_, _| {})?;
        Ok(answers
            .into_iter()
            .filter_map(|answer| match answer {
                Answer::Loaded(loaded) => Some(*loaded),
                _ => None,
            })
            .collect())
    }
}

/// Adds up what the holders measured: counts, and histograms by adding, never percentiles by averaging.
fn merge(parts: &[Loaded]) -> Result<Window, String> {
    let (mut response, mut service, mut lag) = (Latencies::new(), Latencies::new(), Latencies::new());
    let mut window = Window::default();
    for part in parts {
        window.completed += part.completed;
        for (kind, count) in &part.errors {
            *window.errors.entry(kind.clone()).or_default() += count;
        }
        for (sum, text) in [(&mut response, &part.response), (&mut service, &part.service), (&mut lag, &part.lag)] {
            sum.add_base64(text).map_err(|error| format!("a holder's histogram: {error}"))?;
        }
    }
    window.response = response.summary();
    window.service_time = service.summary();
    window.schedule_lag = lag.summary();
    (window.request_bytes, window.reply_bytes) = bytes(parts).filter(|_| window.errors.is_empty()).unzip();
    Ok(window)
}

/// Bytes of a request and of its reply, where every request had one.
fn bytes(parts: &[Loaded]) -> Option<(f64, f64)> {
    let sum = |of: fn(&Loaded) -> u64| parts.iter().map(of).sum::<u64>() as f64;
    let requests = sum(|part| part.sent);
    (requests > 0.0).then(|| (sum(|part| part.sent_bytes) / requests, sum(|part| part.received_bytes) / requests))
}

/// Why a window does not count.
fn void(window: &Window, voids: &VoidsPart, holder_share: f64, example: Option<String>) -> Option<String> {
    let lag = window.schedule_lag.p99_us;
    if let Some((kind, count)) = window.errors.iter().next() {
        let said = example.map(|example| format!(", the first: {example}")).unwrap_or_default();
        return Some(format!("{count} requests ended in {kind}{said}"));
    }
    if holder_share >= SATURATED {
        return Some(format!("the load generators were the bottleneck: {:.0} % of their CPU", holder_share * 100.0));
    }
    // A handful of arrivals a second cannot keep a rate to two percent.
    let noise = 3.0 / (window.rate * window.measured_seconds).sqrt().max(1.0);
    if window.rate_achieved < window.rate * (1.0 - voids.rate_shortfall - noise) {
        return Some(format!("rate {:.0}/s of {:.0}/s was reached", window.rate_achieved, window.rate));
    }
    if lag > voids.schedule_lag_p99_us {
        return Some(format!("the schedule lagged: p99 {lag:.0} µs, at most {:.0} µs", voids.schedule_lag_p99_us));
    }
    let shares = [
        ("the hypervisor took", window.surroundings.steal_share, voids.steal_share),
        ("other processes took", window.surroundings.foreign_cpu_share, voids.foreign_cpu_share),
    ];
    shares
        .iter()
        .find(|(_, seen, most)| seen > most)
        .map(|(who, seen, most)| format!("{who} {:.1} % of the CPU, at most {:.1} %", seen * 100.0, most * 100.0))
}
