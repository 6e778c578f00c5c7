//! Rows of a result, sorted into engines and cells.

use std::collections::{BTreeMap, BTreeSet};

use super::figure::Figure;
use crate::result::{Load, Pass, Plan, Status, Trial};

/// Formats in the order in which a reader meets them; others follow by name.
const FORMATS: [&str; 3] = ["raw", "json", "protobuf"];

/// The engine that others are compared with, unless it did not run.
const BASELINE: &str = "mio";

/// What is held equal when engines are compared: everything but the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// `frame` or `http1`.
    pub protocol: String,
    /// `echo` or `note`.
    pub service: String,
    /// `raw`, `json`, `protobuf`, ….
    pub format: String,
    /// The offered load.
    pub load: Load,
    /// What sets it apart from the other cells of the result: `json`, or `json 256 connections`.
    pub label: String,
}

impl Cell {
    /// What is asked, with its size: `list 5`, `add 128 B`, `echo 64 B`, `25% add 128 B, list 5`.
    pub fn ask(&self) -> String {
        let bytes = self.load.payload_bytes;
        match (self.load.add_share, self.load.page) {
            (Some(share), Some(page)) if share <= 0.0 => format!("list {page}"),
            (Some(share), Some(_)) if share >= 1.0 => format!("add {bytes} B"),
            (Some(share), Some(page)) => format!("{:.0}% add {bytes} B, list {page}", share * 100.0),
            _ if self.service == "content" => "publish".to_owned(),
            _ => format!("{} {bytes} B", self.service),
        }
    }

    /// [`Cell::ask`] without its size.
    pub fn kind_of_ask(&self) -> &str {
        match self.load.add_share {
            Some(share) if share <= 0.0 => "list",
            Some(share) if share >= 1.0 => "add",
            Some(_) => "mix",
            None => &self.service,
        }
    }

    /// Whether both hold the same equal; labels are names within one result.
    pub fn same(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    /// Whether a row is of this cell.
    pub fn holds(&self, trial: &Trial) -> bool {
        self.key() == (&*trial.protocol, &*trial.service, &*trial.format, &trial.load)
    }

    fn key(&self) -> Key<'_> {
        (&self.protocol, &self.service, &self.format, &self.load)
    }
}

/// A contender.
#[derive(Clone, Debug, PartialEq)]
pub struct Engine {
    /// Its name in the result.
    pub name: String,
    /// The engine that it is a second name of.
    pub twin_of: Option<String>,
    /// `io_uring` or `epoll`.
    pub interface: String,
}

/// What became of the timing trials of one engine in one cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Rounds that count.
    pub counted: usize,
    /// Rounds planned, or seen where there is no plan.
    pub planned: usize,
    /// The first reason for a round that does not count.
    pub reason: Option<String>,
}

/// The rows of one result by engine and cell.
#[derive(Debug)]
pub struct Matrix<'a> {
    /// Cells, formats in their usual order.
    pub cells: Vec<Cell>,
    /// Baseline first, an A/A twin right after its original, the rest by name.
    pub engines: Vec<Engine>,
    rows: Vec<(usize, usize, &'a Trial)>,
    planned: BTreeMap<(usize, usize), usize>,
}

/// The fields that tell cells apart, as borrowed from a row or a planned trial.
type Key<'a> = (&'a str, &'a str, &'a str, &'a Load);

impl<'a> Matrix<'a> {
    /// Sorts `trials`; engines and cells that are only in `plan` are there too, with nothing in them.
    pub fn new(trials: &'a [Trial], plan: Option<&'a Plan>) -> Self {
        // Flame graphs are of their own: their rows compare nothing.
        let planned = || plan.into_iter().flat_map(|plan| &plan.trials).filter(|trial| trial.pass != Pass::Flame);
        let trials = || trials.iter().filter(|trial| trial.pass != Pass::Flame);
        let of_row = |t: &'a Trial| -> Key<'a> { (&t.protocol, &t.service, &t.format, &t.load) };
        let cells =
            cells(trials().map(of_row).chain(planned().map(|t| (&*t.protocol, &*t.service, &*t.format, &t.load))));
        let engines = engines(
            trials()
                .map(|t| (&t.engine, &t.twin_of, &t.interface))
                .chain(planned().map(|t| (&t.engine, &t.twin_of, &t.interface))),
        );
        let cell_of = |key: Key| cells.iter().position(|c| (&*c.protocol, &*c.service, &*c.format, &c.load) == key);
        let engine_of = |name: &str| engines.iter().position(|engine| engine.name == name);
        let mut rows = Vec::new();
        for trial in trials() {
            if let (Some(engine), Some(cell)) = (engine_of(&trial.engine), cell_of(of_row(trial))) {
                rows.push((engine, cell, trial));
            }
        }
        let mut counts = BTreeMap::new();
        for trial in planned().filter(|trial| trial.pass == Pass::Timing) {
            let key = (&*trial.protocol, &*trial.service, &*trial.format, &trial.load);
            if let (Some(engine), Some(cell)) = (engine_of(&trial.engine), cell_of(key)) {
                *counts.entry((engine, cell)).or_insert(0) += 1;
            }
        }
        Self { cells, engines, rows, planned: counts }
    }

