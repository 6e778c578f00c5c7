//! `lab dependency`: the stub of a dependency, as a process. Started by `lab scale`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::failure::Failure;
use crate::scale::dependency::{Nature, serve};

/// Stand in front of servers as what they depend on: permits, time, a rate.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Servers that speak frames; one listener is opened for each
    #[arg(long, value_name = "ADDR", required = true)]
    upstream: Vec<SocketAddr>,
    /// Requests that are worked on at a time
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    permits: Option<u32>,
    /// Milliseconds for each
    #[arg(long, default_value_t = 0.0)]
    hold_ms: f64,
    /// Requests a second at most
    #[arg(long)]
    rate: Option<f64>,
}

/// Runs `lab dependency`: a ready line as servers print it, then the counts when it is told to end.
///
/// # Errors
/// Usage failures for values out of range; those of listening.
pub fn run(args: &Args, stop: &Arc<AtomicBool>) -> Result<ExitCode> {
    for (flag, seen, low, high) in
        [("--hold-ms", args.hold_ms, 0.0, 1e6), ("--rate", args.rate.unwrap_or(1.0), 1e-3, 1e7)]
    {
        if !(low..=high).contains(&seen) {
            return Err(Failure::Usage(format!("{flag} {seen}: must be between {low} and {high}")).into());
        }
    }
    if let Some(far) = args.upstream.iter().find(|upstream| !upstream.ip().is_loopback()) {
        return Err(Failure::Usage(format!("--upstream {far}: not a loopback address")).into());
    }
    let nature = Nature { permits: args.permits, hold: Duration::from_secs_f64(args.hold_ms / 1e3), rate: args.rate };
    let counts = serve(nature, &args.upstream, stop, |addresses| {
        println!(
            "{}",
            json!({ "event": "ready", "engine": "dependency", "addresses": addresses, "pid": std::process::id() })
        );
    })?;
    println!("{}", serde_json::to_string(&counts)?);
    Ok(ExitCode::SUCCESS)
}
