//! `lab`: arguments to a subcommand, its failure to a sentence and an exit code.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use lab::cmd;

/// Compares connection-heavy servers on this box: io_uring or epoll, raw, JSON or protobuf.
#[derive(Debug, Parser)]
#[command(
    name = "lab",
    version,
    after_help = "Examples:
  cargo lab demo                 compare everything in about three minutes, write a report
  cargo lab hold -c 500000 -e mio   half a million connected users, and what each costs
  cargo lab limit peak --over rate  how much is too much, and why
  cargo lab doctor               is this box fit to measure on?
  cargo lab run peak --rounds 9  a scenario of your choice
  cargo lab wire                 what formats cost on live connections, and what another one buys
  cargo lab flame demo --engine mio --against format=json   where the CPU goes
  cargo lab recover overload --limit 3500   past the limit and back, with and without a limiter
  cargo lab report DIR           the report of a result directory again
  cargo lab run own --pid 4711 --address 127.0.0.1:8080 --request 'GET /'   a server of your own
  cargo lab compare A B          what changed between two results, and how sure that is
  cargo lab gate NEW --against OLD   fails when NEW is worse than is allowed, for any CI
  cargo lab cost                 what a user, a message and a handshake cost on every engine
  cargo lab codec                what codecs cost alone, as criterion measured it
  cargo lab alloc                allocations and bytes of every codec operation
  cargo lab scale                how throughput grows with instances: linear, shared or external

Servers are built by Cargo before they are measured, unless LAB_BINARIES names a directory that holds them.

Exit codes: 0 fine, 1 a goal was missed, 2 usage, 3 this environment cannot do it, 4 the run is void."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(cmd::run::DemoArgs),
    Run(cmd::run::Args),
    Wire(cmd::wire::Args),
    Flame(cmd::flame::Args),
    Report(cmd::report::Args),
    Compare(cmd::compare::Args),
    Gate(cmd::gate::Args),
    Cost(cmd::cost::Args),
    Scale(cmd::scale::Args),
    List(cmd::list::Args),
    Doctor(cmd::doctor::Args),
    Load(cmd::load::Args),
    Alloc(cmd::alloc::Args),
    Codec(cmd::codec::Args),
    Hold(cmd::hold::Args),
    Recover(cmd::recover::Args),
    Limit(cmd::limit::Args),
    Limits(cmd::limit::LimitsArgs),
    #[command(hide = true)]
    Holder(cmd::holder::Args),
    #[command(hide = true)]
    Warden(cmd::warden::Args),
    #[command(hide = true)]
    Dependency(cmd::dependency::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error:#}");
            lab::failure::exit_code(&error)
        }
    }
}

fn run(command: &Command) -> Result<ExitCode> {
    // The warden answers signals itself. The kernel may send it several when the lab dies, one for each thread that becomes
    // its parent on the way, and none of them may end it before its descendants.
    if let Command::Warden(args) = command {
        return cmd::warden::run(args);
    }
    let stop = stop_flag()?;
    match command {
        Command::Demo(args) => cmd::run::demo(args, &stop),
        Command::Run(args) => cmd::run::run(args, &stop),
        Command::Wire(args) => cmd::wire::run(args, &stop),
        Command::Flame(args) => cmd::flame::run(args, &stop),
        Command::Report(args) => cmd::report::run(args),
        Command::Compare(args) => cmd::compare::run(args),
        Command::Gate(args) => cmd::gate::run(args),
        Command::Cost(args) => cmd::cost::run(args, &stop),
        Command::Scale(args) => cmd::scale::run(args, &stop),
        Command::List(args) => cmd::list::run(args),
        Command::Doctor(args) => cmd::doctor::run(args),
        Command::Load(args) => cmd::load::run(args, &stop),
        Command::Alloc(args) => cmd::alloc::run(args),
        Command::Codec(args) => cmd::codec::run(args),
        Command::Hold(args) => cmd::hold::run(args, &stop),
        Command::Recover(args) => cmd::recover::run(args, &stop),
        Command::Limit(args) => cmd::limit::run(args, &stop),
        Command::Limits(args) => cmd::limit::limits(args),
        Command::Holder(args) => cmd::holder::run(args, &stop),
        Command::Warden(_) => unreachable!("above"),
        Command::Dependency(args) => cmd::dependency::run(args, &stop),
    }
}

/// A flag that SIGINT and SIGTERM set; a second one ends the process at once.
fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // Registered first, so that it sees the flag of the signal before: the first one only sets it.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .context("installing signal handlers")?;
    }
    Ok(stop)
}
