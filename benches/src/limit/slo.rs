//! Service level objectives: `p99<20ms`, `errors<0.1%`, `lost=0`. Text to a bound, and a trial's row to the value that it bounds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::failure::nearest;
use crate::result::{Latency, Trial};

/// Errors that mean a connection was lost.
const LOST: [&str; 2] = ["closed", "reset"];

/// What an objective bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    /// A percentile of the response time, seconds.
    Response(Percentile),
    /// Requests that did not get the right reply, as a share of all.
    Errors,
    /// Connections that the server closed or reset.
    Lost,
    /// CPU of the server, as a share of its cores.
    Cpu,
    /// Memory of the server: PSS where the kernel tells it, else RSS; bytes.
    Memory,
}

/// A percentile that rows have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Percentile {
    P50,
    P90,
    P99,
    P999,
    P9999,
    Max,
}

impl Percentile {
    /// Its value in seconds.
    fn of(self, response: &Latency) -> f64 {
        let microseconds = match self {
            Self::P50 => response.p50_us,
            Self::P90 => response.p90_us,
            Self::P99 => response.p99_us,
            Self::P999 => response.p999_us,
            Self::P9999 => response.p9999_us,
            Self::Max => response.max_us,
        };
        microseconds / 1e6
    }
}

/// Every measure by the name that an objective gives it.
const MEASURES: [(&str, Measure); 10] = [
    ("p50", Measure::Response(Percentile::P50)),
    ("p90", Measure::Response(Percentile::P90)),
    ("p99", Measure::Response(Percentile::P99)),
    ("p99.9", Measure::Response(Percentile::P999)),
    ("p99.99", Measure::Response(Percentile::P9999)),
    ("max", Measure::Response(Percentile::Max)),
    ("errors", Measure::Errors),
    ("lost", Measure::Lost),
    ("cpu", Measure::Cpu),
    ("memory", Measure::Memory),
];

/// Units by the kind of measure: name and factor to the base unit.
const TIMES: [(&str, f64); 4] = [("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)];
const SHARES: [(&str, f64); 1] = [("%", 0.01)];
const COUNTS: [(&str, f64); 1] = [("", 1.0)];
const SIZES: [(&str, f64); 7] = [
    ("B", 1.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
];

impl Measure {
    fn units(self) -> &'static [(&'static str, f64)] {
        match self {
            Self::Response(_) => &TIMES,
            Self::Errors | Self::Cpu => &SHARES,
            Self::Lost => &COUNTS,
            Self::Memory => &SIZES,
        }
    }

    /// The value of `row`, whose server had `cores`, in base units.
    fn of(self, row: &Trial, cores: usize) -> f64 {
        let count = |kinds: &dyn Fn(&str) -> bool| -> f64 {
            row.errors.iter().filter(|(kind, _)| kinds(kind)).map(|(_, count)| *count as f64).sum()
        };
        match self {
            Self::Response(percentile) => percentile.of(&row.response),
            Self::Errors => {
                let errors = count(&|_| true);
                let all = row.completed as f64 + errors;
                if all > 0.0 { errors / all } else { 0.0 }
            }
            Self::Lost => count(&|kind| LOST.contains(&kind)),
            Self::Cpu => row.server.core_share / cores.max(1) as f64,
            Self::Memory => row.server.pss_bytes.unwrap_or(row.server.rss_bytes) as f64,
        }
    }

    /// A value in the unit that reads best.
    fn show(self, value: f64) -> String {
        match self {
            Self::Response(_) if value < 1e-3 => format!("{:.0} µs", value * 1e6),
            Self::Response(_) if value < 1.0 => format!("{:.1} ms", value * 1e3),
            Self::Response(_) => format!("{value:.2} s"),
            Self::Errors => format!("{:.3} %", value * 100.0),
            Self::Cpu => format!("{:.1} %", value * 100.0),
            Self::Lost => format!("{value:.0}"),
            Self::Memory => format!("{:.1} MiB", value / 1_048_576.0),
        }
    }
}

/// One objective. Reads from and prints as its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Objective {
    measure: Measure,
    /// `<=` or `=` rather than `<`.
    inclusive: bool,
    /// In base units.
    bound: f64,
    text: String,
}

/// An objective that was not met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    /// The objective, as it was written.
    pub objective: String,
    /// The value seen, in base units: seconds, share, count or bytes.
    pub seen: f64,
    /// Both in words.
    pub sentence: String,
}

impl Objective {
    /// Whether it bounds errors or lost connections, so that none has to be assumed.
    pub fn is_about_errors(&self) -> bool {
        matches!(self.measure, Measure::Errors | Measure::Lost)
    }

    /// Its name: `p99`, `errors`.
    pub fn name(&self) -> &'static str {
        MEASURES.iter().find(|(_, measure)| *measure == self.measure).map_or("", |(name, _)| *name)
    }

    /// The bound in base units.
    pub fn bound(&self) -> f64 {
        self.bound
    }

    /// What it bounds of a response time, in seconds; `None` when it bounds something else.
    pub fn percentile_of(&self, response: &Latency) -> Option<f64> {
        match self.measure {
            Measure::Response(percentile) => Some(percentile.of(response)),
            _ => None,
        }
    }

    /// How `row`, whose server had `cores`, breaks it.
    pub fn breach(&self, row: &Trial, cores: usize) -> Option<Breach> {
        let seen = self.measure.of(row, cores);
        let met = if self.inclusive { seen <= self.bound } else { seen < self.bound };
        (!met).then(|| Breach {
            objective: self.text.clone(),
            seen,
            sentence: format!("{} was {}, {} was asked", self.name(), self.measure.show(seen), self.text),
        })
    }
}

