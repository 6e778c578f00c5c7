//! Two results side by side, or two engines of one: what changed, how sure that is, and what could have been seen. From files
//! alone.
//!
//! Two directories share no rounds, so their values are compared as two samples (Mann-Whitney, bootstrap of both sides), and what
//! the box did between the runs is in every ratio. Two engines of one directory ran in the same rounds and are compared
//! within them. The rule for a claim is [`crate::verdict`]'s in either case, the noise band the wider one of both runs.
//!
//! Data flow: directories → `source` → `fitness` (may they be compared at all?) → [`crate::verdict`]'s rule → [`Compared`] → [`table`],
//! JSON, or [`gate`] and [`junit`].

mod climbs;
mod fitness;
pub mod gate;
pub mod junit;
mod metric;
mod source;
pub mod table;
mod words;

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use crate::failure::{Failure, unknown};
use crate::result::SCHEMA;
use crate::stats::{RESAMPLES, median};
use crate::verdict::{Comparison, Rival, Sides, SidesCell, judge_rivals};
pub use metric::{METRICS, Metric};
use source::{Key, Series, Source};

/// What is to be compared.
#[derive(Clone, Debug)]
pub struct Request {
    /// The result that others are compared with.
    pub before: PathBuf,
    /// The result that is compared with it; the same one for two engines of one result.
    pub after: PathBuf,
    /// Between two results the engines to look at, all when empty; within one the baseline and the other.
    pub engines: Vec<String>,
    /// Whether two engines of one result are compared.
    pub within: bool,
    /// Figures by their keys; all when empty.
    pub figures: Vec<String>,
    /// Divide every figure by that of this engine in the same round first: what the box did to both falls out.
    pub relative_to: Option<String>,
    /// Compare what is not fit for it, with a mark.
    pub force: bool,
}

impl Request {
    fn metrics(&self) -> impl Iterator<Item = &'static Metric> {
        let asked = move |metric: &&Metric| self.figures.is_empty() || self.figures.iter().any(|key| key == metric.key);
        METRICS.iter().filter(asked)
    }
}

/// One side, as far as readers must know it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// The result directory.
    pub directory: PathBuf,
    /// The engine, where two engines of one result are compared.
    pub engine: Option<String>,
    /// The scenario's name.
    pub scenario: Option<String>,
    /// The commit that was measured.
    pub commit: Option<String>,
    /// When, RFC 3339.
    pub started: Option<String>,
}

/// A comparison with the middle of both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Median of the baseline; `None` over several cells.
    pub before: Option<f64>,
    /// Median of the other side; `None` over several cells.
    pub after: Option<f64>,
    /// The comparison: ratio is after ÷ before.
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// One figure, all comparisons.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FigureCompared {
    /// Its short name: `cpu`, `p99`, ….
    pub figure: &'static str,
    /// As a sentence names it.
    pub name: &'static str,
    /// Unit of the medians.
    pub unit: &'static str,
    /// One an engine, over all cells.
    pub overall: Vec<Line>,
    /// Per cell.
    pub cells: Vec<Line>,
}

/// Everything that a comparison comes to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The baseline.
    pub before: Side,
    /// What was compared with it.
    pub after: Side,
    /// Why the two are not fit to be compared; not empty only where `--force` was given.
    pub unfit: Vec<String>,
    /// The sentence that goes first.
    pub headline: String,
    /// In [`METRICS`]' order; those that neither side has are left out.
    pub figures: Vec<FigureCompared>,
    /// What must be known beside them.
    pub notes: Vec<String>,
}

/// Compares.
///
/// # Errors
/// A usage failure for directories that hold no results, for unknown engines, and, unless `force` is set, for results that are not
/// fit to be compared, with every reason.
pub fn compare(request: &Request) -> Result<Compared> {
    let before = Source::load(&request.before)?;
    let after = if request.within { None } else { Some(Source::load(&request.after)?) };
    let after_source = after.as_ref().unwrap_or(&before);
    if before.is_climbs() != after_source.is_climbs() {
        let kind = |source: &Source| if source.is_climbs() { "climbs" } else { "trials" };
        let (first, second) = (kind(&before), kind(after_source));
        return Err(
            Failure::Usage(format!("one result holds {first}, the other {second}: nothing in them compares")).into()
        );
    }
    let unfit = after.as_ref().map_or_else(Vec::new, |after| fitness::reasons(&before, after));
    if !unfit.is_empty() && !request.force {
        return Err(refused(request, &unfit).into());
    }
    let names = names(request, &before, after_source)?;
    let figures: Vec<FigureCompared> =
        request.metrics().filter_map(|metric| figure(request, metric, &before, after_source, &names)).collect();
    if figures.is_empty() {
        let asked = if request.figures.is_empty() {
            "no".to_owned()
        } else {
            format!("no {}, or no", request.figures.join(", "))
        };
        let (first, second) = (request.before.display(), request.after.display());
        return Err(Failure::Usage(format!("{first} and {second} have {asked} engine and load in common")).into());
    }
    let side = |source: &Source, directory: &PathBuf, engine: Option<&String>| Side {
        directory: directory.clone(),
        engine: engine.cloned(),
        scenario: source.scenario(),
        commit: source.host().and_then(|host| host.commit.clone()),
        started: source.host().map(|host| host.started.clone()),
    };
    let engines = request.within.then_some(&request.engines);
    let mut compared = Compared {
        schema: SCHEMA,
        before: side(&before, &request.before, engines.map(|engines| &engines[0])),
        after: side(after_source, &request.after, engines.map(|engines| &engines[1])),
        unfit,
        headline: String::new(),
        figures,
        notes: Vec::new(),
    };
    compared.headline = words::headline(&compared);
    compared.notes = words::notes(request, &compared, &before, after.as_ref());
    Ok(compared)
}

