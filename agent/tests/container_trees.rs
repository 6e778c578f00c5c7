//! The container collector on trees of files: cgroup v2 under systemd and an old v1 kernel, which the machine that runs the
//! tests need not be.
//!
//! `fixtures/containers/NAME.tree` bundles the files and links below one root, in the form that `rare_collectors.rs`
//! explains; `NAME.prom` has the page. The time of the scrape is left out. After a wanted change, write the pages anew
//! with `BLESS=1 cargo test -p highload-agent --test container_trees` and read the diff.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "helpers of tests panic as tests do")]

use std::fs;
use std::path::{Path, PathBuf};

use highload_agent::collector::COLLECTORS;
use highload_agent::exposition::Page;
use highload_agent::flags::Setup;
use hostfs::Roots;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/containers").join(name)
}

fn unpack(bundle: &str, root: &Path) {
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
            while let Some(line) = lines.next_if(|line| !line.starts_with("== ") && !line.starts_with("-> ")) {
                content.push_str(line);
                content.push('\n');
            }
            fs::write(place(path), content).unwrap();
        } else {
            let (path, target) = line.strip_prefix("-> ").unwrap().split_once(' ').unwrap();
            std::os::unix::fs::symlink(target, place(path)).unwrap();
        }
    }
}

/// The page of one collector, run twice because its buffers are used again.
fn page(root: &Path, collector: &str, flags: &[(&str, &str)]) -> String {
    let entry = COLLECTORS.iter().find(|entry| entry.name == collector).unwrap();
    let mut setup = Setup::new(Roots::below(root));
    for (flag, value) in flags {
        setup.give(flag, value).unwrap();
    }
    let mut collector = (entry.spec.build)(&setup).unwrap();
    let mut page = Page::default();
    for _ in 0..2 {
        page.clear();
        collector.collect(&mut page).unwrap();
    }
    String::from_utf8(page.as_bytes().to_vec()).unwrap()
}

/// Every bundle makes the page beside it.
#[test]
fn golden_pages() {
    for bundle in ["v2-systemd", "v1-cfq"] {
        let dir = tempfile::tempdir().unwrap();
        unpack(&format!("{bundle}.tree"), dir.path());
        let text = page(
            dir.path(),
            "containers",
            &[("collector.containers.numa", "true"), ("collector.containers.hugetlb", "true")],
        );
        let kept = |line: &&str| {
            // The clock, and the file system that the tree happens to lie on.
            !line.starts_with("# HELP")
                && !line.starts_with("container_last_seen")
                && !line.starts_with("container_fs_inodes")
                && !line.starts_with("container_fs_limit")
        };
        let text = text.lines().filter(kept).map(|line| format!("{line}\n")).collect::<String>();
        let golden = fixture(&format!("{bundle}.prom"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&golden, text).unwrap();
        } else {
            let wanted = fs::read_to_string(&golden).unwrap();
            let differs = wanted.lines().zip(text.lines()).find(|(wanted, got)| wanted != got);
            assert!(wanted == text, "{bundle}: first difference: {differs:?}");
        }
    }
}

/// What the pages must say, whatever else they say: identities, networks once per pod, quotas, limits.
#[test]
fn v2_semantics() {
    let dir = tempfile::tempdir().unwrap();
    unpack("v2-systemd.tree", dir.path());
    let text = page(dir.path(), "containers", &[]);
    let lines = |name: &str| text.lines().filter(|line| line.starts_with(&format!("{name}{{"))).collect::<Vec<_>>();
    let docker = "0123456789abcdef".repeat(4);
    // Docker's, the pod's first container's, Podman's and the host's; not CRI-O's, which is on the host's network.
    let network = lines("container_network_receive_bytes_total");
    assert_eq!(network.len(), 4, "{network:?}");
    assert!(network.iter().all(|line| line.contains("interface=\"eth0\"")));
    assert!(network.iter().any(|line| line.contains(&"01".repeat(32)) && line.ends_with(" 333")));
    // One quota, hence one container with throttling.
    assert_eq!(lines("container_cpu_cfs_throttled_periods_total").len(), 1);
    assert_eq!(lines("container_spec_cpu_quota").len(), 1);
    assert!(lines("container_cpu_usage_seconds_total").iter().all(|line| line.contains("cpu=\"total\"")));
    let of = |name: &str, id: &str| {
        lines(name).into_iter().find(|line| line.contains(id)).unwrap().rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(of("container_memory_working_set_bytes", &docker), "4.1e+07");
    assert_eq!(of("container_spec_memory_limit_bytes", &docker), "1.34217728e+08");
    assert_eq!(of("container_spec_memory_limit_bytes", &"d".repeat(64)), "0");
    assert_eq!(of("container_spec_memory_limit_bytes", "id=\"/\""), "1.6777216e+10");
    assert_eq!(of("container_processes", "/libpod-dddd"), "2");
    assert_eq!(of("container_start_time_seconds", &docker), "1.70000002e+09");
    assert_eq!(of("container_file_descriptors", &docker), "4");
    assert!(text.contains("\ncontainer_scrape_error 1\n"));
    assert!(text.contains("container_label_io_kubernetes_pod_uid=\"7d3cf1f4-3a2b-4c5d-8e9f-0a1b2c3d4e5f\""));
    assert!(!text.contains("/container\""));
    for runtime in ["docker", "containerd", "cri-o", "podman", "lxc"] {
        assert!(text.contains(&format!("highload_containers{{runtime=\"{runtime}\"}}")), "{runtime}");
    }
}

/// A host without cgroups is no data, not a failure.
#[test]
fn no_cgroups() {
    let dir = tempfile::tempdir().unwrap();
    let entry = COLLECTORS.iter().find(|entry| entry.name == "containers").unwrap();
    let mut collector = (entry.spec.build)(&Setup::new(Roots::below(dir.path()))).unwrap();
    let result = collector.collect(&mut Page::default());
    assert!(matches!(result, Err(highload_agent::collector::Failure::NoData(_))), "{result:?}");
}
