//! A scenario: TOML to a checked value. Each file opens with prose that says what question it asks.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wire::{Format, Protocol};

use crate::calculator::Demand;
use crate::climb;
use crate::failure::{Failure, nearest};
use crate::load::workload::Kind;
use crate::load::{CONNECTION_LIMIT, IN_FLIGHT_LIMIT, Pacing, RATE_LIMIT};
use crate::spread;
use crate::target::Own;

/// The scenarios that the lab is built with, by name.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("demo", include_str!("../scenarios/demo.toml")),
    ("http", include_str!("../scenarios/http.toml")),
    ("peak", include_str!("../scenarios/peak.toml")),
    ("one-core", include_str!("../scenarios/one-core.toml")),
    ("ccu-curve", include_str!("../scenarios/ccu-curve.toml")),
    ("half-million", include_str!("../scenarios/half-million.toml")),
    ("presence", include_str!("../scenarios/presence.toml")),
    ("all-active", include_str!("../scenarios/all-active.toml")),
    ("bursts", include_str!("../scenarios/bursts.toml")),
    ("overload", include_str!("../scenarios/overload.toml")),
    ("overload-notes", include_str!("../scenarios/overload-notes.toml")),
    ("life", include_str!("../scenarios/life.toml")),
    ("wire", include_str!("../scenarios/wire.toml")),
    ("wire-broadcast", include_str!("../scenarios/wire-broadcast.toml")),
    ("own", include_str!("../scenarios/own.toml")),
    ("four-servers", include_str!("../scenarios/four-servers.toml")),
    ("broadcast", include_str!("../scenarios/broadcast.toml")),
    ("idle", include_str!("../scenarios/idle.toml")),
];

/// What can be asked of the servers.
pub const SERVICES: [&str; 3] = ["echo", "note", "content"];

/// What a run asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Short name, part of the result directory's name.
    pub name: String,
    /// The question, in prose.
    pub question: String,
    /// Engines by their names in engines.toml; the names of `[[target]]` tables are added.
    #[serde(default)]
    pub engines: Vec<String>,
    /// `[[target]]`: servers of one's own, compared with the engines side by side.
    #[serde(default, rename = "target", skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Own>,
    /// The engine that runs a second time under another name, for the A/A noise band.
    #[serde(default)]
    pub twin: Option<String>,
    /// Framings; may be empty when every contender is asked something of its own.
    #[serde(default)]
    pub protocols: Vec<String>,
    /// Wire formats, as the framings; `["all"]` stands for every one there is.
    #[serde(default)]
    pub formats: Vec<String>,
    /// What is asked of the servers.
    pub workload: WorkloadPart,
    /// Further workloads, each asked in trials of its own: a sweep over sizes.
    #[serde(default)]
    pub workloads: Vec<WorkloadPart>,
    /// How much, and for how long.
    pub load: LoadPart,
    /// How often.
    #[serde(default)]
    pub rounds: RoundsPart,
    /// When a trial does not count.
    #[serde(default)]
    pub voids: VoidsPart,
    /// The servers.
    #[serde(default)]
    pub server: ServerPart,
    /// How CPU stacks are sampled.
    #[serde(default)]
    pub flame: FlamePart,
    /// What to work out from the formats' costs: so many users, messages and bytes.
    #[serde(default)]
    pub calculator: Option<Demand>,
}

/// `[workload]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadPart {
    /// `echo`, `note` or `content`.
    pub service: String,
    /// Bytes of an echo payload or of an added note's text.
    pub payload_bytes: u32,
    /// Share of requests that add a note, 0 to 1; the others list.
    #[serde(default)]
    pub add_share: f64,
    /// Notes per listed page.
    #[serde(default = "defaults::page")]
    pub page: u32,
}

/// `[load]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadPart {
    /// `open` or `closed`.
    pub mode: String,
    /// `poisson`, `constant` or `burst:N`, N requests at once; open loop only.
    #[serde(default = "defaults::arrivals")]
    pub arrivals: String,
    /// Requests per second; open loop only.
    #[serde(default)]
    pub rate: Option<f64>,
    /// Connections held.
    pub connections: u32,
    /// Requests in flight per connection.
    #[serde(default = "defaults::in_flight")]
    pub in_flight: u32,
    /// Seconds before the measurement.
    pub warmup_seconds: f64,
    /// Seconds measured.
    pub measure_seconds: f64,
    /// Seconds that a late reply is waited for.
    #[serde(default = "defaults::timeout_seconds")]
    pub timeout_seconds: f64,
}

