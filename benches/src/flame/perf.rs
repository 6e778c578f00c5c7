//! Samples a server from outside with `perf record`, kernel frames included, and folds what `perf script` prints.
//!
//! The event is cpu-clock, a timer: virtual machines often have no cycle counter. User stacks are unwound by their DWARF tables
//! (perf-record(1), --call-graph dwarf), since Rust's release builds keep no frame pointer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Error;
use crate::child::{Child, Line, ended};
use crate::observe::GroupProbe;
use crate::scenario::FlamePart;

/// Bytes of user stack that the kernel copies with each sample. Handlers here are shallow; perf's default of 8 KiB cuts
/// debug builds.
const STACK_BYTES: u32 = 16 << 10;

/// How long perf may take to write its file, and between two lines of its script.
const PATIENCE: Duration = Duration::from_secs(60);

/// First address of the kernel's half on the 64-bit architectures that perf's stacks come from.
const KERNEL: u64 = 0xffff_8000_0000_0000;

/// Different stacks that are kept; more than any server here has.
const STACKS: usize = 1 << 20;

/// `perf record` at work.
pub struct Recording {
    child: Child,
    file: PathBuf,
    cpus: Vec<usize>,
    patience: Duration,
}

impl Recording {
    pub(super) fn start(
        part: &FlamePart,
        server: &GroupProbe,
        directory: &Path,
        cpus: &[usize],
    ) -> Result<Self, Error> {
        // All of them: of a master and its workers nobody can say beforehand who will work.
        let processes = server.processes().map_err(|error| Error::Failed(error.to_string()))?;
        let processes: Vec<String> = processes.iter().map(u32::to_string).collect();
        let file = directory.join("perf.data");
        let mut command = Command::new("perf");
        command
            .args(["record", "--quiet", "--no-buildid", "--event", "cpu-clock"])
            .args(["--freq", &part.hertz.to_string(), "--call-graph", &format!("dwarf,{STACK_BYTES}")])
            .args(["--pid", &processes.join(","), "--output"])
            .arg(&file)
            .args(["--", "sleep", &part.seconds.to_string()]);
        let child = Child::start(command, cpus).map_err(|error| missing(&error))?;
        let patience = Duration::from_secs(part.seconds.into()) + PATIENCE;
        Ok(Self { child, file, cpus: cpus.to_vec(), patience })
    }

    pub(super) fn finish(mut self) -> Result<String, Error> {
        let status = self.child.wait(self.patience);
        if !status.is_some_and(|status| status.success()) {
            let last = if status.is_some() { self.child.last_words() } else { "it did not end in time".to_owned() };
            return Err(Error::Unavailable(format!(
                "perf record failed ({}): {last}; it needs kernel.perf_event_paranoid at 1 or below, or CAP_PERFMON; flame.sampler = \"pprof\" needs neither",
                ended(status)
            )));
        }
        let folded = self.script();
        // The raw file holds a copy of every stack: megabytes that nothing reads again.
        let _ = std::fs::remove_file(&self.file);
        folded
    }

    fn script(&self) -> Result<String, Error> {
        let mut command = Command::new("perf");
        command.args(["script", "--fields", "comm,ip,sym,dso", "--no-inline", "--input"]).arg(&self.file);
        let mut script = Child::start(command, &self.cpus).map_err(|error| missing(&error))?;
        let mut folding = Folding::default();
        loop {
            match script.line(PATIENCE, &|| false) {
                Line::Said(line) => folding.line(&line),
                Line::Ended => break,
                Line::Nothing => return Err(Error::Failed("perf script did not answer".to_owned())),
            }
        }
        let status = script.wait(PATIENCE);
        if !status.is_some_and(|status| status.success()) {
            let said = if status.is_some() { script.stderr() } else { String::new() };
            return Err(Error::Failed(format!("perf script failed ({}): {said:.300}", ended(status))));
        }
        Ok(folding.text())
    }
}

fn missing(error: &std::io::Error) -> Error {
    Error::Unavailable(format!(
        "perf cannot be started: {error}; install linux-perf, or take flame.sampler = \"pprof\""
    ))
}

/// Stacks of `perf script`, being added up: a line with the thread's name, a line a frame from the leaf on, an empty line.
#[derive(Default)]
struct Folding {
    thread: String,
    frames: Vec<String>,
    stacks: BTreeMap<String, u64>,
}

impl Folding {
    fn line(&mut self, line: &str) {
        if line.trim().is_empty() {
            self.end();
        } else if line.starts_with(char::is_whitespace) {
            self.frames.extend(frame(line));
        } else {
            self.end();
            line.trim().clone_into(&mut self.thread);
        }
    }

    fn end(&mut self) {
        if self.frames.is_empty() {
            return;
        }
        let mut stack = self.thread.replace(';', ":");
        for frame in self.frames.drain(..).rev() {
            stack.push(';');
            stack.push_str(&frame);
        }
        if self.stacks.len() < STACKS || self.stacks.contains_key(&stack) {
            *self.stacks.entry(stack).or_default() += 1;
        }
    }

    fn text(mut self) -> String {
        self.end();
        self.stacks.iter().map(|(stack, count)| format!("{stack} {count}\n")).collect()
    }
}

/// `    ffffffff8121 tcp_sendmsg ([kernel.kallsyms])`: address, function, the file that it is from. Functions may hold spaces.
fn frame(line: &str) -> Option<String> {
    let (address, rest) = line.trim().split_once(char::is_whitespace)?;
    let address = u64::from_str_radix(address, 16).ok()?;
    let name = rest.rsplit_once(" (").map_or(rest, |(name, _)| name).trim().replace(';', ":");
    let mark = if address >= KERNEL { "_[k]" } else { "" };
    Some(format!("{name}{mark}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two samples as perf 6.1 prints them.
    const SCRIPT: &str = "\
server-mio 
	ffffffff81a01234 tcp_sendmsg_locked ([kernel.kallsyms])
	ffffffff81c00130 entry_SYSCALL_64_after_hwframe ([kernel.kallsyms])
	    7f2a3b4c5d6e __send+0x1e (/usr/lib/x86_64-linux-gnu/libc.so.6)
	    55d0c0ffee00 core::ops::function::FnOnce::call_once<fn() -> (), ()> (/tmp/server-mio)

server-mio 
	    55d0c0ffee10 [unknown] (/tmp/server-mio)
";

    /// Shows that stacks are turned root first, that the kernel's frames are marked, and that names with spaces stay whole.
    #[test]
    fn scripts_are_folded() {
        let mut folding = Folding::default();
        SCRIPT.lines().chain(SCRIPT.lines()).for_each(|line| folding.line(line));
        assert_eq!(
            folding.text(),
            "server-mio;[unknown] 2\n\
             server-mio;core::ops::function::FnOnce::call_once<fn() -> (), ()>;__send+0x1e;entry_SYSCALL_64_after_hwframe_[k];tcp_sendmsg_locked_[k] 2\n"
        );
    }

    /// Shows that whatever else stands there is left out.
    #[test]
    fn other_lines_are_left_out() {
        let mut folding = Folding::default();
        for line in ["\tno address here", "\t", "", "# a comment", "x", "\tzz name (file)"] {
            folding.line(line);
        }
        assert_eq!(folding.text(), "");
    }
}
