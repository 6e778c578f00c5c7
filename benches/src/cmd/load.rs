//! `lab load`: the load generator by itself, against any server that speaks the contract.
//!
//! The lab runs its own trials through this subcommand, as a process of its own, so that what the generator
//! costs is measured like everything else.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use wire::{Format, Protocol};

use crate::failure::{Failure, exit};
use crate::host;
use crate::load::breaker::Ban;
use crate::load::spread::{RETRIES, SERVERS, Spread};
use crate::load::summary::{Event, Summary};
use crate::load::workload::Kind;
use crate::load::{self, CONNECTION_LIMIT, DURATION_LIMIT, IN_FLIGHT_LIMIT, Pacing, Phase, RATE_LIMIT, Spec, Workload};
use crate::share;
use crate::target::ask::Ask;

/// Load a server and say how it answered.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab load 127.0.0.1:7000 --rate 20000 --connections 200          open loop, Poisson arrivals, note service over frames
  lab load 127.0.0.1:7000 --closed --protocol http1 --service echo   closed loop: a peak, not a latency
  lab load 127.0.0.1:7000 --rate 5000 --json | jq .response.p99_us
  lab load 127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7002 --rate 5000   several servers, each with a circuit breaker
  lab load 127.0.0.1:8080 --rate 5000 --request 'GET /index.html'    a server of your own, HTTP/1.1
  lab load 127.0.0.1:6379 --rate 5000 --send 'PING\\r\\n' --expect '+PONG\\r\\n'   plain TCP
  lab load 127.0.0.1:9000 --rate 500 --message hello --path /chat    WebSocket, the echo is checked

Every reply is checked. Response time counts from the intended send time (no coordinated omission); service time from the
actual one. Exit code 1 when there were errors or the server closed all connections.")]
pub struct Args {
    /// Address of the server; only loopback unless --allow-remote is given
    target: SocketAddr,
    /// More servers: each has its turn, and a request that fails is asked again of the next one (open loop, frame or http1)
    #[arg(value_name = "MORE")]
    more: Vec<SocketAddr>,
    /// Framing: frame, http1 or websocket
    #[arg(long, default_value = "frame")]
    protocol: Protocol,
    /// Wire format, by its name in lab list: raw, json, protobuf, msgpack, …
    #[arg(long, default_value = "raw")]
    format: Format,
    /// What is asked: echo, note or content
    #[arg(long, default_value = "note", value_parser = crate::scenario::SERVICES)]
    service: String,
    /// Bytes of an echo payload or of an added note's text
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    payload_bytes: u32,
    /// Share of note requests that add one: 25% or 0.25; the others list a page
    #[arg(long, value_name = "SHARE", default_value = "25%", value_parser = share::of_whole)]
    add_share: f64,
    /// Notes in a listed page
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    page: u32,
    /// Connections to hold
    #[arg(long, short = 'c', default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=i64::from(CONNECTION_LIMIT)))]
    connections: u32,
    /// Share of the connections that send: 5% or 0.05; the others are held and stay idle
    #[arg(long, value_name = "SHARE", default_value = "100%", value_parser = share::of_whole)]
    active: f64,
    /// Addresses to connect from, in turn, for example 127.0.1.1,127.0.1.2: each has its own local ports
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    sources: Vec<IpAddr>,
    /// Requests in flight per connection; above 1 they are pipelined
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(IN_FLIGHT_LIMIT)))]
    in_flight: u32,
    /// Open loop: requests per second over all connections
    #[arg(long, short = 'r', required_unless_present = "closed", conflicts_with = "closed")]
    rate: Option<f64>,
    /// Open loop: poisson or constant arrivals, or burst:N for N requests at once, one for each connection in turn
    #[arg(long, default_value = "poisson", value_parser = arrivals)]
    arrivals: String,
    /// Closed loop: a reply triggers the next request
    #[arg(long)]
    closed: bool,
    /// Seconds of load before the measurement
    #[arg(long, default_value_t = 0.5)]
    warmup: f64,
    /// Seconds measured
    #[arg(long, short = 'd', default_value_t = 5.0)]
    duration: f64,
    /// Seconds that connecting and late replies may take
    #[arg(long, default_value_t = 5.0)]
    timeout: f64,
    /// Stop after this many requests even if time is left
    #[arg(long)]
    requests: Option<u64>,
    /// CPUs of the generator's threads, for example 1 or 2,3; one thread without pinning when absent
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Seed of arrivals and payloads
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write PREFIX-response and PREFIX-service histograms (.hdr and .hgrm)
    #[arg(long, value_name = "PREFIX")]
    histograms: Option<PathBuf>,
    /// Allow a target that is not on loopback: only name hosts that are yours
    #[arg(long)]
    allow_remote: bool,
    /// Print the figures as one JSON object
    #[arg(long)]
    json: bool,
    /// Print a JSON line at each phase of the run, as the lab's own trials read it
    #[arg(long, hide = true)]
    events: bool,
    /// What is asked, as JSON, from the lab's own trials
    #[arg(long = "ask", hide = true, value_name = "JSON")]
    told: Option<String>,
    #[command(flatten)]
    several: Several,
    #[command(flatten)]
    ask: Ask,
}