impl FromStr for Objective {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "an objective is a measure, < or <=, and a bound with its unit, such as p99<20ms";
        if text.contains('>') {
            return Err(format!("{text:?}: objectives are upper bounds, write < instead of > ({FORM})"));
        }
        let at = text.find(['<', '=']).ok_or_else(|| format!("{text:?}: neither < nor = is in it; {FORM}"))?;
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let (name, measure) = *MEASURES.iter().find(|(known, _)| *known == name).ok_or_else(|| unknown(text, name))?;
        let (inclusive, bound) = match (rest.strip_prefix("<="), rest.strip_prefix('<'), rest.strip_prefix('=')) {
            (Some(bound), _, _) => (true, bound),
            (None, Some(bound), _) => (false, bound),
            (None, None, Some(bound)) if measure == Measure::Lost => (true, bound),
            _ => return Err(format!("{text:?}: = goes with lost only, write {name}<= instead")),
        };
        let bound = bound_of(measure, bound.trim()).map_err(|why| format!("{text:?}: {why}"))?;
        if bound == 0.0 && !inclusive {
            return Err(format!("{text:?}: nothing is below zero; write {name}<=0"));
        }
        let text = text.split_whitespace().collect();
        Ok(Self { measure, inclusive, bound, text })
    }
}

fn unknown(text: &str, name: &str) -> String {
    let names: Vec<&str> = MEASURES.iter().map(|(name, _)| *name).collect();
    let hint = nearest(name, names.iter().copied()).map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
    format!("{text:?}: unknown measure {name:?}{hint} (known: {})", names.join(", "))
}

/// `20ms` in base units of `measure`.
fn bound_of(measure: Measure, text: &str) -> Result<f64, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let units = measure.units();
    let names = || units.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ");
    let (_, factor) = *units.iter().find(|(name, _)| *name == unit).ok_or_else(|| match (unit, names().as_str()) {
        (unit, "") => format!("{unit:?} after the number: a count has no unit"),
        ("", names) => format!("the bound {number} has no unit, one of {names} is needed"),
        (unit, names) => format!("unit {unit:?}: must be one of {names}"),
    })?;
    let number: f64 = number.parse().map_err(|_| format!("{number:?} is not a number"))?;
    let bound = number * factor;
    if measure.units() == SHARES && bound > 1.0 {
        return Err(format!("{number} % is more than all of it"));
    }
    if bound.is_finite() { Ok(bound) } else { Err(format!("{number} is out of range")) }
}

impl fmt::Display for Objective {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl TryFrom<String> for Objective {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Objective> for String {
    fn from(objective: Objective) -> Self {
        objective.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bound(text: &str) -> f64 {
        text.parse::<Objective>().unwrap().bound
    }

    /// Every unit comes out in base units, with and without spaces.
    #[test]
    fn bounds_are_in_base_units() {
        for (text, base) in [
            ("p99<20ms", 0.02),
            ("p99.9 < 1.5 s", 1.5),
            ("p50<250us", 250e-6),
            ("max<=250µs", 250e-6),
            ("errors<0.1%", 0.001),
            ("lost=0", 0.0),
            ("cpu<80%", 0.8),
            ("memory<1GiB", 1_073_741_824.0),
            ("memory<2MB", 2e6),
        ] {
            assert!((bound(text) - base).abs() < 1e-12 * base.max(1.0), "{text}: {}", bound(text));
        }
    }

    /// What is wrong is named, with what would be right.
    #[test]
    fn wrong_objectives_are_explained() {
        for (text, wanted) in [
            ("p98<20ms", "did you mean \"p99\"?"),
            ("p99", "neither < nor ="),
            ("p99>20ms", "write < instead of >"),
            ("p99<20", "no unit, one of us, µs, ms, s"),
            ("p99<20min", "must be one of us, µs, ms, s"),
            ("p99<fast", "must be one of"),
            ("p99<ms", "\"\" is not a number"),
            ("p99<1.2.3ms", "not a number"),
            ("errors<200%", "more than all of it"),
            ("errors=0%", "= goes with lost only"),
            ("lost=0%", "a count has no unit"),
            ("lost<0", "write lost<=0"),
            ("p99<0ms", "nothing is below zero"),
            ("latency<20ms", "unknown measure \"latency\""),
            ("", "neither < nor ="),
        ] {
            let said = text.parse::<Objective>().unwrap_err();
            assert!(said.contains(wanted), "{text}: {said}");
        }
    }

    proptest! {
        /// Whatever is typed gives an objective or a sentence, and an objective reads back as itself.
        #[test]
        fn any_text_is_answered(text in "\\PC{0,24}|p99(\\.9)?<=?[0-9.]{1,6}(us|ms|s)") {
            if let Ok(objective) = text.parse::<Objective>() {
                prop_assert_eq!(objective.to_string().parse::<Objective>().unwrap(), objective);
            }
        }
    }
}
