//! Flame graphs: folded stacks in, one SVG out. Pure, and of use to any profile of this project.
//!
//! A frame is as wide as the samples in it and in what it called; its callers lie below it; order along the width is that of
//! names and means nothing (Gregg, "The Flame Graph", CACM 59(6), 2016). Hovering names a frame in full. There is no script:
//! the picture works in a page that forbids them, in a mail, on paper.
//!
//! The usual renderer, inferno, is under the CDDL, which this project's dependencies must not be; this one draws what is
//! used here: layers apart by colour, and differences.
//!
//! # Differences
//! Two engines hardly share a path of calls, but they share functions: the handler, the codec, the kernel's. So a frame's colour
//! says how the cost of its *function*, over all callers, differs between the two profiles; both are drawn at one scale. Samples are
//! counts, and a difference within two standard deviations of counting (√n) stays without colour.

mod stacks;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

pub use stacks::{Cost, DEPTH, Error, FOLDED_BYTES, Frame, Layer, Stacks};

/// Width of a picture, in its own units.
const WIDTH: f64 = 1200.0;

/// Height of a frame.
const ROW: f64 = 18.0;

/// Room for the title above a graph and for the legend below it.
const HEAD: f64 = 34.0;
const FOOT: f64 = 24.0;

/// Frames narrower than this are left out with all they called: nobody could point at them.
const NARROWEST: f64 = 0.8;

/// Width of a letter at the size of the frames' labels.
const LETTER: f64 = 6.62;

/// Standard deviations of counting beyond which a difference is one.
const DEVIATIONS: f64 = 2.0;

/// Colours: three tints a layer so that neighbours stay apart, four steps each way for differences. All are pale, and text on
/// them dark, in both colour schemes.
const STYLE: &str = "<style>\
.flame text{font:11px ui-monospace,'DejaVu Sans Mono',monospace;fill:#16191f;pointer-events:none}\
.flame .h{font:600 14px system-ui,sans-serif;fill:var(--ink,#16191f)}\
.flame .f{font:12px system-ui,sans-serif;fill:var(--muted,#59616d)}\
.flame rect{stroke:var(--paper,#fff);stroke-width:.6}.flame g:hover>rect{stroke:#16191f;stroke-width:1.4}\
.u0{fill:#a9cfea}.u1{fill:#bddaf0}.u2{fill:#94c2e4}.k0{fill:#f9bf9b}.k1{fill:#fbcfb3}.k2{fill:#f5ad82}\
.n{fill:#e4e7ec}.l1{fill:#d3e5f4}.l2{fill:#a9cfea}.l3{fill:#7fb8e0}.l4{fill:#56a0d6}\
.m1{fill:#fde0cd}.m2{fill:#f9bf9b}.m3{fill:#f39d69}.m4{fill:#e97f3f}\
.flame rect.k{stroke:#16191f;stroke-width:.9;stroke-dasharray:3 2}</style>";

/// A profile and what its samples stand for.
#[derive(Clone, Copy, Debug)]
pub struct Graph<'a> {
    /// What was profiled.
    pub title: &'a str,
    /// The profile.
    pub stacks: &'a Stacks,
    /// What one sample stands for, in `unit`.
    pub per_sample: f64,
    /// `samples`, `µs per request`, ….
    pub unit: &'a str,
}

impl<'a> Graph<'a> {
    /// A profile by itself, counted in samples.
    pub fn of_samples(title: &'a str, stacks: &'a Stacks) -> Self {
        Self { title, stacks, per_sample: 1.0, unit: "samples" }
    }

    /// A profile whose samples share `total` of `unit` among them: the graph's full width stands for that much.
    pub fn of_cost(title: &'a str, stacks: &'a Stacks, total: f64, unit: &'a str) -> Self {
        Self { title, stacks, per_sample: total / stacks.samples().max(1) as f64, unit }
    }

    fn total(&self) -> f64 {
        self.stacks.samples() as f64 * self.per_sample
    }
}

/// How the cost of a function differs between two profiles.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The function.
    pub function: String,
    /// Whether it runs in the kernel.
    pub kernel: bool,
    /// What it cost by itself before, in the graphs' unit.
    pub before: f64,
    /// What it costs by itself after.
    pub after: f64,
    /// Whether the difference is beyond what counting samples explains.
    pub supported: bool,
}

/// The SVG of folded stacks, for whoever has nothing but their text.
///
/// # Errors
/// [`Error`] when `folded` is none.
pub fn svg(folded: &str, title: &str) -> Result<String, Error> {
    let stacks = Stacks::parse(folded)?;
    Ok(picture("flame", &Graph::of_samples(title, &stacks)))
}

