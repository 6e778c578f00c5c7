//! The report of codecs by themselves: what criterion measured of them, and their bytes. From files alone.
//!
//! Tables are made from the names of criterion's groups; the benches say what these are. A bench whose group has no table of its own
//! stands in the last one.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use askama::Template as _;

use super::grid::Grid;
use super::page::{Page, Section, facts, machine};
use super::palette::css;
use super::plots;
use super::read::{document, lines, text};
use super::words::{NOTHING, number};
use crate::codec::operations;
use crate::estimates::{self, Estimate};
use crate::failure::Failure;
use crate::result::Fingerprint;
use crate::sizes::{self, Size};
use crate::stats::{RESAMPLES, median, paired_ratio};

/// How it was measured and what is wrong with that.
const METHOD: [&str; 6] = [
    "Nanoseconds are criterion's medians of one message, buffers reused, the 50 variants of a data set in turn. One core, one thread, caches warm: a server under load is slower. What a format costs on live connections is `lab wire`'s question.",
    "Each bench runs for a third of a second on a box that does other things too: differences below a tenth are noise unless a longer run shows them again (cargo bench -p lab --bench codec -- NAME --measurement-time 5).",
    "raw is the floor: fixed little-endian fields. Dialects: JSON has 64-bit integers as strings and RFC 3339 times, as proto3's JSON mapping asks; msgpack names its fields, msgpack-array does not.",
    "Readers that validate refuse a message whose other fields are broken; those that do not must only be given bytes that were validated before. The two are never compared.",
    "The layer's overhead is the median over rounds of through the lab ÷ direct within the round; the interval is a bootstrap over rounds.",
    "Bytes are those of the message, without framing and uncompressed.",
];

/// Shares of the four fields in a record, as headings and as criterion's groups name them.
const SHARES: [(&str, &str); 4] =
    [("1 %", "1-percent"), ("15 %", "15-percent"), ("50 %", "50-percent"), ("100 %", "100-percent")];

/// Shares, and where the fields stand.
const SHAPES: [(&str, &str); 12] = [
    ("1 % first", "1-percent/first"),
    ("1 % middle", "1-percent/middle"),
    ("1 % last", "1-percent/last"),
    ("15 % first", "15-percent/first"),
    ("15 % middle", "15-percent/middle"),
    ("15 % last", "15-percent/last"),
    ("50 % first", "50-percent/first"),
    ("50 % middle", "50-percent/middle"),
    ("50 % last", "50-percent/last"),
    ("100 % first", "100-percent/first"),
    ("100 % middle", "100-percent/middle"),
    ("100 % last", "100-percent/last"),
];

/// Numbers of fields that the reader does not know.
const UNKNOWN: [(&str, &str); 3] =
    [("none unknown", "0-fields"), ("5 unknown", "5-fields"), ("20 unknown", "20-fields")];

/// A library called directly, and the format that calls it for the lab.
const DIRECT: [(&str, &str); 2] = [("prost", "protobuf"), ("serde_json", "json")];

/// The file of encoded sizes in a result directory.
pub const SIZES: &str = "sizes.jsonl";

/// What a report comes to.
#[derive(Debug)]
pub struct Summary {
    /// What was measured.
    pub estimates: Vec<Estimate>,
    /// What was wrong with the files.
    pub warnings: Vec<String>,
    /// The files written.
    pub files: Vec<PathBuf>,
    /// The text of the terminal.
    pub table: String,
}

impl Summary {
    /// Whether nothing was measured.
    pub fn is_void(&self) -> bool {
        self.estimates.is_empty()
    }
}

struct Run {
    host: Option<Fingerprint>,
    estimates: Vec<Estimate>,
    sizes: Vec<Size>,
    warnings: Vec<String>,
}

/// Whether `directory` holds figures of codecs and nothing else.
pub fn is_here(directory: &Path) -> bool {
    directory.join(SIZES).exists()
}

/// Reads the result directory and writes `report.html` and `report.md`.
///
/// # Errors
/// A usage failure when it is no such directory; those of reading and writing its files.
pub fn write(directory: &Path) -> Result<Summary> {
    let run = read(directory)?;
    let tables = tables(&run);
    let table = tables.iter().map(|(title, grid)| format!("{title}\n{}\n\n", grid.terminal())).collect();
    let markdown = markdown(&run, &tables);
    let page = page(&run, tables)?;
    let mut files = Vec::new();
    for (name, text) in [("report.md", markdown), ("report.html", page)] {
        let path = directory.join(name);
        super::replace(&path, &text).map_err(|error| Failure::Environment(format!("{}: {error:#}", path.display())))?;
        files.push(path);
    }
    Ok(Summary { estimates: run.estimates, warnings: run.warnings, files, table })
}