/// `[rounds]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoundsPart {
    /// How often each trial is run, each time with a fresh process.
    pub count: u32,
    /// Seed of the shuffle and of the load.
    pub seed: u64,
    /// Whether system calls are counted in a pass of their own.
    pub syscalls: bool,
    /// Whether CPU stacks are sampled in a pass of their own, see `[flame]`.
    pub flames: bool,
}

/// `[voids]`: bounds beyond which a trial is kept and shown but not counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VoidsPart {
    /// 99th percentile of the generator's own lateness, in microseconds.
    pub schedule_lag_p99_us: f64,
    /// Share of the asked rate that may be missing.
    pub rate_shortfall: f64,
    /// Share of the box's time that the hypervisor may take.
    pub steal_share: f64,
    /// Share of the box's time that other processes may take.
    pub foreign_cpu_share: f64,
    /// How often a void trial is run again in its round.
    pub retries: u32,
}

/// `[flame]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlamePart {
    /// `pprof` (in the server, no privilege needed) or `perf` (kernel frames too).
    pub sampler: String,
    /// Seconds sampled.
    pub seconds: u32,
    /// Samples per second of CPU time.
    pub hertz: u32,
}

/// `[server]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerPart {
    /// Address to listen on, on loopback; port 0 lets the kernel choose.
    pub listen: Option<String>,
    /// Cores, and with them shards, per server.
    pub cores: Option<u32>,
    /// Further arguments of every server, such as `--service-time`.
    pub args: Vec<String>,
}

mod defaults {
    pub(super) fn page() -> u32 {
        5
    }
    pub(super) fn arrivals() -> String {
        "poisson".to_owned()
    }
    pub(super) fn in_flight() -> u32 {
        1
    }
    pub(super) fn timeout_seconds() -> f64 {
        5.0
    }
}

impl Default for RoundsPart {
    fn default() -> Self {
        Self { count: 5, seed: 1, syscalls: true, flames: false }
    }
}

impl Default for FlamePart {
    fn default() -> Self {
        // A prime, so that sampling does not keep step with anything periodic; a core that is a third busy gives 330 samples.
        Self { sampler: crate::flame::SAMPLERS[0].to_owned(), seconds: 5, hertz: 199 }
    }
}

impl Default for VoidsPart {
    fn default() -> Self {
        // A box that a platform engineer would measure on keeps all of these; a shared one does not, and should be told.
        Self {
            schedule_lag_p99_us: 2_000.0,
            rate_shortfall: 0.02,
            steal_share: 0.02,
            foreign_cpu_share: 0.10,
            retries: 1,
        }
    }
}

/// A scenario of either kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Any {
    /// Trials: every engine under the same load, in rounds.
    Trials(Box<Scenario>),
    /// Climbs: every engine from plateau to plateau (a `[climb]` table).
    Climbs(Box<climb::scenario::Scenario>),
    /// Spreads: one client of several servers (a `[spread]` table).
    Spreads(Box<spread::scenario::Scenario>),
}

impl Any {
    /// Reads `name`: a file, or the name of a built-in scenario.
    ///
    /// # Errors
    /// A usage failure with the nearest right name, key or value.
    pub fn load(name: &str) -> anyhow::Result<Self> {
        let path = PathBuf::from(name);
        let text = if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            (*text).to_owned()
        } else if path.extension().is_some() || path.exists() {
            std::fs::read_to_string(&path).map_err(|error| Failure::Usage(format!("scenario {name}: {error}")))?
        } else {
            return Err(crate::failure::unknown("scenario", name, BUILT_IN.iter().map(|(known, _)| *known)).into());
        };
        Self::parse(&text).map_err(|failure| anyhow::Error::from(failure).context(format!("scenario {name}")))
    }

    /// Reads the text of a scenario; its tables say which kind it is.
    ///
    /// # Errors
    /// A usage failure.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let table: toml::Table = toml::from_str(text).map_err(|error| explain_toml(&error))?;
        Ok(if table.contains_key("climb") {
            Self::Climbs(Box::new(climb::scenario::Scenario::parse(text)?))
        } else if table.contains_key("spread") {
            Self::Spreads(Box::new(spread::scenario::Scenario::parse(text)?))
        } else {
            Self::Trials(Box::new(Scenario::parse(text)?))
        })
    }

    /// Its name, question and engines.
    pub fn about(&self) -> (&str, &str, &[String]) {
        match self {
            Self::Trials(scenario) => (&scenario.name, &scenario.question, &scenario.engines),
            Self::Climbs(scenario) => (&scenario.name, &scenario.question, &scenario.engines),
            Self::Spreads(scenario) => (&scenario.name, &scenario.question, &scenario.engines),
        }
    }
}