/// One graph, the kernel's frames in another colour than the program's. `id` must be unique on its page.
pub fn picture(id: &str, graph: &Graph) -> String {
    let mut drawing = Drawing::new(graph.total());
    let kernel = graph.stacks.kernel_share() * 100.0;
    drawing.graph(graph, &|frame| {
        let tint = hash(&frame.name) % 3;
        format!("{}{tint}", if frame.layer == Layer::Kernel { 'k' } else { 'u' })
    });
    let legend =
        format!("blue: program and libraries, {:.0}% of samples · orange: kernel, {kernel:.0}%", 100.0 - kernel);
    drawing.finish(id, graph.title, &legend)
}

/// Two graphs at one scale, coloured by how each function's cost differs; kernel frames have a dashed edge.
pub fn difference(id: &str, before: &Graph, after: &Graph) -> String {
    let changed = shades(before, after);
    let mut drawing = Drawing::new(before.total().max(after.total()));
    for graph in [before, after] {
        drawing.graph(graph, &|frame| {
            let shade = changed.get(&(frame.layer, frame.name.as_str())).map_or("n", |shade| *shade);
            format!("{shade}{}", if frame.layer == Layer::Kernel { " k" } else { "" })
        });
    }
    let title = format!("{} against {}", after.title, before.title);
    let legend = format!(
        "orange: the function costs more with {}, blue: less, grey: no more than counting explains · dashed: kernel",
        after.title
    );
    drawing.finish(id, &title, &legend)
}

/// Functions by how much their own cost differs, largest first.
pub fn changes(before: &Graph, after: &Graph) -> Vec<Change> {
    let mut changes: Vec<Change> = pairs(before, after)
        .into_iter()
        .map(|((layer, name), (a, b))| Change {
            function: name.to_owned(),
            kernel: layer == Layer::Kernel,
            before: a.own as f64 * before.per_sample,
            after: b.own as f64 * after.per_sample,
            supported: compared(a.own, b.own, before, after).is_some(),
        })
        .filter(|change| change.before != change.after)
        .collect();
    let size = |change: &Change| (change.after - change.before).abs();
    changes.sort_by(|a, b| size(b).total_cmp(&size(a)).then_with(|| a.function.cmp(&b.function)));
    changes
}

type Function<'a> = (Layer, &'a str);

/// What each function of either profile costs in both.
fn pairs<'a>(before: &Graph<'a>, after: &Graph<'a>) -> BTreeMap<Function<'a>, (Cost, Cost)> {
    let mut pairs: BTreeMap<Function, (Cost, Cost)> = BTreeMap::new();
    for (function, cost) in before.stacks.functions() {
        pairs.entry(function).or_default().0 = cost;
    }
    for (function, cost) in after.stacks.functions() {
        pairs.entry(function).or_default().1 = cost;
    }
    pairs
}

/// The difference of two counts as a share of the larger cost, -1 to 1; `None` when counting explains it.
fn compared(a: u64, b: u64, before: &Graph, after: &Graph) -> Option<f64> {
    let (a, b) = (a as f64, b as f64);
    let (from, to) = (a * before.per_sample, b * after.per_sample);
    let deviation = (a * before.per_sample.powi(2) + b * after.per_sample.powi(2)).sqrt();
    let difference = to - from;
    (difference.abs() > DEVIATIONS * deviation).then(|| difference / from.max(to))
}

/// The colour of each function that differs.
fn shades<'a>(before: &Graph<'a>, after: &Graph<'a>) -> BTreeMap<Function<'a>, &'static str> {
    pairs(before, after)
        .into_iter()
        .filter_map(|(function, (a, b))| {
            let share = compared(a.total, b.total, before, after)?;
            let steps = if share < 0.0 { ["l1", "l2", "l3", "l4"] } else { ["m1", "m2", "m3", "m4"] };
            let step = [0.25, 0.5, 0.75].iter().filter(|bound| share.abs() > **bound).count();
            Some((function, steps[step]))
        })
        .collect()
}

/// A picture being drawn, one graph below the other.
struct Drawing {
    body: String,
    bottom: f64,
    /// What the full width stands for.
    full: f64,
}

/// A frame in its place.
struct Placed {
    index: usize,
    depth: usize,
    left: f64,
}

impl Drawing {
    fn new(full: f64) -> Self {
        Self { body: String::new(), bottom: 0.0, full: full.max(f64::MIN_POSITIVE) }
    }

