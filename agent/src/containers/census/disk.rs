//! How much disk the writable layers of containers take.
//!
//! No counter says it: the layer's files have to be walked. So this is paced: each census may look at so many
//! entries, goes on with the container whose figure is the oldest, and every figure is kept until the next; how old the
//! oldest is stands beside them. A layer with more entries than one census may look at has no figure.
//!
//! Overlay file systems only, which Docker, containerd, CRI-O and Podman all use: the mount names the directory that holds
//! what the container wrote (`upperdir`). Logs, volumes and the image are not in it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use hostfs::{Roots, tree_size};

use super::{DiskUse, Group, Report};

/// Most directory entries that one census looks at: some 50 ms of a warm cache.
const ENTRIES: u64 = 50_000;

/// The figures between two censuses, by path of the container's cgroup.
#[derive(Debug, Default)]
pub(super) struct Disk {
    known: HashMap<Vec<u8>, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    layer: Vec<u8>,
    size: Option<tree_size::Size>,
    at: Option<Instant>,
}

impl Disk {
    /// Measures as many layers as the bound allows and gives every group of `report` its last figure.
    pub(super) fn measure(&mut self, roots: &Roots, report: &mut Report) {
        let layers: HashMap<Vec<u8>, Vec<u8>> = report
            .groups
            .iter_mut()
            .filter_map(|group| layer(group).map(|layer| (group.path.clone(), layer)))
            .collect();
        self.known.retain(|path, known| layers.get(path) == Some(&known.layer));
        for (path, layer) in &layers {
            let new = || Known { layer: layer.clone(), size: None, at: None };
            self.known.entry(path.clone()).or_insert_with(new);
        }
        let mut turns: Vec<_> = self.known.iter_mut().collect();
        // Never looked at comes first; ties by path, so that all get their turn.
        turns.sort_by(|a, b| (a.1.at, a.0).cmp(&(b.1.at, b.0)));
        let mut entries = ENTRIES;
        for (_, known) in turns {
            let whole = entries == ENTRIES;
            let size = std::str::from_utf8(&known.layer)
                .ok()
                .and_then(|layer| tree_size::of(&below(roots, layer), &mut entries).ok());
            match size {
                // Too much for what is left, but perhaps not for a census of its own.
                Some(None) if !whole => break,
                Some(None) => report.gaps.bounded += 1,
                Some(Some(_)) | None => {}
            }
            (known.size, known.at) = (size.flatten(), Some(Instant::now()));
        }
        for group in &mut report.groups {
            let known = self.known.get(&group.path);
            group.disk = known.and_then(|known| Some(DiskUse { bytes: known.size?.bytes, at: known.at? }));
        }
    }
}

fn below(roots: &Roots, layer: &str) -> PathBuf {
    roots.rootfs.join(layer.trim_start_matches('/'))
}

fn layer(group: &mut Group) -> Option<Vec<u8>> {
    group.filesystem.as_mut()?.layer.take()
}

/// The writable layer of the options of an overlay mount, as `/proc/PID/mounts` prints them: separated by commas, with
/// blanks and backslashes in octal.
pub(super) fn upper_directory(options: &[u8]) -> Option<Vec<u8>> {
    let text = options.split(|&byte| byte == b',').find_map(|option| option.strip_prefix(b"upperdir="))?;
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal =
            tail.first_chunk::<3>().filter(|digits| byte == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match octal {
            Some(digits) => {
                let value = digits.iter().fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                path.push(u8::try_from(value).ok()?);
                rest = &tail[3..];
            }
            None => {
                path.push(byte);
                rest = tail;
            }
        }
    }
    // A relative path would be one of the mounting process's directory.
    path.starts_with(b"/").then_some(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Filesystem;
    use super::*;

    #[test]
    fn options_of_an_overlay() {
        let of = |text: &str| upper_directory(text.as_bytes()).map(|path| String::from_utf8(path).unwrap());
        let docker = "rw,relatime,lowerdir=/l/A:/l/B,upperdir=/var/lib/docker/overlay2/x/diff,workdir=/w";
        assert_eq!(of(docker), Some("/var/lib/docker/overlay2/x/diff".into()));
        assert_eq!(of("rw,upperdir=/a\\040b\\134c\\9"), Some("/a b\\c\\9".into()));
        assert_eq!(of("rw,upperdir=/a\\777"), None);
        assert_eq!((of("rw,upperdir=relative"), of("rw,lowerdir=/l"), of("")), (None, None, None));
    }

    /// Layers are measured in turns: what does not fit into one census comes first in the next, and one that never fits has
    /// no figure and holds up nobody.
    #[test]
    fn turns() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::below(dir.path());
        for (layer, files) in [("small", 10), ("large", ENTRIES + 10), ("other", 20)] {
            fs::create_dir(dir.path().join(layer)).unwrap();
            // Hard links of one file are entries that cost no disk.
            let first = dir.path().join(layer).join("f");
            fs::write(&first, vec![1; 5000]).unwrap();
            (1..files).for_each(|index| fs::hard_link(&first, first.with_file_name(index.to_string())).unwrap());
        }
        let mut disk = Disk::default();
        let mut census = || {
            let group = |name: &str| Group {
                path: name.into(),
                filesystem: Some(Filesystem { layer: Some(format!("/{name}").into()), ..Filesystem::default() }),
                ..Group::default()
            };
            let mut report = Report { groups: ["small", "large", "other"].map(group).into(), ..Report::default() };
            disk.measure(&roots, &mut report);
            let has = |index: usize| report.groups[index].disk.as_ref().map(|disk| disk.bytes >= 5000);
            (has(0), has(1), has(2), report.gaps.bounded)
        };
        // In order of name: large alone and too large, then there is nothing left for others.
        assert_eq!(census(), (None, None, None, 1));
        assert_eq!(census(), (Some(true), None, Some(true), 0));
        assert_eq!(census(), (Some(true), None, Some(true), 1));
    }
}