impl Scenario {
    /// Reads the text of a scenario.
    ///
    /// # Errors
    /// A usage failure.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let mut scenario: Self = toml::from_str(text).map_err(|error| explain_toml(&error))?;
        if scenario.formats == ["all"] {
            scenario.formats = Format::ALL.iter().map(|format| format.name().to_owned()).collect();
        }
        let targets: Vec<String> = scenario.targets.iter().map(|own| own.name.clone()).collect();
        if let Some(twice) = targets.iter().find(|name| scenario.engines.contains(name)) {
            return Err(Failure::Usage(format!("{twice:?} is an engine and a target: give the target another name")));
        }
        scenario.engines.extend(targets);
        scenario.check()?;
        Ok(scenario)
    }

    /// Whether this contender is asked something of its own, so that framings and formats are not for it.
    pub fn asks_its_own(&self, name: &str) -> bool {
        self.targets.iter().any(|own| own.name == name && own.ask.is_some())
    }

    /// Whether every contender is asked something of its own.
    pub fn all_ask_their_own(&self) -> bool {
        self.engines.iter().all(|name| self.asks_its_own(name))
    }

    /// Checks what types cannot: ranges, names, and keys that do not go together.
    ///
    /// # Errors
    /// A usage failure that names the key, the value seen and the value needed.
    pub fn check(&self) -> Result<(), Failure> {
        let bounds = [
            ("load.connections", f64::from(self.load.connections), 1.0, f64::from(CONNECTION_LIMIT)),
            ("load.in_flight", f64::from(self.load.in_flight), 1.0, f64::from(IN_FLIGHT_LIMIT)),
            ("load.warmup_seconds", self.load.warmup_seconds, 0.0, 3600.0),
            ("load.measure_seconds", self.load.measure_seconds, 0.05, 3600.0),
            ("load.timeout_seconds", self.load.timeout_seconds, 0.05, 300.0),
            ("flame.seconds", f64::from(self.flame.seconds), 1.0, 60.0),
            ("flame.hertz", f64::from(self.flame.hertz), 1.0, 999.0),
            ("rounds.count", f64::from(self.rounds.count), 1.0, 1000.0),
            ("voids.retries", f64::from(self.voids.retries), 0.0, 10.0),
            ("voids.rate_shortfall", self.voids.rate_shortfall, 0.0, 1.0),
            ("voids.steal_share", self.voids.steal_share, 0.0, 1.0),
            ("voids.foreign_cpu_share", self.voids.foreign_cpu_share, 0.0, 1.0),
            ("server.cores", f64::from(self.server.cores.unwrap_or(1)), 1.0, 1024.0),
        ];
        let asked = self.asked().flat_map(|workload| {
            [
                ("workload.payload_bytes", f64::from(workload.payload_bytes), 1.0, 65_536.0),
                ("workload.add_share", workload.add_share, 0.0, 1.0),
                ("workload.page", f64::from(workload.page), 1.0, 100.0),
            ]
        });
        for (key, seen, low, high) in bounds.into_iter().chain(asked) {
            if !(low..=high).contains(&seen) {
                return Err(Failure::Usage(format!("{key} = {seen}: must be between {low} and {high}")));
            }
        }
        if !crate::flame::SAMPLERS.contains(&self.flame.sampler.as_str()) {
            return Err(crate::failure::unknown("flame.sampler", &self.flame.sampler, crate::flame::SAMPLERS));
        }
        self.calculator.iter().try_for_each(Demand::check)?;
        for (key, list) in [("protocols", &self.protocols), ("formats", &self.formats)] {
            if list.is_empty() && !self.all_ask_their_own() {
                return Err(Failure::Usage(format!(
                    "{key} = []: must name at least one, unless each server says what it is asked (--request, --message or \
                     --send; in a scenario ask = {{ request = \"GET /\" }})"
                )));
            }
        }
        for own in &self.targets {
            own.check()?;
        }
        self.protocols()?;
        self.formats()?;
        self.pacing()?;
        self.asked().try_for_each(|workload| workload.kind().map(drop))?;
        match &self.twin {
            Some(twin) if !self.engines.contains(twin) => {
                Err(Failure::Usage(format!("twin = {twin:?}: must be one of engines = {:?}", self.engines)))
            }
            _ => Ok(()),
        }
    }

    /// The framings.
    ///
    /// # Errors
    /// A usage failure for an unknown one.
    pub fn protocols(&self) -> Result<Vec<Protocol>, Failure> {
        self.protocols
            .iter()
            .map(|name| name.parse().map_err(|error| Failure::Usage(format!("protocols: {error}"))))
            .collect()
    }

    /// The wire formats.
    ///
    /// # Errors
    /// A usage failure for an unknown one.
    pub fn formats(&self) -> Result<Vec<Format>, Failure> {
        self.formats
            .iter()
            .map(|name| name.parse().map_err(|error| Failure::Usage(format!("formats: {error}"))))
            .collect()
    }

    /// When requests are due.
    ///
    /// # Errors
    /// A usage failure when mode, arrivals and rate do not go together.
    pub fn pacing(&self) -> Result<Pacing, Failure> {
        match (self.load.mode.as_str(), self.load.rate) {
            ("closed", None) => Ok(Pacing::Closed),
            ("closed", Some(rate)) => Err(Failure::Usage(format!(
                "load.rate = {rate}: a closed loop has no rate; remove it or set load.mode = \"open\""
            ))),
            ("open", None) => {
                Err(Failure::Usage("load.rate is missing: an open loop needs requests per second".to_owned()))
            }
            ("open", Some(rate)) if !(1.0..=RATE_LIMIT).contains(&rate) => Err(Failure::Usage(format!(
                "load.rate = {rate}: must be between 1 and {RATE_LIMIT} requests per second"
            ))),
            ("open", Some(rate)) => {
                let arrivals = self.load.arrivals.as_str();
                Pacing::open(arrivals, rate).ok_or_else(|| {
                    crate::failure::unknown("load.arrivals", arrivals, ["poisson", "constant", "burst:N"])
                })
            }
            (other, _) => Err(crate::failure::unknown("load.mode", other, ["open", "closed"])),
        }
    }

    /// Every workload, the first one first.
    pub fn asked(&self) -> impl Iterator<Item = &WorkloadPart> {
        std::iter::once(&self.workload).chain(&self.workloads)
    }
}

