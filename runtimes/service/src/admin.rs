//! `--admin`: what a server says about itself, over HTTP on loopback.
//!
//! * `/metrics`: the shards' counters, in Prometheus' text format.
//! * `/healthz`: 200 while the process lives.
//! * `/debug/pprof/folded?seconds=5&hz=99`: a CPU profile of every thread as folded stacks, for any flame graph viewer.
//! * `POST /push?number=1&bytes=128&serialise=once`: tells every connection an event (with `--push`). `at_ns` makes it wait
//!   for a moment on CLOCK_MONOTONIC, so that several servers begin together.
//!
//! A plain thread per request, so that nothing of it runs in a shard's loop. Loopback only: a profile shows too much.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use wire::http1::{self, Method, Parsed, Persistence};
use wire::{Format, Protocol, Status, limits};

use crate::clock::Clock;
use crate::counters::{Counters, ErrorKind, Totals};
use crate::push::{Event, Inbox, Serialise};
use crate::{Engine, Error, LimitRequests, Speaks};

/// Requests served at a time; more are closed unanswered. One scraper, one person, one profile and a spare.
const REQUESTS: usize = 4;

/// How long a peer may take to send its request or to take the reply.
const PATIENCE: Duration = Duration::from_secs(2);

/// Profiles: default and most seconds, default and most samples per second of CPU time.
const PROFILE_SECONDS: (u64, u64) = (5, 60);
const PROFILE_HZ: (u64, u64) = (99, 999);

/// How far ahead an event may be ordered, in nanoseconds.
const PUSH_AHEAD_NS: u64 = 10_000_000_000;

/// What the metrics are labelled with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Labels {
    pub(crate) engine: Engine,
    pub(crate) speaks: Speaks,
    /// How events are told.
    pub(crate) protocol: Protocol,
    pub(crate) format: Format,
    pub(crate) gates: Gates,
}

/// What the limiter's metrics say beside the counters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gates {
    /// Connections held at most.
    pub(crate) connections: u64,
    /// What limits requests in flight.
    pub(crate) requests: Option<LimitRequests>,
}

struct Admin {
    labels: Labels,
    counters: Vec<Arc<Counters>>,
    /// One a shard with `--push`, none otherwise.
    inboxes: Vec<Arc<Inbox>>,
    /// The profiling timer belongs to the process: one profile at a time.
    profiling: Mutex<()>,
    requests: AtomicUsize,
}

pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    if !address.ip().is_loopback() {
        let says = format!("--admin {address} is not a loopback address: give one of 127.0.0.0/8 or [::1]");
        return Err(Error::Usage(says));
    }
    TcpListener::bind(address).map_err(|source| Error::Listen { address, source })
}

pub(crate) fn start(
    listener: TcpListener,
    labels: Labels,
    counters: Vec<Arc<Counters>>,
    inboxes: Vec<Arc<Inbox>>,
) -> Result<(), Error> {
    let admin = Arc::new(Admin { labels, counters, inboxes, profiling: Mutex::new(()), requests: AtomicUsize::new(0) });
    let accept = move || {
        for stream in listener.incoming().flatten() {
            if admin.requests.fetch_add(1, Ordering::Relaxed) < REQUESTS {
                let admin = Arc::clone(&admin);
                thread::spawn(move || {
                    // The peer's trouble, not ours.
                    let _ = answer(&admin, &stream);
                    // Before the stream is closed: whoever has read its end may ask again at once.
                    admin.requests.fetch_sub(1, Ordering::Relaxed);
                });
            } else {
                admin.requests.fetch_sub(1, Ordering::Relaxed);
            }
        }
    };
    thread::Builder::new()
        .name("admin".to_owned())
        .spawn(accept)
        .map_err(Error::system("starting the admin thread"))?;
    Ok(())
}

/// One request a connection.
fn answer(admin: &Admin, mut stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let reply = loop {
        match http1::parse_request(&bytes) {
            Ok(Parsed::Whole(request)) => {
                let with_body = request.method != Method::Head;
                let page = match (request.method, request.path) {
                    (Method::Post, "/push") => push(admin, request.query),
                    (Method::Get | Method::Head, path) => page(admin, path, request.query),
                    (_, "/push") => Page::refusal(Status::MethodNotAllowed, "/push takes POST").allow("POST"),
                    _ => Page::refusal(Status::MethodNotAllowed, "GET and HEAD only").allow("GET, HEAD"),
                };
                break page.bytes(with_body);
            }
            Ok(Parsed::Partial { .. }) if bytes.len() > limits::HEAD_BYTES => {
                break Page::refusal(Status::TooLarge, "no body is taken here").bytes(true);
            }
            Ok(Parsed::Partial { .. }) => match stream.read(&mut buffer)? {
                0 => return Ok(()),
                length => bytes.extend_from_slice(&buffer[..length]),
            },
            Err(error) => break Page::refusal(error.status(), &error.to_string()).bytes(true),
        }
    };
    stream.write_all(&reply)
}

struct Page {
    status: Status,
    /// Methods that the path takes; empty but where the method was wrong.
    allow: &'static str,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Page {
    fn text(body: impl Into<Vec<u8>>) -> Page {
        Page { status: Status::Ok, allow: "", content_type: "text/plain", body: body.into() }
    }

