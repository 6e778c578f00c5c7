//! Bundles of files in one text, for trees that mirror `/proc` and `/sys`.
//!
//! A bundle starts with a line of prose; then `== PATH` is followed by that file's lines, `-> PATH TARGET` is a symbolic
//! link and `/ PATH` an empty directory.

#![allow(unreachable_pub, reason = "two tests include it")]

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the rare collectors' fixtures.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rare").join(name)
}

/// Unpacks a bundle below `root`.
pub fn unpack(bundle: &str, root: &Path) {
    let text = fs::read_to_string(fixture(bundle)).unwrap();
    let mut lines = text.lines().skip(1).peekable();
    let place = |path: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    while let Some(line) = lines.next() {
        if let Some(path) = line.strip_prefix("== ") {
            let mut content = String::new();
            while let Some(line) = lines.next_if(|line| !["== ", "-> ", "/ "].iter().any(|mark| line.starts_with(mark)))
            {
                content.push_str(line);
                content.push('\n');
            }
            fs::write(place(path), content).unwrap();
        } else if let Some(link) = line.strip_prefix("-> ") {
            let (path, target) = link.split_once(' ').unwrap();
            std::os::unix::fs::symlink(target, place(path)).unwrap();
        } else if let Some(path) = line.strip_prefix("/ ") {
            fs::create_dir_all(root.join(path)).unwrap();
        } else {
            panic!("{bundle}: {line}");
        }
    }
}
