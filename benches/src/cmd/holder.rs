//! `lab holder`: one generator process of a fleet, started and driven by `lab hold` and by scenarios that climb.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;
use wire::{Format, Protocol};

use crate::climb;
use crate::failure::Failure;
use crate::host;
use crate::load::workload::Kind;
use crate::load::{Pacing, Spec, Workload};

/// Hold connections as told on stdin; part of a fleet.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address of the server
    target: SocketAddr,
    /// Framing
    #[arg(long)]
    protocol: Protocol,
    /// Wire format
    #[arg(long)]
    format: Format,
    /// What is asked
    #[arg(long, value_parser = ["echo", "note"])]
    service: String,
    /// Bytes of an echo payload or of an added note's text
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    payload_bytes: u32,
    /// Share of note requests that add one
    #[arg(long)]
    add_share: f64,
    /// Notes in a listed page
    #[arg(long)]
    page: u32,
    /// Addresses to connect from, in turn
    #[arg(long, value_delimiter = ',')]
    sources: Vec<IpAddr>,
    /// Seconds that connecting a slice and late replies may take
    #[arg(long)]
    timeout: f64,
    /// Seed of payloads
    #[arg(long)]
    seed: u64,
    /// What a server of one's own is asked, as JSON
    #[arg(long, value_name = "JSON")]
    ask: Option<String>,
}

/// Runs `lab holder`.
///
/// # Errors
/// When orders cannot be read, or the generator's own system calls fail.
pub fn run(args: &Args, stop: &Arc<AtomicBool>) -> Result<ExitCode> {
    if !args.target.ip().is_loopback() {
        return Err(Failure::Usage(format!("{}: a fleet holds connections over loopback only", args.target)).into());
    }
    let kind = match args.service.as_str() {
        "echo" => Kind::Echo,
        _ => Kind::Note { add_share: args.add_share, page: args.page },
    };
    let host = args.target.to_string();
    let workload = match &args.ask {
        Some(told) => {
            let ask = super::load::told_ask(told)?;
            Workload::of_exchange(ask.framing(), ask.exchange(&host)?)
        }
        None => Workload::new(args.protocol, args.format, &kind, args.payload_bytes, &host, args.seed),
    };
    // The plan has seen to it that the limit is enough.
    host::raise_fd_limit(0).map_err(|refusal| Failure::Environment(refusal.to_string()))?;
    let spec = Spec {
        target: args.target,
        spread: None,
        sources: args.sources.clone(),
        connections: 0,
        active_share: 1.0,
        in_flight: 1,
        pacing: Pacing::Closed,
        warmup: Duration::ZERO,
        measure: Duration::ZERO,
        request_limit: None,
        timeout: Duration::from_secs_f64(args.timeout.clamp(0.05, 3600.0)),
        cpus: Vec::new(),
        seed: args.seed,
    };
    climb::holder::follow(&spec, &workload, stop)?;
    Ok(ExitCode::SUCCESS)
}
