//! `lab hold`: one engine with as many connected users as asked, held, verified and measured.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;
use wire::{Format, Protocol};

use crate::climb::ascent::Ascent;
use crate::climb::explain::explain;
use crate::climb::plan::{Plan, Spread, USER_LIMIT};
use crate::climb::progress::{Progress, Show};
use crate::climb::scenario::workload_arguments;
use crate::climb::session::{self, Outcome, Place, Run, Wish};
use crate::climb::window::Chatter;
use crate::engines::{Engine, Engines};
use crate::failure::{Failure, exit};
use crate::scenario::{VoidsPart, WorkloadPart};
use crate::share;
use crate::target;
use crate::target::arguments::Arguments;

/// Hold connected users on one engine, and measure what each of them costs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lab hold --connections 500000 --engine ring          half a million users, held for a minute, 1 % of them probed
  lab hold -c 500000 -e mio --plan-only                what that would take on this box, and what is in the way
  lab hold -c 100000 -e tokio --active 5% --rate-per-user 1    and 5 % of them chatter
  lab hold -c 20000 -e mio --hold 5 --json | jq '.climbs[0].slopes'
  lab hold -c 10000 --server \"nginx -c $PWD/my.conf\" --address 127.0.0.1:8080 --request 'GET /'   a server of your own

The run lives in a network namespace of its own (root, or a user namespace), with its own ports and without conntrack.
Exit codes: 0 held, 1 the engine lost users or a reply was wrong, 2 usage, 3 this box cannot do it (the sentence names
the knob), 4 interrupted or a generator failed.")]
pub struct Args {
    /// Connected users to hold
    #[arg(long, short = 'c', value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(USER_LIMIT)))]
    connections: u32,
    /// Engine, as `lab list` names it
    #[arg(long, short = 'e', default_value = "mio")]
    engine: String,
    /// Framing
    #[arg(long, default_value = "frame")]
    protocol: Protocol,
    /// Wire format
    #[arg(long, default_value = "raw")]
    format: Format,
    /// What users ask: echo or note
    #[arg(long, default_value = "echo", value_parser = ["echo", "note"])]
    service: String,
    /// Bytes of an echo payload or of an added note's text
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    payload_bytes: u32,
    /// Seconds to hold them in silence, once all are connected
    #[arg(long, default_value_t = 60.0)]
    hold: f64,
    /// Plateaus on the way up, at which memory is read; a slope needs five, the empty one included
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    plateaus: u32,
    /// Share of the users that are asked a request before and after the hold, chosen at random: 1% or 0.01
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = share::of_whole)]
    probe: f64,
    /// Share of the users that chatter at the top, after the hold: 5% or 0.05
    #[arg(long, value_name = "SHARE", value_parser = share::of_whole)]
    active: Option<f64>,
    /// Requests per second of each user that chatters
    #[arg(long, default_value_t = 1.0)]
    rate_per_user: f64,
    /// Arrivals of the chatter
    #[arg(long, default_value = "poisson", value_parser = ["poisson", "constant"])]
    arrivals: String,
    /// Requests in flight per connection
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(crate::load::IN_FLIGHT_LIMIT)))]
    in_flight: u32,
    /// Seconds of chatter that are measured
    #[arg(long, default_value_t = 5.0)]
    measure: f64,
    /// How connections come to the server processes
    #[arg(long, value_enum, default_value_t = Spread::Address)]
    spread: Spread,
    /// Network namespace: own, or the host's
    #[arg(long, default_value = "own", value_parser = ["own", "host"])]
    netns: String,
    /// Print and explain the plan, and hold nothing
    #[arg(long)]
    plan_only: bool,
    /// Result directory; default: a new one below ./lab-results
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Cargo profile of the servers: measured for numbers, dev or release to try things out
    #[arg(long, default_value = "measured")]
    profile: String,
    /// Engines file, instead of the built-in one
    #[arg(long, value_name = "FILE")]
    engines: Option<PathBuf>,
    /// Cores, and with them at least as many processes, of the servers
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    server_cores: u16,
    /// Seconds that a slice of connections or a late reply may take
    #[arg(long, default_value_t = 30.0)]
    timeout: f64,
    /// Seed of payloads, probes and arrivals
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Progress on stderr
    #[arg(long, value_enum, default_value_t = Show::Auto)]
    progress: Show,
    /// Print the result, or the plan, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    own: Arguments,
}

