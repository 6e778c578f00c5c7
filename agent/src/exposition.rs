//! Families to bytes: the Prometheus text format 0.0.4, straight into a buffer that is used again.
//!
//! A collector gets a [`Page`], starts a [`Family`] from its catalogue entry and writes samples; nothing is
//! allocated once the buffer has grown to its size. HELP and TYPE are written before a family's first sample, so
//! a family without samples leaves no trace. All samples of a family must follow each other: a collector whose
//! data comes in another order collects them in a [`Grouping`] first.
//!
//! The prometheus crate is not used here: its text encoder needs an owned protobuf tree per scrape and panics on
//! untyped families, which node_exporter's contract needs.

mod grouping;
mod rendered;
mod value;

pub use grouping::Grouping;
pub use rendered::Rendered;
pub use value::Value;

use crate::catalogue::{Kind, Metric};

/// `Content-Type` of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Longest label value that is written, in bytes; what is cut off is replaced by `…`. Nothing that the kernel names is
/// as long, and a hostile name must not cost the scrape.
const LABEL_VALUE_LIMIT: usize = 1024;

/// Label names and values of one sample. Values are bytes because the kernel's names are; invalid UTF-8 becomes U+FFFD.
pub type Labels<'a> = &'a [(&'a str, &'a [u8])];

/// One collector's part of the page.
#[derive(Clone, Debug, Default)]
pub struct Page {
    bytes: Vec<u8>,
    samples: u64,
}

impl Page {
    /// Empties the page and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.samples = 0;
    }

    /// The text so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Samples written so far.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Starts the family of `metric`, whose name must not contain a `*`.
    pub fn family(&mut self, metric: &'static Metric) -> Family<'_> {
        debug_assert!(!metric.name.contains('*'), "{} needs its dynamic part", metric.name);
        Family { page: self, metric, part: b"", started: false }
    }

    /// Starts the family of a `metric` with `*` in its name, which `part` replaces. Bytes that a metric name
    /// cannot hold become `_`.
    pub fn family_named<'p>(&'p mut self, metric: &'static Metric, part: &'p [u8]) -> Family<'p> {
        debug_assert!(metric.name.contains('*'), "{} has no dynamic part", metric.name);
        Family { page: self, metric, part, started: false }
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, metric: &'static Metric, value: impl Value) {
        self.family(metric).sample(&[], value);
    }

    /// Appends text that is already in the format, of `samples` samples. For the textfile collector and [`Grouping`].
    pub fn raw(&mut self, text: &[u8], samples: u64) {
        self.bytes.extend_from_slice(text);
        self.samples += samples;
    }

    /// Cuts a last line without its newline, which a collector that panicked may have left.
    pub fn cut_to_whole_lines(&mut self) {
        let end = memchr::memrchr(b'\n', &self.bytes).map_or(0, |at| at + 1);
        self.bytes.truncate(end);
    }

    fn header(&mut self, metric: &Metric, part: &[u8]) {
        self.bytes.extend_from_slice(b"# HELP ");
        push_name(&mut self.bytes, metric.name, part);
        self.bytes.push(b' ');
        push_help(&mut self.bytes, metric.help, part);
        self.bytes.extend_from_slice(b"\n# TYPE ");
        push_name(&mut self.bytes, metric.name, part);
        self.bytes.extend_from_slice(match metric.kind {
            Kind::Counter => b" counter\n",
            Kind::Gauge => b" gauge\n",
            Kind::Untyped => b" untyped\n",
        });
    }

    fn sample(&mut self, name: &str, part: &[u8], base: &[u8], labels: Labels<'_>, value: impl Value) {
        push_name(&mut self.bytes, name, part);
        push_labels(&mut self.bytes, base, labels);
        self.bytes.push(b' ');
        value.push(&mut self.bytes);
        self.bytes.push(b'\n');
        self.samples += 1;
    }
}

/// A family being written.
#[derive(Debug)]
pub struct Family<'p> {
    page: &'p mut Page,
    metric: &'static Metric,
    part: &'p [u8],
    started: bool,
}

impl Family<'_> {
    /// Writes one sample. `labels` are the entry's, in the entry's order.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Value) -> &mut Self {
        self.write(&[], labels, value)
    }

    /// Writes one sample whose first labels are `base`, for families that carry the same labels many times.
    pub fn sample_of(&mut self, base: &Rendered, labels: Labels<'_>, value: impl Value) -> &mut Self {
        self.write(base.as_bytes(), labels, value)
    }

    fn write(&mut self, base: &[u8], labels: Labels<'_>, value: impl Value) -> &mut Self {
        debug_assert!(
            labels.iter().all(|(name, _)| self.metric.labels.contains(name)),
            "{}: label not in the catalogue",
            self.metric.name
        );
        if !self.started {
            self.started = true;
            self.page.header(self.metric, self.part);
        }
        self.page.sample(self.metric.name, self.part, base, labels, value);
        self
    }
}

