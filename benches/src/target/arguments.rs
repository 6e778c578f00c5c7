//! A server of one's own on the command line.

use std::path::Path;

use super::Own;
use super::ask::Ask;
use crate::failure::Failure;

/// `--server`, `--pid` or `--container` with `--address`, and what is asked.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "A server of your own, in the place of an engine")]
pub struct Arguments {
    /// Command line that starts it in the foreground, for example "nginx -c /etc/my.conf -g 'daemon off;'"
    #[arg(long, value_name = "COMMAND", group = "own", requires = "address")]
    pub server: Option<String>,
    /// A process that runs; its descendants belong to it
    #[arg(long, value_name = "PID", group = "own", requires = "address")]
    pub pid: Option<u32>,
    /// A Docker container that runs
    #[arg(long, value_name = "NAME", group = "own", requires = "address")]
    pub container: Option<String>,
    /// Where it listens
    #[arg(long, value_name = "HOST:PORT", requires = "own")]
    pub address: Option<String>,
    /// Its name in rows, plots and metrics [default: the program's or the container's]
    #[arg(long, value_name = "NAME", requires = "own")]
    pub name: Option<String>,
    /// Seconds that it may take until it listens
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "own", value_parser = clap::value_parser!(u32).range(1..=600))]
    pub ready_timeout: u32,
    /// Load it although its address is not on loopback: only name hosts that are yours
    #[arg(long, requires = "own")]
    pub allow_remote: bool,
    /// What it is asked
    #[command(flatten)]
    pub ask: Ask,
}

impl Arguments {
    /// The server, if one was named.
    ///
    /// # Errors
    /// A usage failure for values that do not go together.
    pub fn own(&self) -> Result<Option<Own>, Failure> {
        let Some(address) = &self.address else {
            return if self.ask.is_empty() {
                Ok(None)
            } else {
                Err(Failure::Usage(
                    "what is asked was given without a server of your own: --server, --pid or --container, with --address"
                        .to_owned(),
                ))
            };
        };
        let own = Own {
            name: self.name.clone().unwrap_or_else(|| self.default_name()),
            command: self.server.clone(),
            pid: self.pid,
            container: self.container.clone(),
            address: address.clone(),
            ask: (!self.ask.is_empty()).then(|| self.ask.clone()),
            ready_seconds: self.ready_timeout.max(1),
            allow_remote: self.allow_remote,
        };
        own.check()?;
        Ok(Some(own))
    }

    /// The program's name, the process's, or the container's, as far as names may go.
    fn default_name(&self) -> String {
        let program = |command: &String| {
            let first = shlex::split(command)?.into_iter().next()?;
            Some(Path::new(&first).file_name()?.to_string_lossy().into_owned())
        };
        let process = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
        let name = self.server.as_ref().and_then(program);
        let name = name.or_else(|| self.pid.as_ref().and_then(process)).or_else(|| self.container.clone());
        let plain: String = name
            .unwrap_or_default()
            .trim()
            .chars()
            .map(
                |character| {
                    if character.is_ascii_alphanumeric() || "+-_.".contains(character) { character } else { '-' }
                },
            )
            .take(40)
            .collect();
        if plain.is_empty() { "own".to_owned() } else { plain }
    }
}