fn read(directory: &Path) -> Result<Run> {
    let mut warnings = Vec::new();
    let Some(measured) = text(&directory.join(estimates::FILE))? else {
        return Err(Failure::Usage(format!("{} holds no {}", directory.display(), estimates::FILE)).into());
    };
    let mut estimates: Vec<Estimate> = lines(estimates::FILE, &measured, &mut warnings);
    estimates.retain(|estimate| estimate.nanoseconds.is_finite() && estimate.nanoseconds > 0.0);
    let sizes = text(&directory.join(SIZES))?.map(|text| lines(SIZES, &text, &mut warnings)).unwrap_or_default();
    let host = document(directory, "host.json", &mut warnings)?;
    Ok(Run { host, estimates, sizes, warnings })
}

/// Every table that has a row.
fn tables(run: &Run) -> Vec<(&'static str, Grid)> {
    let all = [
        ("Nanoseconds and bytes of a message", alone(run)),
        (
            "Four fields of a record of 4 KiB, validated: ns by share of the record and position",
            reading(run, "project-4/validated", &SHAPES),
        ),
        (
            "Four fields of a record of 4 KiB, unvalidated: ns by share of the record and position",
            reading(run, "project-4/unvalidated", &SHAPES),
        ),
        (
            "Four fields against the whole record in the same format: time as a share, four fields in the middle",
            crossover(run),
        ),
        (
            "Four fields of a broadcast with fields that the reader does not know, validated: ns",
            reading(run, "skip-unknown/validated", &UNKNOWN),
        ),
        (
            "Four fields of a broadcast with fields that the reader does not know, unvalidated: ns",
            reading(run, "skip-unknown/unvalidated", &UNKNOWN),
        ),
        ("What the lab's layer over a library costs", overhead(run)),
        ("Validation, gateway, compression, framing, round trips", rest(run)),
    ];
    all.into_iter().filter(|(_, grid)| !grid.rows.is_empty()).collect()
}

impl Run {
    fn find(&self, group: &str, function: &str, value: Option<&str>) -> Option<f64> {
        let same =
            |known: &&Estimate| known.group == group && known.function == function && known.value.as_deref() == value;
        self.estimates.iter().find(same).map(|estimate| estimate.nanoseconds)
    }

    /// What reads in a group's benches, formats and readers, each once in the order of their names.
    fn readers(&self, prefix: &str) -> Vec<(&str, &str)> {
        let mut readers: Vec<(&str, &str)> = Vec::new();
        for estimate in self.estimates.iter().filter(|estimate| estimate.group.starts_with(prefix)) {
            let reader = (estimate.function.as_str(), estimate.value.as_deref().unwrap_or_default());
            if !readers.contains(&reader) {
                readers.push(reader);
            }
        }
        readers.sort_unstable();
        readers
    }
}

fn cell(nanoseconds: Option<f64>) -> String {
    nanoseconds.map_or_else(|| NOTHING.to_owned(), number)
}

/// A line for each data set and operation, a column for each format.
fn alone(run: &Run) -> Grid {
    let formats = wire::Format::ALL.map(wire::Format::name);
    let mut rows = Vec::new();
    for set in wire::data::NAMES {
        let mut add = |what: &str, of: &dyn Fn(&str) -> Option<f64>| {
            let cells: Vec<Option<f64>> = formats.iter().map(|format| of(format)).collect();
            if cells.iter().any(Option::is_some) {
                rows.push([set.to_owned(), what.to_owned()].into_iter().chain(cells.into_iter().map(cell)).collect());
            }
        };
        let measured =
            run.estimates.iter().any(|estimate| estimate.group.split_once('/').is_some_and(|it| it.1 == set));
        if measured {
            add("bytes", &|format| {
                run.sizes.iter().find(|size| size.set == set && size.format == format).map(|size| size.bytes)
            });
        }
        for line in operations::TABLE {
            add(line.name, &|format| run.find(&format!("{}/{set}", line.name), format, None));
        }
    }
    Grid { headings: ["data set", "ns"].into_iter().chain(formats).collect(), rows, text_columns: 2 }
}