/// Runs `lab hold`.
///
/// # Errors
/// Usage failures for values out of range, environment failures with the limit that is in the way, void when interrupted.
pub fn run(args: &Args, stop: &Arc<AtomicBool>) -> Result<ExitCode> {
    args.check()?;
    let mut engines = Engines::load(args.engines.as_deref())?;
    let own = args.own.own()?;
    let name = own.as_ref().map_or(&args.engine, |own| &own.name).clone();
    let asked = own.as_ref().and_then(|own| own.protocol());
    own.map_or(Ok(()), |own| engines.add(own))?;
    let engine = engines.named(&name)?;
    if args.plan_only {
        return plan_only(args, engine);
    }
    let (protocol, format) = match asked {
        Some(protocol) => (protocol, target::INTERFACE),
        None => (args.protocol.name(), args.format.name()),
    };
    let wish = Wish { round: 1, engine, protocol: protocol.to_owned(), format: format.to_owned() };
    let run = Run {
        name: format!("hold-{name}"),
        question: format!("What do {} connected users cost on {name}?", args.connections),
        wishes: vec![wish],
        ascent: args.ascent(),
        spread: args.spread,
        host_namespace: args.netns == "host",
        service: args.service.clone(),
        workload: args.workload(),
        server_cores: args.server_cores.into(),
        out: args.out.clone(),
        profile: args.profile.clone(),
    };
    let mut progress = Progress::new(args.progress);
    let ended = session::run(&run, args.json, stop, &mut |moment| progress.tell(moment));
    progress.finish();
    Ok(match ended? {
        Outcome::Held => ExitCode::SUCCESS,
        Outcome::Missed => ExitCode::from(exit::MISSED),
    })
}

/// Prints the plan; exit code 3 when a limit is in its way.
fn plan_only(args: &Args, engine: &Engine) -> Result<ExitCode> {
    let place = Place::enter(args.netns == "host", args.server_cores.into(), Path::new("."))?;
    let plan: Plan = place.plan(engine, args.connections, args.spread);
    let refusal = plan.check(&place.limits);
    if args.json {
        let refused = refusal.as_ref().err().map(ToString::to_string);
        println!("{}", serde_json::to_string_pretty(&serde_json::json!({ "plan": plan, "refused": refused }))?);
    } else {
        print!("{}", explain(&plan, &place, engine));
    }
    refusal.map_err(|refusal| Failure::Environment(refusal.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn check(&self) -> Result<(), Failure> {
        let ranges = [
            ("--hold", self.hold, 0.0, 86_400.0),
            ("--probe", self.probe, 0.0, 1.0),
            ("--active", self.active.unwrap_or(1.0), 1e-6, 1.0),
            ("--rate-per-user", self.rate_per_user, 1e-3, 1e6),
            ("--measure", self.measure, 0.05, 3600.0),
            ("--timeout", self.timeout, 0.05, 3600.0),
        ];
        match ranges.into_iter().find(|(_, seen, low, high)| !(low..=high).contains(&seen)) {
            Some((flag, seen, low, high)) => {
                Err(Failure::Usage(format!("{flag} {seen}: must be between {low} and {high}")))
            }
            None => Ok(()),
        }
    }

    fn ascent(&self) -> Ascent {
        let chatter = self.active.map(|active_share| Chatter {
            active_share,
            requests_per_active_user: self.rate_per_user,
            arrivals: self.arrivals.clone(),
            in_flight: self.in_flight,
            warmup: Duration::from_millis(500),
            measure: Duration::from_secs_f64(self.measure),
        });
        Ascent {
            plateaus: steps(self.connections, self.plateaus),
            chatter: chatter.into_iter().collect(),
            chatter_at_top_only: true,
            hold: Duration::from_secs_f64(self.hold),
            probe_share: self.probe,
            voids: VoidsPart::default(),
            life: Vec::new(),
            life_at_every_plateau: false,
            syscalls: true,
            seed: self.seed,
        }
    }

    fn workload(&self) -> Vec<String> {
        let (service, payload_bytes) = (self.service.clone(), self.payload_bytes);
        let workload = WorkloadPart { service, payload_bytes, add_share: 0.25, page: 5 };
        workload_arguments(&workload, self.timeout, self.seed)
    }
}

/// `count` plateaus, evenly up to `users`; fewer when there are fewer users.
fn steps(users: u32, count: u32) -> Vec<u32> {
    let count = count.min(users);
    (1..=count)
        .map(|step| u32::try_from(u64::from(users) * u64::from(step) / u64::from(count)).expect("at most users"))
        .collect()
}