    fn graph(&mut self, graph: &Graph, class: &dyn Fn(&Frame) -> String) {
        let frames = &graph.stacks.frames;
        let scale = WIDTH / self.full * graph.per_sample;
        let placed = place(graph.stacks, scale);
        let levels = placed.iter().map(|frame| frame.depth + 1).max().unwrap_or(0) as f64;
        let head = format!("{}: {} {}", graph.title, amount(graph.total()), graph.unit);
        let _ = write!(self.body, "<text class=\"h\" x=\"2\" y=\"{}\">{}</text>", self.bottom + 21.0, escape(&head));
        let floor = self.bottom + HEAD + levels * ROW;
        for Placed { index, depth, left } in placed {
            let frame = &frames[index];
            let width = frame.total as f64 * scale;
            let top = floor - (depth as f64 + 1.0) * ROW;
            let share = frame.total as f64 / graph.stacks.samples().max(1) as f64 * 100.0;
            let value = amount(frame.total as f64 * graph.per_sample);
            let layer = if frame.layer == Layer::Kernel { " (kernel)" } else { "" };
            let _ = write!(
                self.body,
                "<g><title>{}{layer}: {value} {}, {share:.1}%</title><rect class=\"{}\" x=\"{left:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{ROW}\"/>",
                escape(&frame.name),
                graph.unit,
                class(frame)
            );
            if let Some(label) = label(&frame.name, width) {
                let _ =
                    write!(self.body, "<text x=\"{:.1}\" y=\"{}\">{}</text>", left + 3.0, top + 13.0, escape(&label));
            }
            self.body.push_str("</g>");
        }
        self.bottom = floor + 6.0;
    }

    fn finish(self, id: &str, title: &str, legend: &str) -> String {
        let (title, legend) = (escape(title), escape(legend));
        let height = self.bottom + FOOT;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"flame\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
             <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{legend}</desc>{STYLE}{}\
             <text class=\"f\" x=\"2\" y=\"{}\">{legend}</text></svg>\n",
            self.body,
            self.bottom + 14.0
        )
    }
}

/// Every frame that is wide enough to be seen, callers before what they called.
fn place(stacks: &Stacks, scale: f64) -> Vec<Placed> {
    let mut placed = Vec::new();
    let mut todo = vec![Placed { index: 0, depth: 0, left: 0.0 }];
    while let Some(frame) = todo.pop() {
        let mut left = frame.left;
        for child in &stacks.frames[frame.index].children {
            let width = stacks.frames[*child].total as f64 * scale;
            if width >= NARROWEST {
                todo.push(Placed { index: *child, depth: frame.depth + 1, left });
            }
            left += width;
        }
        // The root has no box: the title says what it would.
        if frame.index != 0 {
            placed.push(Placed { depth: frame.depth - 1, ..frame });
        }
    }
    placed
}

/// As much of a name as fits: whole, else the end of its path, which says most, else its beginning.
fn label(name: &str, width: f64) -> Option<String> {
    let room = ((width - 6.0) / LETTER).max(0.0) as usize;
    if room < 3 {
        return None;
    }
    let name = plain(name);
    if name.chars().count() <= room {
        return Some(name.to_owned());
    }
    // A cut within <…> would leave half a type.
    let ends = name.match_indices("::").map(|(at, _)| &name[at + 2..]).filter(|end| !end.contains(['<', '>']));
    if let Some(end) = ends.into_iter().find(|end| end.chars().count() < room) {
        return Some(format!("…{end}"));
    }
    Some(name.chars().take(room - 1).chain(['…']).collect())
}

/// A Rust name without the hash that the compiler adds to it.
fn plain(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => path,
        _ => name,
    }
}

/// Whole numbers as they are, others with three significant digits.
fn amount(value: f64) -> String {
    let whole = (value - value.round()).abs() < 1e-9;
    if whole { format!("{value:.0}") } else { super::words::number(value) }
}

