//! The engine `tokio`: epoll through the runtime that most Rust servers run on.
//!
//! One current-thread runtime a shard rather than the work-stealing one: connections stay on their thread, as in every
//! other engine, so that a difference is the runtime's and not that of a thread model.

mod runtime;
mod socket;

use std::process::ExitCode;

use clap::Parser;
use service::{Engine, Error, Idle, Interface};

/// Server under test: tokio, one current-thread runtime a shard
#[derive(Parser)]
#[command(name = "server-tokio", version)]
struct Args {
    #[command(flatten)]
    server: service::Args,

    /// What a connection holds while it waits
    #[arg(long, value_enum, default_value = "naive")]
    idle: Idle,
}

fn main() -> ExitCode {
    let args = Args::parse();
    service::exit(run(&args))
}

fn run(args: &Args) -> Result<(), Error> {
    let engine = Engine { name: args.idle.name("tokio", "tokio+lean"), interface: Interface::Epoll };
    if args.server.own_tables {
        runtime::open_shared()?;
    }
    service::run(engine, &args.server, |shard| runtime::run(shard, args.idle))
}
