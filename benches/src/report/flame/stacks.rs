//! Folded stacks to a tree of frames, with bounds on everything that a peer can make grow.
//!
//! The format is that of Brendan Gregg's stackcollapse scripts, which profilers everywhere write: one stack a line, frames
//! from the root to the leaf separated by semicolons, a space, and how often it was seen. A frame of the kernel ends in `_[k]`.

use std::collections::{BTreeMap, HashMap};

/// Frames of one stack that are kept, counted from the root; what lies deeper counts as the last one's own.
pub const DEPTH: usize = 256;

/// Largest text that is taken, in bytes. A minute of a server at 999 Hz is some hundred kilobytes.
pub const FOLDED_BYTES: usize = 16 << 20;

/// Longest name that is kept, in characters: generic Rust names reach a few thousand.
const NAME_CHARACTERS: usize = 400;

/// What a frame of the kernel ends in.
const KERNEL_MARK: &str = "_[k]";

/// Functions of the C library that do nothing but enter the kernel. A sample whose innermost user frame is one of these was
/// taken in the kernel, so that a profiler that sees user frames only still tells the two apart.
const ENTRIES: [&str; 27] = [
    "accept",
    "accept4",
    "clock_nanosleep",
    "close",
    "connect",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_wait",
    "fcntl",
    "futex",
    "ioctl",
    "io_uring_enter",
    "nanosleep",
    "poll",
    "ppoll",
    "read",
    "readv",
    "recv",
    "recvfrom",
    "recvmsg",
    "send",
    "sendmsg",
    "sendto",
    "shutdown",
    "syscall",
    "write",
    "writev",
];

/// Text that is no folded stacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A line without a count at its end.
    #[error("line {line} of the folded stacks has no count at its end: `{seen}`")]
    NoCount {
        /// From 1.
        line: usize,
        /// The end of the line.
        seen: String,
    },
    /// More than [`FOLDED_BYTES`].
    #[error("{seen} bytes of folded stacks, at most {FOLDED_BYTES} are read")]
    TooLarge {
        /// Its length.
        seen: usize,
    },
}

/// Where a frame runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The program and its libraries.
    User,
    /// The kernel, or a function that only enters it.
    Kernel,
}

/// A frame: a function as called by its parent's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The function, without the kernel's mark.
    pub name: String,
    /// Where it runs.
    pub layer: Layer,
    /// Samples in it and in what it called.
    pub total: u64,
    /// Samples in itself.
    pub own: u64,
    /// Calls it made, by index into [`Stacks::frames`], in the order of their names.
    pub children: Vec<usize>,
}

/// What a function cost wherever it was called from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Samples in it and in what it called, each sample once.
    pub total: u64,
    /// Samples in itself.
    pub own: u64,
}

/// All stacks of a profile. Frame 0 is the root that holds all others and is not a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stacks {
    /// The frames.
    pub frames: Vec<Frame>,
}

impl Stacks {
    /// Reads folded stacks; empty lines are skipped and equal stacks are added.
    ///
    /// # Errors
    /// [`Error`] names the line.
    pub fn parse(folded: &str) -> Result<Self, Error> {
        if folded.len() > FOLDED_BYTES {
            return Err(Error::TooLarge { seen: folded.len() });
        }
        // With real kernel frames in the profile, the C library's own entries are ordinary functions.
        let entries = !folded.contains(KERNEL_MARK);
        let root = Frame { name: "all".to_owned(), layer: Layer::User, total: 0, own: 0, children: Vec::new() };
        let mut stacks = Self { frames: vec![root] };
        let mut places: HashMap<(usize, &str), usize> = HashMap::new();
        for (index, line) in folded.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let no_count = || {
                let seen: Vec<char> = line.trim_end().chars().rev().take(40).collect();
                Error::NoCount { line: index + 1, seen: seen.into_iter().rev().collect() }
            };
            let (stack, count) = line.trim_end().rsplit_once(' ').ok_or_else(no_count)?;
            let count: u64 = count.parse().map_err(|_| no_count())?;
            stacks.add(stack, count, entries, &mut places);
        }
        stacks.sort();
        Ok(stacks)
    }

    fn add<'a>(&mut self, stack: &'a str, count: u64, entries: bool, places: &mut HashMap<(usize, &'a str), usize>) {
        let mut parent = 0;
        self.frames[0].total = self.frames[0].total.saturating_add(count);
        for name in stack.split(';').take(DEPTH) {
            let place = *places.entry((parent, name)).or_insert_with(|| {
                let place = self.frames.len();
                self.frames.push(frame(name, entries));
                self.frames[parent].children.push(place);
                place
            });
            self.frames[place].total = self.frames[place].total.saturating_add(count);
            parent = place;
        }
        self.frames[parent].own = self.frames[parent].own.saturating_add(count);
    }

    fn sort(&mut self) {
        for index in 0..self.frames.len() {
            let mut children = std::mem::take(&mut self.frames[index].children);
            children.sort_by(|a, b| self.frames[*a].name.cmp(&self.frames[*b].name).then(a.cmp(b)));
            self.frames[index].children = children;
        }
    }

    /// Samples.
    pub fn samples(&self) -> u64 {
        self.frames[0].total
    }

    /// Whether nothing was sampled.
    pub fn is_empty(&self) -> bool {
        self.samples() == 0
    }

    /// Share of the samples that were taken in the kernel, 0 to 1; 0 for none.
    pub fn kernel_share(&self) -> f64 {
        let kernel = self.frames.iter().filter(|frame| frame.layer == Layer::Kernel).map(|frame| frame.own);
        kernel.fold(0, u64::saturating_add) as f64 / self.samples().max(1) as f64
    }

    /// Frames below each other, the root not counted.
    pub fn depth(&self) -> usize {
        // Children stand behind their parents, so one pass from the front reaches every frame after its parent.
        let mut depths = vec![0; self.frames.len()];
        for index in 0..self.frames.len() {
            for child in &self.frames[index].children {
                depths[*child] = depths[index] + 1;
            }
        }
        depths.into_iter().max().unwrap_or(0)
    }

    /// What each function costs over all its callers. A function that calls itself counts each sample once.
    pub fn functions(&self) -> BTreeMap<(Layer, &str), Cost> {
        let mut costs: BTreeMap<(Layer, &str), Cost> = BTreeMap::new();
        let mut path: Vec<(Layer, &str)> = Vec::new();
        // The depth of a frame is at most DEPTH, and with it that of this stack.
        let mut todo: Vec<(usize, usize)> = self.frames[0].children.iter().rev().map(|child| (*child, 0)).collect();
        while let Some((index, depth)) = todo.pop() {
            let frame = &self.frames[index];
            let key = (frame.layer, frame.name.as_str());
            path.truncate(depth);
            let cost = costs.entry(key).or_default();
            cost.own = cost.own.saturating_add(frame.own);
            if !path.contains(&key) {
                cost.total = cost.total.saturating_add(frame.total);
            }
            path.push(key);
            todo.extend(frame.children.iter().rev().map(|child| (*child, depth + 1)));
        }
        costs
    }
}

