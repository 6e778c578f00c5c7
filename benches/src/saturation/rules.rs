//! `rules.toml`: resources, what shows that they are saturated, and the knob of each.

use serde::{Deserialize, Serialize};

use super::signals::NAMES;

/// The table that the lab is built with.
const BUILT_IN: &str = include_str!("rules.toml");

/// Whose resource it is. One of the generator's means that the server's limit was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The server's.
    Server,
    /// The load generator's.
    Generator,
    /// The whole box's.
    Box,
}

/// How much a finding says; ranked in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Something was turned away at a hard bound.
    Refused,
    /// Something that queues had nothing left to give.
    Full,
    /// The server waited for something that no counter shows.
    Idle,
    /// Waiting and waste that by themselves stop nothing.
    Pressed,
}

/// How a signal is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Measure {
    /// As it is.
    Level,
    /// Its growth since before the first connection.
    Growth,
    /// Its growth per second over the measured window.
    Mean,
    /// Its growth per second from one reading of the window to the next.
    Rate,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The resource; several rules may show the same one.
    pub resource: String,
    /// Whose it is.
    pub side: Side,
    /// How much it says.
    pub tier: Tier,
    /// The signal that is read.
    #[serde(default)]
    pub(super) signal: Option<String>,
    /// What it is compared with, another signal.
    #[serde(default)]
    pub(super) of: Option<String>,
    /// How it is read.
    #[serde(default)]
    pub(super) measure: Option<Measure>,
    /// Fires at this much or more.
    #[serde(default)]
    pub(super) above: Option<f64>,
    /// Fires at this much or less.
    #[serde(default)]
    pub(super) below: Option<f64>,
    /// Readings in a row.
    #[serde(default = "one")]
    pub(super) readings: usize,
    /// Text in what broke the trial.
    #[serde(default)]
    pub(super) said: Option<String>,
    /// A sentence with `{value}`, `{of}` and `{share}`.
    pub(super) evidence: String,
    /// What moves the bound.
    pub knob: String,
}

fn one() -> usize {
    1
}

/// The table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    #[serde(rename = "rule")]
    list: Vec<Rule>,
}

impl Default for Rules {
    fn default() -> Self {
        Self::parse(BUILT_IN).expect("the built-in table is checked by a test")
    }
}

impl Rules {
    /// Reads a table.
    ///
    /// # Errors
    /// A sentence that names the rule which cannot be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rules: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        rules.list.iter().try_for_each(check)?;
        Ok(rules)
    }

    /// Every rule in the table's order.
    pub fn iter(&self) -> std::slice::Iter<'_, Rule> {
        self.list.iter()
    }
}

/// A rule either listens or reads a signal that exists against one bound.
fn check(rule: &Rule) -> Result<(), String> {
    let wrong = |what: String| Err(format!("rule {:?}: {what}", rule.resource));
    let signals = [&rule.signal, &rule.of];
    if let Some(name) = signals.into_iter().flatten().find(|name| !NAMES.contains(&name.as_str())) {
        return wrong(format!("there is no signal {name:?}"));
    }
    let bounds = usize::from(rule.above.is_some()) + usize::from(rule.below.is_some());
    let reads = rule.said.is_none() && rule.signal.is_some() && rule.measure.is_some() && bounds == 1;
    let listens = rule.said.is_some() && rule.signal.is_none() && rule.measure.is_none() && bounds == 0;
    if reads == listens {
        return wrong("needs either said, or signal, measure and one of above and below".to_owned());
    }
    if rule.readings == 0 || rule.above.into_iter().chain(rule.below).any(|bound| !bound.is_finite()) {
        return wrong("readings must not be 0, a bound must be finite".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The built-in table reads, names only signals that exist, and has evidence and knob for each rule.
    #[test]
    fn the_table_is_right() {
        let rules = Rules::parse(BUILT_IN).unwrap();
        for rule in rules.iter() {
            assert!(!rule.evidence.is_empty() && !rule.knob.is_empty(), "{}", rule.resource);
        }
        let resources =
            ["descriptors", "ports", "conntrack", "memory-cgroup", "cpu-quota", "accept-queue", "dependency"];
        for resource in resources {
            assert!(rules.iter().any(|rule| rule.resource == resource), "{resource}");
        }
    }

    /// A rule that could never fire, or for a signal that nobody reads, is refused.
    #[test]
    fn rules_that_cannot_be_are_refused() {
        let rule = |more: &str| {
            Rules::parse(&format!(
                "[[rule]]\nresource = \"x\"\nside = \"box\"\ntier = \"full\"\nevidence = \"e\"\nknob = \"k\"\n{more}"
            ))
        };
        for (more, wanted) in [
            ("", "needs either said"),
            ("said = \"no\"\nsignal = \"server.cores\"\nmeasure = \"level\"\nabove = 1", "needs either said"),
            ("signal = \"server.core\"\nmeasure = \"level\"\nabove = 1", "no signal \"server.core\""),
            ("signal = \"server.cores\"\nmeasure = \"level\"", "one of above and below"),
            ("signal = \"server.cores\"\nmeasure = \"level\"\nabove = 1\nbelow = 1", "one of above and below"),
            ("signal = \"server.cores\"\nmeasure = \"level\"\nabove = inf", "must be finite"),
            ("signal = \"server.cores\"\nmeasure = \"level\"\nabove = 1\nreadings = 0", "must not be 0"),
            ("signals = \"x\"", "unknown field"),
        ] {
            let said = rule(more);
            assert!(said.as_ref().unwrap_err().contains(wanted), "{more}: {said:?}");
        }
        assert!(rule("said = \"no\"").is_ok());
    }
}
