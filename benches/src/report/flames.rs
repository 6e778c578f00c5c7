//! The flame graphs of a result directory: a picture each, one for each pair that differs in one thing, and a page of them all.
//!
//! The first graph is what the others are compared with; [`super::flame`] draws.

use std::path::{Component, Path};

use anyhow::{Context, Result};
use askama::Template;
use serde::Serialize;

use super::flame::{self, Change, Graph, Layer, Stacks};
use super::grid::Grid;
use super::palette::css;
use super::read::{Run, text};
use super::table::wrapped;
use super::words::number;
use crate::result::{Pass, Status, Trial};

/// Functions named for a graph, and changes for a difference.
const NAMED: usize = 12;

/// Functions named for a graph on the terminal.
const ON_TERMINAL: usize = 3;

/// What graphs are measured in.
const UNIT: &str = "µs per request";

/// One flame graph.
#[derive(Clone, Debug, Serialize)]
pub struct Graphed {
    /// Index of its trial.
    pub trial: u32,
    /// The engine.
    pub engine: String,
    /// The framing.
    pub protocol: String,
    /// The format.
    pub format: String,
    /// `pprof` or `perf`.
    pub sampler: String,
    /// Samples taken.
    pub samples: u64,
    /// Share of them in the kernel, 0 to 1.
    pub kernel_share: f64,
    /// Server CPU-microseconds per request while it was sampled.
    pub cpu_us_per_request: f64,
    /// The picture, below the result directory.
    pub svg: String,
    /// The folded stacks, below the result directory.
    pub folded: String,
    /// Functions with the most CPU of their own, that of functions they call left out.
    pub hottest: Vec<Hot>,
    /// How it differs from the first graph, if that is in one thing alone.
    pub against: Option<Against>,
}

/// A function and its share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hot {
    /// The function.
    pub function: String,
    /// Whether it runs in the kernel.
    pub kernel: bool,
    /// Share of the samples in itself, 0 to 1.
    pub share: f64,
}

/// A difference between two graphs.
#[derive(Clone, Debug, Serialize)]
pub struct Against {
    /// Index of the other trial.
    pub trial: u32,
    /// What it was of.
    pub name: String,
    /// The picture, below the result directory.
    pub svg: String,
    /// What changed most, in CPU-microseconds per request.
    pub changes: Vec<Change>,
}

/// All graphs with their stacks.
#[derive(Debug, Default)]
pub(super) struct Flames {
    pub(super) graphs: Vec<Graphed>,
    stacks: Vec<Stacks>,
}

impl Graphed {
    /// `mio frame json`.
    pub fn name(&self) -> String {
        format!("{} {} {}", self.engine, self.protocol, self.format)
    }

    fn graph<'a>(&self, title: &'a str, stacks: &'a Stacks) -> Graph<'a> {
        Graph::of_cost(title, stacks, self.cpu_us_per_request, UNIT)
    }

    fn differs_in(&self, other: &Self) -> usize {
        [(&self.engine, &other.engine), (&self.protocol, &other.protocol), (&self.format, &other.format)]
            .into_iter()
            .filter(|(a, b)| a != b)
            .count()
    }
}

/// Reads the stacks that the rows name; what is wrong with one costs that one and is a warning.
pub(super) fn read(directory: &Path, run: &mut Run) -> Result<Flames> {
    let mut flames = Flames::default();
    for trial in run.trials.iter().filter(|trial| trial.pass == Pass::Flame && trial.status == Status::Ok) {
        match graphed(directory, trial) {
            Ok(Some((graph, stacks))) => {
                flames.graphs.push(graph);
                flames.stacks.push(stacks);
            }
            Ok(None) => {}
            Err(error) => run.warnings.push(format!("stacks of trial {}: {error:#}", trial.index)),
        }
    }
    if !flames.graphs.is_empty() {
        std::fs::create_dir_all(directory.join("flames")).context("making the directory of the flame graphs")?;
    }
    flames.compare();
    Ok(flames)
}

