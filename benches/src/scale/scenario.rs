//! A scenario with a `[scale]` table: instances of one engine behind a dependency.

use std::path::Path;

use serde::{Deserialize, Serialize};
use wire::Format;

use crate::failure::{Failure, unknown};
use crate::scenario::{WorkloadPart, explain_toml};
use crate::stats::scaling::LEAST_SIZES;

/// The scenarios that the lab is built with, by name.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("scale-linear", include_str!("../../scenarios/scale-linear.toml")),
    ("scale-shared", include_str!("../../scenarios/scale-shared.toml")),
    ("scale-external", include_str!("../../scenarios/scale-external.toml")),
];

/// Most instances of a run: each is a process, and the stub has threads for its connections.
const INSTANCES: u32 = 64;

/// What more instances bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// Each instance brings its own throughput.
    Linear,
    /// All instances queue for one resource.
    Shared,
    /// A limit outside, which no instance moves.
    External,
}

impl Scaling {
    /// As scenarios and rows name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Shared => "shared",
            Self::External => "external",
        }
    }
}

/// What a run asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Short name, part of the result directory's name.
    pub name: String,
    /// The question, in prose.
    pub question: String,
    /// What is expected.
    pub scaling: Scaling,
    /// The engine, by its name in engines.toml.
    pub engine: String,
    /// Wire format; the framing is `frame`, which the stub cuts.
    pub format: String,
    /// What is asked.
    pub workload: WorkloadPart,
    /// What every request waits for.
    pub dependency: DependencyPart,
    /// How many instances, and for how long.
    pub scale: ScalePart,
}

/// `[dependency]`: the stub that each request passes on its way. One an instance where scaling is linear, one for all otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DependencyPart {
    /// Requests that it works on at a time; as many as come when absent.
    pub permits: Option<u32>,
    /// How long it works on each, in milliseconds.
    pub hold_ms: f64,
    /// What each further instance adds to that, in milliseconds: caches that are told, locks that are passed on.
    pub crosstalk_ms: f64,
    /// Requests a second that it takes at most.
    pub rate: Option<f64>,
}

/// `[scale]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScalePart {
    /// Numbers of instances, ascending.
    pub instances: Vec<u32>,
    /// Connections to each instance, one request in flight on each (closed loop).
    pub connections: u32,
    /// Seconds before the measurement.
    pub warmup_seconds: f64,
    /// Seconds measured.
    pub measure_seconds: f64,
    /// How often each number is measured, in a shuffled order.
    pub rounds: u32,
    /// Seed of the shuffle, of payloads and of resampling.
    pub seed: u64,
}

impl Scenario {
    /// Reads `name`: a file, or the name of a built-in scenario.
    ///
    /// # Errors
    /// A usage failure with the nearest right name, key or value.
    pub fn load(name: &str) -> anyhow::Result<Self> {
        let text = match BUILT_IN.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => (*text).to_owned(),
            None if Path::new(name).extension().is_some() => {
                std::fs::read_to_string(name).map_err(|error| Failure::Usage(format!("scenario {name}: {error}")))?
            }
            None => return Err(unknown("scenario", name, BUILT_IN.iter().map(|(known, _)| *known)).into()),
        };
        Self::parse(&text).map_err(|failure| anyhow::Error::from(failure).context(format!("scenario {name}")))
    }

    /// Reads the text of a scenario.
    ///
    /// # Errors
    /// A usage failure.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let scenario: Self = toml::from_str(text).map_err(|error| explain_toml(&error))?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// A usage failure that names key, value and bounds.
    pub fn check(&self) -> Result<(), Failure> {
        let (scale, dependency) = (&self.scale, &self.dependency);
        let bounds = [
            ("scale.connections", f64::from(scale.connections), 1.0, 64.0),
            ("scale.warmup_seconds", scale.warmup_seconds, 0.0, 3600.0),
            ("scale.measure_seconds", scale.measure_seconds, 0.05, 3600.0),
            ("scale.rounds", f64::from(scale.rounds), 1.0, 100.0),
            ("workload.payload_bytes", f64::from(self.workload.payload_bytes), 1.0, 65_536.0),
            ("dependency.permits", f64::from(dependency.permits.unwrap_or(1)), 1.0, 1e6),
            ("dependency.hold_ms", dependency.hold_ms, 0.0, 10_000.0),
            ("dependency.crosstalk_ms", dependency.crosstalk_ms, 0.0, 10_000.0),
            ("dependency.rate", dependency.rate.unwrap_or(1.0), 0.1, 1e6),
        ];
        for (key, seen, low, high) in bounds {
            if !(low..=high).contains(&seen) {
                return Err(Failure::Usage(format!("{key} = {seen}: must be between {low} and {high}")));
            }
        }
        let sizes = &scale.instances;
        if sizes.len() < LEAST_SIZES
            || !sizes.is_sorted_by(|a, b| a < b)
            || sizes[0] == 0
            || sizes[sizes.len() - 1] > INSTANCES
        {
            return Err(Failure::Usage(format!(
                "scale.instances = {sizes:?}: must be at least {LEAST_SIZES} numbers, ascending, from 1 to {INSTANCES}"
            )));
        }
        if self.scaling == Scaling::External && dependency.rate.is_none() {
            return Err(Failure::Usage("dependency.rate is missing: an external limit is a rate".to_owned()));
        }
        if !["echo", "note"].contains(&self.workload.service.as_str()) {
            return Err(unknown("workload.service", &self.workload.service, ["echo", "note"]));
        }
        self.format.parse::<Format>().map(drop).map_err(|error| Failure::Usage(format!("format: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every built-in scenario reads, under its own name, and names an engine that exists.
    #[test]
    fn built_in_scenarios_are_right() {
        let engines = crate::engines::Engines::load(None).unwrap();
        for (name, text) in BUILT_IN {
            let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(scenario.name, *name);
            engines.named(&scenario.engine).unwrap();
        }
    }

    /// Wrong keys and values are named, by spoiling a good scenario.
    #[test]
    fn wrong_scenarios_are_explained() {
        let good = BUILT_IN[2].1;
        for (from, to, wanted) in [
            ("scaling =", "scalling =", "did you mean `scaling`?"),
            ("\"external\"", "\"outside\"", "external"),
            ("rate =", "# rate =", "dependency.rate is missing"),
            ("instances = [1, 2", "instances = [2, 1", "ascending"),
            ("hold_ms = 10.0", "hold_ms = -1.0", "must be between 0 and 10000"),
        ] {
            let spoilt = good.replacen(from, to, 1);
            assert_ne!(spoilt, good, "{from} is in the scenario");
            let said = Scenario::parse(&spoilt).unwrap_err().to_string();
            assert!(said.contains(wanted), "{to}: {said}");
        }
    }
}
