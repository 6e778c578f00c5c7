//! What criterion has measured on this machine: nanoseconds of codecs by themselves, for the report of formats.
//!
//! criterion keeps two files for each bench, `new/benchmark.json` (its names) and `new/estimates.json` (its figures), below
//! `target/criterion`. They are read once, when a run begins, into `codecs.jsonl` of the result directory: reports work from that alone.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file in a result directory.
pub const FILE: &str = "codecs.jsonl";

/// Benches that are read; the lab has some hundred.
const BENCHES: usize = 10_000;

/// Folders below criterion's that are entered: group, function, value, `new`, and one to spare.
const DEPTH: usize = 5;

/// Largest file of criterion's that is read, in bytes. They have a kilobyte.
const FILE_BYTES: u64 = 1 << 20;

/// One bench of criterion's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Name of its group: `encode/note`.
    pub group: String,
    /// Name within the group: a format.
    pub function: String,
    /// Its parameter: which way of reading, where there are several.
    #[serde(default)]
    pub value: Option<String>,
    /// Median nanoseconds an iteration.
    pub nanoseconds: f64,
    /// Its 95 % interval, as criterion has it.
    pub interval: [f64; 2],
}

/// Criterion's directory: `CRITERION_HOME`, else below Cargo's target directory.
pub fn directory() -> PathBuf {
    if let Some(home) = std::env::var_os("CRITERION_HOME") {
        return home.into();
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).join("target"),
        PathBuf::from,
    );
    target.join("criterion")
}

/// Every bench below `directory`, by group, function and parameter. Nothing where nothing was measured; what cannot be read
/// is left out, since it is criterion's file and not ours.
pub fn read(directory: &Path) -> Vec<Estimate> {
    let mut found = Vec::new();
    let mut todo = vec![(directory.to_owned(), 0)];
    while let Some((folder, depth)) = todo.pop() {
        if found.len() >= BENCHES {
            break;
        }
        found.extend(bench(&folder.join("new")));
        if depth < DEPTH {
            let inside = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let folders = inside.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            todo.extend(folders.map(|entry| (entry.path(), depth + 1)));
        }
    }
    found.sort_by(|a, b| (&a.group, &a.function, &a.value).cmp(&(&b.group, &b.function, &b.value)));
    found
}

/// The lines of [`FILE`].
pub fn to_lines(estimates: &[Estimate]) -> String {
    estimates.iter().map(|estimate| serde_json::to_string(estimate).expect("plain data") + "\n").collect()
}

#[derive(Deserialize)]
struct Names {
    group_id: String,
    #[serde(default)]
    function_id: Option<String>,
    #[serde(default)]
    value_str: Option<String>,
}

#[derive(Deserialize)]
struct Figures {
    median: Figure,
}

#[derive(Deserialize)]
struct Figure {
    point_estimate: f64,
    confidence_interval: Bounds,
}

#[derive(Deserialize)]
struct Bounds {
    lower_bound: f64,
    upper_bound: f64,
}

/// The bench whose folder `new` this is.
fn bench(new: &Path) -> Option<Estimate> {
    let names: Names = file(&new.join("benchmark.json"))?;
    let Figures { median } = file(&new.join("estimates.json"))?;
    let interval = [median.confidence_interval.lower_bound, median.confidence_interval.upper_bound];
    let sound = [median.point_estimate, interval[0], interval[1]].iter().all(|ns| ns.is_finite() && *ns > 0.0);
    sound.then(|| Estimate {
        group: names.group_id,
        function: names.function_id.unwrap_or_default(),
        value: names.value_str,
        nanoseconds: median.point_estimate,
        interval,
    })
}

fn file<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(FILE_BYTES).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows that benches are found wherever criterion puts them and that broken files cost themselves alone, in a tree like its own.
    #[test]
    fn criterions_tree_is_read() {
        let home = tempfile::tempdir().unwrap();
        let write = |folder: &str, names: &str, median: f64| {
            let new = home.path().join(folder).join("new");
            std::fs::create_dir_all(&new).unwrap();
            std::fs::write(new.join("benchmark.json"), names).unwrap();
            let estimates = format!(
                r#"{{"mean":{{}},"median":{{"confidence_interval":{{"confidence_level":0.95,"lower_bound":{},"upper_bound":{}}},"point_estimate":{median},"standard_error":0.1}}}}"#,
                median * 0.75,
                median * 1.25
            );
            std::fs::write(new.join("estimates.json"), estimates).unwrap();
        };
        write("project/json/serde", r#"{"group_id":"project","function_id":"json","value_str":"serde"}"#, 310.0);
        write("project/json/all", r#"{"group_id":"project","function_id":"json","value_str":"all"}"#, 90.0);
        write(
            "note_raw/encode",
            r#"{"group_id":"note/raw","function_id":"encode","value_str":null,"throughput":null}"#,
            12.0,
        );
        write("broken/one", "{", 1.0);
        write("broken/two", r#"{"group_id":"x"}"#, -1.0);
        let found = read(home.path());
        let names: Vec<(&str, Option<&str>)> =
            found.iter().map(|found| (found.group.as_str(), found.value.as_deref())).collect();
        assert_eq!(names, [("note/raw", None), ("project", Some("all")), ("project", Some("serde"))]);
        assert_eq!((found[1].nanoseconds, found[1].interval), (90.0, [67.5, 112.5]));
        let again: Vec<Estimate> = to_lines(&found).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(again, found);
        assert!(read(&home.path().join("nowhere")).is_empty());
    }
}