fn graphed(directory: &Path, trial: &Trial) -> Result<Option<(Graphed, Stacks)>> {
    let Some(flame) = &trial.flame else { return Ok(None) };
    let inside = Path::new(&flame.folded).components().all(|part| matches!(part, Component::Normal(_)));
    anyhow::ensure!(inside, "{:?} leads out of the result directory", flame.folded);
    let Some(folded) = text(&directory.join(&flame.folded))? else { anyhow::bail!("{} is missing", flame.folded) };
    let stacks = Stacks::parse(&folded)?;
    let samples = stacks.samples().max(1) as f64;
    let mut hottest: Vec<Hot> = stacks
        .functions()
        .into_iter()
        .filter(|(_, cost)| cost.own > 0)
        .map(|((layer, name), cost)| Hot {
            function: name.to_owned(),
            kernel: layer == Layer::Kernel,
            share: cost.own as f64 / samples,
        })
        .collect();
    hottest.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.function.cmp(&b.function)));
    hottest.truncate(NAMED);
    let graph = Graphed {
        trial: trial.index,
        engine: trial.engine.clone(),
        protocol: trial.protocol.clone(),
        format: trial.format.clone(),
        sampler: flame.sampler.clone(),
        samples: stacks.samples(),
        kernel_share: stacks.kernel_share(),
        cpu_us_per_request: trial.server.cpu_us_per_request,
        svg: format!("flames/{:04}.svg", trial.index),
        folded: flame.folded.clone(),
        hottest,
        against: None,
    };
    Ok(Some((graph, stacks)))
}

impl Flames {
    fn compare(&mut self) {
        let Some((first, others)) = self.graphs.split_first_mut() else { return };
        let name = first.name();
        let before = first.graph(&name, &self.stacks[0]);
        for (graph, stacks) in others.iter_mut().zip(&self.stacks[1..]) {
            if graph.differs_in(first) != 1 {
                continue;
            }
            let title = graph.name();
            let mut changes = flame::changes(&before, &graph.graph(&title, stacks));
            changes.truncate(NAMED);
            graph.against = Some(Against {
                trial: first.trial,
                name: name.clone(),
                svg: format!("flames/{:04}-against-{:04}.svg", graph.trial, first.trial),
                changes,
            });
        }
    }

    /// The sentence that goes first when there is nothing but flame graphs.
    pub(super) fn headline(&self) -> String {
        let Some(first) = self.graphs.first() else { return "No flame graph was taken.".to_owned() };
        let spends = format!(
            "{} spends {:.0}% of its CPU in the kernel, {} µs per request in all.",
            first.name(),
            first.kernel_share * 100.0,
            number(first.cpu_us_per_request)
        );
        let other = self.graphs.iter().find_map(|graph| Some((graph, graph.against.as_ref()?)));
        let Some((graph, against)) = other else { return spends };
        let largest = against.changes.iter().find(|change| change.supported).map_or_else(
            || "no function's own cost differs by more than counting samples explains".to_owned(),
            |change| format!("most of the difference: {}, {}", change.function, change_words(change)),
        );
        format!(
            "{} takes {} µs per request, {} takes {}; {largest}.",
            graph.name(),
            number(graph.cpu_us_per_request),
            against.name,
            number(first.cpu_us_per_request)
        )
    }

