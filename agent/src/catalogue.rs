//! What every metric means: one entry per name, next to the collector that exports it.
//!
//! HELP texts, `highload-agent explain` and the table in `agent/README.md` are all made from these
//! entries. A sample is written through a reference to its entry (see [`crate::exposition`]), so nothing
//! can be exported without one. Entries are made with [`metrics!`](crate::metrics):
//!
//! ```
//! highload_agent::metrics! {
//!     LOAD1 = gauge("node_load1").help("Load average over one minute.").source("/proc/loadavg")
//!         .answers("How many tasks ran or waited for a CPU or the disk in the last minute?");
//!     MEMORY = gauge("node_memory_*_bytes").unit("bytes").help("Field * of /proc/meminfo, in bytes.")
//!         .source("/proc/meminfo").answers("Where is the memory?");
//! }
//! assert_eq!(METRICS.len(), 2);
//! ```
//!
//! A `*` in a name stands for a part that the kernel decides (a field of `/proc/meminfo`); a `*` in the
//! help text is replaced by that part.

/// The Prometheus type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until a restart.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Not said; node_exporter's choice for families that mix both.
    Untyped,
}

impl Kind {
    /// The word on a `# TYPE` line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Untyped => "untyped",
        }
    }
}

/// One entry of the catalogue.
#[derive(Debug)]
pub struct Metric {
    /// Family name, with at most one `*` for the part that is known only at run time.
    pub name: &'static str,
    /// Prometheus type.
    pub kind: Kind,
    /// Label names in the order in which they are written.
    pub labels: &'static [&'static str],
    /// Base unit: `seconds`, `bytes`, `ratio`, `hertz`; empty for plain counts and flags.
    pub unit: &'static str,
    /// One sentence for `# HELP`, without backslash or newline.
    pub help: &'static str,
    /// The file, system call or message that the value comes from.
    pub source: &'static str,
    /// The question that a reader has when this metric is the answer.
    pub question: &'static str,
}

/// Starts an entry of a counter.
pub const fn counter(name: &'static str) -> Metric {
    Metric::new(name, Kind::Counter)
}

/// Starts an entry of a gauge.
pub const fn gauge(name: &'static str) -> Metric {
    Metric::new(name, Kind::Gauge)
}

/// Starts an entry of an untyped family.
pub const fn untyped(name: &'static str) -> Metric {
    Metric::new(name, Kind::Untyped)
}

impl Metric {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, labels: &[], unit: "", help: "", source: "", question: "" }
    }

    /// Sets the label names.
    pub const fn labels(mut self, labels: &'static [&'static str]) -> Self {
        self.labels = labels;
        self
    }

    /// Sets the base unit.
    pub const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// Sets the HELP sentence.
    pub const fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// Sets the source.
    pub const fn source(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }

    /// Sets the question.
    pub const fn answers(mut self, question: &'static str) -> Self {
        self.question = question;
        self
    }

    /// Whether an exported family name belongs to this entry.
    pub fn matches(&self, name: &str) -> bool {
        match self.name.split_once('*') {
            None => self.name == name,
            Some((prefix, suffix)) => {
                name.len() > prefix.len() + suffix.len() && name.starts_with(prefix) && name.ends_with(suffix)
            }
        }
    }
}

/// The entry that describes an exported family name; exact names win over patterns, longer patterns over shorter.
pub fn find(name: &str) -> Option<&'static Metric> {
    all().filter(|metric| metric.matches(name)).max_by_key(|metric| (!metric.name.contains('*'), metric.name.len()))
}

/// Every entry: those of all collectors in table order, then those of the scrape itself.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    crate::collector::COLLECTORS
        .iter()
        .flat_map(|entry| entry.spec.metrics.iter().copied())
        .chain(crate::scrape::METRICS.iter().copied())
}

/// Defines the catalogue entries of one collector: a private static per entry and `pub static METRICS`.
#[macro_export]
macro_rules! metrics {
    ($($visibility:vis $name:ident = $start:ident($metric:literal) $(. $setter:ident($value:expr))* ;)*) => {
        $($visibility static $name: $crate::catalogue::Metric =
            $crate::catalogue::$start($metric)$(.$setter($value))*;)*
        /// The catalogue entries of this collector.
        pub static METRICS: &[&$crate::catalogue::Metric] = &[$(&$name),*];
    };
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Every entry is complete and safe to print, and no name is described twice.
    #[test]
    fn entries_are_complete_and_unique() {
        let mut seen = HashSet::new();
        for metric in all() {
            let name = metric.name;
            assert!(seen.insert(name), "{name} is in the catalogue twice");
            assert!(name.matches('*').count() <= 1, "{name}: more than one *");
            assert!(!metric.help.is_empty() && metric.help.ends_with('.'), "{name}: help is not a sentence");
            assert!(!metric.help.contains(['\n', '\\']), "{name}: help needs escaping");
            assert!(!metric.source.is_empty(), "{name}: no source");
            assert!(metric.question.ends_with('?'), "{name}: no question");
        }
    }

    /// A pattern matches only names with a non-empty middle; exact entries win.
    #[test]
    fn patterns() {
        let memory = gauge("node_memory_*_bytes");
        assert!(memory.matches("node_memory_MemTotal_bytes"));
        assert!(!memory.matches("node_memory__bytes") && !memory.matches("node_memory_HugePages_Free"));
    }
}