/// How a client deals with several servers.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Several servers")]
pub struct Several {
    /// Never ban a server
    #[arg(long)]
    no_breaker: bool,
    /// Failures in a row that ban a server
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    ban_after: u32,
    /// Seconds of the first ban; after it one request goes out as a probe, and if that fails the next ban is twice as long
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5)]
    ban: f64,
    /// Seconds of the longest ban
    #[arg(long, value_name = "SECONDS", default_value_t = 8.0)]
    ban_longest: f64,
    /// Seconds that one attempt may take
    #[arg(long, value_name = "SECONDS", default_value_t = 0.2)]
    attempt_timeout: f64,
    /// How often a failed request is asked again
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=i64::from(RETRIES)))]
    retries: u8,
    /// Seconds of the intervals in which each server's traffic is counted
    #[arg(long, value_name = "SECONDS", default_value_t = 0.25)]
    interval: f64,
}

/// Runs `lab load`.
///
/// # Errors
/// Usage failures for values that do not go together, environment failures when the server cannot be reached.
pub fn run(args: &Args, stop: &Arc<AtomicBool>) -> Result<ExitCode> {
    let spec = spec(args)?;
    let workload = workload(args)?;
    host::raise_fd_limit(args.connections.into()).map_err(|refusal| Failure::Environment(refusal.to_string()))?;
    let events = args.events;
    let outcome = load::run(&spec, &workload, stop, &mut |phase| {
        if events {
            say(&match phase {
                Phase::Connected => Event::Connected,
                Phase::WindowStart => Event::WindowStart,
                Phase::SliceEnd => Event::SliceEnd,
                Phase::WindowEnd => Event::WindowEnd,
            });
        }
    })
    .map_err(|error| Failure::Environment(error.to_string()))?;
    if let Some(prefix) = &args.histograms {
        for (name, histogram) in [("response", &outcome.recorder.response), ("service", &outcome.recorder.service)] {
            let mut path = prefix.clone().into_os_string();
            path.push(format!("-{name}"));
            histogram.write(path.as_ref()).with_context(|| format!("writing histogram {}", path.display()))?;
        }
    }
    let summary = Summary::of(&outcome);
    let failed = !summary.errors.is_empty() || summary.alive == 0;
    if events {
        say(&Event::Done(Box::new(summary)));
    } else if args.json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        print!("{}", text(args, &summary));
    }
    Ok(if failed { ExitCode::from(exit::MISSED) } else { ExitCode::SUCCESS })
}

