//! What formats cost on live connections: the codec's share, and the calculator's lines, for terminal, Markdown and page.

use super::grid::Grid;
use super::table::wrapped;
use super::words::{NOTHING, grouped, number};
use super::{Report, table};
use crate::calculator::{Line, Planned, Span};
use crate::sizes::Size;
use crate::verdict::codec::{self, Share};

/// What one section of formats says.
pub(super) struct Formats {
    /// The codec's share of every engine and format.
    pub(super) shares: Grid<String>,
    /// The calculator's sentences, one an engine at most.
    pub(super) answers: Vec<String>,
    /// All its lines; `None` when nothing was asked.
    pub(super) calculator: Option<Grid<String>>,
}

/// Everything there is to say of formats; `None` where raw or another format is missing.
pub(super) fn formats(report: &Report) -> Option<Formats> {
    if report.shares.is_empty() {
        return None;
    }
    let planned = report.run.plan.as_ref().and_then(|plan| plan.calculator.as_ref());
    Some(Formats {
        shares: shares(&report.shares),
        answers: planned.map_or_else(Vec::new, |planned| answers(report, planned)),
        calculator: planned.map(|_| calculator(&report.calculator)),
    })
}

/// The whole text of `lab wire` on the terminal; says why where there is nothing to say.
pub(super) fn terminal(report: &Report) -> String {
    let Some(formats) = formats(report) else {
        return wrapped(
            "No codec's share: it takes rounds that count in raw and in another format. The engines' table follows.",
        ) + "\n"
            + &table::render(report);
    };
    let headline = codec::headline(&report.verdict, &report.shares).unwrap_or_default();
    let mut text =
        format!("{}\n{}{}\n\n", wrapped(&headline), wrapped(&table::caption(report)), formats.shares.terminal());
    text.push_str(&wrapped(EXPLANATION));
    if let Some(calculator) = &formats.calculator {
        text.push('\n');
        formats.answers.iter().for_each(|answer| text.push_str(&wrapped(answer)));
        text.push_str(&format!("\n{}\n", calculator.terminal()));
    }
    text + "\n" + &table::legend(report)
}

/// What the columns of the shares mean.
pub(super) const EXPLANATION: &str = "The codec is what a format costs beyond raw, within rounds at the same offered load: encoding, decoding, and the bytes that the kernel moves more or less. * supported: the interval does not hold zero and the ratio lies outside the noise band. Bytes are request and reply on the connection, framing included, without TCP's headers.";

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// `0.14 (0.13–0.15)`.
fn spanned(span: &Span) -> String {
    format!("{} ({}–{})", number(span.value), number(span.interval[0]), number(span.interval[1]))
}

fn shares(shares: &[Share]) -> Grid<String> {
    let several = shares.iter().any(|share| share.protocol != shares[0].protocol);
    let row = |share: &Share| {
        let [low, high] = share.share.interval;
        let mark = if share.supported { "* " } else { "" };
        let asked = if several { format!("{} {}", share.protocol, share.ask) } else { share.ask.clone() };
        vec![
            asked,
            share.format.clone(),
            share.engine.clone(),
            number(share.raw_us),
            number(share.format_us),
            spanned(&share.codec_us),
            format!("{mark}{} ({}–{})", percent(share.share.value), percent(low), percent(high)),
            share.wire_bytes.map_or_else(|| NOTHING.to_owned(), number),
            share.rounds.to_string(),
        ]
    };
    let headings =
        ["asked", "format", "engine", "raw µs", "CPU µs", "codec µs (95%)", "codec's share (95%)", "bytes", "rounds"];
    let mut rows: Vec<Vec<String>> = shares.iter().map(row).collect();
    // What is the same as in the line above is said once.
    for index in (1..rows.len()).rev() {
        let (before, here) = rows.split_at_mut(index);
        let (before, here) = (&before[index - 1], &mut here[0]);
        if before[0] == here[0] {
            if before[1] == here[1] {
                here[1].clear();
            }
            here[0].clear();
        }
    }
    Grid { headings: headings.map(str::to_owned).to_vec(), rows, text_columns: 3 }
}

