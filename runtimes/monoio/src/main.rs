//! The engines `monoio-uring` and `monoio-epoll`: the same code on either driver of monoio.

mod peer;
mod runtime;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use service::{Engine, Error, Interface, Ring, RingFeature};

/// Server under test: monoio, on io_uring or on epoll
#[derive(Parser)]
#[command(name = "server-monoio", version)]
struct Args {
    #[command(flatten)]
    server: service::Args,

    /// The driver under monoio: which kernel interface it uses
    #[arg(long, value_enum, default_value = "uring")]
    interface: Driver,

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
    match args.interface {
        Driver::Uring => {
            let features = args.ring.as_deref().unwrap_or(&[RingFeature::SingleIssuer, RingFeature::Defer]);
            let ring = Ring::new(runtime::ENTRIES, features)?;
            // Who names features wants them or an error; the default takes what the kernel has.
            let may_fall_back = args.ring.is_none();
            let engine = Engine { name: "monoio-uring", interface: Interface::IoUring };
            service::run(engine, &args.server, |shard| runtime::run_uring(shard, ring, may_fall_back))
        }
        Driver::Epoll if args.ring.is_some() => {
            Err(Error::Usage("--ring is for --interface uring: epoll has no ring".to_owned()))
        }
        Driver::Epoll => {
            let engine = Engine { name: "monoio-epoll", interface: Interface::Epoll };
            service::run(engine, &args.server, runtime::run_epoll)
        }
    }
}
