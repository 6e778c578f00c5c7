//! Sentences of a comparison.

use super::fitness;
use super::source::Source;
use super::{Compared, FigureCompared, Line, Request};
use crate::result::{Pass, Status};
use crate::verdict::{Call, drift, percent};

/// The sentence that goes first: of the primary figure, else of the first that shows something.
pub(super) fn headline(compared: &Compared) -> String {
    let claims = |figure: &&FigureCompared| lines(figure).any(is_claim);
    let Some(primary) = compared.figures.first() else { return "Nothing compares.".to_owned() };
    if let Some(strongest) = strongest(primary) {
        return sentence(compared, primary, strongest);
    }
    let quiet = quiet(compared, primary);
    match compared.figures.iter().find(claims).and_then(|figure| Some((figure, strongest(figure)?))) {
        Some((figure, line)) => format!("{quiet} But {}", sentence(compared, figure, line)),
        None => quiet,
    }
}

fn lines(figure: &FigureCompared) -> impl Iterator<Item = &Line> {
    figure.overall.iter().chain(&figure.cells)
}

fn is_claim(line: &Line) -> bool {
    matches!(line.comparison.call, Call::Less | Call::More)
}

/// The largest claim over all cells, else in one.
fn strongest(figure: &FigureCompared) -> Option<&Line> {
    let size = |line: &&Line| line.comparison.ratio.map_or(0.0, |ratio| ratio.ln().abs());
    let largest = |lines: &'_ [Line]| -> Option<usize> {
        let claims = lines.iter().enumerate().filter(|(_, line)| is_claim(line));
        claims.max_by(|a, b| size(&a.1).total_cmp(&size(&b.1))).map(|(place, _)| place)
    };
    largest(&figure.overall)
        .map(|place| &figure.overall[place])
        .or_else(|| largest(&figure.cells).map(|place| &figure.cells[place]))
}

/// `tokio needs 12% more server CPU per request in AFTER than in BEFORE (95% interval: 9.1% to 15% more).`
pub(super) fn sentence(compared: &Compared, figure: &FigureCompared, line: &Line) -> String {
    let comparison = &line.comparison;
    let (Some(ratio), Some([low, high])) = (comparison.ratio, comparison.interval) else {
        return format!("{}: no figure for {}.", comparison.engine, figure.name);
    };
    let (more, near, far) = if ratio > 1.0 { ("more", low, high) } else { ("less", high, low) };
    let with = comparison.cell.as_ref().map_or_else(String::new, |cell| format!(" with {cell}"));
    let than = match &compared.before.engine {
        Some(baseline) => format!("than {baseline}"),
        None => "than before".to_owned(),
    };
    format!(
        "{}{with} needs {} {more} {} {than} (95% interval: {} to {} {more}).",
        comparison.engine,
        percent(ratio),
        figure.name,
        percent(near),
        percent(far)
    )
}

/// The primary figure shows nothing: because there is nothing, or because there were too few rounds.
fn quiet(compared: &Compared, figure: &FigureCompared) -> String {
    let subject = figure.name;
    let asked: Vec<&Line> = figure.overall.iter().filter(|line| line.comparison.call == Call::NoEvidence).collect();
    if asked.is_empty() {
        let counted = figure.overall.iter().all(|line| line.comparison.call == Call::Counted);
        return if counted {
            format!("Only counts are there to compare for {subject}: see the table.")
        } else {
            format!("Too few rounds count for any claim on {subject}.")
        };
    }
    let detectable = asked.iter().filter_map(|line| line.comparison.detectable).reduce(f64::max);
    let seen = detectable
        .map_or_else(String::new, |least| format!(" A difference of {} could have been seen.", percent(least)));
    let between = match (&compared.before.engine, &compared.after.engine) {
        (Some(before), Some(after)) => format!("between {before} and {after}"),
        _ if asked.len() == 1 => format!("of {} between the two runs", asked[0].comparison.engine),
        _ => format!("of {} engines between the two runs", asked.len()),
    };
    format!("No evidence of a difference in {subject} {between}.{seen}")
}

/// What must be known beside the figures.
pub(super) fn notes(request: &Request, compared: &Compared, before: &Source, after: Option<&Source>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(after) = after {
        notes.push(
            "The runs share no rounds: what the box did between them is in every ratio. An engine that did not change, \
             named with --relative-to, takes it out."
                .to_owned(),
        );
        notes.extend(together(compared).filter(|_| request.relative_to.is_none()));
        for (name, known, others) in [("first", before, after), ("second", after, before)] {
            let others = others.engines();
            let only: Vec<String> = known.engines().into_iter().filter(|engine| !others.contains(engine)).collect();
            if !only.is_empty() {
                notes.push(format!("Only the {name} result has {}.", only.join(", ")));
            }
        }
        let crates = fitness::crates(before, after);
        if !crates.is_empty() {
            notes.push(format!("Crates under test changed: {}.", crates.join(", ")));
        }
    }
    if let Some(engine) = &request.relative_to {
        notes.push(format!("Every figure is divided by that of {engine} in the same round and load."));
    }
    for (name, source) in [("baseline", Some(before)), ("other result", after)] {
        let Some(source) = source else { continue };
        notes.extend(trouble(source).map(|said| format!("{name}: {said}")));
        notes.extend(source.warnings().iter().map(|warning| format!("{name}: warning: {warning}")));
    }
    notes
}

/// When every engine moved the same way, the box is the likeliest reason.
fn together(compared: &Compared) -> Option<String> {
    let primary = compared.figures.first()?;
    let ratios: Vec<f64> = primary.overall.iter().filter_map(|line| line.comparison.ratio).collect();
    let (low, high) =
        ratios.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), ratio| (low.min(*ratio), high.max(*ratio)));
    let same = primary.overall.iter().all(is_claim) && (low > 1.0 || high < 1.0);
    (ratios.len() > 1 && same).then(|| {
        format!(
            "Every engine moved the same way ({low:.2}x to {high:.2}x): look at the box, the compiler and the shared code before the engines."
        )
    })
}

/// What does not count on one side, and what did not stand still.
fn trouble(source: &Source) -> Option<String> {
    let Source::Trials(run) = source else { return None };
    let timing = || run.trials.iter().filter(|trial| trial.pass == Pass::Timing);
    let lost = timing().filter(|trial| trial.status != Status::Ok).count();
    let drifted = timing().filter(|trial| drift(trial).is_some()).count();
    let all = timing().count();
    (lost + drifted > 0).then(|| {
        format!("of {all} timing trials {lost} do not count and {drifted} were not steady within their window")
    })
}