/// A line for each reader, a column for each shape of message.
fn reading(run: &Run, prefix: &str, shapes: &[(&'static str, &str)]) -> Grid {
    let row = |(format, reader): (&str, &str)| {
        let of = |(_, shape): &(&str, &str)| cell(run.find(&format!("{prefix}/{shape}"), format, Some(reader)));
        [format.to_owned(), reader.to_owned()].into_iter().chain(shapes.iter().map(of)).collect()
    };
    let rows = run.readers(prefix).into_iter().map(row).collect();
    let headings = ["format", "reader"].into_iter().chain(shapes.iter().map(|shape| shape.0)).collect();
    Grid { headings, rows, text_columns: 2 }
}

/// What reading four fields takes of what full decoding takes, and from which share of the record on it is no gain.
fn crossover(run: &Run) -> Grid {
    let mut rows = Vec::new();
    for how in ["validated", "unvalidated"] {
        let time = |how: &str, (share, position): (&str, &str), format: &str, reader: &str| {
            run.find(&format!("{}/{how}/{share}/{position}", operations::PROJECT), format, Some(reader))
        };
        for (format, reader) in run.readers(&format!("{}/{how}/", operations::PROJECT)) {
            let ratio = |share: &str| {
                // Where a format fixes the order of fields they stand first.
                ["middle", "first"].iter().find_map(|position| {
                    let four = time(how, (share, position), format, reader)?;
                    Some(four / time("validated", (share, position), format, "full")?)
                })
            };
            let ratios: Vec<Option<f64>> = SHARES.iter().map(|share| ratio(share.1)).collect();
            if reader == "full" || ratios.iter().all(Option::is_none) {
                continue;
            }
            let texts =
                ratios.iter().map(|ratio| ratio.map_or_else(|| NOTHING.to_owned(), |ratio| format!("{ratio:.2}")));
            let row = [format, reader, how].map(str::to_owned).into_iter().chain(texts);
            rows.push(row.chain([no_gain_from(&ratios)]).collect());
        }
    }
    let headings = ["format", "reader", "the rest is"].into_iter().chain(SHARES.map(|share| share.0));
    Grid { headings: headings.chain(["no gain from"]).collect(), rows, text_columns: 3 }
}

/// The share at which the ratio reaches 1, on a straight line over the logarithm of the share.
fn no_gain_from(ratios: &[Option<f64>]) -> String {
    let share = |at: usize| SHARES[at].0.trim_end_matches(" %").parse::<f64>().expect("the table above has numbers");
    let known: Vec<(f64, f64)> =
        ratios.iter().enumerate().filter_map(|(at, ratio)| Some((share(at), (*ratio)?))).collect();
    match known.iter().position(|(_, ratio)| *ratio >= 1.0) {
        None => "always a gain".to_owned(),
        Some(0) => "never a gain".to_owned(),
        Some(at) => {
            let ((low, below), (high, above)) = (known[at - 1], known[at]);
            let crossing = low.ln() + (1.0 - below) / (above - below) * (high.ln() - low.ln());
            format!("{:.0} %", crossing.exp())
        }
    }
}

/// Through the lab ÷ direct, paired by round.
fn overhead(run: &Run) -> Grid {
    let mut groups: Vec<&str> =
        run.estimates.iter().map(|it| it.group.as_str()).filter(|group| group.starts_with("overhead/")).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut rows = Vec::new();
    for group in groups {
        for (library, format) in DIRECT {
            let direct: Vec<&Estimate> =
                run.estimates.iter().filter(|it| it.group == group && it.function == library).collect();
            let through = |it: &&Estimate| run.find(group, format, it.value.as_deref());
            let ratios: Vec<Option<f64>> = direct.iter().map(|it| Some(through(it)? / it.nanoseconds)).collect();
            let Some(estimate) = paired_ratio(&[ratios], RESAMPLES, 1) else { continue };
            let middle = |values: Vec<f64>| cell(median(&values));
            rows.push(vec![
                group.trim_start_matches("overhead/").to_owned(),
                format!("{format} / {library}"),
                middle(direct.iter().map(|it| it.nanoseconds).collect()),
                middle(direct.iter().filter_map(through).collect()),
                format!("{:.2} ({:.2}–{:.2})", estimate.ratio, estimate.interval.low, estimate.interval.high),
                direct.len().to_string(),
            ]);
        }
    }
    let headings = ["operation/set", "lab / library", "direct ns", "through the lab ns", "ratio (95%)", "rounds"];
    Grid { headings: headings.to_vec(), rows, text_columns: 2 }
}

/// Benches without a table of their own.
fn rest(run: &Run) -> Grid {
    let elsewhere = |group: &str| {
        let (first, set) = group.split_once('/').unwrap_or((group, ""));
        ["overhead", "skip-unknown", operations::PROJECT].contains(&first)
            || (operations::TABLE.iter().any(|line| line.name == first) && wire::data::NAMES.contains(&set))
    };
    let row = |it: &Estimate| {
        vec![
            it.group.clone(),
            it.function.clone(),
            it.value.clone().unwrap_or_default(),
            number(it.nanoseconds),
            format!("{}–{}", number(it.interval[0]), number(it.interval[1])),
        ]
    };
    let rows = run.estimates.iter().filter(|it| !elsewhere(&it.group)).map(row).collect();
    Grid { headings: vec!["group", "what", "how", "ns", "95%"], rows, text_columns: 3 }
}

fn headline(run: &Run) -> String {
    let of = |group: &str, format: &str| run.find(group, format, None);
    let said = |operation: &str| {
        let group = format!("{operation}/broadcast");
        let (json, protobuf) = (of(&group, "json")?, of(&group, "protobuf")?);
        Some(format!("{operation} {} ns in json, {} ns in protobuf", number(json), number(protobuf)))
    };
    let parts: Vec<String> = ["encode", "decode"].into_iter().filter_map(said).collect();
    if parts.is_empty() {
        return format!("{} benches of codecs", run.estimates.len());
    }
    format!("A broadcast: {}", parts.join("; "))
}

fn markdown(run: &Run, tables: &[(&str, Grid)]) -> String {
    let tables: String = tables.iter().map(|(title, grid)| format!("## {title}\n\n{}\n", grid.markdown())).collect();
    let method: String = METHOD.iter().map(|line| format!("- {line}\n")).collect();
    format!(
        "# Codecs alone\n\n{}\n\n{tables}## Method and bias\n\n{method}{}",
        headline(run),
        run.host.as_ref().map(machine).unwrap_or_default()
    )
}

fn page(run: &Run, tables: Vec<(&'static str, Grid)>) -> Result<String> {
    let host = run.host.as_ref();
    let section = |id: &str, title: &str, text: &str, panels| Section {
        id: id.to_owned(),
        title: title.to_owned(),
        text: text.to_owned(),
        panels,
    };
    let (sweep, project): (Vec<Estimate>, Vec<Estimate>) =
        run.estimates.iter().cloned().partition(|it| !it.group.starts_with(operations::PROJECT));
    let sections = [
        section(
            "size",
            "Over the size of a message",
            "One text of 16 bytes to 256 KiB in each format: nanoseconds by operation, and bytes. Both axes are logarithmic.",
            plots::codecs(&sweep, &run.sizes, "sweep"),
        ),
        section(
            "project",
            "Four fields out of many",
            "Nanoseconds to read the four fields that a consumer requires, over their share of the record. Where a curve of four fields meets that of `full` in the same format, reading less is no gain.",
            plots::codecs(&project, &[], "project"),
        ),
    ];
    Page {
        palette: css(),
        scenario: "codecs",
        headline: headline(run),
        question: "What does a message cost alone: nanoseconds and bytes by operation, format and size?",
        sound: !run.estimates.is_empty(),
        legend: Vec::new(),
        sections: sections.into_iter().filter(|section| !section.panels.is_empty()).collect(),
        tables: tables.into_iter().map(|(title, grid)| (title.to_owned(), grid)).collect(),
        notes: run.warnings.clone(),
        timeline: Vec::new(),
        facts: host.map(facts).unwrap_or_default(),
        groups: host.map_or(&[], |host| &host.groups),
        method: &METHOD,
    }
    .render()
    .context("filling in the template")
}

/// The lines of [`SIZES`].
pub fn size_lines() -> String {
    sizes::measure().iter().map(|size| serde_json::to_string(size).expect("plain data") + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The crossing by hand: halfway between 15 and 50 on a logarithmic axis is their geometric mean.
    #[test]
    fn the_crossing_lies_between_shares() {
        let middle = no_gain_from(&[Some(0.2), Some(0.5), Some(1.5), Some(2.0)]);
        assert_eq!(middle, "27 %", "{}", (15.0_f64 * 50.0).sqrt());
        assert_eq!(no_gain_from(&[Some(0.2), None, Some(0.9), Some(0.99)]), "always a gain");
        assert_eq!(no_gain_from(&[Some(1.0), Some(0.9), None, None]), "never a gain");
    }
}
