//! The arguments that every engine takes; see the server contract in `runtimes/README.md`.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use wire::{Format, Protocol};

use crate::fault::Fault;
use crate::limiter::LimitRequests;

/// More shards than this are a typing error: no box has so many cores for one server.
const SHARDS: i64 = 1_024;

/// The server contract's arguments. An engine flattens them into its own.
#[derive(Clone, Debug, clap::Args)]
// The engine's struct is called Args as well, and groups are named after structs.
#[group(skip)]
pub struct Args {
    /// Address to serve on; port 0 takes a free one, which the ready line names
    #[arg(long, value_name = "ADDR")]
    pub listen: SocketAddr,

    /// How messages are delimited
    #[arg(long, value_parser = protocol())]
    pub protocol: Protocol,

    /// How messages become bytes
    #[arg(long, value_parser = format())]
    pub format: Format,

    /// Serve /metrics, /healthz and /debug/pprof/folded on this loopback address
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<SocketAddr>,

    /// Take orders to tell every connection an event: POST /push?number=1&bytes=128&serialise=once on the admin address.
    /// Engines with a task for each connection keep its waker then
    #[arg(long, requires = "admin")]
    pub push: bool,

    /// Threads, each with its own listener (SO_REUSEPORT), store and event loop
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=SHARDS))]
    pub shards: u16,

    /// Let other processes listen on the same port (SO_REUSEPORT): the kernel spreads connections over them by hash
    #[arg(long)]
    pub reuse_port: bool,

    /// Give each shard's thread a table of file descriptors of its own (unshare(2), CLONE_FILES): the limit of
    /// descriptors then holds for each shard instead of for the process
    #[arg(long)]
    pub own_tables: bool,

    /// First gate: connections held at most, over all shards; further ones are told 503 and closed
    /// [default: what the file descriptor limit allows]
    // The name that it had when it was the only gate still works.
    #[arg(long = "limit-connections", alias = "max-connections", value_name = "N")]
    pub max_connections: Option<NonZeroU32>,

    /// Second gate: requests in flight at most, counted as they wait for the shard's thread; further ones are told 503
    /// (Retry-After: 1) before their payload is looked at
    ///
    /// fixed:N      so many, shared evenly by the shards: the limit that `lab limit` measured; 0 refuses every request
    /// aimd, aimd:MS  one more while a turn of the shard takes at most MS milliseconds (10), a tenth fewer when it takes longer
    /// vegas        as many as hardly wait: the least latency, at the price of bursts
    /// gradient2    as many as do not change the usual latency: for services that wait for others
    #[arg(long, value_name = "ALGORITHM", verbatim_doc_comment)]
    pub limit_requests: Option<LimitRequests>,

    /// CPU time that every request takes beside its own work, in microseconds: a service that has something to do. Calibrated
    /// at the start against the thread's CPU clock
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0.0, value_parser = service_time)]
    pub service_time: f64,

    /// Something that goes wrong on purpose, for tests of whoever measures; may be given several times. `runtimes/README.md`
    /// lists the kinds: stall, throttle, drop, delay-accept, lie, early, spin, wrong-version, stop-answering
    #[arg(long = "fault", value_name = "KIND", hide_short_help = true)]
    pub faults: Vec<Fault>,
}

/// Longest `--service-time`: a tenth of a second a request.
const SERVICE_TIME_US: f64 = 100_000.0;

fn service_time(text: &str) -> Result<f64, String> {
    let micros = text.parse().ok().filter(|micros| (0.0..=SERVICE_TIME_US).contains(micros));
    micros.ok_or_else(|| format!("expected microseconds from 0 to {SERVICE_TIME_US}"))
}

// Possible values rather than FromStr alone, so that clap names the nearest right one.
fn protocol() -> impl TypedValueParser<Value = Protocol> {
    PossibleValuesParser::new(Protocol::ALL.map(Protocol::name)).try_map(|name| name.parse::<Protocol>())
}

fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse::<Format>())
}