    /// Index of the baseline: `mio` when it is there, else the first engine that is nobody's twin.
    pub fn baseline(&self) -> Option<usize> {
        let original = |engine: &Engine| engine.twin_of.is_none();
        let preferred = self.engines.iter().position(|engine| engine.name == BASELINE && original(engine));
        preferred.or_else(|| self.engines.iter().position(original))
    }

    /// The A/A pair as (original, twin).
    pub fn pair(&self) -> Option<(usize, usize)> {
        self.engines.iter().enumerate().find_map(|(twin, engine)| {
            let original = self.engines.iter().position(|other| Some(&other.name) == engine.twin_of.as_ref())?;
            Some((original, twin))
        })
    }

    /// Rows of an engine in a cell, both passes, in the order in which they ran.
    pub fn rows(&self, engine: usize, cell: usize) -> impl Iterator<Item = &'a Trial> {
        self.rows.iter().filter(move |(e, c, _)| (*e, *c) == (engine, cell)).map(|(_, _, trial)| *trial)
    }

    /// Values of a figure by round. A second row of the same round replaces the first: it is a repetition.
    pub fn values(&self, engine: usize, cell: usize, figure: Figure) -> BTreeMap<u32, f64> {
        self.rows(engine, cell).filter_map(|trial| Some((trial.round, figure.of(trial)?))).collect()
    }

    /// What became of the timing trials. A void trial that was repeated in its round costs no round.
    pub fn tally(&self, engine: usize, cell: usize) -> Tally {
        let timing = || self.rows(engine, cell).filter(|trial| trial.pass == Pass::Timing);
        let good: BTreeSet<u32> =
            timing().filter(|trial| trial.status == Status::Ok).map(|trial| trial.round).collect();
        let tried: BTreeSet<u32> = timing().map(|trial| trial.round).collect();
        Tally {
            counted: good.len(),
            planned: self.planned.get(&(engine, cell)).copied().unwrap_or(0).max(tried.len()),
            reason: timing().find(|trial| !good.contains(&trial.round)).and_then(|trial| trial.reason.clone()),
        }
    }
}

fn cells<'a>(keys: impl Iterator<Item = Key<'a>>) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    for (protocol, service, format, load) in keys {
        if !cells.iter().any(|c| (&*c.protocol, &*c.service, &*c.format, &c.load) == (protocol, service, format, load))
        {
            let [protocol, service, format] = [protocol, service, format].map(str::to_owned);
            cells.push(Cell { protocol, service, format, load: load.clone(), label: String::new() });
        }
    }
    let place = |format: &str| FORMATS.iter().position(|known| *known == format).unwrap_or(FORMATS.len());
    cells.sort_by(|a, b| {
        let words = |cell: &Cell| (cell.protocol.clone(), cell.service.clone());
        words(a)
            .cmp(&words(b))
            .then_with(|| a.load.connections.cmp(&b.load.connections))
            .then_with(|| a.load.rate.unwrap_or(0.0).total_cmp(&b.load.rate.unwrap_or(0.0)))
            .then_with(|| a.load.add_share.unwrap_or(0.0).total_cmp(&b.load.add_share.unwrap_or(0.0)))
            .then_with(|| (a.load.page, a.load.payload_bytes).cmp(&(b.load.page, b.load.payload_bytes)))
            .then_with(|| place(&a.format).cmp(&place(&b.format)).then_with(|| a.format.cmp(&b.format)))
    });
    let facts: Vec<Vec<String>> = cells.iter().map(facts).collect();
    for (index, cell) in cells.iter_mut().enumerate() {
        let varies = |place: usize| facts.iter().any(|other| other[place] != facts[0][place]);
        let parts: Vec<&str> = (0..facts[index].len())
            .filter(|place| *place == 2 || varies(*place))
            .map(|place| &*facts[index][place])
            .collect();
        cell.label = parts.join(" ");
    }
    cells
}

/// The parts of a cell's name, the format third.
fn facts(cell: &Cell) -> Vec<String> {
    let load = &cell.load;
    vec![
        cell.protocol.clone(),
        cell.service.clone(),
        cell.format.clone(),
        format!("{} loop", load.mode),
        load.rate.map_or_else(|| "no rate".to_owned(), |rate| format!("{rate:.0}/s")),
        load.arrivals.clone().unwrap_or_default(),
        format!("{} connections", load.connections),
        format!("{} in flight", load.in_flight),
        match load.page {
            Some(_) => cell.ask(),
            None => format!("{} B", load.payload_bytes),
        },
        format!("{} s", load.measure_seconds),
        format!("{} s warm-up", load.warmup_seconds),
    ]
}

fn engines<'a>(seen: impl Iterator<Item = (&'a String, &'a Option<String>, &'a String)>) -> Vec<Engine> {
    let mut names = BTreeSet::new();
    let mut engines: Vec<Engine> = seen
        .filter(|(name, _, _)| names.insert((*name).clone()))
        .map(|(name, twin_of, interface)| Engine {
            name: name.clone(),
            twin_of: twin_of.clone(),
            interface: interface.clone(),
        })
        .collect();
    engines.sort_by_key(|engine| {
        let family = engine.twin_of.clone().unwrap_or_else(|| engine.name.clone());
        (family != BASELINE, family, engine.twin_of.is_some(), engine.name.clone())
    });
    engines
}