/// Writes a name with `part` in place of its `*`.
fn push_name(bytes: &mut Vec<u8>, name: &str, part: &[u8]) {
    if part.is_empty() {
        bytes.extend_from_slice(name.as_bytes());
        return;
    }
    let star = memchr::memchr(b'*', name.as_bytes()).unwrap_or(name.len());
    bytes.extend_from_slice(&name.as_bytes()[..star]);
    let at = bytes.len();
    bytes.extend_from_slice(part);
    for byte in &mut bytes[at..] {
        if !(byte.is_ascii_alphanumeric() || *byte == b'_') {
            *byte = b'_';
        }
    }
    bytes.extend_from_slice(name.as_bytes().get(star + 1..).unwrap_or_default());
}

/// Writes a help text with `part` in place of each `*`. The catalogue's texts need no escaping, `part` may.
fn push_help(bytes: &mut Vec<u8>, help: &str, part: &[u8]) {
    if part.is_empty() {
        bytes.extend_from_slice(help.as_bytes());
        return;
    }
    let mut rest = help.as_bytes();
    while let Some(star) = memchr::memchr(b'*', rest) {
        bytes.extend_from_slice(&rest[..star]);
        push_escaped(bytes, part);
        rest = &rest[star + 1..];
    }
    bytes.extend_from_slice(rest);
}

/// Writes `base`, which is in the format already, and `labels` in braces.
fn push_labels(bytes: &mut Vec<u8>, base: &[u8], labels: Labels<'_>) {
    if base.is_empty() && labels.is_empty() {
        return;
    }
    bytes.push(b'{');
    bytes.extend_from_slice(base);
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 || !base.is_empty() {
            bytes.push(b',');
        }
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b"=\"");
        if value.len() > LABEL_VALUE_LIMIT {
            push_escaped(bytes, &value[..LABEL_VALUE_LIMIT]);
            bytes.extend_from_slice("…".as_bytes());
        } else {
            push_escaped(bytes, value);
        }
        bytes.push(b'"');
    }
    bytes.push(b'}');
}

/// Writes text with `\`, `"` and newline escaped and invalid UTF-8 replaced by U+FFFD.
pub(crate) fn push_escaped(bytes: &mut Vec<u8>, text: &[u8]) {
    // Every byte is looked at, so that the compiler can look at many at once.
    let is_special = |byte: u8| !byte.is_ascii() | (byte == b'\\') | (byte == b'"') | (byte == b'\n');
    if !text.iter().fold(false, |found, &byte| found | is_special(byte)) {
        bytes.extend_from_slice(text);
        return;
    }
    for chunk in text.utf8_chunks() {
        for &byte in chunk.valid().as_bytes() {
            match byte {
                b'\\' => bytes.extend_from_slice(br"\\"),
                b'"' => bytes.extend_from_slice(br#"\""#),
                b'\n' => bytes.extend_from_slice(br"\n"),
                _ => bytes.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            bytes.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{gauge, untyped};

    static SPACE: Metric = gauge("test_bytes").labels(&["device"]).help("Test.");
    static FIELD: Metric = untyped("test_*_total").help("Field *.");

    fn text(page: &Page) -> &str {
        std::str::from_utf8(page.as_bytes()).unwrap()
    }

    /// A family has one header, a family without samples none, and values are escaped.
    #[test]
    fn families_and_escapes() {
        let mut page = Page::default();
        page.family(&SPACE);
        assert_eq!(text(&page), "");
        page.family(&SPACE).sample(&[("device", b"a\"b\\c\nd\xff")], 1u64).sample(&[("device", b"sda")], 0.5);
        page.family_named(&FIELD, b"Active(anon)").sample(&[], 2u64);
        assert_eq!(
            text(&page),
            "# HELP test_bytes Test.\n# TYPE test_bytes gauge\n\
             test_bytes{device=\"a\\\"b\\\\c\\nd\u{fffd}\"} 1\ntest_bytes{device=\"sda\"} 0.5\n\
             # HELP test_Active_anon__total Field Active(anon).\n# TYPE test_Active_anon__total untyped\n\
             test_Active_anon__total 2\n"
        );
        assert_eq!(page.samples(), 3);
    }

    /// A label value of any length is written bounded and as valid UTF-8.
    #[test]
    fn long_label_values_are_cut() {
        let mut page = Page::default();
        let value = "é".repeat(10_000);
        page.family(&SPACE).sample(&[("device", value.as_bytes())], 1u64);
        let line = text(&page).lines().last().unwrap();
        assert!(line.len() < LABEL_VALUE_LIMIT + 64 && line.ends_with("…\"} 1"), "{line}");
    }

    /// What a panic left of a line is cut.
    #[test]
    fn partial_lines_are_cut() {
        let mut page = Page::default();
        page.raw(b"a 1\nb{x=", 1);
        page.cut_to_whole_lines();
        assert_eq!(text(&page), "a 1\n");
    }
}