/// The servers and how they are dealt with, where there are several.
fn spread(args: &Args) -> Result<Option<Spread>, Failure> {
    if args.more.is_empty() {
        return Ok(None);
    }
    let usage = |text: String| Err(Failure::Usage(text));
    let several = &args.several;
    let servers: Vec<SocketAddr> = std::iter::once(&args.target).chain(&args.more).copied().collect();
    for (flag, seen, low, high) in [
        ("--ban", several.ban, 0.001, 3600.0),
        ("--ban-longest", several.ban_longest, several.ban, 3600.0),
        ("--attempt-timeout", several.attempt_timeout, 0.005, 60.0),
        ("--interval", several.interval, 0.01, 60.0),
    ] {
        if !(low..=high).contains(&seen) {
            return usage(format!("{flag} {seen}: must be between {low} and {high} seconds"));
        }
    }
    if servers.len() > SERVERS {
        return usage(format!("{} servers: at most {SERVERS}", servers.len()));
    }
    if (args.connections as usize) < servers.len() {
        return usage(format!("--connections {}: each of {} servers needs one", args.connections, servers.len()));
    }
    if args.cpus.len() > 1 {
        return usage(format!("--cpus {:?}: a client of several servers is one thread", args.cpus));
    }
    if args.closed || args.protocol == Protocol::WebSocket || args.asked()?.is_some() {
        return usage(
            "several servers are asked in open loop, over frame or http1, for a service of the lab's".to_owned(),
        );
    }
    let seconds = Duration::from_secs_f64;
    let ban = Ban { failures: several.ban_after, first: seconds(several.ban), longest: seconds(several.ban_longest) };
    Ok(Some(Spread {
        servers,
        ban: (!several.no_breaker).then_some(ban),
        attempt_timeout: seconds(several.attempt_timeout),
        retries: several.retries,
        interval: seconds(several.interval),
    }))
}

/// What is sent: the requests of a service of the lab's, or the one that was said.
fn workload(args: &Args) -> Result<Workload, Failure> {
    let host = args.target.to_string();
    if let Some(ask) = args.asked()? {
        return Ok(Workload::of_exchange(ask.framing(), ask.exchange(&host)?));
    }
    let kind = match args.service.as_str() {
        "echo" => Kind::Echo,
        "content" => Kind::Content,
        _ => Kind::Note { add_share: args.add_share, page: args.page },
    };
    Ok(Workload::new(args.protocol, args.format, &kind, args.payload_bytes, &host, args.seed))
}

impl Args {
    /// What a server of one's own is asked, if it was said.
    fn asked(&self) -> Result<Option<Ask>, Failure> {
        match &self.told {
            Some(told) => told_ask(told).map(Some),
            None => Ok((!self.ask.is_empty()).then(|| self.ask.clone())),
        }
    }
}

/// What is asked, as another process of the lab says it.
pub(super) fn told_ask(told: &str) -> Result<Ask, Failure> {
    serde_json::from_str(told).map_err(|error| Failure::Usage(format!("--ask {told:.80}: {error}")))
}

/// Prints an event at once: its reader takes its own readings then.
fn say(event: &Event) {
    let mut line = serde_json::to_vec(event).expect("an event is plain data");
    line.push(b'\n');
    // A reader that is gone ends this process by the parent-death signal; there is nobody to tell.
    let _ = std::io::stdout().lock().write_all(&line);
}

