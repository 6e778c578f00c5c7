//! A server of one's own in the place of an engine: a command that the lab starts, a process that runs, or a container.
//!
//! What the lab did not write says nothing on stdout: it is ready when it accepts connections, it is asked what its user
//! says ([`ask`]), and its CPU time, memory and system calls are those of its process tree or control group
//! ([`crate::observe::GroupProbe`]). Everything else is as for an engine. [`crate::engines::Engines`] holds both, so that a
//! subcommand which takes an engine by its name takes one of these.

pub mod arguments;
pub mod ask;
mod container;
pub mod running;
pub mod warden;

use std::net::{SocketAddr, ToSocketAddrs};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use ask::Ask;

/// The interface that rows show: the lab does not know how such a server waits.
pub const INTERFACE: &str = "own";

/// The service that rows show of a server that is asked something of its own.
pub const SERVICE: &str = "request";

/// Longest that a server may be waited for.
const READY_SECONDS: u32 = 600;

/// A server of one's own, as `[[target]]` of a scenario or from the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// Its name in rows, plots and metrics.
    pub name: String,
    /// Command line that starts it in the foreground; quotes as in a shell, but no shell.
    #[serde(default)]
    pub command: Option<String>,
    /// A process that runs.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Name or id of a Docker container that runs.
    #[serde(default)]
    pub container: Option<String>,
    /// Where it listens: `127.0.0.1:8080`.
    pub address: String,
    /// What it is asked; what the scenario says when absent.
    #[serde(default)]
    pub ask: Option<Ask>,
    /// Seconds that it may take from its start until it listens.
    #[serde(default = "ten")]
    pub ready_seconds: u32,
    /// Load it although its address is not on loopback.
    #[serde(default)]
    pub allow_remote: bool,
}

fn ten() -> u32 {
    10
}

/// Where the processes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Program and arguments.
    Command(Vec<String>),
    /// A process and its descendants.
    Process(u32),
    /// The control group of a container.
    Container(String),
}

impl Own {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// A usage failure that names the key, the value seen and the value needed.
    pub fn check(&self) -> Result<(), Failure> {
        let usage = |text: String| Err(Failure::Usage(format!("server {:?}: {text}", self.name)));
        let named = |character: char| character.is_ascii_alphanumeric() || "+-_.".contains(character);
        if self.name.is_empty() || self.name.len() > 40 || !self.name.chars().all(named) {
            return usage("its name must be 1 to 40 letters, digits, or any of + - _ .".to_owned());
        }
        if !(1..=READY_SECONDS).contains(&self.ready_seconds) {
            return usage(format!("ready_seconds = {}: must be between 1 and {READY_SECONDS}", self.ready_seconds));
        }
        self.origin()?;
        let address = self.address()?;
        if !address.ip().is_loopback() && !self.allow_remote {
            return usage(format!("{address} is not a loopback address; --allow-remote if that host is yours to load"));
        }
        if let Some(ask) = &self.ask {
            ask.exchange(&self.address)?;
        }
        Ok(())
    }

    /// Where its processes come from.
    ///
    /// # Errors
    /// A usage failure unless exactly one of command, pid and container is given.
    pub fn origin(&self) -> Result<Origin, Failure> {
        let usage = |text: &str| Err(Failure::Usage(format!("server {:?}: {text}", self.name)));
        match (&self.command, self.pid, &self.container) {
            (Some(command), None, None) => match shlex::split(command) {
                Some(words) if !words.is_empty() => Ok(Origin::Command(words)),
                Some(_) => usage("the command is empty"),
                None => usage("the command's quotes do not match"),
            },
            (None, Some(pid), None) => Ok(Origin::Process(pid)),
            (None, None, Some(container)) => Ok(Origin::Container(container.clone())),
            (None, None, None) => usage("a command, a pid or a container is needed, so that its cost can be read"),
            _ => usage("command, pid and container are three ways to name it: give one"),
        }
    }