/// FNV-1a: the same tint in every picture.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Text that XML takes: markup escaped, and characters that no document may hold replaced.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '\0'..='\u{1f}' | '\u{7f}' | '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PROFILE: &str = "mio;main;service::run;service::handler::Handler::feed 30\nmio;main;service::run;recv 50\nmio;main;<A as B<C>>::poll::h0123456789abcdef 20\n";

    /// Shows where the frames of a small profile stand: widths in proportion, callers below, kernel in its own colour.
    #[test]
    fn widths_are_in_proportion() {
        let svg = svg(PROFILE, "a server").unwrap();
        assert!(svg.contains("<title>main: 100 samples, 100.0%</title>"), "{svg}");
        let of = |name: &str| {
            let from = &svg[svg.find(&format!("<title>{name}")).unwrap()..];
            let field = |key: &str| {
                let at = from.find(&format!(" {key}=\"")).unwrap() + key.len() + 3;
                from[at..at + from[at..].find('"').unwrap()].to_owned()
            };
            (field("class"), field("width"), field("y").parse::<f64>().unwrap())
        };
        let (class, width, top) = of("recv (kernel): 50 samples, 50.0%");
        assert!(class.starts_with('k'), "{class}");
        assert_eq!(width, "600.0");
        assert!(top < of("main").2, "a callee stands above its caller");
        assert_eq!(of("service::handler::Handler::feed").1, "360.0");
        assert!(svg.contains("orange: kernel, 50%"), "{svg}");
    }

    /// Shows what fits into frames of several widths.
    #[test]
    fn labels_keep_the_end_of_a_path() {
        let name = "service::handler::Handler::feed";
        let at = |letters: f64| label(name, letters * LETTER + 6.5);
        assert_eq!(at(40.0).as_deref(), Some(name));
        assert_eq!(at(16.0).as_deref(), Some("…Handler::feed"));
        assert_eq!(at(5.0).as_deref(), Some("…feed"));
        assert_eq!(at(4.0).as_deref(), Some("ser…"));
        assert_eq!(at(2.0), None);
        assert_eq!(label("<A as B<C>>::poll::h0123456789abcdef", 500.0).as_deref(), Some("<A as B<C>>::poll"));
    }

    /// Shows that a difference beyond counting gets a colour and one within it none, at different numbers of samples.
    #[test]
    fn differences_are_coloured_by_what_counting_supports() {
        let before = Stacks::parse("main;same 500\nmain;json 400\nmain;recv 100").unwrap();
        let after = Stacks::parse("main;same 258\nmain;protobuf 90\nmain;recv 52").unwrap();
        let (before, after) = (
            Graph::of_cost("json", &before, 10.0, "µs per request"),
            Graph::of_cost("protobuf", &after, 8.0, "µs per request"),
        );
        let changed = shades(&before, &after);
        assert_eq!(changed.get(&(Layer::User, "json")), Some(&"l4"), "gone");
        assert_eq!(changed.get(&(Layer::User, "protobuf")), Some(&"m4"), "new");
        assert_eq!(changed.get(&(Layer::User, "same")), None, "5.0 and 5.16 µs are the same");
        let listed = changes(&before, &after);
        assert_eq!((listed[0].function.as_str(), listed[0].before, listed[0].after), ("json", 4.0, 0.0));
        assert!(
            listed.iter().all(|change| change.supported == ["json", "protobuf"].contains(&change.function.as_str()))
        );
        let svg = difference("d", &before, &after);
        assert!(svg.contains("class=\"l4\"") && svg.contains("class=\"m4\"") && svg.contains("class=\"n k\""), "{svg}");
        assert!(svg.contains("json: 10 µs per request") && svg.contains("protobuf: 8 µs per request"), "{svg}");
    }

    /// Shows that an empty profile is a picture that says so.
    #[test]
    fn nothing_is_drawn_for_nothing() {
        assert!(svg("", "idle").unwrap().contains("idle: 0 samples"));
    }

    proptest! {
        /// Whatever names come, the SVG is well-formed: every `<` opens or closes an element of ours, tags balance.
        #[test]
        fn names_cannot_break_out(names in prop::collection::vec("\\PC{0,20}|[<>&\"'\u{0}-\u{1f}]{0,8}", 1..8), count in 1..1000_u64) {
            let stack: Vec<String> = names.iter().map(|name| name.replace([';', '\n', '\r'], "")).collect();
            let Ok(svg) = svg(&format!("{} {count}", stack.join(";")), &names[0]) else { return Ok(()) };
            let mut open = Vec::new();
            for part in svg.split('<').skip(1) {
                let tag = part.split(['>', ' ']).next().unwrap_or_default();
                prop_assert!(part.contains('>'), "{}", part);
                if let Some(closed) = tag.strip_prefix('/') {
                    prop_assert_eq!(open.pop(), Some(closed));
                } else if !part.split('>').next().unwrap_or_default().ends_with('/') {
                    prop_assert!(["svg", "title", "desc", "style", "text", "g"].contains(&tag), "{}", tag);
                    open.push(tag);
                }
            }
            prop_assert!(open.is_empty(), "{:?}", open);
        }
    }
}
