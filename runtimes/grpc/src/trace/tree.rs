//! Spans as a tree of text.
//!
//! ```text
//! trace 4bf92f3577b34da6a3ce929d0e0e4736: 5 spans, 182.3 µs
//! POST /demo/notes  gateway  182.3 µs
//! ├─ decode  3.1 µs
//! ├─ demo.NoteService/Add  150.0 µs
//! │  └─ demo.NoteService/Add  grpc  88.0 µs
//! │     └─ store  1.2 µs
//! └─ encode  4.0 µs
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use super::lines::SpanLine;

/// Levels of a tree at most; what lies deeper is left out, and said to be. Lines come from files, and recursion has an end.
const LEVELS: usize = 64;

/// The trees of all traces among `lines`, by the time at which each began.
pub fn render(lines: &[SpanLine]) -> String {
    let mut traces: HashMap<&str, Vec<&SpanLine>> = HashMap::new();
    for line in lines {
        traces.entry(&line.trace_id).or_default().push(line);
    }
    let mut traces: Vec<Vec<&SpanLine>> = traces.into_values().collect();
    for spans in &mut traces {
        spans.sort_by_key(|span| (span.start_ns, &span.span_id));
    }
    traces.sort_by_key(|spans| (spans[0].start_ns, &spans[0].trace_id));
    let mut out = String::new();
    for (index, spans) in traces.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        trace(spans, &mut out);
    }
    out
}

/// `spans` ascend by start and are not empty.
fn trace(spans: &[&SpanLine], out: &mut String) {
    let ids: BTreeMap<&str, usize> = spans.iter().enumerate().map(|(at, span)| (span.span_id.as_str(), at)).collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    let mut tops = Vec::new();
    for (at, span) in spans.iter().enumerate() {
        let parent = span.parent_id.as_deref().and_then(|id| ids.get(id));
        match parent {
            // A span cannot be its own parent, whatever a file says.
            Some(&parent) if parent != at => children[parent].push(at),
            _ => tops.push(at),
        }
    }
    let end = spans.iter().map(|span| span.start_ns.saturating_add(span.duration_ns)).max().unwrap_or_default();
    let total = duration(end.saturating_sub(spans[0].start_ns));
    let plural = if spans.len() == 1 { "" } else { "s" };
    writeln!(out, "trace {}: {} span{plural}, {total}", spans[0].trace_id, spans.len()).expect("a String takes it");
    let mut tree = Tree { spans, children, shown: 0, out };
    for top in tops {
        tree.line("", "", top, None);
        tree.below(top, "", 1);
    }
    // Spans that are each other's parents have no top.
    let rest = spans.len() - tree.shown;
    if rest > 0 {
        writeln!(out, "({rest} more, too deep or without a beginning)").expect("a String takes it");
    }
}

struct Tree<'a> {
    spans: &'a [&'a SpanLine],
    children: Vec<Vec<usize>>,
    shown: usize,
    out: &'a mut String,
}

impl Tree<'_> {
    fn below(&mut self, parent: usize, prefix: &str, level: usize) {
        if level > LEVELS {
            return;
        }
        let children = std::mem::take(&mut self.children[parent]);
        for (position, &child) in children.iter().enumerate() {
            let last = position + 1 == children.len();
            self.line(prefix, if last { "└─ " } else { "├─ " }, child, Some(parent));
            let prefix = format!("{prefix}{}", if last { "   " } else { "│  " });
            self.below(child, &prefix, level + 1);
        }
    }

    /// The service is named where it is not the parent's.
    fn line(&mut self, prefix: &str, branch: &str, at: usize, parent: Option<usize>) {
        self.shown += 1;
        let span = self.spans[at];
        let service = match parent {
            Some(parent) if self.spans[parent].service == span.service => String::new(),
            _ => format!("  {}", span.service),
        };
        let error = span.error.as_ref().map_or(String::new(), |error| format!("  ! {error}"));
        writeln!(self.out, "{prefix}{branch}{}{service}  {}{error}", span.name, duration(span.duration_ns))
            .expect("a String takes it");
    }
}

fn duration(nanoseconds: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let nanoseconds = nanoseconds as f64;
    match nanoseconds {
        ..1e6 => format!("{:.1} µs", nanoseconds / 1e3),
        ..1e9 => format!("{:.1} ms", nanoseconds / 1e6),
        _ => format!("{:.1} s", nanoseconds / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(
        trace: &str,
        id: &str,
        parent: Option<&str>,
        name: &str,
        service: &str,
        start: u64,
        length: u64,
    ) -> SpanLine {
        SpanLine {
            trace_id: trace.to_owned(),
            span_id: id.to_owned(),
            parent_id: parent.map(str::to_owned),
            name: name.to_owned(),
            kind: "internal".to_owned(),
            service: service.to_owned(),
            start_ns: start,
            duration_ns: length,
            error: None,
            attributes: BTreeMap::new(),
        }
    }

    /// Two processes' lines, in any order, make one tree; a second trace makes another behind it.
    #[test]
    fn two_processes() {
        let mut failed = span("t2", "9", Some("elsewhere"), "GET /demo/notes", "gateway", 900_000, 2_000_000);
        failed.error = Some("unavailable".to_owned());
        let lines = [
            failed,
            span("t1", "4", Some("3"), "demo.NoteService/Add", "grpc", 30_000, 88_000),
            span("t1", "2", Some("1"), "decode", "gateway", 1_000, 3_100),
            span("t1", "5", Some("4"), "store", "grpc", 40_000, 1_200),
            span("t1", "1", None, "POST /demo/notes", "gateway", 0, 182_300),
            span("t1", "6", Some("1"), "encode", "gateway", 170_000, 4_000),
            span("t1", "3", Some("1"), "demo.NoteService/Add", "gateway", 10_000, 150_000),
        ];
        let expected = "\
trace t1: 6 spans, 182.3 µs
POST /demo/notes  gateway  182.3 µs
├─ decode  3.1 µs
├─ demo.NoteService/Add  150.0 µs
│  └─ demo.NoteService/Add  grpc  88.0 µs
│     └─ store  1.2 µs
└─ encode  4.0 µs

trace t2: 1 span, 2.0 ms
GET /demo/notes  gateway  2.0 ms  ! unavailable
";
        assert_eq!(render(&lines), expected);
    }

    /// Lines that make no tree end all the same: a span that is its own parent, a circle, a chain without end.
    #[test]
    fn no_trees() {
        let own = [span("t", "1", Some("1"), "a", "s", 0, 1)];
        assert!(render(&own).contains("a  s"));
        let circle = [span("t", "1", Some("2"), "a", "s", 0, 1), span("t", "2", Some("1"), "b", "s", 0, 1)];
        assert!(render(&circle).contains("(2 more"));
        let chain: Vec<_> = (0..1_000_u64)
            .map(|at| {
                span("t", &at.to_string(), at.checked_sub(1).map(|at| at.to_string()).as_deref(), "a", "s", at, 1)
            })
            .collect();
        assert!(render(&chain).contains("(935 more"), "{}", render(&chain));
        assert_eq!(render(&[]), "");
    }
}
