//! The contenders: those of `engines.toml`, each a process behind the server contract, and servers of one's own beside them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use crate::failure::{Failure, unknown};
use crate::scenario::explain_toml;
use crate::target::{self, Own};

/// The engines file that the lab is built with; `--engines` names another one.
pub const BUILT_IN: &str = include_str!("../engines.toml");

/// One contender.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// Its name, the same in rows, plots and metrics.
    pub name: String,
    /// Cargo package that the server's binary is built from; `None` for a program that is there already.
    #[serde(default)]
    pub package: Option<String>,
    /// Name of the package's binary, or the path of a program.
    pub binary: String,
    /// Arguments before those of the server contract.
    #[serde(default)]
    pub args: Vec<String>,
    /// `io_uring` or `epoll`.
    pub interface: String,
    /// User memory that an idle connection takes, in bytes, as `lab hold` measured it; for forecasts.
    #[serde(default)]
    pub idle_bytes: Option<u64>,
    /// Users that one server process can hold where descriptors are not what limits it.
    #[serde(default)]
    pub users_per_process: Option<u64>,
    /// What a reader of `lab list` should know about it.
    #[serde(default)]
    pub note: String,
    /// Set for a server of one's own, which knows no contract; of the fields above it has name, interface and note.
    #[serde(skip)]
    pub own: Option<Own>,
}

impl From<Own> for Engine {
    fn from(own: Own) -> Self {
        Self {
            name: own.name.clone(),
            package: None,
            binary: String::new(),
            args: Vec::new(),
            interface: target::INTERFACE.to_owned(),
            idle_bytes: None,
            // It is one server, however many users it has.
            users_per_process: Some(u64::MAX),
            note: own.describe(),
            own: Some(own),
        }
    }
}

/// All engines, by name.
#[derive(Clone, Debug)]
pub struct Engines(BTreeMap<String, Engine>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    engine: Vec<Engine>,
}

impl Engines {
    /// Reads the file at `path`, or the built-in one.
    ///
    /// # Errors
    /// A usage failure that names the wrong key or the engine that stands there twice.
    pub fn load(path: Option<&Path>) -> anyhow::Result<Self> {
        let (name, text) = match path {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Failure::Usage(format!("engines file {}: {error}", path.display())))?;
                (path.display().to_string(), text)
            }
            None => ("engines.toml".to_owned(), BUILT_IN.to_owned()),
        };
        Self::parse(&text).with_context(|| name)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| explain_toml(&error))?;
        let mut engines = BTreeMap::new();
        for engine in file.engine {
            if let Some(twice) = engines.insert(engine.name.clone(), engine) {
                return Err(Failure::Usage(format!("engine {:?} stands there twice", twice.name)).into());
            }
        }
        Ok(Self(engines))
    }

    /// Adds a server of one's own to the engines.
    ///
    /// # Errors
    /// A usage failure when its name is taken.
    pub fn add(&mut self, own: Own) -> Result<(), Failure> {
        if self.0.contains_key(&own.name) {
            return Err(Failure::Usage(format!("{:?} is an engine's name; give your server another one", own.name)));
        }
        self.0.insert(own.name.clone(), own.into());
        Ok(())
    }

    /// The engine of this name.
    ///
    /// # Errors
    /// A usage failure that names the nearest engine.
    pub fn named(&self, name: &str) -> Result<&Engine, Failure> {
        self.0.get(name).ok_or_else(|| unknown("engine", name, self.0.keys().map(String::as_str)))
    }

    /// Every engine, by name.
    pub fn all(&self) -> impl Iterator<Item = &Engine> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that the built-in file reads, and that a near miss is named.
    #[test]
    fn names_the_nearest_engine() {
        let engines = Engines::load(None).unwrap();
        assert_eq!(engines.named("mio").unwrap().interface, "epoll");
        let said = engines.named("monoio-urin").unwrap_err().to_string();
        assert!(said.contains("did you mean \"monoio-uring\"?"), "{said}");
    }
}