fn calculator(lines: &[Line]) -> Grid<String> {
    let several = lines.iter().any(|line| line.protocol != lines[0].protocol);
    let row = |line: &Line| {
        let asked = if several { format!("{} {}", line.protocol, line.ask) } else { line.ask.clone() };
        vec![
            line.engine.clone(),
            format!("{asked}{}", if line.extrapolated { " (extrapolated)" } else { "" }),
            line.format.clone(),
            spanned(&line.cpu_us_per_message),
            spanned(&line.cores),
            line.cores_saved.as_ref().map_or_else(|| NOTHING.to_owned(), spanned),
            line.gbit_per_second.map_or_else(|| NOTHING.to_owned(), number),
            line.memory_bytes.map_or_else(|| NOTHING.to_owned(), gibibytes),
        ]
    };
    let against = lines.iter().find_map(|line| line.reference.as_deref()).unwrap_or("the reference");
    let saves = format!("saves against {against}");
    let headings = ["engine", "asked", "format", "CPU µs/message", "cores (95%)", &saves, "Gbit/s", "memory"];
    Grid { headings: headings.map(str::to_owned).to_vec(), rows: lines.iter().map(row).collect(), text_columns: 3 }
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}

/// One sentence for each kind of request on the baseline engine: demand in, cores, bandwidth and memory out, what formats save.
fn answers(report: &Report, planned: &Planned) -> Vec<String> {
    let engine = report.verdict.baseline.as_deref().unwrap_or_default();
    let mut asked: Vec<(&str, &str)> = Vec::new();
    for line in report.calculator.iter().filter(|line| line.engine == engine) {
        if !asked.contains(&(&line.protocol, &line.ask)) {
            asked.push((&line.protocol, &line.ask));
        }
    }
    let of = |(protocol, ask): (&str, &str)| {
        let lines = || {
            report
                .calculator
                .iter()
                .filter(move |line| (&*line.engine, &*line.protocol, &*line.ask) == (engine, protocol, ask))
        };
        let reference = lines().find(|line| line.reference.as_ref() == Some(&line.format))?;
        Some(answer(planned, reference, lines().filter(|line| line.cores_saved.is_some() && line.format != codec::RAW)))
    };
    asked.into_iter().filter_map(of).collect()
}

fn answer<'a>(planned: &Planned, reference: &Line, others: impl Iterator<Item = &'a Line>) -> String {
    let demand = planned.demand;
    let gbit = |line: &Line| line.gbit_per_second.map_or_else(|| NOTHING.to_owned(), number);
    let mut text = format!(
        "{} users × {}/s × {} B = {} messages/s ({} over {} on {}): {} takes {} cores, {} Gbit/s and {} of memory",
        grouped(demand.users as f64),
        demand.rate,
        grouped(demand.bytes),
        grouped(demand.messages_per_second()),
        reference.ask,
        reference.protocol,
        reference.engine,
        reference.format,
        spanned(&reference.cores),
        gbit(reference),
        reference.memory_bytes.map_or_else(|| NOTHING.to_owned(), gibibytes),
    );
    for line in others {
        let Some(saved) = line.cores_saved else { continue };
        let [low, high] = saved.interval;
        let change = if low <= 0.0 && high >= 0.0 {
            "no evidence of another number of cores".to_owned()
        } else if saved.value > 0.0 {
            format!("saves {} cores ({}–{})", number(saved.value), number(low), number(high))
        } else {
            format!("takes {} cores more ({}–{})", number(-saved.value), number(-high), number(-low))
        };
        text.push_str(&format!("; {} {change}, {} Gbit/s", line.format, gbit(line)));
    }
    if reference.extrapolated {
        text.push_str("; that size lies outside the measured ones");
    }
    text + "."
}

/// Encoded bytes by data set (down) and format (across), then by how much each is smaller than the reference.
pub(super) fn sizes(sizes: &[Size]) -> String {
    let mut formats: Vec<&str> = Vec::new();
    let mut sets: Vec<&str> = Vec::new();
    for size in sizes {
        if !formats.contains(&size.format.as_str()) {
            formats.push(&size.format);
        }
        if !sets.contains(&size.set.as_str()) {
            sets.push(&size.set);
        }
    }
    let grid = |text: &dyn Fn(&Size) -> String| {
        let field = |set: &str, format: &str| {
            let found = sizes.iter().find(|size| size.set == set && size.format == format);
            found.map_or_else(|| NOTHING.to_owned(), text)
        };
        let row = |set: &&str| {
            let mut row = vec![(*set).to_owned()];
            row.extend(formats.iter().map(|format| field(set, format)));
            row
        };
        let mut headings = vec!["data set".to_owned()];
        headings.extend(formats.iter().map(|format| (*format).to_owned()));
        Grid { headings, rows: sets.iter().map(row).collect(), text_columns: 1 }
    };
    let bytes = grid(&|size| grouped(size.bytes));
    let saved = grid(&|size| format!("{:+.0}%", -size.saved * 100.0));
    format!(
        "Mean bytes of a message, without framing:\n\n{}\nThe same against {}:\n\n{}",
        bytes.terminal(),
        crate::sizes::REFERENCE,
        saved.terminal()
    )
}
