//! The engine `tokio-uring`: the first io_uring runtime of the tokio project, kept as the reference that many know.
//!
//! It has had no maintainer and no release since 2024, and parks in epoll_wait on the ring's descriptor, so that a turn of its
//! loop takes two system calls at least. It is not what io_uring can do; `monoio-uring` is closer to that.

mod runtime;
mod socket;

use std::process::ExitCode;

use clap::Parser;
use service::{Engine, Error, Idle, Interface, Ring, RingFeature};

/// Why `--ring defer` is refused. With it completions run only when a thread asks the kernel for them
/// (IORING_ENTER_GETEVENTS, io_uring_setup(2)). tokio-uring asks for none: it sleeps in epoll_wait until the ring's descriptor
/// is readable and then submits, so nothing ever completes.
const DEFER_HANGS: &str = "--ring defer hangs tokio-uring: it waits in epoll for the ring's descriptor and never asks the kernel \
to run deferred completions, so no request would be answered; leave it out, or use server-monoio, which waits in io_uring_enter";

/// Server under test: tokio-uring
#[derive(Parser)]
#[command(name = "server-tokio-uring", version)]
struct Args {
    #[command(flatten)]
    server: service::Args,

    /// What a connection holds while it waits
    #[arg(long, value_enum, default_value = "naive")]
    idle: Idle,

    /// Setup features of the ring, separated by commas; defer is refused, since tokio-uring hangs with it
    /// [default: coop,single-issuer where the kernel has them]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FEATURES")]
    ring: Option<Vec<RingFeature>>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    service::exit(run(&args))
}

fn run(args: &Args) -> Result<(), Error> {
    let features = args.ring.as_deref().unwrap_or(&[RingFeature::Coop, RingFeature::SingleIssuer]);
    if features.contains(&RingFeature::Defer) {
        // No kernel or setting would make it work: a matter of usage.
        return Err(Error::Usage(DEFER_HANGS.to_owned()));
    }
    let ring = Ring::new(runtime::ENTRIES, features)?;
    let name = args.idle.name("tokio-uring", "tokio-uring+lean");
    let engine = Engine { name, interface: Interface::IoUring };
    if args.server.own_tables {
        runtime::open_shared()?;
    }
    service::run(engine, &args.server, |shard| runtime::run(shard, args.idle, ring, args.ring.is_none()))
}
