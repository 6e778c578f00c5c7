//! The figures that are compared, as a table. Less is better for each of them.

use crate::verdict::Figure;

/// A figure.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// As `--figures` and JUnit name it.
    pub key: &'static str,
    /// As a sentence names it.
    pub name: &'static str,
    /// Unit of its values.
    pub unit: &'static str,
    /// Whether it has a spread; a count stands by itself.
    pub sampled: bool,
    /// Where it is in a trial.
    pub(super) trial: Option<Figure>,
    /// Where it is in a climb.
    pub(super) climb: Option<InClimb>,
}

/// Where a climb has a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InClimb {
    /// Slope of the servers' own memory.
    ServerBytes,
    /// Slope of slab, both ends.
    KernelBytes,
    /// Server CPU of connecting, all plateaus.
    ConnectCpu,
    /// In each load at each plateau.
    Window(Figure),
}

/// Every figure, the primary one of a trial first.
pub static METRICS: [Metric; 7] = [
    Metric {
        key: "cpu",
        name: "server CPU per request",
        unit: "µs",
        sampled: true,
        trial: Some(Figure::Cpu),
        climb: Some(InClimb::Window(Figure::Cpu)),
    },
    Metric {
        key: "p99",
        name: "p99 response time",
        unit: "µs",
        sampled: true,
        trial: Some(Figure::P99),
        climb: Some(InClimb::Window(Figure::P99)),
    },
    Metric {
        key: "syscalls",
        name: "system calls per request",
        unit: "calls",
        sampled: false,
        trial: Some(Figure::Syscalls),
        climb: Some(InClimb::Window(Figure::Syscalls)),
    },
    Metric { key: "rss", name: "resident memory", unit: "B", sampled: true, trial: Some(Figure::Rss), climb: None },
    Metric {
        key: "server-bytes",
        name: "server memory per idle user",
        unit: "B",
        sampled: true,
        trial: None,
        climb: Some(InClimb::ServerBytes),
    },
    Metric {
        key: "kernel-bytes",
        name: "slab of both ends per user",
        unit: "B",
        sampled: true,
        trial: None,
        climb: Some(InClimb::KernelBytes),
    },
    Metric {
        key: "connect-cpu",
        name: "server CPU per connect",
        unit: "µs",
        sampled: true,
        trial: None,
        climb: Some(InClimb::ConnectCpu),
    },
];
