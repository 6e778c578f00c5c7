//! The report of instances: throughput by their number, the law that fits, and what type of scaling that is. From files alone.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use askama::Template as _;
use serde::Serialize;

use super::grid::Grid;
use super::page::{Legend, Page, Section, facts, machine};
use super::palette::{css, slot};
use super::plots;
use super::read::{document, lines, text};
use super::svg::swatch;
use super::words::{grouped, number};
use crate::failure::Failure;
use crate::result::Fingerprint;
use crate::scale::kind::{Seen, classify};
use crate::scale::result::{Plan, Point, SCHEMA};
use crate::scale::scenario::Scaling;
use crate::stats::scaling::{Fit, LEAST_SIZES, fit};
use crate::stats::{Interval, median};

/// How it was measured and what is wrong with that.
const METHOD: [&str; 5] = [
    "Each number of instances runs once a round with fresh processes, in a shuffled order. Every instance has connections of its own with one request in flight each (closed loop), so throughput is what the instances and their dependency let through.",
    "The dependency is a stub in front of the instances: in a chain of stations throughput is that of the slowest, wherever it stands. With linear scaling each instance has one of its own.",
    "The law is Gunther's Universal Scalability Law, fitted by least squares of logarithms with contention and coherency at 0 or above. Intervals are those of a thousand refits to resampled residuals.",
    "A flat top is called external. From outside, a shared resource with fixed permits looks the same: what tells them apart is whose limit it is.",
    "All processes share this box. Points at which instances, load or stub used nine tenths of their CPU are void, since then the box was the limit.",
];

/// A parameter and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Parameter {
    /// The best value.
    pub value: f64,
    /// Where it lies with 95 % confidence.
    pub interval: [f64; 2],
}

/// The fitted law.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Law {
    /// Throughput of one instance.
    pub lambda: Parameter,
    /// Contention.
    pub sigma: Parameter,
    /// Coherency.
    pub kappa: Parameter,
    /// Instances beyond which throughput falls.
    pub peak: Option<f64>,
    /// Typical distance of a measurement from the law, as a share.
    pub residual: f64,
}

/// What the law foretells.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// Instances.
    pub instances: u32,
    /// Requests a second, with the law's 95 % interval.
    pub throughput: Parameter,
    /// More than twice what was measured: a guess.
    pub beyond_twice: bool,
}

/// What a report comes to; `--json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The scenario's name.
    pub scenario: String,
    /// The engine.
    pub engine: String,
    /// What the scenario says.
    pub stated: Scaling,
    /// Whether it looks like that; `None` when too little counts.
    pub as_stated: Option<bool>,
    /// What it looks like.
    pub seen: Option<Seen>,
    /// The law.
    pub law: Option<Law>,
    /// What it foretells.
    pub forecasts: Vec<Forecast>,
    /// What it says in a sentence or two.
    pub headline: String,
    /// What must be known beside it.
    pub notes: Vec<String>,
    /// The table of the terminal.
    #[serde(skip)]
    pub table: String,
}

/// A result directory in memory.
struct Run {
    plan: Plan,
    host: Option<Fingerprint>,
    points: Vec<Point>,
    warnings: Vec<String>,
}

/// Reads the result directory, writes `report.md` and `report.html` into it, and foretells `predict` numbers of instances.
///
/// # Errors
/// A [`Failure::Usage`] when it is no such directory; those of reading and writing.
pub fn write(directory: &Path, predict: &[u32]) -> Result<Summary> {
    let run = read(directory)?;
    let counted: Vec<&Point> =
        run.points.iter().filter(|point| point.void.is_none() && point.throughput > 0.0).collect();
    let points: Vec<(f64, f64)> = counted.iter().map(|point| (f64::from(point.instances), point.throughput)).collect();
    let fitted = fit(&points, run.plan.scenario.scale.seed);
    let sizes: Vec<(u32, f64)> = counted.iter().map(|point| (point.instances, point.throughput)).collect();
    let seen = classify(&sizes, fitted.as_ref().map(|fit| &fit.law)).filter(|_| fitted.is_some());
    let stated = run.plan.scenario.scaling;
    let mut summary = Summary {
        schema: SCHEMA,
        scenario: run.plan.scenario.name.clone(),
        engine: run.plan.scenario.engine.clone(),
        stated,
        as_stated: seen.as_ref().map(|seen| seen.kind == stated),
        law: fitted.as_ref().map(law),
        forecasts: fitted
            .as_ref()
            .map(|fit| predict.iter().map(|count| forecast(fit, *count)).collect())
            .unwrap_or_default(),
        headline: headline(stated, seen.as_ref()),
        notes: notes(&run),
        seen,
        table: String::new(),
    };
    summary.notes.extend(summary.forecasts.iter().map(foretold));
    let grid = || grid(&run, &summary);
    let table = format!("{}\n\n{}\n{}", summary.headline, grid().terminal(), listed(&summary, ""));
    let markdown = format!(
        "# {}\n\n{}\n\n> {}\n\n{}\n{}{}",
        summary.scenario,
        summary.headline,
        run.plan.scenario.question,
        grid().markdown(),
        listed(&summary, "- "),
        run.host.as_ref().map(machine).unwrap_or_default()
    );
    let page = page(&run, &summary, grid(), &points, fitted.as_ref())?;
    for (name, text) in [("report.md", markdown), ("report.html", page)] {
        let path: PathBuf = directory.join(name);
        super::replace(&path, &text).map_err(|error| Failure::Environment(format!("{}: {error:#}", path.display())))?;
    }
    summary.table = table;
    Ok(summary)
}