fn refused(request: &Request, reasons: &[String]) -> Failure {
    let list: String = reasons.iter().map(|reason| format!("\n  - {reason}")).collect();
    Failure::Usage(format!(
        "{} and {} are not fit to be compared:{list}\nmeasure both on one machine from clean commits, or say --force to compare them all \
         the same, marked as such",
        request.before.display(),
        request.after.display()
    ))
}

/// Pairs of engine names: the baseline's and the other side's.
fn names(request: &Request, before: &Source, after: &Source) -> Result<Vec<(String, String)>, Failure> {
    let (known, others) = (before.engines(), after.engines());
    let check = |name: &String, known: &[String]| match known.contains(name) {
        true => Ok(()),
        false => Err(unknown("engine of the result", name, known.iter().map(String::as_str))),
    };
    request.relative_to.iter().try_for_each(|name| check(name, &known).and_then(|()| check(name, &others)))?;
    if request.within {
        let [baseline, other] = &request.engines[..] else {
            return Err(Failure::Usage(format!(
                "--engines names {} engines: name two, the baseline first",
                request.engines.len()
            )));
        };
        check(baseline, &known)?;
        check(other, &known)?;
        return Ok(vec![(baseline.clone(), other.clone())]);
    }
    request.engines.iter().try_for_each(|name| check(name, &known).and_then(|()| check(name, &others)))?;
    let wanted = |name: &&String| {
        (request.engines.is_empty() || request.engines.contains(*name)) && request.relative_to.as_ref() != Some(*name)
    };
    Ok(known
        .iter()
        .filter(|name| others.contains(*name))
        .filter(wanted)
        .map(|name| (name.clone(), name.clone()))
        .collect())
}

/// One figure of all pairs; `None` where no pair has it in any cell.
fn figure(
    request: &Request,
    metric: &'static Metric,
    before: &Source,
    after: &Source,
    names: &[(String, String)],
) -> Option<FigureCompared> {
    let keys = source::keys(metric, before, after);
    let series = |source: &Source, engine: &str, key: &Key| {
        let own = source.series(metric, engine, key);
        match &request.relative_to {
            Some(other) => own.relative_to(&source.series(metric, other, key)),
            None => own,
        }
    };
    let mut rivals: Vec<Rival> = names
        .iter()
        .map(|(baseline, other)| {
            let cells = keys.iter().map(|key| cell(&series(before, baseline, key), series(after, other, key)));
            Rival { name: other.clone(), sides: Sides::new(cells.collect(), request.within) }
        })
        .collect();
    // An engine that has this figure on neither side is no question.
    let any = |rival: &Rival, is: fn(&SidesCell) -> bool| rival.sides.cells.iter().any(is);
    rivals.retain(|rival| {
        any(rival, |cell| !cell.values.is_empty() || !cell.baseline.is_empty() || cell.absence.is_some())
    });
    if rivals.iter().all(|rival| rival.sides.count(None) == 0 && !any(rival, |cell| cell.absence.is_some())) {
        return None;
    }
    let labels: Vec<&str> = keys.iter().map(|key| &*key.label).collect();
    let both = [before.bands(metric), if request.within { Vec::new() } else { after.bands(metric) }];
    let band = |cell: Option<usize>| {
        let of = |bands: &Vec<(Option<Key>, f64)>| {
            let own = cell
                .and_then(|cell| bands.iter().find(|(key, _)| key.as_ref().is_some_and(|key| key.same(&keys[cell]))));
            own.or_else(|| bands.iter().find(|(key, _)| key.is_none())).map(|(_, factor)| *factor)
        };
        both.iter().filter_map(of).reduce(f64::max)
    };
    let (overall, cells) = judge_rivals(&rivals, &labels, metric.sampled, &band, RESAMPLES);
    let only = if labels.len() == 1 { Some(0) } else { None };
    let line = |comparison: Comparison, place: Option<usize>| {
        let rival = rivals.iter().find(|rival| rival.name == comparison.engine);
        let cell = rival.zip(place.or(only)).map(|(rival, place)| &rival.sides.cells[place]);
        let middle = |of: fn(&SidesCell) -> &std::collections::BTreeMap<u32, f64>| {
            median(&of(cell?).values().copied().collect::<Vec<_>>())
        };
        Line { before: middle(|cell| &cell.baseline), after: middle(|cell| &cell.values), comparison }
    };
    let place = |comparison: &Comparison| labels.iter().position(|label| Some(*label) == comparison.cell.as_deref());
    Some(FigureCompared {
        figure: metric.key,
        name: metric.name,
        unit: metric.unit,
        overall: overall.into_iter().map(|comparison| line(comparison, None)).collect(),
        cells: cells
            .into_iter()
            .map(|comparison| {
                let place = place(&comparison);
                line(comparison, place)
            })
            .collect(),
    })
}

/// Rounds from which values are taken as a sample even though each carries an error of its own.
const SAMPLE: usize = 5;

fn cell(baseline: &Series, other: Series) -> SidesCell {
    let few = baseline.values.len().min(other.values.len()) < SAMPLE;
    let error = baseline.error.zip(other.error).filter(|_| few).map(|(a, b)| a.joined(b));
    // What only one side ran is not missing on the other for a reason.
    let both = baseline.rows > 0 && other.rows > 0;
    let absence = other.absence.or_else(|| baseline.absence.clone()).filter(|_| both);
    SidesCell { values: other.values, baseline: baseline.values.clone(), error, absence }
}