    fn refusal(status: Status, says: &str) -> Page {
        Page { status, allow: "", content_type: "text/plain", body: format!("{says}\n").into_bytes() }
    }

    fn allow(self, allow: &'static str) -> Page {
        Page { allow, ..self }
    }

    fn bytes(&self, with_body: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let clock = Clock::new();
        let head =
            http1::begin_reply(&mut out, self.status, self.allow, self.content_type, clock.date(), Persistence::Close);
        out.extend_from_slice(&self.body);
        http1::finish_reply(&mut out, head, with_body);
        out
    }
}

fn page(admin: &Admin, path: &str, query: &str) -> Page {
    match path {
        "/healthz" => Page::text("ok\n"),
        "/metrics" => match metrics(admin) {
            Ok(body) => Page { status: Status::Ok, allow: "", content_type: "text/plain; version=0.0.4", body },
            Err(error) => Page::refusal(Status::Busy, &error.to_string()),
        },
        "/debug/pprof/folded" => profile(admin, query),
        _ => Page::refusal(Status::NotFound, "there are /metrics, /healthz and /debug/pprof/folded?seconds=5&hz=99"),
    }
}

/// The value of a query's parameter, a number of `range`; `None` when it is not named.
fn parameter(query: &str, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let Some(value) = value else { return Ok(None) };
    let parsed = value.parse().ok().filter(|number| range.contains(number));
    parsed.map(Some).ok_or_else(|| format!("{name} is `{value}`, expected {} to {}", range.start(), range.end()))
}

/// Hands an event to every shard, and says how many there are once they have it; they tell it on their own threads.
fn push(admin: &Admin, query: &str) -> Page {
    if admin.inboxes.is_empty() {
        return Page::refusal(Status::NotFound, "this server tells no events: start it with --push");
    }
    let (number, bytes, serialise, at_ns) = match push_arguments(query) {
        Ok(arguments) => arguments,
        Err(says) => return Page::refusal(Status::BadRequest, &says),
    };
    let wait = at_ns.map_or(0, |at_ns| at_ns.saturating_sub(monotonic_ns()));
    if wait > PUSH_AHEAD_NS {
        let says = format!("at_ns is {wait} ns ahead of CLOCK_MONOTONIC, at most {PUSH_AHEAD_NS}");
        return Page::refusal(Status::BadRequest, &says);
    }
    thread::sleep(Duration::from_nanos(wait));
    let Labels { protocol, format, .. } = admin.labels;
    // After the wait: making the message is a part of telling it.
    let event = Arc::new(Event::new(protocol, format, number, bytes, serialise));
    if admin.inboxes.iter().filter(|inbox| !inbox.put(&event)).count() > 0 {
        return Page::refusal(Status::Busy, "a shard has too many events to tell already: give orders more slowly");
    }
    let body = serde_json::json!({"shards": admin.inboxes.len(), "bytes": event.message_bytes()}).to_string();
    Page { status: Status::Ok, allow: "", content_type: "application/json", body: body.into_bytes() }
}

fn push_arguments(query: &str) -> Result<(u32, usize, Serialise, Option<u64>), String> {
    let number =
        parameter(query, "number", 0..=u64::from(u32::MAX))?.ok_or("number is missing: the event's, from 0")?;
    let bytes =
        parameter(query, "bytes", 1..=limits::EVENT_BYTES as u64)?.ok_or("bytes is missing: of the event's text")?;
    let serialise = query.split('&').find_map(|pair| pair.strip_prefix("serialise="));
    let serialise = serialise.unwrap_or("once");
    let serialise = serialise.parse().map_err(|()| format!("serialise is `{serialise}`, expected once or each"))?;
    let at_ns = parameter(query, "at_ns", 0..=u64::MAX)?;
    let number = u32::try_from(number).expect("checked by its range");
    Ok((number, usize::try_from(bytes).expect("checked by its range"), serialise, at_ns))
}

fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // The kernel counts from its boot, so neither part is negative.
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// The counters as metrics. They live in the shards as plain atomics with one writer each, so the registry is filled for
/// each scrape: that costs the scrape microseconds and the shards nothing.
fn metrics(admin: &Admin) -> prometheus::Result<Vec<u8>> {
    let totals = Totals::of(admin.counters.iter().map(|counters| &**counters));
    let registry = Registry::new();
    let counter = |name: &str, help: &str, value: u64| {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value);
        registry.register(Box::new(counter))
    };
    counter("highload_server_connections_accepted_total", "Connections admitted.", totals.accepted)?;
    counter("highload_server_requests_total", "Requests answered, refusals included.", totals.requests)?;
    counter("highload_server_events_pushed_total", "Events told to connections, one a connection.", totals.pushed)?;
    counter("highload_server_receive_bytes_total", "Bytes read from connections.", totals.bytes_in)?;
    counter(
        "highload_server_transmit_bytes_total",
        "Bytes of replies and events written to connections.",
        totals.bytes_out,
    )?;

    let open = IntGauge::new("highload_server_connections_open", "Connections held now.")?;
    open.set(i64::try_from(totals.open).unwrap_or(i64::MAX));
    registry.register(Box::new(open))?;

    let opts = Opts::new("highload_server_errors_total", "Requests and connections that went wrong, by kind.");
    let errors = IntCounterVec::new(opts, &["kind"])?;
    for ((_, name), count) in ErrorKind::ALL.iter().zip(totals.errors) {
        errors.with_label_values(&[*name]).inc_by(count);
    }
    registry.register(Box::new(errors))?;

    let Labels { engine, speaks, gates, .. } = admin.labels;
    limiter(&registry, &totals, gates)?;
    let info = Opts::new("highload_server_info", "Always 1; the labels say which server this is.")
        .const_label("engine", engine.name)
        .const_label("interface", engine.interface.name())
        .const_label("protocol", speaks.protocol)
        .const_label("format", speaks.format)
        .const_label("version", env!("CARGO_PKG_VERSION"));
    let info = IntGauge::with_opts(info)?;
    info.set(1);
    registry.register(Box::new(info))?;

    let mut body = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut body)?;
    Ok(body)
}

/// Both gates. Limits and requests in flight are sums over shards, since each shard limits its own.
fn limiter(registry: &Registry, totals: &Totals, gates: Gates) -> prometheus::Result<()> {
    let gauge = |opts: Opts, value: u64| {
        let gauge = IntGauge::with_opts(opts)?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(Box::new(gauge))
    };
    let counter = |name: &str, help: &str, value: u64| {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value);
        registry.register(Box::new(counter))
    };
    let refused = |kind: ErrorKind| totals.errors[kind as usize];
    let opts = Opts::new("highload_limiter_connections_limit", "First gate: connections held at most.");
    gauge(opts, gates.connections)?;
    let help = "First gate: connections that were told 503 and closed.";
    counter("highload_limiter_connections_refused_total", help, refused(ErrorKind::BusyConnections))?;
    let Some(algorithm) = gates.requests else { return Ok(()) };
    let opts = Opts::new("highload_limiter_requests_limit", "Second gate: requests in flight at most, now.");
    gauge(opts.const_label("algorithm", algorithm.to_string()), totals.requests_limit)?;
    let help = "Requests in flight in the last turn of a shard that brought any.";
    gauge(Opts::new("highload_limiter_requests_in_flight", help), totals.in_flight)?;
    let help = "Second gate: requests let in.";
    counter("highload_limiter_requests_admitted_total", help, totals.admitted)?;
    let help = "Second gate: requests that were told 503.";
    counter("highload_limiter_requests_refused_total", help, refused(ErrorKind::BusyInFlight))?;
    let help = "Turns of shards that brought requests: admitted divided by these is the mean depth.";
    counter("highload_limiter_turns_total", help, totals.turns)
}

/// Samples the CPU time of all threads. The sampling signal interrupts system calls: not for measured passes.
fn profile(admin: &Admin, query: &str) -> Page {
    let parameter = |name: &str, (default, most): (u64, u64)| {
        parameter(query, name, 1..=most).map(|value| value.unwrap_or(default))
    };
    let (seconds, hz) = match (parameter("seconds", PROFILE_SECONDS), parameter("hz", PROFILE_HZ)) {
        (Ok(seconds), Ok(hz)) => (seconds, hz),
        (Err(says), _) | (_, Err(says)) => return Page::refusal(Status::BadRequest, &says),
    };
    let Ok(_one) = admin.profiling.try_lock() else {
        return Page::refusal(Status::Busy, "a profile is being taken: try again when it is done");
    };
    match folded(Duration::from_secs(seconds), i32::try_from(hz).expect("at most 999")) {
        Ok(text) => Page::text(text),
        Err(error) => Page::refusal(Status::Busy, &error.to_string()),
    }
}

/// Folded stacks: `thread;root;…;leaf samples`, one stack a line.
fn folded(length: Duration, hz: i32) -> pprof::Result<String> {
    // Unwinding from a signal handler within these can deadlock. libc is not among them, as pprof's README would have it:
    // engines spend their time in system calls that return into libc, and of tokio-uring's samples next to none were left.
    // glibc finds unwind tables without a lock since 2.35, and neither the unwinder nor the collector allocates.
    let blocked = ["libgcc", "pthread", "vdso"];
    let guard = pprof::ProfilerGuardBuilder::default().frequency(hz).blocklist(&blocked).build()?;
    thread::sleep(length);
    let report = guard.report().build()?;
    let mut lines: Vec<String> = report.data.iter().map(|(frames, samples)| fold(frames, *samples)).collect();
    lines.sort_unstable();
    Ok(lines.concat())
}

fn fold(frames: &pprof::Frames, samples: isize) -> String {
    let mut line = frames.thread_name.clone();
    // Leaf first in the report, root first in a folded stack; inlined functions stand inner first, too.
    for symbol in frames.frames.iter().rev().flat_map(|inlined| inlined.iter().rev()) {
        line.push(';');
        line.push_str(&symbol.name().replace(';', ":"));
    }
    line.push_str(&format!(" {samples}\n"));
    line
}
