//! One file a subcommand: arguments to a call of the library, its result to text.

pub mod alloc;
pub mod codec;
pub mod compare;
pub mod cost;
pub mod dependency;
pub mod doctor;
pub mod flame;
pub mod gate;
pub mod hold;
pub mod holder;
pub mod limit;
pub mod list;
pub mod load;
pub mod recover;
pub mod report;
pub mod run;
pub mod scale;
pub mod warden;
pub mod wire;

/// Prints a result. A reader that has seen enough, as `head` has, is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => anyhow::Context::context(written, "writing to stdout"),
    }
}