fn read(directory: &Path) -> Result<Run> {
    let mut warnings = Vec::new();
    let Some(rows) = text(&directory.join("scale.jsonl"))? else {
        let said = format!("{} holds no scale.jsonl; name the directory that `lab scale` wrote", directory.display());
        return Err(Failure::Usage(said).into());
    };
    let points = lines("scale.jsonl", &rows, &mut warnings);
    let plan = document(directory, "plan.json", &mut warnings)?;
    let plan = plan.ok_or_else(|| {
        let warnings = warnings.join("; ");
        Failure::Usage(format!(
            "{}: without a readable plan.json nobody can tell what was run: {warnings}",
            directory.display()
        ))
    })?;
    let host = document(directory, "host.json", &mut warnings)?;
    Ok(Run { plan, host, points, warnings })
}

fn law(fit: &Fit) -> Law {
    let parameter = |value: f64, interval: Interval| Parameter { value, interval: [interval.low, interval.high] };
    Law {
        lambda: parameter(fit.law.lambda, fit.lambda),
        sigma: parameter(fit.law.sigma, fit.sigma),
        kappa: parameter(fit.law.kappa, fit.kappa),
        peak: fit.law.peak(),
        residual: fit.residual(),
    }
}

fn forecast(fit: &Fit, instances: u32) -> Forecast {
    let told = fit.forecast(f64::from(instances));
    let throughput = Parameter { value: told.throughput, interval: [told.interval.low, told.interval.high] };
    Forecast { instances, throughput, beyond_twice: told.beyond_twice }
}

fn foretold(forecast: &Forecast) -> String {
    let warning = if forecast.beyond_twice { " WARNING: more than twice what was measured, a guess." } else { "" };
    format!(
        "The law foretells {} requests/s of {} instances ({} to {}).{warning}",
        grouped(forecast.throughput.value),
        forecast.instances,
        grouped(forecast.throughput.interval[0]),
        grouped(forecast.throughput.interval[1])
    )
}

fn headline(stated: Scaling, seen: Option<&Seen>) -> String {
    let Some(seen) = seen else {
        return format!(
            "Too little counts to say how it scales: {LEAST_SIZES} different numbers of instances are needed."
        );
    };
    let most = seen.medians.last().map_or(0, |(instances, _)| *instances);
    let says = match (seen.kind, seen.cap, seen.most_instances) {
        (Scaling::Linear, _, _) => {
            format!("it scales linearly up to {most} instances ({:.0} % of perfect)", seen.efficiency * 100.0)
        }
        (Scaling::External, Some(cap), Some(worth)) => {
            format!("it meets a limit of {} requests/s: at most {worth} instances are worth having", grouped(cap))
        }
        (_, _, Some(worth)) => format!("its instances share a resource: throughput peaks at about {worth} of them"),
        _ => format!(
            "its instances share a resource: {most} of them do {:.0} % of {most} times one",
            seen.efficiency * 100.0
        ),
    };
    if seen.kind == stated {
        format!("As stated ({}): {says}.", stated.name())
    } else {
        format!("Stated as {}, but {says}: that is {}.", stated.name(), seen.kind.name())
    }
}

fn notes(run: &Run) -> Vec<String> {
    let void = run.points.iter().filter_map(|point| Some((point, point.void.as_ref()?)));
    let mut notes: Vec<String> = void
        .map(|(point, reason)| format!("void: {} instances in round {}: {reason}", point.instances, point.round))
        .collect();
    let planned = run.plan.order.len();
    if run.points.len() < planned {
        notes.push(format!("{} of {planned} points were measured", run.points.len()));
    }
    notes.extend(run.warnings.iter().map(|warning| format!("warning: {warning}")));
    notes
}