fn frame(name: &str, entries: bool) -> Frame {
    let (plain, marked) = match name.strip_suffix(KERNEL_MARK) {
        Some(plain) => (plain, true),
        None => (name, false),
    };
    let kernel = marked || (entries && ENTRIES.contains(&plain.trim_start_matches("__libc_").trim_start_matches('_')));
    let name = match plain.trim() {
        "" => "[unknown]".to_owned(),
        plain => plain.chars().take(NAME_CHARACTERS).collect(),
    };
    Frame { name, layer: if kernel { Layer::Kernel } else { Layer::User }, total: 0, own: 0, children: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Shows that equal prefixes meet, equal stacks add up and the order of lines does not matter, on a profile of five stacks.
    #[test]
    fn stacks_are_merged() {
        let stacks = Stacks::parse("a;b;c 3\na;b 2\n\na;d 1\na;b;c 4\nz 1\n").unwrap();
        let again = Stacks::parse("z 1\na;d 1\na;b;c 7\na;b 2").unwrap();
        let named = |stacks: &Stacks| {
            let mut all: Vec<(String, u64, u64)> =
                stacks.frames.iter().map(|frame| (frame.name.clone(), frame.total, frame.own)).collect();
            all.sort();
            all
        };
        assert_eq!(named(&stacks), named(&again));
        assert_eq!((stacks.samples(), stacks.depth()), (11, 3));
        let cost = stacks.functions();
        assert_eq!(cost[&(Layer::User, "b")], Cost { total: 9, own: 2 });
    }

    /// Shows that recursion counts a sample once for its function, by a stack that holds one three times.
    #[test]
    fn recursion_counts_once() {
        let stacks = Stacks::parse("main;f;f;g;f 5\nmain;f 1").unwrap();
        assert_eq!(stacks.functions()[&(Layer::User, "f")], Cost { total: 6, own: 6 });
    }

    /// Shows that kernel frames are told by their mark, and where there are none by the C library's entries.
    #[test]
    fn the_kernel_is_told_apart() {
        let with_marks = Stacks::parse("main;__libc_recv;sys_recv_[k] 3\nmain;__libc_recv 1").unwrap();
        assert_eq!(with_marks.kernel_share(), 0.75);
        let without = Stacks::parse("main;__libc_recv 3\nmain;work 1").unwrap();
        assert_eq!(without.kernel_share(), 0.75);
        assert!(without.functions().contains_key(&(Layer::Kernel, "__libc_recv")));
    }

    /// Shows that what is no count is named with its line.
    #[test]
    fn wrong_lines_are_named() {
        assert_eq!(Stacks::parse("a 1\na;b x"), Err(Error::NoCount { line: 2, seen: "a;b x".into() }));
        assert_eq!(
            Stacks::parse("a").unwrap_err().to_string(),
            "line 1 of the folded stacks has no count at its end: `a`"
        );
    }

    /// Shows that a stack deeper than the cap is cut there and loses no sample.
    #[test]
    fn deep_stacks_are_cut() {
        let stacks = Stacks::parse(&format!("{} 7", vec!["f"; 10_000].join(";"))).unwrap();
        assert_eq!((stacks.depth(), stacks.samples(), stacks.frames.len()), (DEPTH, 7, DEPTH + 1));
    }

    proptest! {
        /// Whatever text comes, reading ends in stacks that add up or in an error.
        #[test]
        fn any_text_is_read_or_refused(text in "([a-c;_\\[\\]k ]{0,12} [0-9]{0,21}\n?){0,30}") {
            if let Ok(stacks) = Stacks::parse(&text) {
                let own = stacks.frames.iter().fold(0, |sum: u64, frame| sum.saturating_add(frame.own));
                prop_assert_eq!(own, stacks.samples());
                prop_assert!((0.0..=1.0).contains(&stacks.kernel_share()));
                stacks.functions();
            }
        }
    }
}
