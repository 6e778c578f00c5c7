//! Samples that arrive in another order than families.

use super::{Labels, Page, Value};
use crate::catalogue::Metric;

/// Collects samples family by family, for collectors that walk devices and find some of many families at each.
///
/// The text format wants all samples of a family together. Keep one in the collector: its buffers are used again.
#[derive(Debug, Default)]
pub struct Grouping {
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    metric: &'static Metric,
    part: Vec<u8>,
    /// The family's text; its own page, so that it has its own header.
    page: Page,
}

impl Grouping {
    /// Adds a sample to the family of `metric`.
    pub fn sample(&mut self, metric: &'static Metric, labels: Labels<'_>, value: impl Value) {
        self.sample_named(metric, b"", labels, value);
    }

    /// Adds a sample to the family of a `metric` with `*` in its name, which `part` replaces.
    pub fn sample_named(&mut self, metric: &'static Metric, part: &[u8], labels: Labels<'_>, value: impl Value) {
        let known = self.groups.iter().position(|group| std::ptr::eq(group.metric, metric) && group.part == part);
        let index = known.unwrap_or_else(|| {
            self.groups.push(Group { metric, part: part.to_vec(), page: Page::default() });
            self.groups.len() - 1
        });
        let group = &mut self.groups[index];
        if group.page.samples == 0 {
            group.page.header(metric, part);
        }
        group.page.sample(metric.name, part, &[], labels, value);
    }

    /// Writes all families to `page` and empties the groups.
    pub fn write_to(&mut self, page: &mut Page) {
        for group in &mut self.groups {
            page.raw(group.page.as_bytes(), group.page.samples());
            group.page.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::gauge;

    static A: Metric = gauge("test_a").labels(&["chip"]).help("A.");
    static B: Metric = gauge("test_b").labels(&["chip"]).help("B.");

    /// Interleaved samples come out family by family, each with one header, also the second time.
    #[test]
    fn families_are_joined() {
        let mut grouping = Grouping::default();
        for _ in 0..2 {
            let mut page = Page::default();
            for chip in [b"x", b"y"] {
                grouping.sample(&A, &[("chip", chip)], 1u64);
                grouping.sample(&B, &[("chip", chip)], 2u64);
            }
            grouping.write_to(&mut page);
            let text = std::str::from_utf8(page.as_bytes()).unwrap();
            assert_eq!(
                text,
                "# HELP test_a A.\n# TYPE test_a gauge\ntest_a{chip=\"x\"} 1\ntest_a{chip=\"y\"} 1\n\
                 # HELP test_b B.\n# TYPE test_b gauge\ntest_b{chip=\"x\"} 2\ntest_b{chip=\"y\"} 2\n"
            );
            assert_eq!(page.samples(), 4);
        }
    }
}
