//! `report.html`: one file, no script, nothing loaded from anywhere; the template is `templates/report.html`.

use anyhow::{Context, Result};
use askama::Template;

use super::formats::{self, Formats};
use super::palette::{css, slot};
use super::plots::{self, Panel};
use super::svg::swatch;
use super::words::{call, number};
use super::{Report, table};
use crate::result::{FactGroup, Status};
use crate::verdict::{Call, percent, width};

/// How it was measured and what is wrong with that, for the page and the Markdown.
pub(super) const METHOD: [&str; 6] = [
    "Both ends run on one box over loopback: no network card, no wire, no interrupts of one. A sender does its peer's receive work in softirq, so part of the server's cost is charged to the generator and the other way round; only the whole box's CPU has all of it.",
    "In open loop a request has an intended send time and its response time counts from there, so a stalled server cannot hide requests that it held back. Percentiles are of all rounds' histograms added together. In closed loop they are of the requests that the server let through, and only peaks mean anything.",
    "Every engine runs once a round with a fresh process, in a shuffled order. The estimate is the median over rounds of engine ÷ baseline within the round; its 95% interval is a bootstrap over rounds.",
    "A difference is claimed when three things agree: an exact rank test (signed-rank over all formats, Mann-Whitney per format, Holm's correction) at 2.5% per question, an interval without 1, and a ratio outside the noise band that the A/A pair, one engine under two names, shows in this run.",
    "System calls are counted in a pass of their own, since tracing slows down the engine that makes more of them.",
    "Trials whose generator was the bottleneck or late, or whose box was busy with other things, are void: shown, never counted.",
];

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    palette: String,
    scenario: &'a str,
    headline: &'a str,
    question: &'a str,
    caption: String,
    ended: String,
    sound: bool,
    legend: Vec<Legend>,
    findings: Vec<Finding>,
    ratios: Vec<Panel>,
    cpu: Vec<Panel>,
    latency: Vec<Panel>,
    timeline: Vec<Panel>,
    formats: Option<Formats>,
    codec: Vec<Panel>,
    sizes: Vec<Panel>,
    explanation: &'a str,
    flames: Vec<FlameLine<'a>>,
    headings: Vec<String>,
    rows: Vec<Line<'a>>,
    bands: Vec<BandLine<'a>>,
    discarded: Vec<Discarded<'a>>,
    notes: Vec<&'a String>,
    facts: Vec<(String, String)>,
    groups: &'a [FactGroup],
    method: &'a [&'a str],
}

struct FlameLine<'a> {
    swatch: String,
    name: String,
    svg: &'a str,
    /// The other graph's name and the picture of the difference.
    against: Option<(&'a str, &'a str)>,
    cpu: String,
    kernel: String,
    samples: u64,
    hottest: String,
}

struct Legend {
    swatch: String,
    name: String,
    what: String,
}

/// One figure of one engine over all formats.
struct Finding {
    figure: &'static str,
    /// Rows that the figure's heading spans; 0 for all but its first.
    span: usize,
    swatch: String,
    engine: String,
    ratio: String,
    interval: String,
    class: &'static str,
    says: String,
}

struct Line<'a> {
    cell: &'a str,
    /// Rows that the cell's heading spans; 0 for all but its first.
    span: usize,
    swatch: String,
    fields: Vec<String>,
    class: &'static str,
}

struct BandLine<'a> {
    figure: &'static str,
    cell: &'a str,
    ratio: String,
    interval: String,
    band: String,
    claims: bool,
}

struct Discarded<'a> {
    index: u32,
    round: u32,
    engine: &'a str,
    format: &'a str,
    status: &'static str,
    reason: &'a str,
}

/// The whole page.
pub(super) fn render(report: &Report) -> Result<String> {
    let plan = report.run.plan.as_ref();
    Page {
        palette: css(),
        scenario: plan.map_or("unknown scenario", |plan| &plan.scenario),
        headline: &report.verdict.headline,
        question: plan.map_or("", |plan| plan.question.trim()),
        caption: table::caption(report),
        ended: table::ended(&report.counts),
        sound: report.counts.counted > 0,
        legend: legend(report),
        findings: findings(report),
        ratios: plots::ratios(report),
        cpu: plots::cpu(report),
        latency: plots::latency(report),
        timeline: plots::timeline(&report.run.timeline),
        formats: formats::formats(report),
        codec: plots::codec(&report.shares),
        sizes: plots::sizes(report),
        explanation: formats::EXPLANATION,
        flames: flames(report),
        headings: table::headings(report),
        rows: rows(report),
        bands: bands(report),
        discarded: discarded(report),
        notes: report.verdict.notes.iter().chain(&report.run.warnings).collect(),
        facts: facts(report),
        groups: report.run.host.as_ref().map_or(&[], |host| &host.groups),
        method: &METHOD,
    }
    .render()
    .context("filling in the template")
}

fn legend(report: &Report) -> Vec<Legend> {
    let engines = report.matrix.engines.iter();
    engines
        .map(|engine| Legend {
            swatch: swatch(slot(&engine.name, engine.twin_of.as_deref())),
            name: engine.name.clone(),
            what: match &engine.twin_of {
                Some(original) => format!("{original} again"),
                None if report.verdict.baseline.as_ref() == Some(&engine.name) => {
                    format!("{}, baseline", engine.interface)
                }
                None => engine.interface.clone(),
            },
        })
        .collect()
}