impl WorkloadPart {
    /// What requests are.
    ///
    /// # Errors
    /// A usage failure for an unknown service.
    pub fn kind(&self) -> Result<Kind, Failure> {
        match self.service.as_str() {
            "echo" => Ok(Kind::Echo),
            "note" => Ok(Kind::Note { add_share: self.add_share, page: self.page }),
            "content" => Ok(Kind::Content),
            other => Err(crate::failure::unknown("workload.service", other, SERVICES)),
        }
    }
}

/// A TOML error as a usage failure: line and column, and for an unknown key the nearest right one.
pub(crate) fn explain_toml(error: &toml::de::Error) -> Failure {
    let said = error.to_string();
    let message = error.message();
    let mut names = message.split('`').skip(1).step_by(2);
    let hint = match (message.starts_with("unknown field"), names.next()) {
        (true, Some(seen)) => nearest(seen, names).map(|name| format!("did you mean `{name}`?")),
        _ => None,
    };
    Failure::Usage(match hint {
        Some(hint) => format!("{}\n{hint}", said.trim_end()),
        None => said.trim_end().to_owned(),
    })
}

/// Scenario files beside the built-in ones: `*.toml` of `directory`, sorted.
pub fn files_in(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that every built-in scenario reads and names engines that exist.
    #[test]
    fn built_in_scenarios_are_right() {
        let engines = crate::engines::Engines::load(None).unwrap();
        for (name, text) in BUILT_IN {
            let scenario = Any::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let (own_name, _, contenders) = scenario.about();
            assert_eq!(own_name, *name);
            for engine in contenders {
                engines.named(engine).unwrap();
            }
        }
    }

    /// Shows that wrong keys and values are named with the nearest right one, by spoiling a good scenario.
    #[test]
    fn wrong_scenarios_are_explained() {
        let good = BUILT_IN[0].1;
        for (from, to, wanted) in [
            ("connections =", "conections =", "did you mean `connections`?"),
            ("mode = \"open\"", "mode = \"opne\"", "did you mean \"open\"?"),
            ("\"protobuf\"", "\"protobuff\"", "protobuf"),
            ("connections = 200", "connections = 0", "must be between 1 and 1000000"),
            ("service = \"note\"", "service = \"notes\"", "did you mean \"note\"?"),
            ("twin = \"mio\"", "twin = \"moi\"", "must be one of engines"),
        ] {
            let spoilt = good.replacen(from, to, 1);
            assert_ne!(spoilt, good, "{from} is in the demo scenario");
            let said = Scenario::parse(&spoilt).unwrap_err().to_string();
            assert!(said.contains(wanted), "{to}: {said}");
        }
    }
}
