//! The engine `ring`: io_uring by hand, as far as one core goes, with a switch for each feature.

mod accept;
mod buffers;
mod features;
mod groups;
mod kernel;
mod operation;
mod peer;
mod push;
mod queue;
mod reactor;
mod sends;
mod shard;

use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};
use service::{Engine, Error, Interface, Places};

use crate::features::{Features, Switch};
use crate::queue::Wait;

const ENGINE: Engine = Engine { name: "ring", interface: Interface::IoUring };

/// Slots of a registered file table at most (IORING_MAX_FIXED_FILES of the kernel).
const SLOTS: u64 = 1 << 20;

/// Server under test: io_uring by hand, every feature a switch
#[derive(Parser)]
#[command(name = "server-ring", version)]
struct Args {
    #[command(flatten)]
    server: service::Args,

    /// Switches, separated by commas; `no-` before a name takes it out, `none` is a ring without any
    #[arg(long, value_delimiter = ',', value_name = "SWITCHES", default_value = "default",
          value_parser = PossibleValuesParser::new(features::words()))]
    ring: Vec<String>,

    /// Rings of each shard's thread; more than one only with `direct`: each has a file table as large as the limit of descriptors
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=64))]
    rings: u16,

    /// Provided buffers to receive into, a power of two
    #[arg(long, value_name = "N", default_value = "1024", value_parser = buffers)]
    buffers: u16,

    /// Bytes of each
    #[arg(long, value_name = "BYTES", default_value = "4096", value_parser = clap::value_parser!(u32).range(64..=1 << 20))]
    buffer_bytes: u32,

    /// With `min-wait`: completions to wait for
    #[arg(long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u32).range(1..=16_384))]
    min_completions: u32,

    /// With `min-wait`: microseconds after which one completion is enough
    #[arg(long, value_name = "MICROSECONDS", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    min_wait: u32,

    /// With `zero-copy`: replies of so many bytes and more are sent without a copy
    #[arg(long, value_name = "BYTES", default_value = "16384")]
    zero_copy_bytes: usize,
}

/// What every reactor needs to know.
#[derive(Clone, Copy)]
struct Settings {
    features: Features,
    rings: u16,
    /// Slots of a ring's file table.
    slots: u32,
    buffers: u16,
    buffer_bytes: u32,
    wait: Wait,
    zero_copy_bytes: usize,
}

impl Settings {
    /// The `ring` of the ready line.
    fn to_json(self) -> Value {
        let has = |switch| self.features.has(switch);
        json!({
            "features": self.features.names(),
            "rings": self.rings,
            "entries": queue::SUBMISSIONS,
            "completion_entries": queue::COMPLETIONS,
            "coop_taskrun": has(Switch::Coop),
            "single_issuer": has(Switch::SingleIssuer),
            "defer_taskrun": has(Switch::Defer),
            "slots": has(Switch::Direct).then_some(self.slots),
            "buffers": has(Switch::Buffers).then_some(self.buffers),
            "buffer_bytes": has(Switch::Buffers).then_some(self.buffer_bytes),
            "min_completions": has(Switch::MinWait).then_some(self.wait.completions),
            "min_wait_microseconds": has(Switch::MinWait).then_some(self.wait.microseconds),
            "zero_copy_bytes": has(Switch::ZeroCopy).then_some(self.zero_copy_bytes),
        })
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    service::exit(run(&args))
}

fn run(args: &Args) -> Result<(), Error> {
    let (kernel, release) = kernel::probe()?;
    let features = Features::resolve(&args.ring, kernel, &release)?;
    let direct = features.has(Switch::Direct);
    if args.rings > 1 && !direct {
        let says = "--rings is for direct descriptors, whose tables are limited: --ring default,direct";
        return Err(Error::Usage(says.to_owned()));
    }
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(SLOTS).min(SLOTS);
    let settings = Settings {
        features,
        rings: args.rings,
        slots: u32::try_from(limit).expect("at most a million"),
        buffers: args.buffers,
        buffer_bytes: args.buffer_bytes,
        wait: Wait { completions: args.min_completions, microseconds: args.min_wait },
        zero_copy_bytes: args.zero_copy_bytes,
    };
    let places = if direct { Places::Registered { tables: args.rings } } else { Places::Descriptors };
    service::run_with(ENGINE, &args.server, places, |shard| shard::run(shard, settings))
}

fn buffers(text: &str) -> Result<u16, String> {
    let count: u16 = text.parse().map_err(|error| format!("{error}"))?;
    if count.is_power_of_two() && count <= 1 << 15 {
        return Ok(count);
    }
    Err("a power of two from 1 to 32768 (io_uring_register(2), IORING_REGISTER_PBUF_RING)".to_owned())
}