fn flames<'a>(report: &'a Report) -> Vec<FlameLine<'a>> {
    let graphs = report.flames.graphs.iter();
    graphs
        .map(|graph| FlameLine {
            swatch: swatch(slot(&graph.engine, None)),
            name: graph.name(),
            svg: &graph.svg,
            against: graph.against.as_ref().map(|against| (&*against.name, &*against.svg)),
            cpu: number(graph.cpu_us_per_request),
            kernel: format!("{:.0} %", graph.kernel_share * 100.0),
            samples: graph.samples,
            hottest: graph.hottest.first().map_or_else(String::new, |hot| hot.function.clone()),
        })
        .collect()
}

fn findings(report: &Report) -> Vec<Finding> {
    let figures = report.verdict.figures.iter();
    figures
        .flat_map(|figure| {
            figure.overall.iter().enumerate().map(move |(place, comparison)| (figure, place, comparison))
        })
        .map(|(figure, place, comparison)| Finding {
            figure: figure.figure.name(),
            span: if place == 0 { figure.overall.len() } else { 0 },
            swatch: swatch(slot(&comparison.engine, None)),
            engine: comparison.engine.clone(),
            ratio: comparison.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}x")),
            interval: comparison.interval.map_or_else(String::new, |[low, high]| format!("{low:.2} – {high:.2}")),
            class: class(Some(comparison.call)),
            says: match (comparison.call, &comparison.note) {
                (found @ (Call::Less | Call::More), None) => format!("{}, supported", call(found)),
                (found @ (Call::Less | Call::More), Some(note)) => format!("{}, supported: {note}", call(found)),
                (found, Some(note)) => format!("{}: {note}{}", call(found), seen(comparison)),
                (found, None) => call(found).to_owned(),
            },
        })
        .collect()
}

/// What a comparison without evidence could have seen.
fn seen(comparison: &crate::verdict::Comparison) -> String {
    let least = comparison.detectable.filter(|_| comparison.call == Call::NoEvidence);
    least.map_or_else(String::new, |least| format!("; {} could have been seen", percent(least)))
}

fn class(found: Option<Call>) -> &'static str {
    match found {
        Some(Call::Less) => "less",
        Some(Call::More) => "more",
        _ => "",
    }
}

fn rows<'a>(report: &'a Report) -> Vec<Line<'a>> {
    let baseline = report.verdict.baseline.as_deref();
    let line = |(place, row): (usize, &'a super::Row)| {
        let first = place == 0 || report.rows[place - 1].cell != row.cell;
        let span = if first { report.rows.iter().filter(|other| other.cell == row.cell).count() } else { 0 };
        let mut fields = table::fields(row, baseline);
        fields[2] = fields[2].replace(['▼', '▲'], "").trim().to_owned();
        Line {
            cell: &row.cell,
            span,
            swatch: swatch(slot(&row.engine, row.twin_of.as_deref())),
            fields,
            class: class(row.call),
        }
    };
    report.rows.iter().enumerate().map(line).collect()
}

fn bands<'a>(report: &'a Report) -> Vec<BandLine<'a>> {
    let figures =
        report.verdict.figures.iter().flat_map(|figure| figure.bands.iter().map(move |band| (figure.figure, band)));
    figures
        .map(|(figure, band)| BandLine {
            figure: figure.name(),
            cell: band.cell.as_deref().unwrap_or("all"),
            ratio: format!("{:.3}x", band.ratio),
            interval: format!("{:.3} – {:.3}", band.interval[0], band.interval[1]),
            band: width(band.factor),
            claims: band.claims,
        })
        .collect()
}

fn discarded<'a>(report: &'a Report) -> Vec<Discarded<'a>> {
    let status = |status| match status {
        Status::Ok => None,
        Status::Void => Some("void"),
        Status::Failed => Some("failed"),
        Status::Unavailable => Some("unavailable"),
    };
    let trials = report.run.trials.iter();
    trials
        .filter_map(|trial| {
            let reason = trial.reason.as_deref().unwrap_or("no reason given");
            let status = status(trial.status)?;
            Some(Discarded {
                index: trial.index,
                round: trial.round,
                engine: &trial.engine,
                format: &trial.format,
                status,
                reason,
            })
        })
        .collect()
}

/// How the run was started.
fn facts(report: &Report) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
    if let Some(host) = &report.run.host {
        fact("command", host.command.join(" "));
        fact("started", host.started.clone());
        fact("commit", host.commit.clone().unwrap_or_else(|| "outside a checkout".to_owned()));
        fact("profile", host.profile.clone());
    }
    if let Some(plan) = &report.run.plan {
        let cpus = |cpus: &[usize]| cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        fact("seed", plan.seed.to_string());
        fact("rounds", plan.rounds.to_string());
        fact("server on CPU", cpus(&plan.server_cpus));
        fact("generator on CPU", cpus(&plan.generator_cpus));
    }
    let lags = report.run.trials.iter().filter(|t| t.status == Status::Ok).map(|t| t.generator.schedule_lag.p99_us);
    if let Some(lag) = lags.reduce(f64::max) {
        fact("worst p99 schedule lag", format!("{} µs", number(lag)));
    }
    facts
}
