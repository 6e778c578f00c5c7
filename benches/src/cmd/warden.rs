//! `lab warden`: keeps a server of one's own together; started by the lab in front of its command.

use std::process::ExitCode;

use anyhow::Result;

use crate::target::warden;

/// Start a command, and end with it whatever it started.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Program and arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs `lab warden`.
///
/// # Errors
/// See [`warden::run`].
pub fn run(args: &Args) -> Result<ExitCode> {
    warden::run(&args.command)
}
