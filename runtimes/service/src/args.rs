//! The arguments that every engine takes; see the server contract in `runtimes/README.md`.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use wire::{Format, Protocol};

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

    /// Connections held at most, over all shards; further ones get status 503 and are closed
    /// [default: what the file descriptor limit allows]
    #[arg(long, value_name = "N")]
    pub max_connections: Option<NonZeroU32>,

    /// Requests whose reply is not yet with the kernel at most, shared evenly by the shards; further ones get status 503
    #[arg(long, value_name = "N")]
    pub max_in_flight: Option<NonZeroU32>,
}

// Possible values rather than FromStr alone, so that clap names the nearest right one.
fn protocol() -> impl TypedValueParser<Value = Protocol> {
    PossibleValuesParser::new(Protocol::ALL.map(Protocol::name)).try_map(|name| name.parse::<Protocol>())
}

fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse::<Format>())
}
