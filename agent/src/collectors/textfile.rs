//! `textfile`: metrics that batch jobs leave in `*.prom` files.
//!
//! A file counts as a whole or not at all: one line that is not in the format, and nothing of the file is exported
//! ([`node_textfile_scrape_error`](METRICS)). A family may be spread over several files when they agree on its type.
//! Names that a collector of the agent could export are refused, since a page may have each only once.

mod parse;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use hostfs::{attributes, read_into};

use crate::catalogue;
use crate::collector::{Collector, Failure, Spec};
use crate::exposition::Page;
use crate::flags::{Setup, list};
use parse::{Family, Parsed};

crate::metrics! {
    MTIME = gauge("node_textfile_mtime_seconds").labels(&["file"]).unit("seconds").help("When the file was written, as a Unix time.")
        .source("*.prom files").answers("Does the batch job still write its metrics?");
    ERROR = gauge("node_textfile_scrape_error").help("1 when a file or directory could not be read or understood.").source("*.prom files")
        .answers("Does a batch job write nonsense?");
}

/// See [`crate::collector`].
pub static SPEC: Spec = Spec {
    metrics: METRICS,
    flags: &[list("collector.textfile.directory", "Directory of *.prom files; may be repeated, * stands for any name")],
    build,
};

/// Largest file that is read.
const FILE_LIMIT: usize = 4 << 20;

/// Most files of all directories together.
const FILES: usize = 1000;

struct Textfile {
    directories: Vec<String>,
    text: Vec<u8>,
}

fn build(setup: &Setup) -> anyhow::Result<Box<dyn Collector>> {
    let directories = setup.list("collector.textfile.directory").to_vec();
    Ok(Box::new(Textfile { directories, text: Vec::new() }))
}

impl Collector for Textfile {
    fn collect(&mut self, page: &mut Page) -> Result<(), Failure> {
        let mut problems = Vec::new();
        let mut families: BTreeMap<Vec<u8>, Family> = BTreeMap::new();
        let mut written = Vec::new();
        for path in files(&self.directories, &mut problems) {
            match self.file(&path) {
                Ok((parsed, mtime)) => {
                    if let Err(problem) = merge(&mut families, parsed) {
                        problems.push(format!("{}: {problem}", path.display()));
                    } else {
                        written.push((path, mtime));
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        for (name, family) in &families {
            family.write(name, page);
        }
        let mut family = page.family(&MTIME);
        for (path, mtime) in &written {
            family.sample(&[("file", path.as_os_str().as_encoded_bytes())], *mtime);
        }
        page.single(&ERROR, !problems.is_empty());
        // The collector has done its work when it has said which files are bad.
        for problem in problems {
            tracing::warn!(collector = "textfile", "{problem}");
        }
        Ok(())
    }
}

impl Textfile {
    fn file(&mut self, path: &Path) -> Result<(Parsed, f64), String> {
        let modified = std::fs::metadata(path).and_then(|file| file.modified());
        let modified = modified.map_err(|error| format!("{}: {error}", path.display()))?;
        read_into(path, &mut self.text, FILE_LIMIT).map_err(|error| error.to_string())?;
        let parsed = parse::parse(&self.text).map_err(|problem| format!("{}:{problem}", path.display()))?;
        Ok((parsed, modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()))
    }
}

/// The `*.prom` files of all directories, sorted.
fn files(directories: &[String], problems: &mut Vec<String>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for pattern in directories {
        for directory in expand(pattern) {
            match attributes::names(&directory) {
                Ok(names) => {
                    let wanted = names.iter().filter(|name| name.ends_with(b".prom"));
                    found.extend(wanted.map(|name| directory.join(attributes::component(name))));
                }
                Err(error) => problems.push(error.to_string()),
            }
        }
    }
    if found.len() > FILES {
        problems.push(format!("{} files, of which {FILES} are read", found.len()));
        found.truncate(FILES);
    }
    found
}

/// Directories of a pattern whose components may hold `*` for any part of a name.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from(if pattern.starts_with('/') { "/" } else { "" })];
    for component in pattern.split('/').filter(|component| !component.is_empty()) {
        if let Some((prefix, suffix)) = component.split_once('*') {
            let matches = |name: &[u8]| {
                name.len() >= prefix.len() + suffix.len()
                    && name.starts_with(prefix.as_bytes())
                    && name.ends_with(suffix.as_bytes())
            };
            found = found
                .iter()
                .flat_map(|directory| {
                    let names = attributes::names(directory).unwrap_or_default();
                    let wanted = names.into_iter().filter(|name| matches(name));
                    wanted.map(|name| directory.join(attributes::component(&name))).collect::<Vec<_>>()
                })
                .collect();
        } else {
            found.iter_mut().for_each(|directory| directory.push(component));
        }
    }
    found
}

/// Adds a file's families to those of the files before it.
fn merge(families: &mut BTreeMap<Vec<u8>, Family>, parsed: Parsed) -> Result<(), String> {
    for (name, family) in &parsed {
        let text = String::from_utf8_lossy(name);
        if catalogue::find(&text).is_some() {
            return Err(format!("{text} is a name of the agent's own"));
        }
        if let Some(known) = families.get(name) {
            known.agrees(family).map_err(|problem| format!("{text} {problem}"))?;
        }
    }
    for (name, family) in parsed {
        families.entry(name).or_default().absorb(family);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(directory: &Path) -> String {
        let mut collector = Textfile { directories: vec![directory.display().to_string()], text: Vec::new() };
        let mut page = Page::default();
        collector.collect(&mut page).unwrap();
        String::from_utf8(page.as_bytes().to_vec()).unwrap()
    }

    /// Good files are joined by family; a bad file, and one that takes a name of the agent's, cost only themselves.
    #[test]
    fn files_of_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("a.prom", "# HELP job_ok Whether it worked.\n# TYPE job_ok gauge\njob_ok{job=\"a\"} 1\n");
        write("b.prom", "# TYPE job_ok gauge\njob_ok{job=\"b\"} 0\nother 2.5\n");
        write("ignored.txt", "nonsense");
        let page = scrape(dir.path());
        assert!(
            page.starts_with(
                "# HELP job_ok Whether it worked.\n# TYPE job_ok gauge\njob_ok{job=\"a\"} 1\njob_ok{job=\"b\"} 0\n\
             # TYPE other untyped\nother 2.5\n"
            ),
            "{page}"
        );
        assert!(page.contains("node_textfile_scrape_error 0\n"));
        assert_eq!(page.matches("node_textfile_mtime_seconds{file=").count(), 2);
        write("c.prom", "good 1\nbad{ 1\n");
        write("d.prom", "node_load1 99\n");
        write("e.prom", "# TYPE job_ok counter\njob_ok{job=\"e\"} 1\n");
        let page = scrape(dir.path());
        assert!(page.contains("node_textfile_scrape_error 1\n"), "{page}");
        assert!(!page.contains("good") && !page.contains("node_load1") && !page.contains("job=\"e\""), "{page}");
        assert_eq!(page.matches("node_textfile_mtime_seconds{file=").count(), 2);
    }

    /// A directory that is not there is an error; a pattern finds directories.
    #[test]
    fn directories() {
        let dir = tempfile::tempdir().unwrap();
        assert!(scrape(&dir.path().join("none")).contains("node_textfile_scrape_error 1\n"));
        for name in ["app-one", "app-two", "other"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("x.prom"), format!("{} 1\n", name.replace('-', "_"))).unwrap();
        }
        let page = scrape(&dir.path().join("app-*"));
        assert!(page.contains("app_one 1\n") && page.contains("app_two 1\n") && !page.contains("other"), "{page}");
    }
}