    /// The address, resolved.
    ///
    /// # Errors
    /// A usage failure for what is no address with a port.
    pub fn address(&self) -> Result<SocketAddr, Failure> {
        let refused = |said: &str| {
            Failure::Usage(format!("address {:?}: {said}; it must look like 127.0.0.1:8080", self.address))
        };
        let resolved = self.address.to_socket_addrs().map_err(|error| refused(&error.to_string()))?;
        let addresses: Vec<SocketAddr> = resolved.collect();
        // A name such as localhost may have both; servers listen on IPv4 more often.
        let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
        match address {
            Some(address) if address.port() > 0 => Ok(*address),
            Some(_) => Err(refused("port 0 is no port to connect to")),
            None => Err(refused("it has no address")),
        }
    }

    /// The protocol's name in rows, where it is its own.
    pub fn protocol(&self) -> Option<&'static str> {
        self.ask.as_ref().and_then(|ask| ask.protocol().ok())
    }

    /// In a phrase, for reports and lists: where it comes from and what it is asked.
    pub fn describe(&self) -> String {
        let from = match self.origin() {
            Ok(Origin::Command(words)) => format!("`{}`", words.join(" ")),
            Ok(Origin::Process(pid)) => format!("process {pid}"),
            Ok(Origin::Container(name)) => format!("container {name}"),
            Err(_) => "nothing".to_owned(),
        };
        let asked = self.ask.as_ref().map(|ask| format!(", asked {}", ask.describe())).unwrap_or_default();
        format!("{from} at {}{asked}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(text: &str) -> Result<Own, Failure> {
        let own: Own = toml::from_str(text).map_err(|error| Failure::Usage(error.to_string()))?;
        own.check().map(|()| own)
    }

    /// The three origins read, with their quotes.
    #[test]
    fn origins() {
        let nginx = own(
            "name = 'nginx'\ncommand = \"nginx -g 'daemon off;'\"\naddress = '127.0.0.1:80'\nask = { request = 'GET /' }",
        )
        .unwrap();
        let words = ["nginx", "-g", "daemon off;"].map(str::to_owned).to_vec();
        assert_eq!(nginx.origin().unwrap(), Origin::Command(words));
        assert_eq!((nginx.protocol(), nginx.ready_seconds), (Some("http1"), 10));
        assert_eq!(nginx.describe(), "`nginx -g daemon off;` at 127.0.0.1:80, asked GET /");
        let process = own("name = 'p'\npid = 7\naddress = 'localhost:80'").unwrap();
        assert_eq!(process.origin().unwrap(), Origin::Process(7));
        assert_eq!(process.address().unwrap().to_string(), "127.0.0.1:80");
        assert_eq!(
            own("name = 'c'\ncontainer = 'web'\naddress = '127.0.0.1:80'").unwrap().origin().unwrap(),
            Origin::Container("web".to_owned())
        );
    }

    /// Each slip is explained.
    #[test]
    fn slips_are_explained() {
        for (text, wanted) in [
            ("name = 'a'\naddress = '127.0.0.1:80'", "a command, a pid or a container is needed"),
            ("name = 'a'\npid = 1\ncommand = 'x'\naddress = '127.0.0.1:80'", "give one"),
            ("name = 'a'\ncommand = \"x 'y\"\naddress = '127.0.0.1:80'", "quotes do not match"),
            ("name = 'a'\npid = 1\naddress = '127.0.0.1'", "must look like 127.0.0.1:8080"),
            ("name = 'a'\npid = 1\naddress = '127.0.0.1:0'", "port 0"),
            ("name = 'a b'\npid = 1\naddress = '127.0.0.1:80'", "letters, digits"),
            ("name = 'a'\npid = 1\naddress = '127.0.0.1:80'\nready_seconds = 0", "between 1 and 600"),
            ("name = 'a'\npid = 1\naddress = '192.0.2.1:80'", "not a loopback address"),
            ("name = 'a'\npid = 1\naddress = '127.0.0.1:80'\nask = { request = 'GET' }", "a method and a path"),
        ] {
            let said = own(text).unwrap_err().to_string();
            assert!(said.contains(wanted), "{text}: {said}");
        }
    }
}
