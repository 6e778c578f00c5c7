//! Flags of collectors, and what a collector is built from.
//!
//! A collector's module lists its flags; the command line is made from those lists (see [`crate::cli`]), so that a
//! flag that no collector knows is a usage error and never ignored.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use hostfs::{Roots, link, stat};

use crate::collectors::twice::Twice;
use crate::containers::Shared;
use crate::filter::Filter;

/// One flag of a collector, named as node_exporter names it, without the leading dashes.
#[derive(Debug)]
pub struct Flag {
    /// `collector.cpu.info`.
    pub name: &'static str,
    /// Its kind and default.
    pub default: Default,
    /// One line for `--help`.
    pub help: &'static str,
}

/// Kind and default value of a flag.
#[derive(Clone, Copy, Debug)]
pub enum Default {
    /// `--name` or `--no-name`.
    Switch(bool),
    /// `--name=TEXT`.
    Text(&'static str),
    /// `--name=TEXT`, as often as wanted.
    List,
}

/// A switch.
pub const fn switch(name: &'static str, default: bool, help: &'static str) -> Flag {
    Flag { name, default: Default::Switch(default), help }
}

/// A flag with a value.
pub const fn text(name: &'static str, default: &'static str, help: &'static str) -> Flag {
    Flag { name, default: Default::Text(default), help }
}

/// A flag with a value, repeatable.
pub const fn list(name: &'static str, help: &'static str) -> Flag {
    Flag { name, default: Default::List, help }
}

/// What a collector is built from: roots and the values of all collectors' flags.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where the kernel's file systems are.
    pub roots: Roots,
    /// What the container collectors have in common.
    pub shared: Arc<Shared>,
    /// What `netclass` and `netdev` both ask for.
    pub(crate) links: Arc<Twice<link::Reader>>,
    /// What `cpu` and `stat` both read.
    pub(crate) stat: Arc<Twice<stat::Reader>>,
    values: HashMap<&'static str, Given>,
}

/// The value of a flag.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    Switch(bool),
    Text(String),
    List(Vec<String>),
}

impl Setup {
    /// The defaults of every collector in the table.
    pub fn new(roots: Roots) -> Self {
        let flags = crate::collector::COLLECTORS.iter().flat_map(|entry| entry.spec.flags);
        let values = flags
            .map(|flag| {
                let value = match flag.default {
                    Default::Switch(on) => Given::Switch(on),
                    Default::Text(text) => Given::Text(text.to_owned()),
                    Default::List => Given::List(Vec::new()),
                };
                (flag.name, value)
            })
            .collect();
        let links = Arc::new(Twice::new(link::Reader::default()));
        let stat = Arc::new(Twice::new(stat::Reader::new(&roots)));
        Self { roots, shared: Arc::default(), links, stat, values }
    }

    pub(crate) fn set(&mut self, name: &'static str, value: Given) {
        self.values.insert(name, value);
    }

    /// Sets a flag as the command line would: `"true"` or `"false"` for a switch, one more value for a list.
    ///
    /// # Errors
    /// When no collector has the flag, or a switch gets anything else.
    pub fn give(&mut self, name: &str, value: &str) -> anyhow::Result<()> {
        let given = self.values.get_mut(name).with_context(|| format!("no collector has a flag --{name}"))?;
        match given {
            Given::Switch(on) => *on = value.parse().with_context(|| format!("--{name}={value}"))?,
            Given::Text(text) => value.clone_into(text),
            Given::List(list) => list.push(value.to_owned()),
        }
        Ok(())
    }

    /// The value of a switch.
    ///
    /// # Panics
    /// When the calling collector's `FLAGS` has no such switch: a mistake in its module.
    pub fn is_on(&self, name: &str) -> bool {
        match self.values.get(name) {
            Some(Given::Switch(on)) => *on,
            other => panic!("{name} is not a switch: {other:?}"),
        }
    }

    /// The value of a flag with a value.
    ///
    /// # Panics
    /// When the calling collector's `FLAGS` has no such flag: a mistake in its module.
    pub fn text(&self, name: &str) -> &str {
        match self.values.get(name) {
            Some(Given::Text(text)) => text,
            other => panic!("{name} has no text: {other:?}"),
        }
    }

    /// The values of a repeatable flag.
    ///
    /// # Panics
    /// When the calling collector's `FLAGS` has no such flag: a mistake in its module.
    pub fn list(&self, name: &str) -> &[String] {
        match self.values.get(name) {
            Some(Given::List(list)) => list,
            other => panic!("{name} is not a list: {other:?}"),
        }
    }

    /// The filter of a pair of include and exclude flags; an empty expression does not filter.
    ///
    /// # Errors
    /// When both are given, or one is not a regular expression.
    pub fn filter(&self, include: &'static str, exclude: &'static str) -> anyhow::Result<Filter> {
        // An exclude expression that is only the default gives way to an include expression.
        let (wanted, unwanted) = (self.text(include), self.text(exclude));
        let default = crate::collector::COLLECTORS
            .iter()
            .flat_map(|entry| entry.spec.flags)
            .find(|flag| flag.name == exclude)
            .is_some_and(|flag| matches!(flag.default, Default::Text(text) if text == unwanted));
        if !wanted.is_empty() && !unwanted.is_empty() && !default {
            return Err(anyhow!("--{include} and --{exclude} exclude each other: give one"));
        }
        let unwanted = if wanted.is_empty() { unwanted } else { "" };
        Filter::new(wanted, unwanted).with_context(|| format!("--{include} or --{exclude}"))
    }
}

/// A duration as Go writes it: a number and `ms`, `s`, `m` or `h`.
///
/// # Errors
/// When the text is anything else, or the duration is not finite.
pub fn duration(text: &str) -> anyhow::Result<Duration> {
    let at = text.find(|character: char| character.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let scale = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(anyhow!("{text:?} does not end in ms, s, m or h")),
    };
    let number: f64 = number.parse().with_context(|| format!("{text:?} does not start with a number"))?;
    Duration::try_from_secs_f64(number * scale).with_context(|| format!("{text:?} is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Go's short forms, and what is none.
    #[test]
    fn durations() {
        for (text, milliseconds) in [("500ms", 500), ("5s", 5000), ("1.5m", 90_000), ("1h", 3_600_000)] {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(milliseconds), "{text}");
        }
        for text in ["", "5", "s", "-1s", "5 s", "1e400s", "5d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
