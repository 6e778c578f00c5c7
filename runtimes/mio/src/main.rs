//! The engine `mio`: epoll, edge-triggered, tuned by hand.

mod event_loop;
mod peer;

use std::process::ExitCode;

use clap::Parser;
use service::{Engine, Interface};

const ENGINE: Engine = Engine { name: "mio", interface: Interface::Epoll };

/// Server under test: epoll by hand, through mio
#[derive(Parser)]
#[command(name = "server-mio", version)]
struct Args {
    #[command(flatten)]
    server: service::Args,
}

fn main() -> ExitCode {
    let args = Args::parse();
    service::exit(service::run(ENGINE, &args.server, event_loop::run))
}
