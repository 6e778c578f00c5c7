//! Checks text that claims to be in Prometheus's format 0.0.4, and sorts its lines by family.
//!
//! Timestamps are refused: a scraper would take the samples for old ones.

use std::collections::{BTreeMap, HashSet};

use hostfs::text::{lines, trim};

use crate::exposition::Page;

/// What one file holds: families by name.
pub(super) type Parsed = BTreeMap<Vec<u8>, Family>;

/// One family's lines.
#[derive(Debug, Default)]
pub(super) struct Family {
    help: Option<Vec<u8>>,
    kind: Option<&'static str>,
    samples: Vec<u8>,
    /// Names with labels, to find doubles.
    series: HashSet<Vec<u8>>,
}

/// Types of the format.
const KINDS: [&str; 5] = ["counter", "gauge", "histogram", "summary", "untyped"];

impl Family {
    /// Whether another file's part of the family goes with this one.
    pub(super) fn agrees(&self, other: &Self) -> Result<(), String> {
        if self.kind.unwrap_or("untyped") != other.kind.unwrap_or("untyped") {
            return Err("has another type in another file".into());
        }
        if self.series.intersection(&other.series).next().is_some() {
            return Err("has a sample that another file has".into());
        }
        Ok(())
    }

    /// Takes over another file's part.
    pub(super) fn absorb(&mut self, other: Self) {
        self.help = self.help.take().or(other.help);
        self.kind = self.kind.or(other.kind);
        self.samples.extend_from_slice(&other.samples);
        self.series.extend(other.series);
    }

    pub(super) fn write(&self, name: &[u8], page: &mut Page) {
        if self.series.is_empty() {
            return;
        }
        if let Some(help) = &self.help {
            page.raw(&[b"# HELP ", name, b" ", help, b"\n"].concat(), 0);
        }
        page.raw(&[b"# TYPE ", name, b" ", self.kind.unwrap_or("untyped").as_bytes(), b"\n"].concat(), 0);
        page.raw(&self.samples, self.series.len() as u64);
    }
}

/// Families of a text, or the number of the line that is not in the format and why.
pub(super) fn parse(text: &[u8]) -> Result<Parsed, String> {
    let mut families = Parsed::new();
    for (index, line) in lines(text).enumerate() {
        let line = trim(line);
        let result = if let Some(comment) = line.strip_prefix(b"#") {
            note(&mut families, trim(comment))
        } else if line.is_empty() {
            Ok(())
        } else {
            sample(&mut families, line)
        };
        result.map_err(|problem| format!("{}: {problem}", index + 1))?;
    }
    Ok(families)
}

/// `HELP name text`, `TYPE name kind`, or a comment.
fn note(families: &mut Parsed, comment: &[u8]) -> Result<(), &'static str> {
    let word = |text: &[u8]| text.iter().position(|byte| *byte == b' ' || *byte == b'\t').unwrap_or(text.len());
    let (keyword, rest) = comment.split_at(word(comment));
    if keyword != b"HELP" && keyword != b"TYPE" {
        return Ok(());
    }
    let rest = trim(rest);
    let (name, rest) = rest.split_at(word(rest));
    let rest = trim(rest);
    if !is_name(name) {
        return Err("no metric name after HELP or TYPE");
    }
    let family = families.entry(name.to_vec()).or_default();
    if keyword == b"HELP" {
        if std::str::from_utf8(rest).is_err() {
            return Err("help text is not UTF-8");
        }
        family.help = Some(rest.to_vec());
        return Ok(());
    }
    if family.kind.is_some() || !family.series.is_empty() {
        return Err("a second TYPE, or one after the samples");
    }
    family.kind = Some(KINDS.into_iter().find(|kind| kind.as_bytes() == rest).ok_or("no such type")?);
    Ok(())
}

/// `name{label="value",…} number`.
fn sample(families: &mut Parsed, line: &[u8]) -> Result<(), &'static str> {
    let end = line.iter().position(|byte| !is_name_byte(*byte)).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if !is_name(name) {
        return Err("no metric name");
    }
    let rest = trim(rest);
    let (labels, value) = if rest.starts_with(b"{") { labels(rest)? } else { (&b""[..], rest) };
    let value = trim(value);
    if value.contains(&b' ') || value.contains(&b'\t') {
        return Err("timestamps are not taken");
    }
    let text = std::str::from_utf8(value).map_err(|_| "value is not a number")?;
    // Rust takes the same words for infinities and NaN as the format, and no underscores.
    text.parse::<f64>().map_err(|_| "value is not a number")?;
    let family = families.entry(family_of(families, name)).or_default();
    let series = [name, labels].concat();
    family.samples.extend_from_slice(&series);
    family.samples.push(b' ');
    family.samples.extend_from_slice(value);
    family.samples.push(b'\n');
    if family.series.insert(series) { Ok(()) } else { Err("the same sample twice") }
}

