//! The result directory while a run writes it. What was written stays whole, whatever happens next.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::failure::Failure;
use crate::result::Fingerprint;

/// A result directory that a run appends to.
pub struct Store {
    directory: PathBuf,
    name: &'static str,
    rows: File,
    written: u32,
}

impl Store {
    /// Makes the directory, its histogram folder and the file of rows.
    ///
    /// # Errors
    /// A usage failure when the directory holds a result already, an environment failure when it cannot be written.
    pub fn create(directory: &Path, name: &'static str) -> Result<Self, Failure> {
        let rows = directory.join(name);
        let rows_of_all =
            ["trials.jsonl", "climbs.jsonl", "scale.jsonl", "spreads.jsonl", "recover.jsonl", "steps.jsonl"];
        if rows_of_all.iter().any(|name| directory.join(name).exists()) {
            return Err(Failure::Usage(format!("{} holds a result already; name another --out", directory.display())));
        }
        std::fs::create_dir_all(directory.join("histograms")).map_err(|error| refused(directory, 0, &error))?;
        let file =
            OpenOptions::new().create_new(true).append(true).open(&rows).map_err(|error| refused(&rows, 0, &error))?;
        Ok(Self { directory: directory.to_owned(), name, rows: file, written: 0 })
    }

    /// Writes `plan.json` and `host.json`.
    ///
    /// # Errors
    /// An environment failure when they cannot be written.
    pub fn describe(&self, plan: &impl Serialize, host: &Fingerprint) -> Result<(), Failure> {
        self.write("plan.json", plan)?;
        self.write("host.json", host)
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_string_pretty(value).expect("results are plain data");
        text.push('\n');
        self.keep(name, &text)
    }

    /// Writes a file beside the rows.
    ///
    /// # Errors
    /// An environment failure when it cannot be written.
    pub fn keep(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.directory.join(name);
        std::fs::write(&path, text).map_err(|error| refused(&path, self.written, &error))
    }

    /// Appends a row, whole or not at all.
    ///
    /// # Errors
    /// An environment failure that says how many rows stand.
    pub fn append(&mut self, row: &impl Serialize) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(row).expect("results are plain data");
        line.push(b'\n');
        let append = |rows: &mut File| -> std::io::Result<()> {
            let before = rows.seek(SeekFrom::End(0))?;
            rows.write_all(&line).inspect_err(|_| {
                // Half a row would be read as a torn one; cutting it off needs no space.
                let _ = rows.set_len(before);
            })
        };
        append(&mut self.rows).map_err(|error| refused(&self.directory.join(self.name), self.written, &error))?;
        self.written += 1;
        Ok(())
    }

    /// Rows written so far.
    pub fn written(&self) -> u32 {
        self.written
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

fn refused(path: &Path, rows: u32, error: &std::io::Error) -> Failure {
    let knob = match error.kind() {
        std::io::ErrorKind::StorageFull => "; free space there or name another --out",
        std::io::ErrorKind::PermissionDenied => "; name a directory of yours with --out",
        _ => "",
    };
    Failure::Environment(format!("{}: {error}{knob} ({rows} rows before it are whole)", path.display()))
}