/// Checks what clap cannot and builds the spec.
fn spec(args: &Args) -> Result<Spec, Failure> {
    let usage = |text: String| Failure::Usage(text);
    let far = |address: &&SocketAddr| !address.ip().is_loopback() && !args.allow_remote;
    if let Some(address) = std::iter::once(&args.target).chain(&args.more).find(far) {
        return Err(usage(format!("{address}: not a loopback address; --allow-remote if that host is yours to load")));
    }
    for (flag, seen, low) in
        [("--warmup", args.warmup, 0.0), ("--duration", args.duration, 0.05), ("--timeout", args.timeout, 0.05)]
    {
        if !(low..=DURATION_LIMIT.as_secs_f64()).contains(&seen) {
            return Err(usage(format!(
                "{flag} {seen}: must be between {low} and {} seconds",
                DURATION_LIMIT.as_secs()
            )));
        }
    }
    if args.active <= 0.0 {
        return Err(usage("--active 0: somebody must send".to_owned()));
    }
    if let Some(source) = args.sources.iter().find(|source| source.is_ipv4() != args.target.is_ipv4()) {
        return Err(usage(format!("--sources {source}: not of the address family of {}", args.target)));
    }
    let pacing = match args.rate {
        None => Pacing::Closed,
        Some(rate) if !(1.0..=RATE_LIMIT).contains(&rate) => {
            return Err(usage(format!("--rate {rate}: must be between 1 and {RATE_LIMIT} requests per second")));
        }
        Some(rate) => Pacing::open(&args.arrivals, rate).expect("clap has checked the name"),
    };
    Ok(Spec {
        target: args.target,
        spread: spread(args)?,
        sources: args.sources.clone(),
        connections: args.connections,
        active_share: args.active,
        in_flight: args.in_flight,
        pacing,
        warmup: Duration::from_secs_f64(args.warmup),
        measure: Duration::from_secs_f64(args.duration),
        request_limit: args.requests,
        timeout: Duration::from_secs_f64(args.timeout),
        cpus: args.cpus.clone(),
        seed: args.seed,
    })
}

/// Names of arrivals that there are.
fn arrivals(name: &str) -> Result<String, String> {
    match Pacing::open(name, 1.0) {
        Some(_) => Ok(name.to_owned()),
        None => Err("must be poisson, constant, or burst:N with N requests at once".to_owned()),
    }
}

/// The figures for a person.
fn text(args: &Args, summary: &Summary) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let mode = if args.closed {
        "closed loop (a peak; its latencies are not those of a busy server's users)"
    } else {
        "open loop"
    };
    let mut line = |text: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{text}");
    };
    let what = match args.asked() {
        Ok(Some(ask)) => ask.describe(),
        _ => format!("{} {} {}", args.service, args.format, args.protocol),
    };
    line(format!("{}  {what}, {} connections, {mode}", args.target, args.connections));
    line(format!(
        "{:.0} requests/s, {} completed in {:.2} s; generator {:.2} CPU-µs per request",
        summary.rate, summary.completed, summary.measured_seconds, summary.cpu_us_per_request
    ));
    line(format!("{:<14}{:>10}{:>10}{:>10}{:>10}{:>10}{:>12}", "µs", "p50", "p90", "p99", "p99.9", "p99.99", "max"));
    for (name, l) in [
        ("response time", &summary.response),
        ("service time", &summary.service_time),
        ("schedule lag", &summary.schedule_lag),
    ] {
        if l.count > 0 {
            line(format!(
                "{name:<14}{:>10.1}{:>10.1}{:>10.1}{:>10.1}{:>10.1}{:>12.1}",
                l.p50_us, l.p90_us, l.p99_us, l.p999_us, l.p9999_us, l.max_us
            ));
        }
    }
    if summary.reopened > 0 {
        line(format!(
            "{} connections were opened again, after the server had closed them behind a reply",
            summary.reopened
        ));
    }
    for server in summary.spread.iter().flat_map(|seen| &seen.servers) {
        let failed: u64 = server.failed.values().sum();
        line(format!(
            "{:<22} {:>9} attempts, {:>7} failed, p99 {:>8.1} µs; breaker {}, {} bans, {:.1} s",
            server.address,
            server.sent,
            failed,
            server.service_time.p99_us,
            server.state.name(),
            server.bans,
            server.banned_seconds
        ));
    }
    for (kind, count) in &summary.errors {
        line(format!("error {kind}: {count}"));
    }
    summary.example.iter().for_each(|example| line(format!("first error: {example}")));
    summary.ended_early.iter().for_each(|why| line(format!("ended early: {why}")));
    out
}
