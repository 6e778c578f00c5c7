//! `lab cost`: the cost sheet of engines, framings and formats.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use wire::{Format, Protocol};

use crate::climb::plan::Spread;
use crate::climb::progress::{Progress, Show};
use crate::climb::result::Climb;
use crate::climb::scenario::workload_arguments;
use crate::climb::session::{self, Outcome, Run, Wish};
use crate::cost::sheet::{Demand, sheet};
use crate::cost::{Effort, ascent, table};
use crate::engines::{Engine, Engines};
use crate::failure::{Failure, exit};
use crate::load::Shuffle;
use crate::report;
use crate::scenario::WorkloadPart;
use crate::session::only;
use crate::target::arguments::Arguments;
use crate::target::{self, Own};

/// Engines of the sheet unless others are named: the lean variant of each, which is what one would hold users on.
const ENGINES: [&str; 8] = [
    "mio",
    "ring",
    "tokio+lean",
    "monoio-epoll+lean",
    "monoio-uring+lean",
    "compio-poll+lean",
    "compio-uring+lean",
    "tokio-uring+lean",
];

/// Seconds that a slice of connections or a late reply may take.
const TIMEOUT_SECONDS: f64 = 30.0;

/// What an idle user, a message and a handshake cost on every engine, and how many users that is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab cost                                          eight engines, three formats: about five minutes
  lab cost --only mio,ring --formats json           two engines, one format: twenty seconds
  lab cost --rate-per-user 1 --cores 8 --gb 32 --gbit 10     what such a box runs out of first
  lab cost --from lab-results/cost-… --rate-per-user 1       the same figures for other users, without measuring again
  lab cost --json | jq '.rows[] | [.engine, .format, .fits.binding]'
  lab cost --server \"nginx -c $PWD/my.conf\" --address 127.0.0.1:8080 --request 'GET /'    a server of your own by itself
  lab cost --pid 4711 --address 127.0.0.1:8080 --request 'GET /notes' --only mio --protocols http1    and an engine beside it

Each row is a climb to a few thousand users in a network namespace of its own: slopes of memory, messages at the top, users who come
and go. The result directory holds the rows and cost.{json,csv,md}. Your own server must take --users connections (nginx:
worker_connections); one that runs already stays in the host's network namespace.
Exit codes: 0 measured, 1 an engine lost users or a reply was wrong, 2 usage, 3 this box cannot do it, 4 interrupted or nothing counts.")]
pub struct Args {
    /// Engines, instead of the eight that hold users lean or beside a server of your own
    #[arg(long, value_name = "ENGINE", value_delimiter = ',')]
    only: Vec<String>,
    /// Framings
    #[arg(long, value_delimiter = ',', default_value = "frame")]
    protocols: Vec<Protocol>,
    /// Wire formats
    #[arg(long, value_delimiter = ',', default_value = "raw,json,protobuf")]
    formats: Vec<Format>,
    /// What users ask: echo or note
    #[arg(long, default_value = "note", value_parser = ["echo", "note"])]
    service: String,
    /// Bytes of an echo payload or of an added note's text
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    payload: u32,
    /// Messages a second of each user, for which users are counted
    #[arg(long, value_name = "RATE", default_value_t = 0.033)]
    rate_per_user: f64,
    /// Seconds between two connects of a user; users stay when absent
    #[arg(long, value_name = "SECONDS")]
    session: Option<f64>,
    /// Cores of the box for which the binding letter is named
    #[arg(long, default_value_t = 1.0)]
    cores: f64,
    /// Its memory for users, in GB (10^9 bytes)
    #[arg(long, default_value_t = 1.0)]
    gb: f64,
    /// Its network each way, in Gbit/s
    #[arg(long, default_value_t = 1.0)]
    gbit: f64,
    /// Users at the top of each climb
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(5..=1_000_000))]
    users: u32,
    /// Messages a second while they are measured, over all users
    #[arg(long, default_value_t = 20_000.0)]
    rate: f64,
    /// Seconds of messages, and of handshakes, in each climb
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    measure: f64,
    /// How often each row is measured
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Make the sheet of a result that is there, and measure nothing
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Result directory; default: a new one below ./lab-results
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Cargo profile of the servers: measured for numbers, dev or release to try things out
    #[arg(long, default_value = "measured")]
    profile: String,
    /// Engines file, instead of the built-in one
    #[arg(long, value_name = "FILE")]
    engines: Option<PathBuf>,
    /// Seed of order, arrivals and probes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Progress on stderr
    #[arg(long, value_enum, default_value_t = Show::Auto)]
    progress: Show,
    /// Print the sheet as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    own: Arguments,
}