/// The law and the notes, a line each.
fn listed(summary: &Summary, bullet: &str) -> String {
    let mut text = String::new();
    if let Some(law) = &summary.law {
        let show = |name: &str, parameter: &Parameter| {
            format!(
                "{name} {} ({} to {})",
                small(parameter.value),
                small(parameter.interval[0]),
                small(parameter.interval[1])
            )
        };
        let peak = law.peak.map_or_else(|| "no peak".to_owned(), |peak| format!("peak at {} instances", number(peak)));
        let _ = writeln!(
            text,
            "{bullet}Universal Scalability Law: {}, {}, {}; {peak}; residuals {} %.",
            show("λ", &law.lambda),
            show("σ", &law.sigma),
            show("κ", &law.kappa),
            number(law.residual * 100.0)
        );
    }
    for note in &summary.notes {
        let _ = writeln!(text, "{bullet}{note}");
    }
    text
}

/// Parameters may be far below what [`number`] shows.
fn small(value: f64) -> String {
    if value == 0.0 || value.abs() >= 0.01 { number(value) } else { format!("{value:.1e}") }
}

fn grid(run: &Run, summary: &Summary) -> Grid {
    let headings = vec![
        "instances",
        "requests/s",
        "range",
        "of linear",
        "per instance",
        "p50 ms",
        "p99 ms",
        "server CPU",
        "load CPU",
        "rounds",
    ];
    let medians = summary.seen.as_ref().map(|seen| &seen.medians[..]).unwrap_or_default();
    let one = medians.first().map(|(instances, throughput)| throughput / f64::from(*instances));
    let mut sizes: Vec<u32> = run.points.iter().map(|point| point.instances).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let rows = sizes.into_iter().map(|size| {
        let all: Vec<&Point> = run.points.iter().filter(|point| point.instances == size).collect();
        let counted: Vec<&Point> = all.iter().copied().filter(|point| point.void.is_none()).collect();
        let middle = |of: &dyn Fn(&Point) -> f64| median(&counted.iter().map(|point| of(point)).collect::<Vec<_>>());
        let show = |value: Option<f64>| value.map_or_else(|| super::words::NOTHING.to_owned(), number);
        let share = |value: Option<f64>| {
            value.map_or_else(|| super::words::NOTHING.to_owned(), |share| format!("{:.0} %", share * 100.0))
        };
        let throughput = middle(&|point| point.throughput);
        let (low, high) = counted.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), point| {
            (low.min(point.throughput), high.max(point.throughput))
        });
        vec![
            size.to_string(),
            throughput.map_or_else(|| super::words::NOTHING.to_owned(), grouped),
            if counted.is_empty() {
                super::words::NOTHING.to_owned()
            } else {
                format!("{}–{}", grouped(low), grouped(high))
            },
            share(throughput.zip(one).map(|(throughput, one)| throughput / one / f64::from(size))),
            show(throughput.map(|throughput| throughput / f64::from(size))),
            show(middle(&|point| point.service_time.p50_us / 1e3)),
            show(middle(&|point| point.service_time.p99_us / 1e3)),
            share(middle(&|point| point.server_share)),
            share(middle(&|point| point.load_share)),
            format!("{}/{}", counted.len(), all.len()),
        ]
    });
    let rows = rows.collect();
    Grid { headings, rows, text_columns: 0 }
}

fn page(run: &Run, summary: &Summary, grid: Grid, points: &[(f64, f64)], fitted: Option<&Fit>) -> Result<String> {
    let place = slot(&summary.engine, None);
    let mut panels = Vec::new();
    if !points.is_empty() {
        panels.push(plots::throughput(points, fitted, place));
        panels.extend(fitted.map(|fit| plots::residuals(points, fit, place)));
    }
    let mut notes: Vec<String> = listed(summary, "").lines().map(str::to_owned).collect();
    notes.push(format!("The scenario states: {}.", summary.stated.name()));
    Page {
        palette: css(),
        scenario: &summary.scenario,
        headline: summary.headline.clone(),
        question: run.plan.scenario.question.trim(),
        sound: summary.as_stated.is_some(),
        legend: vec![Legend { swatch: swatch(place), name: summary.engine.clone(), interface: "one point a round".to_owned() }],
        sections: vec![Section {
            id: "scaling".into(),
            title: "Throughput and the Universal Scalability Law".into(),
            text: "Points are measurements, the line is the law and the band its 95 % interval; the thin line is what linear scaling would be.".into(),
            panels,
        }],
        tables: vec![("By number of instances".to_owned(), grid)],
        notes,
        timeline: Vec::new(),
        facts: run.host.as_ref().map(facts).unwrap_or_default(),
        groups: run.host.as_ref().map_or(&[], |host| &host.groups),
        method: &METHOD,
    }
    .render()
    .context("filling in the template")
}
