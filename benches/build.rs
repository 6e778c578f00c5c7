//! Records what the lab was built from: compiler, commit, and the versions of the crates under test.
//!
//! Works without git (a release tarball) and without network. Only builds that measure watch the checkout:
//! a debug build says nothing about its commit, so that not every commit recompiles it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// Crates whose version belongs beside a figure.
const CRATES: [&str; 13] = [
    "buffa",
    "compio",
    "io-uring",
    "mio",
    "monoio",
    "prost",
    "rkyv",
    "rmp-serde",
    "serde_json",
    "simd-json",
    "sonic-rs",
    "tokio",
    "tokio-uring",
];

/// What is compiled into the lab or into a server; a change elsewhere does not change a figure.
const SOURCES: [&str; 6] = ["agent/hostfs", "benches", "runtimes", "Cargo.toml", "Cargo.lock", ".cargo"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let manifest = env::var("CARGO_MANIFEST_DIR").expect("Cargo sets it for build scripts");
    let root = Path::new(&manifest).parent().expect("the package is a folder of the workspace");
    set("LAB_RUSTC", &rustc());
    set("LAB_CRATES", &crates(&root.join("Cargo.lock")));
    let measures = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    set("LAB_COMMIT", &if measures { commit(root).unwrap_or_default() } else { String::new() });
}

fn set(name: &str, value: &str) {
    println!("cargo::rustc-env={name}={value}");
}

fn rustc() -> String {
    println!("cargo::rerun-if-env-changed=RUSTC");
    let compiler = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    output(Command::new(compiler).arg("--version")).unwrap_or_else(|| "unknown".into())
}

/// `name version` of each crate under test, separated by commas, from the lock file's `[[package]]` tables. A crate that
/// is there twice (monoio brings its own mio) has both versions.
fn crates(lock: &Path) -> String {
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = fs::read_to_string(lock).unwrap_or_default();
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = "";
    for line in text.lines() {
        let value = |key: &str| line.strip_prefix(key).and_then(|rest| rest.strip_suffix('"'));
        if let Some(value) = value("name = \"") {
            name = value;
        } else if let Some(version) = value("version = \"")
            && CRATES.contains(&name)
        {
            found.entry(name).or_default().push(version);
        }
    }
    let facts: Vec<String> =
        found.iter().map(|(name, versions)| format!("{name} {}", versions.join(" and "))).collect();
    facts.join(",")
}

/// The commit, with `+changes` when what is compiled differs from it; `None` outside a checkout.
fn commit(root: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        // Without optional locks, git status does not rewrite the index that is watched below.
        output(Command::new("git").arg("-C").arg(root).args(arguments).env("GIT_OPTIONAL_LOCKS", "0"))
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    // HEAD's log grows with every commit and checkout, whichever branch and whether refs are packed or not.
    if let Some(log) = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    let mut status = vec!["status", "--porcelain", "--"];
    status.extend(SOURCES);
    let changed = git(&status).is_some_and(|changes| !changes.is_empty());
    Some(if changed { format!("{commit}+changes") } else { commit })
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
