//! What the kernel, its boot parameters and the agent's own place on the host withhold.

use std::fs;

use hostfs::Roots;
use hostfs::cgroup::{Controller, Layout};
use hostfs::processes::Processes;

use super::Gap;
use crate::descriptor_limit;
use crate::flags::Setup;

/// Controllers, what each gives, and the one word that both generations have for it.
const CONTROLLERS: [(Controller, &str, &str); 6] = [
    (Controller::Cpu, "cpu", "container_cpu_cfs_*, container_spec_cpu_*"),
    (
        Controller::Cpuacct,
        "cpu",
        "container_cpu_usage_seconds_total, container_cpu_user_seconds_total, container_cpu_system_seconds_total",
    ),
    (Controller::Memory, "memory", "container_memory_*, container_oom_events_total, container_spec_memory_*"),
    (Controller::Blkio, "io", "container_fs_reads*, container_fs_writes*, container_blkio_device_usage_total"),
    (Controller::Pids, "pids", "container_threads, container_threads_max, highload_pids_ratio"),
    (Controller::Hugetlb, "hugetlb", "container_hugetlb_*"),
];

/// Descriptors that a container's files are, about; for the hint only.
const FILES_PER_GROUP: u64 = 30;

/// Gaps of the host; `on` says whether a collector runs.
pub(super) fn gaps(setup: &Setup, on: &dyn Fn(&str) -> bool) -> Vec<Gap> {
    let roots = &setup.roots;
    let mut gaps = Vec::new();
    if on("pressure") && !roots.proc("pressure").exists() {
        gaps.push(no_pressure(&["pressure"], "node_pressure_*", &roots.proc("pressure").display().to_string()));
    }
    if on("containers") {
        gaps.extend(cgroups(setup));
    }
    if on("netdev") || on("connections") {
        gaps.extend(own_network(roots));
    }
    if on("io_uring") {
        gaps.extend(uring(roots));
    }
    gaps
}

fn no_pressure(collectors: &[&str], metrics: &str, path: &str) -> Gap {
    let reason = format!("{path} is not there: a kernel without CONFIG_PSI, or booted without it");
    Gap::new(collectors, metrics, reason, "boot with psi=1")
}

fn cgroups(setup: &Setup) -> Vec<Gap> {
    let mine = &["containers"];
    let layout = match Layout::find(&setup.roots) {
        Ok(Some(layout)) => layout,
        Ok(None) => {
            let reason = format!("no cgroup hierarchy at {}", setup.roots.sys("fs/cgroup").display());
            return vec![Gap::new(
                mine,
                "container_*",
                reason,
                "mount cgroup2 there, or bind the host's with --path.sysfs",
            )];
        }
        Err(error) => return vec![Gap::new(mine, "container_*", error.to_string(), "let the agent read the mount")],
    };
    let mut gaps = Vec::new();
    let mode = layout.mode.name();
    let unified = layout.unified().map(|at| layout.hierarchies[at].mount.clone());
    // On a hybrid host the v2 side has no controllers; on a v2 host it has all there are.
    let only_v2 = layout.hierarchies.len() == 1 && unified.is_some();
    let listed = unified.as_ref().and_then(|mount| fs::read_to_string(mount.join("cgroup.controllers")).ok());
    let listed = listed.unwrap_or_default();
    for (controller, name, metrics) in CONTROLLERS {
        if matches!(controller, Controller::Hugetlb) && !setup.is_on("collector.containers.hugetlb") {
            continue;
        }
        let there = if only_v2 {
            // cpu.stat counts usage without the controller.
            controller == Controller::Cpuacct || listed.split_whitespace().any(|known| known == name)
        } else {
            layout.v1(controller).is_some()
        };
        if !there {
            let reason = format!("cgroup {mode} has no {name} controller here");
            let remedy = if only_v2 {
                "boot without cgroup_disable= of it; below a delegated group, enable it in the parents' cgroup.subtree_control"
            } else {
                "mount its v1 hierarchy below /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1"
            };
            gaps.push(Gap::new(mine, metrics, reason, remedy));
        }
    }
    match &unified {
        None => gaps.push(Gap::new(
            mine,
            "container_pressure_*",
            "cgroup v1 has no pressure files and no v2 hierarchy is mounted beside it",
            "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified, or boot with systemd.unified_cgroup_hierarchy=1",
        )),
        // Files that are not there for the root are not there for anybody.
        Some(mount) if !mount.join("cpu.pressure").exists() => {
            gaps.push(no_pressure(mine, "container_pressure_*", &mount.join("cpu.pressure").display().to_string()));
        }
        Some(_) => {}
    }
    if let Some(at) = layout.v1(Controller::Memory)
        && !layout.hierarchies[at].mount.join("memory.memsw.limit_in_bytes").exists()
    {
        let reason = "memory.memsw.* is not there: swap is not counted";
        gaps.push(Gap::new(mine, "container_spec_memory_swap_limit_bytes", reason, "boot with swapaccount=1"));
    }
    gaps.extend(denied_files(&layout));
    gaps.extend(descriptors(setup, &layout));
    gaps
}