/// The labels of a sample with their braces, and what follows.
fn labels(text: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let mut at = 1;
    let skip_blanks = |at: &mut usize| {
        while matches!(text.get(*at), Some(b' ' | b'\t')) {
            *at += 1;
        }
    };
    let mut names = HashSet::new();
    loop {
        skip_blanks(&mut at);
        if text.get(at) == Some(&b'}') {
            return Ok((&text[..=at], &text[at + 1..]));
        }
        let start = at;
        while text.get(at).is_some_and(|byte| is_name_byte(*byte) && *byte != b':') {
            at += 1;
        }
        let name = &text[start..at];
        if name.is_empty() || name[0].is_ascii_digit() || !names.insert(name) {
            return Err("no label name, or the same twice");
        }
        skip_blanks(&mut at);
        if text.get(at) != Some(&b'=') {
            return Err("no = after a label name");
        }
        at += 1;
        skip_blanks(&mut at);
        at = quoted(text, at)?;
        skip_blanks(&mut at);
        match text.get(at) {
            Some(b',') => at += 1,
            Some(b'}') => {}
            _ => return Err("no , or } after a label"),
        }
    }
}

/// Passes over a quoted value at `at`.
fn quoted(text: &[u8], mut at: usize) -> Result<usize, &'static str> {
    if text.get(at) != Some(&b'"') {
        return Err("label value is not quoted");
    }
    let start = at + 1;
    loop {
        at += 1;
        match text.get(at) {
            Some(b'\\') if matches!(text.get(at + 1), Some(b'\\' | b'"' | b'n')) => at += 1,
            Some(b'\\') => return Err("unknown escape in a label value"),
            Some(b'"') if std::str::from_utf8(&text[start..at]).is_err() => return Err("label value is not UTF-8"),
            Some(b'"') => return Ok(at + 1),
            Some(_) => {}
            None => return Err("label value does not end"),
        }
    }
}

/// The family that a sample belongs to: histograms and summaries have samples of other names.
fn family_of(families: &Parsed, name: &[u8]) -> Vec<u8> {
    for (suffix, kinds) in [
        (&b"_bucket"[..], &["histogram"][..]),
        (b"_sum", &["histogram", "summary"]),
        (b"_count", &["histogram", "summary"]),
    ] {
        let base = name.strip_suffix(suffix);
        let family = base.and_then(|base| families.get(base));
        if let Some((base, kind)) = base.zip(family.and_then(|family| family.kind))
            && kinds.contains(&kind)
        {
            return base.to_vec();
        }
    }
    name.to_vec()
}

fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(|byte| !byte.is_ascii_digit()) && name.iter().all(|byte| is_name_byte(*byte))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the format allows.
    #[test]
    fn good() {
        for text in [
            "a 1\n",
            "a{} 1",
            "a { x = \"y\" , z=\"\\\"\\\\\\n,}\", } +Inf\n",
            "# a comment\n\n# HELP a\n# TYPE a counter\na NaN\n",
            "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 1e3\nh_count 2\n",
        ] {
            assert!(parse(text.as_bytes()).is_ok(), "{text}: {:?}", parse(text.as_bytes()).err());
        }
        assert_eq!(parse(b"# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_count 2\n").unwrap().len(), 1);
    }

    /// What it does not, each with its line.
    #[test]
    fn bad() {
        for text in [
            "1a 1",
            "a",
            "a x",
            "a 1 1700000000000",
            "a{ 1",
            "a{x} 1",
            "a{x=y} 1",
            "a{x=\"y} 1",
            "a{x=\"\\t\"} 1",
            "a{x=\"1\" y=\"2\"} 1",
            "a{x=\"1\",x=\"2\"} 1",
            "a{1=\"1\"} 1",
            "a 1\na 2",
            "# TYPE a sometimes",
            "a 1\n# TYPE a gauge",
            "# TYPE",
        ] {
            let problem = parse(text.as_bytes()).unwrap_err();
            assert!(problem.starts_with("1: ") || problem.starts_with("2: "), "{text}: {problem}");
        }
        assert!(parse(b"a{x=\"\xff\"} 1").is_err());
        assert!(parse(b"\xff 1").is_err());
    }
}
