//! Limits as metrics for a textfile collector, the agent's or node_exporter's: `highload_limit`, and where the present load is
//! known `highload_load` and `highload_headroom_ratio`.
//!
//! Text exposition format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::axis::Axis;
use super::result::{Conclusion, FILE, Limit};
use crate::failure::Failure;

/// Name of the file in the collector's directory.
const NAME: &str = "highload_limits.prom";

/// Largest file of limits that is read, in bytes: some 30,000 rows.
const LARGEST: u64 = 64 << 20;

/// The load now, on an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Which of the limits it goes with.
    pub over: Axis,
    /// How much.
    pub now: f64,
}

/// Reads rows of `limits.jsonl` files, or of the one in a directory; of rows with one key the last one counts.
///
/// # Errors
/// A usage failure when there is no such file; a sentence that names the line when a row cannot be read.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Limit>> {
    let mut limits: Vec<Limit> = Vec::new();
    for path in paths {
        let path = if path.is_dir() { path.join(FILE) } else { path.clone() };
        let size =
            std::fs::metadata(&path).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?.len();
        if size > LARGEST {
            let said = format!("{}: {size} bytes, at most {LARGEST} are read", path.display());
            return Err(Failure::Usage(said).into());
        }
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let whole = text.ends_with('\n');
        let count = text.lines().count();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let limit: Limit = match serde_json::from_str(line) {
                Ok(limit) => limit,
                Err(_) if index + 1 == count && !whole => {
                    eprintln!("warning: {} line {}: torn while it was written, left out", path.display(), index + 1);
                    continue;
                }
                Err(error) => {
                    let said = format!("{} line {}: {error}", path.display(), index + 1);
                    return Err(Failure::Usage(said).into());
                }
            };
            limits.retain(|other| other.key() != limit.key());
            limits.push(limit);
        }
    }
    Ok(limits)
}

/// Writes the metrics of `limits` into the collector's `directory`, beside and then renamed, and returns the file's path.
///
/// # Errors
/// An environment failure when it cannot be written.
pub fn write(directory: &Path, limits: &[Limit], loads: &[Load]) -> Result<PathBuf> {
    let path = directory.join(NAME);
    // Not *.prom before it is whole: collectors look for that suffix.
    let fresh = path.with_added_extension("new");
    std::fs::write(&fresh, render(limits, loads)).and_then(|()| std::fs::rename(&fresh, &path)).map_err(|error| {
        Failure::Environment(format!("{}: {error}; --textfile names the collector's directory", path.display()))
    })?;
    Ok(path)
}

/// The metrics of limits that were found; "more than" is no limit and is left out.
pub fn render(limits: &[Limit], loads: &[Load]) -> String {
    let found: Vec<(&Limit, f64)> = limits
        .iter()
        .filter(|limit| limit.conclusion == Conclusion::Found && limit.complete)
        .filter_map(|limit| Some((limit, limit.limit?)))
        .collect();
    let loaded: Vec<(&Limit, f64, f64)> = found
        .iter()
        .filter_map(|(limit, most)| {
            let load = loads.iter().find(|load| load.over == limit.over)?;
            Some((*limit, *most, load.now))
        })
        .collect();
    let mut text = String::new();
    family(
        &mut text,
        "highload_limit",
        "Largest load that held all objectives in every round, in the unit of its axis.",
        found.iter().map(|(limit, most)| (*limit, *most)),
    );
    family(
        &mut text,
        "highload_load",
        "Load when this file was written, in the unit of its axis.",
        loaded.iter().map(|(limit, _, now)| (*limit, *now)),
    );
    family(
        &mut text,
        "highload_headroom_ratio",
        "Share of the limit that the load leaves; negative above it.",
        loaded.iter().map(|(limit, most, now)| (*limit, 1.0 - now / most)),
    );
    text
}

fn family<'a>(text: &mut String, name: &str, help: &str, samples: impl Iterator<Item = (&'a Limit, f64)>) {
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return;
    }
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
    for (limit, value) in samples {
        let labels = [
            ("over", limit.over.name()),
            ("service", &limit.service),
            ("version", limit.version.as_deref().unwrap_or("unknown")),
            ("engine", &limit.engine),
            ("protocol", &limit.protocol),
            ("format", &limit.format),
            ("scenario", &limit.scenario),
            ("machine", &limit.machine),
        ];
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let _ = writeln!(text, "{name}{{{}}} {value}", labels.join(","));
    }
}

/// A label value, escaped as the format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::result::{Ended, Key, Round};
    use super::*;
    use crate::result::Fingerprint;

    fn limit(engine: &str, ended: Ended, load: f64) -> Limit {
        let key = Key {
            service: "note".into(),
            engine: engine.into(),
            interface: "epoll".into(),
            protocol: "frame".into(),
            format: "json".into(),
            scenario: "a \"quoted\" one".into(),
            over: Axis::Connections,
            objectives: vec!["p99<20ms".parse().unwrap()],
        };
        let round = Round::new(1, ended, Some(load), None, 3);
        Limit::conclude(&key, &Fingerprint::default(), vec![round], 1)
    }

    /// Limits that were found are there with their headroom; "more than" is not; labels are escaped.
    #[test]
    fn metrics_of_what_was_found() {
        let limits = [limit("mio", Ended::Limit, 200.0), limit("ring", Ended::Ceiling, 900.0)];
        let text = render(&limits, &[Load { over: Axis::Connections, now: 50.0 }, Load { over: Axis::Rate, now: 1.0 }]);
        assert!(
            text.contains("highload_limit{over=\"connections\",service=\"note\",version=\"unknown\",engine=\"mio\""),
            "{text}"
        );
        assert!(text.contains("scenario=\"a \\\"quoted\\\" one\""), "{text}");
        assert!(text.contains("} 200\n") && text.contains("} 50\n") && text.contains("} 0.75\n"), "{text}");
        assert!(!text.contains("ring"), "{text}");
        assert!(!render(&limits, &[]).contains("headroom"));
    }

    /// Of two rows with one key the last counts; a torn last line is left out, another bad one is named.
    #[test]
    fn rows_are_read_with_their_keys() {
        let dir = tempfile::tempdir().unwrap();
        let rows =
            [limit("mio", Ended::Limit, 200.0), limit("mio", Ended::Limit, 300.0), limit("ring", Ended::Limit, 1.0)];
        let text: String = rows.iter().map(|row| serde_json::to_string(row).unwrap() + "\n").collect();
        std::fs::write(dir.path().join(FILE), format!("{text}{{\"schema\":1,")).unwrap();
        let read = read(&[dir.path().to_owned()]).unwrap();
        assert_eq!(read.iter().map(|limit| limit.limit).collect::<Vec<_>>(), [Some(300.0), Some(1.0)]);
        let bad = dir.path().join("bad.jsonl");
        std::fs::write(&bad, format!("{{}}\n{text}")).unwrap();
        let said = super::read(&[bad]).unwrap_err().to_string();
        assert!(said.contains("bad.jsonl line 1: missing field"), "{said}");
        assert!(super::read(&[dir.path().join("none")]).unwrap_err().to_string().contains("No such file"));
    }
}