/// Hierarchies whose files this user may not read: the root's list of processes stands for all.
fn denied_files(layout: &Layout) -> Option<Gap> {
    let refused = |mount: &std::path::Path| {
        let error = fs::read(mount.join("cgroup.procs")).err()?;
        (error.kind() == std::io::ErrorKind::PermissionDenied).then(|| mount.display().to_string())
    };
    let refused: Vec<_> = layout.hierarchies.iter().filter_map(|hierarchy| refused(&hierarchy.mount)).collect();
    let remedy = "let the agent's user read them, or run as root";
    (!refused.is_empty()).then(|| {
        Gap::new(&["containers"], "container_*", format!("files below {} may not be read", refused.join(", ")), remedy)
    })
}

/// Whether the files of all groups can stay open. They need not: this is about cost.
fn descriptors(setup: &Setup, layout: &Layout) -> Option<Gap> {
    let wanted = setup.text("collector.containers.descriptors").parse().ok().filter(|&wanted| wanted > 0)?;
    let mut groups = hostfs::cgroup::Cgroups::<()>::new(usize::MAX);
    groups.walk(layout).ok()?;
    let (files, spare) = (groups.len() as u64 * FILES_PER_GROUP, descriptor_limit::spare(wanted));
    (files > spare).then(|| {
        let reason = format!("{} cgroups have about {files} files, {spare} of which can stay open", groups.len());
        let remedy =
            "nothing is missing but scrapes cost more: raise LimitNOFILE= and --collector.containers.descriptors";
        Gap::new(&["containers"], "(cost) cheap scrapes", reason, remedy)
    })
}

/// Whether the agent is in a network namespace of its own, where it sees nobody's interfaces but its own.
fn own_network(roots: &Roots) -> Option<Gap> {
    let mut processes = Processes::open(roots).ok()?;
    let (host, own) = (processes.network(1)?, processes.network(std::process::id())?);
    (host != own).then(|| {
        Gap::new(
            &["netdev", "netclass", "netstat", "sockstat", "arp", "conntrack"],
            "node_network_*, node_netstat_*, node_sockstat_* of the host",
            "the agent is in another network namespace than process 1 and shows its own",
            "run it in the host's: --network=host, or hostNetwork: true",
        )
    })
}

/// The switch that keeps programs from making rings; then there are none to show.
fn uring(roots: &Roots) -> Option<Gap> {
    let path = roots.proc("sys/kernel/io_uring_disabled");
    let text = fs::read_to_string(&path).ok()?;
    let who = match text.trim() {
        "1" => "programs outside kernel.io_uring_group and without CAP_SYS_ADMIN",
        "2" => "all programs",
        _ => return None,
    };
    let reason = format!("{} is {}: {who} may make no rings", path.display(), text.trim());
    Some(Gap::new(
        &["io_uring"],
        "highload_io_uring_* of programs that would use it",
        reason,
        "sysctl kernel.io_uring_disabled=0",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<Gap> {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        gaps(&Setup::new(Roots::below(dir.path())), &|_| true)
    }

    fn named(gaps: &[Gap], metrics: &str) -> bool {
        gaps.iter().any(|gap| gap.missing.contains(metrics))
    }

    /// A tree without anything: no pressure and no cgroups, each a line with its knob.
    #[test]
    fn nothing() {
        let gaps = found(&[]);
        assert_eq!(gaps.len(), 2, "{gaps:?}");
        assert!(gaps[0].remedy.contains("psi=1") && gaps[1].missing == "container_*");
    }

    /// cgroup v1 without blkio and swap accounting, and without a v2 side.
    #[test]
    fn v1_without_a_controller() {
        let gaps = found(&[
            ("proc/pressure/cpu", ""),
            ("sys/fs/cgroup/cpu,cpuacct/cgroup.procs", ""),
            ("sys/fs/cgroup/memory/cgroup.procs", ""),
            ("sys/fs/cgroup/pids/cgroup.procs", ""),
        ]);
        assert!(named(&gaps, "container_blkio_device_usage_total") && named(&gaps, "container_pressure_*"), "{gaps:?}");
        assert!(named(&gaps, "container_spec_memory_swap_limit_bytes") && !named(&gaps, "container_memory_*"));
        assert_eq!(gaps.len(), 3);
    }

    /// cgroup v2 with a controller left out at boot and PSI off; io_uring switched off.
    #[test]
    fn v2_without_memory() {
        let gaps = found(&[
            ("proc/pressure/cpu", ""),
            ("proc/sys/kernel/io_uring_disabled", "2\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n"),
            ("sys/fs/cgroup/cgroup.procs", ""),
        ]);
        assert!(named(&gaps, "container_memory_*") && named(&gaps, "container_pressure_*"), "{gaps:?}");
        assert!(named(&gaps, "highload_io_uring_*") && gaps.len() == 3);
    }
}
