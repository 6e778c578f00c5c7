//! A local collector that counts spans: one JSON line when it listens, one with the sums after SIGTERM.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Counts the spans that arrive over OTLP/HTTP, on loopback
#[derive(Parser)]
#[command(
    name = "otlp-receiver",
    version,
    after_help = "Example:\n  otlp-receiver --listen 127.0.0.1:4318 &\n  \
    server-grpc --serve json --listen 127.0.0.1:7000 --tracing spans --export otlp:http://127.0.0.1:4318/v1/traces"
)]
struct Args {
    /// Address to receive on; port 0 takes a free one, which the ready line names
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4318")]
    listen: SocketAddr,

    /// Milliseconds before each reply, as of a collector that is slow
    #[arg(long, value_name = "MS", default_value = "0", value_parser = clap::value_parser!(u64).range(..=60_000))]
    delay: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    ensure!(
        args.listen.ip().is_loopback(),
        "--listen {} is not a loopback address: give one of 127.0.0.0/8",
        args.listen
    );
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("installing signal handlers")?;
    let listener = TcpListener::bind(args.listen).with_context(|| format!("listening on {}", args.listen))?;
    let address = listener.local_addr().context("reading the listener's address")?;
    let counts = server_grpc::receiver::start(listener, Duration::from_millis(args.delay));
    say(&json!({"event": "ready", "addresses": [address], "pid": std::process::id()}).to_string())?;
    signals.forever().next();
    say(&counts.line())
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).context("writing to stdout")
}