/// Runs `lab cost`.
///
/// # Errors
/// Usage failures for values out of range, environment failures with the limit that is in the way, void when interrupted.
pub fn run(args: &Args, stop: &Arc<AtomicBool>) -> Result<ExitCode> {
    args.check()?;
    let (directory, climbs) = match &args.from {
        Some(directory) => (directory.clone(), report::climbs::read(directory)?.climbs),
        None => measure(args, stop)?,
    };
    let sheet = sheet(&climbs, args.demand());
    let json = serde_json::to_string_pretty(&sheet)? + "\n";
    for (name, text) in [("cost.json", &json), ("cost.csv", &table::csv(&sheet)), ("cost.md", &table::markdown(&sheet))]
    {
        let path = directory.join(name);
        report::replace(&path, text)
            .map_err(|error| Failure::Environment(format!("{}: {error:#}; name another --out", path.display())))?;
    }
    let shown = if args.json { json } else { table::terminal(&sheet) };
    super::print(&shown)?;
    eprintln!("wrote {}/cost.{{json,csv,md}}", directory.display());
    Ok(match session::outcome(&climbs)? {
        Outcome::Held => ExitCode::SUCCESS,
        Outcome::Missed => ExitCode::from(exit::MISSED),
    })
}

/// Measures every row; the result directory and its climbs.
fn measure(args: &Args, stop: &Arc<AtomicBool>) -> Result<(PathBuf, Vec<Climb>)> {
    let mut engines = Engines::load(args.engines.as_deref())?;
    let own = args.own.own()?;
    let mut names: Vec<String> = match &own {
        None => ENGINES.map(str::to_owned).to_vec(),
        Some(_) => Vec::new(),
    };
    only(&args.only, &mut names)?;
    if let Some(own) = own {
        names.push(own.name.clone());
        engines.add(own)?;
    }
    let used = names.iter().map(|name| engines.named(name)).collect::<Result<Vec<&Engine>, _>>()?;
    let mut wishes = Vec::new();
    let mut shuffle = Shuffle::new(args.seed);
    for round in 1..=args.rounds {
        let mut once: Vec<Wish<'_>> = used.iter().flat_map(|engine| args.wishes(engine, round)).collect();
        shuffle.shuffle(&mut once);
        wishes.append(&mut once);
    }
    let (service, payload_bytes) = (args.service.clone(), args.payload);
    let workload = WorkloadPart { service, payload_bytes, add_share: 0.25, page: 5 };
    let run = Run {
        name: "cost".to_owned(),
        question: "What does a user, a message and a handshake cost?".to_owned(),
        wishes,
        ascent: ascent(&args.effort()),
        spread: Spread::Address,
        host_namespace: false,
        service: args.service.clone(),
        workload: workload_arguments(&workload, TIMEOUT_SECONDS, args.seed),
        server_cores: 1,
        out: args.out.clone(),
        profile: args.profile.clone(),
    };
    let mut progress = Progress::new(args.progress);
    let measured = session::measure(&run, stop, &mut |moment| progress.tell(moment));
    progress.finish();
    let (directory, climbs) = measured?;
    report::climbs::write(&directory)?;
    Ok((directory, climbs))
}

impl Args {
    /// The rows of an engine: all framings and formats, or the one of a server that is asked something of its own.
    fn wishes<'a>(&self, engine: &'a Engine, round: u32) -> Vec<Wish<'a>> {
        let wish = |protocol: &str, format: &str| Wish {
            round,
            engine,
            protocol: protocol.to_owned(),
            format: format.to_owned(),
        };
        if let Some(protocol) = engine.own.as_ref().and_then(Own::protocol) {
            return vec![wish(protocol, target::INTERFACE)];
        }
        let formats = |protocol: &Protocol| {
            let protocol = protocol.name();
            self.formats.iter().map(move |format| wish(protocol, format.name()))
        };
        self.protocols.iter().flat_map(formats).collect()
    }

    fn check(&self) -> Result<(), Failure> {
        let ranges = [
            ("--rate-per-user", self.rate_per_user, 1e-6, 1e6),
            ("--session", self.session.unwrap_or(1.0), 1e-3, 1e9),
            ("--cores", self.cores, 1e-3, 1e6),
            ("--gb", self.gb, 1e-3, 1e6),
            ("--gbit", self.gbit, 1e-3, 1e6),
            ("--rate", self.rate, 100.0, 1e7),
            ("--measure", self.measure, 0.2, 3600.0),
        ];
        match ranges.into_iter().find(|(_, seen, low, high)| !(low..=high).contains(&seen)) {
            Some((flag, seen, low, high)) => {
                Err(Failure::Usage(format!("{flag} {seen}: must be between {low} and {high}")))
            }
            None => Ok(()),
        }
    }

    fn demand(&self) -> Demand {
        Demand {
            rate_per_user: self.rate_per_user,
            session_seconds: self.session,
            cores: self.cores,
            gigabytes: self.gb,
            gigabits: self.gbit,
        }
    }

    fn effort(&self) -> Effort {
        Effort { users: self.users, rate: self.rate, seconds: self.measure, seed: self.seed }
    }
}
