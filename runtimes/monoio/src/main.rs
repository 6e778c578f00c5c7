//! The engines `monoio-uring` and `monoio-epoll`: the same code on either driver of monoio.

mod runtime;
mod socket;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use service::{Engine, Error, Idle, Interface, Ring, RingFeature};

/// Server under test: monoio, on io_uring or on epoll
#[derive(Parser)]
#[command(name = "server-monoio", version)]
struct Args {
    #[command(flatten)]
    server: service::Args,

    /// The driver under monoio: which kernel interface it uses
    #[arg(long, value_enum, default_value = "uring")]
    interface: Driver,

    /// What a connection holds while it waits
    #[arg(long, value_enum, default_value = "naive")]
    idle: Idle,

    /// Setup features of the ring, separated by commas
    /// [default: single-issuer,defer where the kernel has them]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FEATURES")]
    ring: Option<Vec<RingFeature>>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Driver {
    Uring,
    Epoll,
}

fn main() -> ExitCode {
    let args = Args::parse();
    service::exit(run(&args))
}

fn run(args: &Args) -> Result<(), Error> {
    let idle = args.idle;
    match args.interface {
        Driver::Uring => {
            let features = args.ring.as_deref().unwrap_or(&[RingFeature::SingleIssuer, RingFeature::Defer]);
            let ring = Ring::new(runtime::ENTRIES, features)?;
            // Who names features wants them or an error; the default takes what the kernel has.
            let may_fall_back = args.ring.is_none();
            let name = idle.name("monoio-uring", "monoio-uring+lean");
            let engine = Engine { name, interface: Interface::IoUring };
            service::run(engine, &args.server, |shard| runtime::run_uring(shard, idle, ring, may_fall_back))
        }
        Driver::Epoll if args.ring.is_some() => {
            Err(Error::Usage("--ring is for --interface uring: epoll has no ring".to_owned()))
        }
        Driver::Epoll => {
            let engine = Engine { name: idle.name("monoio-epoll", "monoio-epoll+lean"), interface: Interface::Epoll };
            service::run(engine, &args.server, |shard| runtime::run_epoll(shard, idle))
        }
    }
}