    /// Every picture, and the page that holds them all; nothing without a graph.
    pub(super) fn files(&self) -> Result<Vec<(String, String)>> {
        let mut files = Vec::new();
        let mut pictures = Vec::new();
        for (index, (graph, stacks)) in self.graphs.iter().zip(&self.stacks).enumerate() {
            let title = graph.name();
            let drawn = graph.graph(&title, stacks);
            let svg = flame::picture(&format!("flame-{index}"), &drawn);
            files.push((graph.svg.clone(), svg.clone()));
            let facts = format!(
                "{} samples by {}, {:.0}% of them in the kernel",
                graph.samples,
                graph.sampler,
                graph.kernel_share * 100.0
            );
            pictures.push(Picture { title: title.clone(), facts, svg, changes: Vec::new() });
            let Some(against) = &graph.against else { continue };
            let before = self.graphs[0].graph(&against.name, &self.stacks[0]);
            let svg = flame::difference(&format!("difference-{index}"), &before, &drawn);
            files.push((against.svg.clone(), svg.clone()));
            pictures.push(Picture {
                title: format!("{} against {}", graph.name(), against.name),
                facts: "Both at one scale, colours by how each function's cost differs.".to_owned(),
                svg,
                changes: against.changes.iter().map(change_fields).collect(),
            });
        }
        if !pictures.is_empty() {
            let page = Page { palette: css(), headline: self.headline(), pictures }.render();
            files.push(("flames.html".to_owned(), page.context("filling in the template")?));
        }
        Ok(files)
    }

    /// One row a graph.
    pub(super) fn grid(&self, functions: usize) -> Grid<String> {
        let row = |graph: &Graphed| {
            let hottest: Vec<String> = graph
                .hottest
                .iter()
                .take(functions)
                .map(|hot| format!("{} {:.0}%", short(&hot.function), hot.share * 100.0))
                .collect();
            vec![
                graph.name(),
                hottest.join(", "),
                number(graph.cpu_us_per_request),
                format!("{:.0}%", graph.kernel_share * 100.0),
                graph.samples.to_string(),
            ]
        };
        let headings = ["flame graph", "hottest functions, own CPU", "CPU µs/req", "kernel", "samples"];
        Grid {
            headings: headings.map(str::to_owned).to_vec(),
            rows: self.graphs.iter().map(row).collect(),
            text_columns: 2,
        }
    }

    /// What changed, function by function, for every graph that is compared.
    pub(super) fn changes(&self) -> Vec<(String, Grid<String>)> {
        let compared = self.graphs.iter().filter_map(|graph| Some((graph, graph.against.as_ref()?)));
        compared
            .map(|(graph, against)| {
                let title =
                    format!("{} against {}, CPU µs per request of the function itself", graph.name(), against.name);
                let headings = ["function", "where", "before", "after", "difference"].map(str::to_owned).to_vec();
                let rows = against.changes.iter().map(change_fields).collect();
                (title, Grid { headings, rows, text_columns: 2 })
            })
            .collect()
    }

    /// Everything for the terminal.
    pub(super) fn terminal(&self) -> String {
        let mut out = format!("{}\n{}\n", wrapped(&self.headline()), self.grid(ON_TERMINAL).terminal());
        for (title, changes) in self.changes() {
            out.push_str(&format!("\n{}{}\n", wrapped(&title), changes.terminal()));
            out.push_str("* beyond what counting samples explains (two standard deviations)\n");
        }
        out
    }
}

fn change_words(change: &Change) -> String {
    format!("{} µs before, {} after", number(change.before), number(change.after))
}

fn change_fields(change: &Change) -> Vec<String> {
    let difference = change.after - change.before;
    let mark = if change.supported { "* " } else { "" };
    vec![
        short(&change.function),
        if change.kernel { "kernel" } else { "program" }.to_owned(),
        number(change.before),
        number(change.after),
        format!("{mark}{}{}", if difference > 0.0 { "+" } else { "" }, number(difference)),
    ]
}

/// A name that leaves room for others: the end of its path.
fn short(name: &str) -> String {
    const LETTERS: usize = 48;
    let count = name.chars().count();
    if count <= LETTERS {
        return name.to_owned();
    }
    format!("…{}", name.chars().skip(count - LETTERS + 1).collect::<String>())
}

#[derive(Template)]
#[template(path = "flames.html")]
struct Page {
    palette: String,
    headline: String,
    pictures: Vec<Picture>,
}

struct Picture {
    title: String,
    facts: String,
    svg: String,
    changes: Vec<Vec<String>>,
}
