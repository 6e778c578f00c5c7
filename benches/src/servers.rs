//! Builds the servers under test, one package at a time, so that no engine's features leak into another's
//! dependencies (Cargo unifies features over everything that one command builds). Or takes them from where they were built:
//! [`BINARIES`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::engines::Engine;
use crate::failure::Failure;

/// Environment variable with a directory of binaries that are built already, for boxes without a Rust toolchain.
pub const BINARIES: &str = "LAB_BINARIES";

/// Paths of the servers' binaries by engine name.
pub type Binaries = BTreeMap<String, PathBuf>;

/// One line of `cargo build --message-format json`, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    executable: Option<PathBuf>,
}

/// Builds the packages of `engines` with Cargo profile `profile`, or finds the program of an engine without one. There is
/// nothing to build for a server of one's own.
///
/// # Errors
/// A usage failure for a missing program, an environment failure when a build fails; Cargo says why on stderr.
pub fn build<'a>(engines: impl IntoIterator<Item = &'a Engine>, profile: &str) -> Result<Binaries> {
    let mut built: BTreeMap<(String, String), PathBuf> = BTreeMap::new();
    let mut binaries = Binaries::new();
    for engine in engines {
        if engine.own.is_some() {
            continue;
        }
        let path = match &engine.package {
            None => program(engine)?,
            Some(package) => {
                let key = (package.clone(), engine.binary.clone());
                match built.get(&key) {
                    Some(path) => path.clone(),
                    None => built.entry(key).or_insert(cargo_build(package, &engine.binary, profile)?).clone(),
                }
            }
        };
        binaries.insert(engine.name.clone(), path);
    }
    Ok(binaries)
}

/// The program of an engine that is not built here.
fn program(engine: &Engine) -> Result<PathBuf> {
    let path = PathBuf::from(&engine.binary);
    if path.is_file() {
        return Ok(path);
    }
    Err(Failure::Usage(format!("engine {:?}: there is no program {}", engine.name, path.display())).into())
}

/// The binary in the directory of [`BINARIES`], or one `cargo build` and the path of what it made.
pub(crate) fn cargo_build(package: &str, binary: &str, profile: &str) -> Result<PathBuf> {
    if let Some(directory) = std::env::var_os(BINARIES).filter(|directory| !directory.is_empty()) {
        return built(&PathBuf::from(directory).join(binary));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "--locked", "--profile", profile, "--package", package, "--bin", binary])
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo build")?;
    if !output.status.success() {
        return Err(Failure::Environment(format!("cargo build of {package} failed; its messages are above")).into());
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.reason == "compiler-artifact")
        .find_map(|message| message.executable)
        .with_context(|| format!("cargo build of {package} named no executable {binary:?}"))
}

/// A binary that is there already, by its whole path: servers start in directories of their own.
fn built(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|error| {
        let says = format!(
            "{BINARIES}: {}: {error}; build it (cargo build --profile measured), or unset {BINARIES}",
            path.display()
        );
        Failure::Environment(says).into()
    })
}
