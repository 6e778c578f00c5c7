//! Flags of collectors, and what a collector is built from.
//!
//! A collector's module lists its flags; the command line is made from those lists (see [`crate::cli`]), so that a
//! flag that no collector knows is a usage error and never ignored.

use std::collections::HashMap;

use anyhow::{Context, anyhow};
use hostfs::Roots;

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
        Self { roots, values }
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
