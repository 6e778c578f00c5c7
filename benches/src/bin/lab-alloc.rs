//! `lab-alloc`: the allocation census, in a binary of its own since it counts in the allocator. `lab alloc` builds and runs it.

use std::process::ExitCode;

use clap::Parser;
use lab::cmd::alloc::{Census, count};
use lab::codec::allocator::Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

/// Counts allocations and encoded bytes of every codec operation; `lab alloc` runs this.
#[derive(Debug, Parser)]
#[command(name = "lab-alloc", version)]
struct Cli {
    #[command(flatten)]
    census: Census,
}

fn main() -> ExitCode {
    count(&Cli::parse().census)
}
